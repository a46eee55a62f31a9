//! The one setting of a session, for scripts written for Azure's Single Server.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static VALIDATE_OBJECT_IDS: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Defines it. Not for files: PostgreSQL reads these before it loads libraries, and does not start over a name without a dot
/// that it does not know.
pub(super) fn define() {
    GucRegistry::define_bool_guc(
        c"aad_validate_oids_in_tenant",
        c"Ask the directory about object ids given in CREATE ROLE ... PASSWORD ... IN ROLE azure_ad_user.",
        c"The name and meaning it has on Azure's Single Server. Off: the object id is taken as it is given.",
        &VALIDATE_OBJECT_IDS,
        GucContext::Userset,
        GucFlags::DISALLOW_IN_FILE,
    );
}

/// Whether an object id in a statement is to be looked up in the directory before a role is linked to it.
pub(crate) fn validates_object_ids() -> bool {
    VALIDATE_OBJECT_IDS.get()
}

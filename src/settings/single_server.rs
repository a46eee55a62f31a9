//! The one setting of a session, for scripts that were written for Azure's Single Server.

use pgrx::{GucContext, GucFlags, GucSetting};

use crate::pg::guc::{self, Description};

/// Its name.
pub(crate) const NAME_FOR_SESSIONS: &str = "aad_validate_oids_in_tenant";

static VALIDATE_OBJECT_IDS: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Defines it. It is not for files: PostgreSQL reads these before it loads libraries, and does not
/// start if a name without a dot is unknown. The flag keeps ALTER SYSTEM from writing it there, and
/// the check a reload from taking it.
pub(super) fn define() {
    let about = Description {
        name: c"aad_validate_oids_in_tenant",
        short: c"Ask the directory about object ids given in CREATE ROLE ... PASSWORD ... IN ROLE azure_ad_user.",
        long: c"The name and meaning it has on Azure's Single Server. Off: the object id is taken as it is given.",
    };
    guc::define_flag::<NotInFiles>(
        &about,
        &VALIDATE_OBJECT_IDS,
        GucContext::Userset,
        GucFlags::DISALLOW_IN_FILE,
    );
}

enum NotInFiles {}

impl guc::Hooks for NotInFiles {
    type Value = bool;

    fn check(_value: &bool, is_from_file: bool) -> Result<(), String> {
        let problem = "It cannot be set in a configuration file: the server would not start again.";
        if is_from_file { Err(problem.to_owned()) } else { Ok(()) }
    }

    fn assign(_value: &bool) {}
}

/// Returns whether an object id in a statement is to be looked up in the directory before a role is
/// linked to it.
pub(crate) fn validates_object_ids() -> bool {
    VALIDATE_OBJECT_IDS.get()
}

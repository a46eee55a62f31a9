//! The label providers `pgaadauth` and `pgaadauth-int`: what may be written in a label, and by whom.
//!
//! SECURITY LABEL calls a provider before it writes. Here the label is judged; what follows from it is done after the
//! statement, when the label can be read (see `ddl`).

use std::ffi::{CStr, c_char};

use entra::{Label, LabelFault};
use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, INTERNAL_PROVIDER, PROVIDER, Role};
use crate::link;
use crate::link::{managed, rights};
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::text::decode;

/// One of the two: its name, its grammar, and what reads it.
struct Provider {
    name: &'static str,
    grammar: &'static str,
    parse: fn(&str) -> Result<Label, LabelFault>,
}

const OWN: Provider = Provider {
    name: "pgaadauth",
    grammar: "A label is aadauth[,oid=<uuid>][,type=user|group|service][,admin][,mfa][,tenant_id=<uuid>]\
              [,not_before=<seconds>].",
    parse: Label::parse,
};

const INTERNAL: Provider = Provider {
    name: "pgaadauth-int",
    grammar: "A label is type=user|group|service,oid=<uuid>,tenant_id=<uuid>[,admin][,mfa][,not_before=<seconds>], \
              or some of these, in any order.",
    parse: Label::parse_internal,
};

/// Registers them. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn register() {
    // SAFETY: constant C strings and guarded functions.
    unsafe {
        pg_sys::register_label_provider(PROVIDER.as_ptr(), Some(check_label));
        pg_sys::register_label_provider(INTERNAL_PROVIDER.as_ptr(), Some(check_internal_label));
    }
    managed::register();
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a label provider")]
unsafe extern "C-unwind" fn check_label(object: *const pg_sys::ObjectAddress, label: *const c_char) {
    // SAFETY: seclabel.c hands over an object it has found and a label that is null or a C string.
    let (object, text) = unsafe { (*object, text_of(label)) };
    or_raise(judge(&OWN, object, text, rights::may_end));
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a label provider")]
unsafe extern "C-unwind" fn check_internal_label(object: *const pg_sys::ObjectAddress, label: *const c_char) {
    // SAFETY: as above.
    let (object, text) = unsafe { (*object, text_of(label)) };
    // What is left without it may be another link.
    or_raise(judge(&INTERNAL, object, text, rights::may_change));
}

/// A label that is about to be written, or that it is too long to be one; none: it is taken away.
///
/// # Safety
/// `label` is null or a C string.
#[expect(unsafe_code, reason = "copies a C string")]
unsafe fn text_of(label: *const c_char) -> Option<Result<String, LabelFault>> {
    // SAFETY: see above.
    let text = unsafe { (!label.is_null()).then(|| CStr::from_ptr(label).to_bytes()) }?;
    let fits = text.len() <= entra::limits::MAX_LABEL_BYTES;
    Some(if fits { Ok(decode(text)) } else { Err(LabelFault::TooLong(text.len())) })
}

fn judge(
    provider: &Provider,
    object: pg_sys::ObjectAddress,
    text: Option<Result<String, LabelFault>>,
    may_remove: impl Fn(&Role) -> Result<()>,
) -> Result<()> {
    if object.classId != pg_sys::AuthIdRelationId {
        return Err(Fault::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("labels of {} can be given to roles only", provider.name),
        ));
    }
    let label = text.map(|text| (provider.parse)(&text?)).transpose().map_err(|fault| {
        Fault::invalid(format!("invalid label for provider {}", provider.name))
            .detail(fault.to_string())
            .hint(provider.grammar)
    })?;
    if crate::pg::library::upgrading() {
        return Ok(());
    }
    let Some(role) = catalog::role_of(object.objectId) else { return Ok(()) };
    catalog::announce_change(role.id);
    match label {
        Some(label) if role.name.as_c_str() == ADMIN_ROLE => check_association(&role, &label),
        None if role.name.as_c_str() == ADMIN_ROLE => rights::require_superuser("change the association"),
        Some(label) => {
            link::check_linkable(&role)?;
            rights::may_change(&role)?;
            link::notice_second_factor(&role, &label);
            Ok(())
        }
        None => may_remove(&role),
    }
}

/// A label of `azure_ad_admin` is the server's association with a tenant, as a dump restores it.
fn check_association(role: &Role, label: &Label) -> Result<()> {
    rights::require_superuser("associate the server with an Azure AD tenant")?;
    let association = Label { tenant_id: label.tenant_id, ..Label::default() };
    if label.tenant_id.is_some() && *label == association {
        return Ok(());
    }
    Err(Fault::invalid(format!("role \"{}\" cannot be linked to a directory object", role.display_name()))
        .detail("Its label names a tenant and nothing else."))
}

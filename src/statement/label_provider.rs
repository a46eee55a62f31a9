//! The label providers `pgaadauth` and `pgaadauth-int`: what may be written in a label, and by
//! whom.
//!
//! SECURITY LABEL calls a provider before it writes. The label is checked here; what follows from
//! it is done after the statement, when the label can be read (see `hook`).

use std::cell::Cell;
use std::ffi::CStr;

use entra::{Label, LabelFault};
use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, INTERNAL_PROVIDER, PROVIDER, Role};
use crate::link;
use crate::link::{lock, managed, rights};
use crate::pg;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::label_provider::label_provider;
use crate::pg::text::decode;

/// A label provider: its name, its grammar, and the function that reads its labels.
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

/// Registers the providers. In the postmaster only, while it loads its libraries.
pub(crate) fn register() {
    pg::label_provider::register(PROVIDER, on_label);
    pg::label_provider::register(INTERNAL_PROVIDER, on_internal_label);
    managed::register();
}

label_provider!(on_label => check_label);
label_provider!(on_internal_label => check_internal_label);

thread_local! {
    /// The role whose label the statement that runs now is to write; InvalidOid if no role had the
    /// name when the statement was read. None: no statement has been read.
    static EXPECTED: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
}

/// Lets the providers accept the next label for this role only.
///
/// PostgreSQL looks the role up by its name once more, and another session may have given the name
/// to another role since this one was locked.
pub(crate) fn expect(role: Option<pg_sys::Oid>) {
    EXPECTED.set(Some(role.unwrap_or(pg_sys::InvalidOid)));
}

/// Called with a label of `pgaadauth` about to be written or removed.
fn check_label(object: pg_sys::ObjectAddress, label: Option<&CStr>) {
    or_raise(check(&OWN, object, label, rights::may_end));
}

/// Called with a label of `pgaadauth-int` about to be written or removed. What is left without it
/// may be a link to another object, so its removal asks for the right to link.
fn check_internal_label(object: pg_sys::ObjectAddress, label: Option<&CStr>) {
    or_raise(check(&INTERNAL, object, label, rights::may_change));
}

/// Reads a label by a provider's grammar.
fn parse(provider: &Provider, text: &CStr) -> Result<Label> {
    let text = text.to_bytes();
    let label = if text.len() > entra::limits::MAX_LABEL_BYTES {
        Err(LabelFault::TooLong(text.len()))
    } else {
        (provider.parse)(&decode(text))
    };
    label.map_err(|fault| {
        Fault::invalid(format!("invalid label for provider {}", provider.name))
            .detail(fault.to_string())
            .hint(provider.grammar)
    })
}

/// Checks a label that is about to be written, and that the current user may write it. Without a
/// label, checks that the current user may remove the one that is there.
fn check(
    provider: &Provider,
    object: pg_sys::ObjectAddress,
    label: Option<&CStr>,
    may_remove: impl Fn(&Role) -> Result<()>,
) -> Result<()> {
    if object.classId != pg_sys::AuthIdRelationId {
        return Err(Fault::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("labels of {} can be given to roles only", provider.name),
        ));
    }
    let label = label.map(|text| parse(provider, text)).transpose()?;
    if pg::library::upgrading() {
        return Ok(());
    }
    let Some(role) = catalog::role_of(object.objectId) else { return Ok(()) };
    match EXPECTED.take() {
        Some(expected) if expected == pg_sys::InvalidOid => return Err(created(&role)),
        Some(expected) if expected != role.id => return Err(lock::renamed(&role)),
        _ => {}
    }
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

/// Returns the error for a role that was not there when the statement was read, and so is not
/// locked.
fn created(role: &Role) -> Fault {
    Fault::prerequisite(format!("role \"{}\" was concurrently created", role.display_name()))
}

/// Checks a label of `azure_ad_admin`, which names the tenant that the server is associated with. A
/// restored dump writes it.
fn check_association(role: &Role, label: &Label) -> Result<()> {
    rights::require_superuser("associate the server with an Azure AD tenant")?;
    let association = Label { tenant_id: label.tenant_id, ..Label::default() };
    if label.tenant_id.is_some() && *label == association {
        return Ok(());
    }
    Err(Fault::invalid(format!("role \"{}\" cannot be linked to a directory object", role.display_name()))
        .detail("Its label names a tenant and nothing else."))
}

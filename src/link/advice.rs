//! Statements for hints, complete and in the order in which they are to be run, so that they can be
//! pasted.
//!
//! A value that is not known here is always written as [`OBJECT_ID`], in quotes.

use entra::{Label, PrincipalKind, Uuid};
use pgrx::pg_sys;

use crate::catalog::membership::{self, Membership};
use crate::catalog::{self, Link, Role};
use crate::pg::database;
use crate::pg::spi::{literal, query, quoted};
use crate::pg::text::decode;

/// Stands for the id of a directory object.
const OBJECT_ID: &str = "<object id>";

/// Returns a statement that links a role, existing or not, to an object that is yet to be named.
pub(crate) fn create(role: &str) -> String {
    format!("SELECT azure_ad_auth.create_principal({}, '{OBJECT_ID}');", literal(role))
}

/// Returns a statement that links a role as an administrator.
pub(crate) fn create_administrator(role: &str) -> String {
    format!(
        "SELECT azure_ad_auth.create_principal({}, '{OBJECT_ID}', 'user', is_admin => true);",
        literal(role)
    )
}

/// Returns a statement that makes a role the only administrator.
pub(crate) fn set_administrator(role: &str) -> String {
    format!("SELECT azure_ad_auth.set_admin({}, '{OBJECT_ID}', 'user');", literal(role))
}

/// Returns a statement that makes a role an administrator: a linked one stays linked to the same
/// object.
pub(crate) fn promote(role: &Role) -> String {
    match catalog::link_of(role.id) {
        Link::Bound(label) => call("update_principal", &role.display_name(), &Label { admin: true, ..label }),
        _ => create_administrator(&role.display_name()),
    }
}

/// Returns a statement that unlinks a role.
pub(crate) fn unlink(role: &str) -> String {
    format!("SELECT azure_ad_auth.drop_principal({});", literal(role))
}

/// Returns a call of `create_principal` or `update_principal` that makes a link as a label has it.
pub(crate) fn call(function: &str, role: &str, label: &Label) -> String {
    let object = label.object_id.map_or_else(|| OBJECT_ID.to_owned(), |id: Uuid| id.to_string());
    let kind = label.kind.map_or_else(String::new, |kind: PrincipalKind| format!(", '{kind}'"));
    let admin = if label.admin { ", is_admin => true" } else { "" };
    let mfa = if label.mfa { ", is_mfa => true" } else { "" };
    format!("SELECT azure_ad_auth.{function}({}, '{object}'{kind}{admin}{mfa});", literal(role))
}

/// Returns statements that end the membership of one role in another, for a superuser to run.
///
/// From PostgreSQL 16 on there may be a row for each grantor, and REVOKE takes those of one: a
/// superuser's, unless it says GRANTED BY. A row by which others have been granted the role goes
/// with CASCADE only; what `member` has granted to itself goes with it.
pub(crate) fn revocation(role: &Role, member: &Role) -> String {
    let rows = membership::between(member, role);
    let all = membership::rows_of(role);
    let is_by_itself = |row: &&Membership| row.grantor == member.id;
    // If the member has granted all rows itself, it is the bootstrap superuser, to which nothing
    // else is granted.
    let is_alone = rows.iter().all(|row| is_by_itself(&row));
    let by_others = rows.iter().filter(|row| is_alone || !is_by_itself(row));
    let is_only_one = rows.is_empty() || cfg!(feature = "pg15");
    if is_only_one {
        return format!("REVOKE {} FROM {};", name(role), name(member));
    }
    let statements = by_others.map(|row| {
        let has_granted = row.admin_option && all.iter().any(|other| other.grantor == member.id);
        statement(role, member, row, "", has_granted)
    });
    statements.collect::<Vec<_>>().join(" ")
}

/// Returns statements that end the ADMIN option alone.
pub(crate) fn revocation_of_admin_option(role: &Role, member: &Role) -> String {
    let rows = membership::between(member, role);
    let has_granted = membership::rows_of(role).iter().any(|other| other.grantor == member.id);
    let rows = rows.iter().filter(|row| row.admin_option);
    let statements = rows
        .map(|row| statement(role, member, row, "ADMIN OPTION FOR ", has_granted && !cfg!(feature = "pg15")));
    statements.collect::<Vec<_>>().join(" ")
}

fn statement(role: &Role, member: &Role, row: &Membership, what: &str, cascades: bool) -> String {
    let is_bootstrap = row.grantor.to_u32() == pg_sys::BOOTSTRAP_SUPERUSERID;
    let grantor = catalog::role_of(row.grantor).filter(|_| !is_bootstrap && !cfg!(feature = "pg15"));
    let by = grantor.map_or_else(String::new, |grantor| format!(" GRANTED BY {}", name(&grantor)));
    let cascade = if cascades { " CASCADE" } else { "" };
    format!("REVOKE {what}{} FROM {}{by}{cascade};", name(role), name(member))
}

/// Returns statements that reset a role's settings, in every database it has some for. Only within
/// `as_superuser`.
pub(crate) fn resets(role: &Role) -> String {
    let databases = query(
        "SELECT setdatabase FROM pg_db_role_setting WHERE setrole = $1 ORDER BY 1",
        &[role.id.into()],
        |row| row.get::<pg_sys::Oid>(1).ok().flatten(),
    );
    let statements = databases.into_iter().flatten().map(|database| {
        let name_of = database::name(database).map(|name| decode(name.to_bytes()));
        // Without a database the settings are for all databases.
        let place = name_of.map(|name| format!(" IN DATABASE {}", quoted(&name)));
        format!("ALTER ROLE {}{} RESET ALL;", name(role), place.unwrap_or_default())
    });
    statements.collect::<Vec<_>>().join(" ")
}

/// Returns a role's name as it stands in a statement.
pub(crate) fn name(role: &Role) -> String {
    quoted(&role.display_name())
}

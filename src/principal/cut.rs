//! Names of roles that PostgreSQL has cut to 63 bytes: they would be another role's, or none's.

use std::ffi::CStr;

use super::catalog::{self, is_anchor};
use super::statement::{Named, Statement};
use crate::fault::{Fault, Outcome};

/// Refuses a statement about links in which a name was cut. `source` is its text.
pub(super) fn check(statement: &Statement, source: &CStr) -> Outcome<()> {
    let is_ours = |roles: &[Named]| roles.iter().filter_map(Named::role).any(|role| is_anchor(&role));
    match statement {
        Statement::Create(creation) if is_ours(&creation.parents) => refuse_cut(&creation.role, source),
        Statement::Label { role, .. } => refuse_cut_role(role, source),
        Statement::Membership { granted, members, .. } if is_ours(granted) => {
            members.iter().try_for_each(|member| refuse_cut_role(member, source))
        }
        Statement::Rename { role, to } if role.role().is_some_and(|role| catalog::is_linked(role.id)) => {
            [role, to].into_iter().try_for_each(|name| refuse_cut_role(name, source))
        }
        _ => Ok(()),
    }
}

fn refuse_cut_role(role: &Named, source: &CStr) -> Outcome<()> {
    if let Named::Name(name) = role { refuse_cut(name, source) } else { Ok(()) }
}

fn refuse_cut(name: &CStr, source: &CStr) -> Outcome<()> {
    if !is_cut(name, source) {
        return Ok(());
    }
    Err(Fault::name_too_long(format!("role name \"{}...\" is too long", name.to_string_lossy())))
}

/// Whether PostgreSQL has cut the name of a role to 63 bytes: nowhere in the text of the statement does it end where it does now.
///
/// The scanner cuts with a NOTICE, and the tree has no trace of it. Text that does not have the name at all, because it is
/// written with escapes, tells nothing.
fn is_cut(name: &CStr, source: &CStr) -> bool {
    // A character of several bytes is cut whole.
    const SHORTEST_CUT: usize = 60;
    let (name, source) = (name.to_bytes(), source.to_bytes());
    if name.len() < SHORTEST_CUT {
        return false;
    }
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii();
    let quoted = name.split(|byte| *byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
    let mut ends = surroundings(source, &quoted).map(|(before, after)| {
        if before == Some(b'"') { after != Some(b'"') } else { after.is_some_and(goes_on) }
    });
    let lower = source.to_ascii_lowercase();
    let mut plain_ends = surroundings(&lower, name).map(|(_, after)| after.is_some_and(goes_on));
    match ends.next() {
        Some(first) => first && ends.all(|cut| cut),
        None => plain_ends.next().is_some_and(|first| first && plain_ends.all(|cut| cut)),
    }
}

/// The bytes before and after each place where a text has a part; places do not overlap.
fn surroundings<'t>(text: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = (Option<u8>, Option<u8>)> + 't {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.windows(part.len()).position(|window| window == part)?;
        from = at + part.len();
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        Some((before.copied(), text.get(from).copied()))
    })
}

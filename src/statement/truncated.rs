//! Names of roles that PostgreSQL has cut to 63 bytes: they would be another role's, or none's.
//!
//! The scanner cuts with a NOTICE, and the tree has no trace of it; so the text of the statement is looked through, once, as the
//! scanner has (scan.l): what is longer than a name may be is a name only outside of strings and comments.

use pgrx::prelude::*;

use crate::catalog;
use crate::pg::error::{Fault, Result};
use crate::pg::interrupts;
use crate::pg::text::decode;
use crate::statement::parse::Statement;

/// Longest name, in bytes (NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// As much of a name is looked at: what it is cut to, and a character more.
const LOOKED_AT: usize = MAX_NAME_BYTES + 4;

/// Refuses a statement about links in which a name was cut. `text` is its own text, without that of others beside it.
pub(crate) fn check(statement: &Statement, text: &[u8]) -> Result<()> {
    let is_about_links = match statement {
        Statement::Create(creation) => creation.parents.marker().is_some(),
        Statement::Label { .. } => true,
        Statement::Membership { granted, .. } => granted.marker().is_some(),
        Statement::Rename { role, .. } => role.role().is_some_and(|role| catalog::is_linked(role.id)),
        _ => false,
    };
    let cut = if is_about_links { first_cut(text) } else { None };
    cut.map_or(Ok(()), |name| {
        Err(Fault::name_too_long(format!("role name \"{}...\" is too long", decode(as_cut(&name)))))
    })
}

/// What PostgreSQL makes of a name that is too long: whole characters, of which there are as many as fit.
#[expect(unsafe_code, reason = "uses the server's own clipping")]
fn as_cut(name: &[u8]) -> &[u8] {
    let (length, most) = (i32::try_from(name.len()).unwrap_or(0), i32::try_from(MAX_NAME_BYTES).unwrap_or(0));
    // SAFETY: so many bytes, in the encoding of the database.
    let fits = unsafe { pg_sys::pg_mbcliplen(name.as_ptr().cast(), length, most) };
    name.get(..usize::try_from(fits).unwrap_or(0)).unwrap_or(name)
}

/// What the first name begins with that is too long. One written with `U&` is not looked at.
fn first_cut(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        interrupts::check();
        rest = match first {
            b'-' if after.starts_with(b"-") => after_any(after, b"\n\r"),
            b'/' if after.starts_with(b"*") => after_comment(rest),
            b'\'' => after_string(after, has_escapes()),
            b'$' => after_dollars(rest).unwrap_or(after),
            b'"' => {
                let (name, length, next) = quoted(after);
                if length > MAX_NAME_BYTES {
                    return Some(name);
                }
                next
            }
            byte if begins_name(byte) => {
                let length = rest.iter().take_while(|byte| continues_name(**byte)).count();
                let (name, next) = rest.split_at_checked(length)?;
                match (name, next) {
                    (b"e" | b"E", [b'\'', string @ ..]) => after_string(string, true),
                    (b"u" | b"U", [b'&', b'\'', string @ ..]) => after_string(string, false),
                    (b"u" | b"U", [b'&', b'"', name @ ..]) => quoted(name).2,
                    _ if length > MAX_NAME_BYTES => {
                        return name.get(..LOOKED_AT.min(length)).map(<[u8]>::to_ascii_lowercase);
                    }
                    _ => next,
                }
            }
            _ => after,
        };
    }
    None
}

const fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

const fn continues_name(byte: u8) -> bool {
    begins_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Whether a backslash means something in strings without an E before them.
#[expect(unsafe_code, reason = "reads a setting of the server")]
fn has_escapes() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { !pg_sys::standard_conforming_strings }
}

/// What follows the first of some bytes.
fn after_any<'t>(text: &'t [u8], ends: &[u8]) -> &'t [u8] {
    let end = text.iter().position(|byte| ends.contains(byte));
    end.and_then(|end| text.get(end + 1..)).unwrap_or_default()
}

/// What follows a comment, which may have others in it.
fn after_comment(text: &[u8]) -> &[u8] {
    let (mut rest, mut depth) = (text, 0_usize);
    loop {
        rest = match rest {
            [b'/', b'*', after @ ..] => {
                depth += 1;
                after
            }
            [b'*', b'/', after @ ..] if depth == 1 => return after,
            [b'*', b'/', after @ ..] => {
                depth -= 1;
                after
            }
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

/// What follows a string, after whose first quote `text` begins.
fn after_string(text: &[u8], has_escapes: bool) -> &[u8] {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\'', b'\'', after @ ..] => after,
            [b'\'', after @ ..] => return after,
            [b'\\', _, after @ ..] if has_escapes => after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

/// What follows a string between two tags like `$tag$`; none: there is no tag.
fn after_dollars(text: &[u8]) -> Option<&[u8]> {
    let (_, after) = text.split_first()?;
    let length = after.iter().take_while(|byte| continues_name(**byte) && **byte != b'$').count();
    let is_tag = after.get(length) == Some(&b'$') && !after.first()?.is_ascii_digit();
    let (tag, mut rest) = text.split_at_checked(length + 2).filter(|_| is_tag)?;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        rest = rest.get(at..)?;
        match rest.strip_prefix(tag) {
            Some(after) => return Some(after),
            None => rest = rest.get(1..)?,
        }
    }
    Some(&[])
}

/// A name in quotes, after the first of which `text` begins: what it begins with, how long it is, and what follows.
fn quoted(text: &[u8]) -> (Vec<u8>, usize, &[u8]) {
    let (mut name, mut length, mut rest) = (Vec::new(), 0, text);
    loop {
        let (byte, after) = match rest {
            [b'"', b'"', after @ ..] => (b'"', after),
            [b'"', after @ ..] => return (name, length, after),
            [byte, after @ ..] => (*byte, after),
            [] => return (name, length, rest),
        };
        length += 1;
        if length <= LOOKED_AT {
            name.push(byte);
        }
        rest = after;
    }
}

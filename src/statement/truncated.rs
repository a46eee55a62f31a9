//! Role names that PostgreSQL has truncated to 63 bytes, and that so name another role or none.
//!
//! The scanner truncates with a NOTICE, and the tree does not show it. So the text of the statement
//! is read once, as the scanner has read it (scan.l): a word that is too long is a name only
//! outside of strings and comments.

use crate::catalog;
use crate::pg::error::{Fault, Result};
use crate::pg::identifier::{MAX_NAME_BYTES, backslash_escapes, truncated};
use crate::pg::interrupts;
use crate::pg::text::decode;
use crate::statement::Statement;

/// How many bytes of a name are kept: those that PostgreSQL keeps, and one character more.
const KEPT_BYTES: usize = MAX_NAME_BYTES + 4;

/// Refuses a statement about links in which a name was truncated. `text` is the text of this
/// statement alone.
pub(crate) fn check(statement: &Statement<'_>, text: &[u8]) -> Result<()> {
    let is_about_links = match statement {
        Statement::Create(creation) => creation.parents.marker().is_some(),
        Statement::Label { .. } => true,
        Statement::Membership { granted, .. } => granted.marker().is_some(),
        Statement::Rename { role, .. } => role.role().is_some_and(|role| catalog::is_linked(role.id)),
        _ => false,
    };
    let found = if is_about_links { first_too_long(text) } else { None };
    found.map_or(Ok(()), |name| {
        Err(Fault::name_too_long(format!("role name \"{}...\" is too long", decode(truncated(&name)))))
    })
}

/// Returns the beginning of the first name that is too long. A name written with `U&` is passed
/// over.
fn first_too_long(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        interrupts::check();
        rest = match first {
            b'-' if after.starts_with(b"-") => after_any(after, b"\n\r"),
            b'/' if after.starts_with(b"*") => after_comment(rest),
            b'\'' => after_string(after, backslash_escapes()),
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
                        return name.get(..KEPT_BYTES.min(length)).map(<[u8]>::to_ascii_lowercase);
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

/// Returns the text after the first of some bytes.
fn after_any<'t>(text: &'t [u8], ends: &[u8]) -> &'t [u8] {
    let end = text.iter().position(|byte| ends.contains(byte));
    end.and_then(|end| text.get(end + 1..)).unwrap_or_default()
}

/// Returns the text after a comment, in which there may be other comments.
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

/// Returns the text after a string. `text` begins after the quote that opens it.
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

/// Returns the text after a string between two tags like `$tag$`; none if there is no tag.
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

/// Reads a name in quotes. `text` begins after the quote that opens it. Returns the beginning of
/// the name, its length, and the text after it.
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
        if length <= KEPT_BYTES {
            name.push(byte);
        }
        rest = after;
    }
}

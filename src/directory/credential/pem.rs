//! PEM files (RFC 7468), read without leaving copies of keys behind: what was decoded is wiped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// A part of a PEM file.
pub(super) struct Section<'f> {
    /// What it is called.
    pub(super) label: &'f [u8],
    /// Its content, decoded; none if it has headers, as encrypted keys of an old form do.
    pub(super) content: Option<Zeroizing<Vec<u8>>>,
}

/// Returns the parts of a file. What stands between them is skipped.
///
/// # Errors
/// The file breaks off in a part, or a part is not in base64.
pub(super) fn sections(file: &[u8]) -> Result<Vec<Section<'_>>, &'static str> {
    let mut sections = Vec::new();
    let mut lines = file.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else {
            continue;
        };
        // Room for all of it, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(Vec::with_capacity(file.len()));
        let mut has_headers = false;
        loop {
            let line = lines.next().ok_or("is a PEM file that breaks off")?;
            if line.strip_prefix(END).and_then(|rest| rest.strip_suffix(DASHES)) == Some(label) {
                break;
            }
            has_headers |= line.contains(&b':');
            text.extend_from_slice(line);
        }
        let content = if has_headers { None } else { Some(decoded(&text)?) };
        sections.push(Section { label, content });
    }
    Ok(sections)
}

fn decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut content = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut content).map_err(|_| "is a PEM file with a fault in it")?;
    content.truncate(length);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Option<Vec<(String, Option<Vec<u8>>)>> {
        let sections = sections(file.as_bytes()).ok()?;
        let read = |section: Section<'_>| {
            (
                String::from_utf8_lossy(section.label).into_owned(),
                section.content.map(|content| content.to_vec()),
            )
        };
        Some(sections.into_iter().map(read).collect())
    }

    #[test]
    fn parts_are_found_among_other_text() {
        let file = "Bag Attributes\r\n-----BEGIN A B-----\r\nYWJj\r\nZGVm\r\n-----END A B-----\r\n\nx\n \
                    -----BEGIN C-----\nProc-Type: 4,ENCRYPTED\n\nYWJj\n-----END C-----";
        let expected = vec![("A B".to_owned(), Some(b"abcdef".to_vec())), ("C".to_owned(), None)];
        assert_eq!(read(file), Some(expected));
        assert_eq!(read("nothing"), Some(Vec::new()));
    }

    #[test]
    fn a_part_that_breaks_off_or_is_not_in_base64_is_none() {
        for file in [
            "-----BEGIN A-----\nYWJj\n",
            "-----BEGIN A-----\nYWJj\n-----END B-----",
            "-----BEGIN A-----\nYWJ\n-----END A-----",
            "-----BEGIN A-----\nY!Jj\n-----END A-----",
        ] {
            assert_eq!(read(file), None, "{file}");
        }
    }
}

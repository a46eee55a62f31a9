//! Finds names in the configuration files that have this library's prefix and are no settings of
//! it.
//!
//! PostgreSQL drops such a line with a warning. A misspelt `allowed_client` would then let anyone
//! in, so logins are refused as long as it is there. A worker reads the files, at its start and at
//! reload; a login never does.

use crate::pg::config_file::{self, ConfigLine};
use crate::settings::{PREFIX, is_known};

/// Returns the first unknown name with this library's prefix, with its file and line.
pub(crate) fn unknown_name() -> Option<String> {
    config_file::files()?.iter().find_map(|file| config_file::first_line(file, described_if_unknown))
}

fn described_if_unknown(line: &ConfigLine<'_>) -> Option<String> {
    let (prefix, rest) = line.name.split_once('.')?;
    if !prefix.eq_ignore_ascii_case(PREFIX) || is_known(rest) {
        return None;
    }
    Some(format!("{} in {}:{}", entra::Untrusted::new(&line.name), line.file, line.number))
}

//! The other libraries that the server preloads, and whether it will preload this one when it starts next.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::check::files::Entry;
use crate::check::finding::Finding;
use crate::pg::hook::authentication;
use crate::pg::library;
use crate::pg::spi::{as_superuser, query};

/// The setting.
pub(crate) const PARAMETER: &str = "shared_preload_libraries";
/// This library, as it is named there.
const OURS: &str = "azure_ad_auth";

pub(crate) fn findings(entries: &[Entry]) -> Vec<Finding> {
    above().into_iter().chain(left_out(entries)).collect()
}

/// A library that was loaded after this one is asked about logins first, and asks us. A refusal of ours ends the login before it
/// hears of it.
fn above() -> Option<Finding> {
    let first = library::path_at(authentication::first())?;
    if library::path().as_ref() == Some(&first) {
        return None;
    }
    let name = base_name(&first);
    // Else this session has loaded it: it is of no other's concern.
    let later =
        names(&in_force()).into_iter().skip_while(|other| other != OURS).skip(1).any(|other| other == name);
    later.then(|| {
        Finding::notice(
            "libraries",
            format!("{name} is named after azure_ad_auth in {PARAMETER}, and never hears of a refused Azure AD login"),
        )
        .advice(format!("Name azure_ad_auth last in {PARAMETER}, and restart the server."))
    })
}

/// Files that no longer name this library: nothing of it will be there after the next restart.
fn left_out(entries: &[Entry]) -> Option<Finding> {
    // What stands below a line that cannot be read is not known, and there is a finding about that line.
    if has_own_source() || entries.iter().any(Entry::is_unreadable) {
        return None;
    }
    let entry = entries.iter().rfind(|entry| entry.is_for(PARAMETER));
    let value = entry.and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    if names(value).iter().any(|name| name == OURS) {
        return None;
    }
    let place = entry.map_or_else(|| "no configuration file".to_owned(), Entry::place);
    let problem = if entry.is_some() { "does not name azure_ad_auth" } else { "names azure_ad_auth" };
    Some(
        Finding::danger(
            "library",
            format!(
                "after the next restart nobody logs in with a token, and guards alone keep others out: {place} {problem} in \
                 {PARAMETER}"
            ),
        )
        .advice(
            "Name it there again. If it is to go, follow \"Taking it out\" in docs/operations.md: trust lines go first.",
        ),
    )
}

/// Whether the value is from the command line, which wins over every file.
fn has_own_source() -> bool {
    let text = "SELECT source NOT IN ('configuration file', 'default') FROM pg_settings WHERE name = $1";
    let found = as_superuser(|| query(text, &[PARAMETER.into()], |row| row.get::<bool>(1).ok().flatten()));
    found.into_iter().flatten().any(|own| own)
}

#[expect(unsafe_code, reason = "reads a setting of the server")]
fn in_force() -> String {
    // SAFETY: a constant C string; the text is copied at once.
    unsafe {
        let text = pg_sys::GetConfigOption(c"shared_preload_libraries".as_ptr(), true, false);
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

/// The libraries of a list, without folders and endings.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(|item| base_name(item.trim().trim_matches('"').trim())).collect()
}

fn base_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".so").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn libraries_go_by_their_file_names() {
        assert_eq!(names("a,b"), ["a", "b"]);
        assert_eq!(names(" \"auth_delay\" , $libdir/azure_ad_auth.so"), ["auth_delay", "azure_ad_auth"]);
        assert_eq!(names("/x/azure_ad_auth"), ["azure_ad_auth"]);
        assert_eq!(names(""), [""]);
    }
}

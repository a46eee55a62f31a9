//! The library itself: whether the server has loaded it, which libraries it loads besides, and
//! whether it will load this one when it starts next.

use hba::Finding;

use crate::check::config_files::Entry;
use crate::pg::guc;
use crate::pg::hook::authentication;
use crate::pg::library::{self, Preloaded};
use crate::pg::spi::{as_superuser, query};

/// The setting that lists the libraries.
pub(crate) const PARAMETER: &str = "shared_preload_libraries";
/// This library, as the setting names it.
const OURS: &str = "azure_ad_auth";

/// Returns whether the server has loaded the library, and whether its file is still the same.
pub(crate) fn loaded() -> Finding {
    const TOPIC: &str = "library";
    match library::status() {
        Preloaded::ThisFile if library::is_gone() => Finding::danger(
            TOPIC,
            "the file of azure_ad_auth is gone, and without it the server will not start again",
        )
        .advice("Install the library again before the server is restarted."),
        Preloaded::ThisFile if !library::is_replaced() => {
            Finding::ok(TOPIC, "the server has loaded azure_ad_auth")
        }
        Preloaded::ThisFile | Preloaded::AnotherFile => {
            Finding::warning(TOPIC, "the file of azure_ad_auth was replaced after the server started")
                .advice("Restart the server.")
        }
        Preloaded::No => Finding::danger(
            TOPIC,
            "the server has not loaded azure_ad_auth: nobody can log in with a token",
        )
        .advice("Add azure_ad_auth to shared_preload_libraries in postgresql.conf and restart the server."),
    }
}

/// Returns whether the library and the SQL objects in this database fit together.
pub(crate) fn versions() -> Finding {
    const LIBRARY: &str = env!("CARGO_PKG_VERSION");
    match extension_version() {
        Some(version) if version == LIBRARY => {
            Finding::ok("versions", format!("library and extension are of version {LIBRARY}"))
        }
        Some(version) => Finding::warning(
            "versions",
            format!("the library is of version {LIBRARY}, the extension in this database of {version}"),
        )
        .advice(
            "ALTER EXTENSION azure_ad_auth UPDATE; or restart the server, if the library is the older one.",
        ),
        None => Finding::warning("versions", "the extension is not in this database")
            .advice("CREATE EXTENSION azure_ad_auth;"),
    }
}

/// Returns the version that CREATE or ALTER EXTENSION has left in this database, or none if the
/// extension is not in it.
fn extension_version() -> Option<String> {
    let text = "SELECT extversion FROM pg_extension WHERE extname = 'azure_ad_auth'";
    as_superuser(|| query(text, &[], |row| row.get::<String>(1).ok().flatten())).into_iter().flatten().next()
}

/// Returns what is wrong with the list of libraries, now and at the next start.
pub(crate) fn preloading(entries: &[Entry]) -> Vec<Finding> {
    later_library().into_iter().chain(left_out(entries)).collect()
}

/// Returns a finding if another library has installed its authentication hook after this one. Its
/// hook calls this library's, and a refusal ends the login there, so the other library does not see
/// it.
fn later_library() -> Option<Finding> {
    let first = library::path_at(authentication::first())?;
    if library::path().as_ref() == Some(&first) {
        return None;
    }
    let name = base_name(&first);
    // A library that only this session has loaded concerns no other session.
    let listed = guc::value(c"shared_preload_libraries").unwrap_or_default();
    let later =
        names(&listed).into_iter().skip_while(|other| other != OURS).skip(1).any(|other| other == name);
    later.then(|| {
        Finding::notice(
            "libraries",
            format!(
                "{name} is named after azure_ad_auth in {PARAMETER}, so its authentication hook is not called for a \
                 refused Azure AD login"
            ),
        )
        .advice(format!("Name azure_ad_auth last in {PARAMETER}, and restart the server."))
    })
}

/// Returns a finding if the configuration files no longer name this library.
fn left_out(entries: &[Entry]) -> Option<Finding> {
    // What is below a line that cannot be read is unknown, and there is a finding about that line.
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
                "after the next restart nobody can log in with a token, and linked roles are protected by their guards \
                 only: {place} {problem} in {PARAMETER}"
            ),
        )
        .advice(
            "Name it there again. To remove it for good, follow \"Taking it out\" in docs/operations.md: trust lines go \
             first.",
        ),
    )
}

/// Returns whether the value comes from the command line, which overrides every file.
fn has_own_source() -> bool {
    let text = "SELECT source NOT IN ('configuration file', 'default') FROM pg_settings WHERE name = $1";
    let found = as_superuser(|| query(text, &[PARAMETER.into()], |row| row.get::<bool>(1).ok().flatten()));
    found.into_iter().flatten().any(|own| own)
}

/// Returns the libraries of a list, without folders and suffixes.
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

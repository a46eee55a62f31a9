//! The `trust` lines of pg_hba.conf that match a role when it is unlinked.
//!
//! As long as a role is linked, a `trust` line lets no client in as it without a token. Once it is
//! not linked, the line lets every client in. So the user who unlinks a role is told which lines
//! match it.
//!
//! PostgreSQL's own reader reads the file as it is now. The server uses the file as it was when it
//! was last loaded; the warning says so. Reading it must not keep a role from being unlinked: it
//! happens in a subtransaction, and not at all if the file is not a regular file or is very long.
//! The warning then says that the lines are unknown.

use std::path::Path;

use hba::{Place, first_few};

use crate::catalog::Role;
use crate::pg::error::warning;
use crate::pg::hex_text::{bytes, plain, raw};
use crate::pg::spi::{query, quoted};
use crate::pg::subtransaction::or_take_back;

/// A longer file is not read here. Twenty thousand lines take less than a tenth of a second.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// How many lines are named.
const LINES_SHOWN: usize = 5;

/// Says in a WARNING which `trust` lines let anyone in as a role from now on. Called within
/// `as_superuser` only, once the role is unlinked.
pub(crate) fn warn_of(role: &Role) {
    if !role.can_login {
        return;
    }
    let name = role.display_name();
    let quoted = quoted(&name);
    match lines_for(role) {
        Some(lines) if lines.is_empty() => {}
        Some(lines) => warning(
            format!("a \"trust\" line lets everybody in as role \"{name}\", which is not linked any more"),
            Some(format!(
                "It is {}. That is the file as it stands; the server uses it as it was when it was last loaded.",
                listed(&lines)
            )),
            format!(
                "Remove the line or limit it to +azure_ad_user, and reload the configuration; until then: ALTER ROLE {quoted} \
                 NOLOGIN;"
            ),
        ),
        None => warning(
            format!("pg_hba.conf could not be searched for \"trust\" lines that match role \"{name}\""),
            Some("The role is not linked any more. Such a line lets everybody in as it.".to_owned()),
            "SELECT * FROM azure_ad_auth.check_hba();",
        ),
    }
}

/// Lists the lines. Files are named without their folders: the user who unlinks a role need not be
/// one who may know where the server has its files.
fn listed(lines: &[Place]) -> String {
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    let places = lines.iter().map(|place| Place { file: name(&place.file), ..*place }.to_string());
    first_few(places, LINES_SHOWN).join(", ")
}

/// Returns the lines that match a role, or none if the file could not be searched.
fn lines_for(role: &Role) -> Option<Vec<Place>> {
    or_take_back(|| {
        let file = query(&format!("SELECT {}", raw("current_setting('hba_file')")), &[], |row| {
            row.get::<String>(1).ok().flatten().unwrap_or_default()
        });
        let path = String::from_utf8(bytes(file.first()?)).ok()?;
        let found = Path::new(&path).metadata().ok()?;
        (found.is_file() && found.len() <= MAX_FILE_BYTES).then(|| trust_lines(role))
    })
}

/// Returns the `trust` lines that match a role, as PostgreSQL matches them: by name, as a member of
/// a group, from PostgreSQL 16 on by a regular expression. Lines for replication do not count,
/// because the role has no right to that, unless a database has that name.
fn trust_lines(role: &Role) -> Vec<Place> {
    let has_patterns = cfg!(not(feature = "pg15"));
    // PostgreSQL 15 has no include, and so shows no file.
    let file = if has_patterns { "file_name" } else { "current_setting('hba_file')" };
    let text = format!(
        "WITH RECURSIVE above(id) AS ( \
           SELECT $1 UNION SELECT roleid FROM pg_auth_members JOIN above ON member = id), \
         names(name) AS (SELECT '+' || rolname::text COLLATE \"C\" FROM above JOIN pg_authid ON oid = id) \
         SELECT {file}, line_number FROM pg_hba_file_rules() WITH ORDINALITY, pg_authid \
         WHERE oid = $1 AND auth_method = 'trust' AND error IS NULL \
           AND (database <> '{{replication}}' OR rolreplication \
             OR EXISTS (SELECT FROM pg_database WHERE datname = 'replication')) \
           AND EXISTS (SELECT FROM unnest(user_name) item WHERE \
             item = 'all' OR item = rolname::text COLLATE \"C\" \
             OR item COLLATE \"C\" IN (SELECT name FROM names) \
             OR CASE WHEN $2 AND substr({item}, 1, 1) = '/'::bytea THEN rolname::text COLLATE \"C\" ~ \
               convert_from(substr({item}, 2), getdatabaseencoding()) ELSE false END) \
         ORDER BY ordinality",
        file = raw(file),
        item = format!("decode({}, 'hex')", raw("item"))
    );
    query(&text, &[role.id.into(), has_patterns.into()], |row| Place {
        file: row.get::<String>(1).ok().flatten().map(|raw| plain(&raw)).unwrap_or_default(),
        number: row.get(2).ok().flatten().unwrap_or_default(),
    })
}

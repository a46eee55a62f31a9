//! What a role that is unlinked leaves behind in pg_hba.conf.
//!
//! As long as a role is linked, a `trust` line lets nobody in as it without a token. Once it is not, the line does what it says.
//! So whoever unlinks a role is told of the lines that match it.
//!
//! The file is read as it stands, by PostgreSQL's own reader, which says where a line is and what is in it. What the server uses
//! is the file as it was when it was last loaded; the warning says so. Reading it must not keep a role from being unlinked: it
//! happens in a subtransaction, and not at all where the file is none that is read at once. Then the warning is that nobody knows.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use pgrx::PgTryBuilder;
use pgrx::prelude::*;

use crate::catalog::Role;
use crate::pg::error::warning;
use crate::pg::hex_text::{bytes, plain, raw};
use crate::pg::spi::{query, quoted};

/// More is not read here: twenty thousand lines take less than a tenth of a second.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// How many lines are named.
const LINES_SHOWN: usize = 5;

/// A line of pg_hba.conf, or of a file that it includes.
struct Place {
    file: String,
    number: i32,
}

/// Says in a WARNING which `trust` lines let everybody in as a role from now on. Only within `as_superuser`, once the role is
/// unlinked.
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

/// Files by their last name only: whoever unlinks a role need not be somebody who may know where the server's files are.
fn listed(lines: &[Place]) -> String {
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    let mut places: Vec<_> = lines
        .iter()
        .take(LINES_SHOWN)
        .map(|place| format!("line {} of {}", place.number, name(&place.file)))
        .collect();
    if lines.len() > LINES_SHOWN {
        places.push(format!("{} others", lines.len() - LINES_SHOWN));
    }
    places.join(", ")
}

/// None: the file could not be searched.
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

/// The `trust` lines that match a role, as PostgreSQL matches them: by name, through a group, by a regular expression from 16 on.
/// What it has no rights to, replication, does not count, unless a database has that name.
fn trust_lines(role: &Role) -> Vec<Place> {
    let has_patterns = cfg!(not(feature = "pg15"));
    // 15 has no include, and so names no file.
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

/// Runs `act`, which only reads, in a subtransaction of its own, which is taken back if it ends in an error; none, then. A
/// statement that is cancelled, or whose server is shutting down, ends all the same.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn or_take_back<T>(act: impl FnOnce() -> Option<T>) -> Option<T> {
    // SAFETY: within a transaction, as every statement is. A subtransaction has its own memory and owner of resources; both are
    // put back to those of the statement (as PL/pgSQL does for a block with EXCEPTION). Taking it back pops the snapshot, too.
    unsafe {
        let (memory, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
        // The statement's own snapshot is from before it unlinked the role.
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(act())))
            .catch_when(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, |end| end.rethrow())
            .catch_when(PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN, |end| end.rethrow())
            .catch_when(PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN, |end| end.rethrow())
            .catch_rust_panic(|fault| fault.rethrow())
            .catch_others(|_| Err(()))
            .execute();
        if result.is_ok() {
            pg_sys::PopActiveSnapshot();
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::MemoryContextSwitchTo(memory);
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
        result.ok().flatten()
    }
}

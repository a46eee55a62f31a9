//! `check_hba()`: what the lines of pg_hba.conf do to Azure AD roles, and what is wrong with them.
//!
//! This file collects facts; what they mean is judged below it, by code that knows no PostgreSQL.

mod cover;
mod line;
mod oauth;
mod pam_file;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io::Read;
use std::path::Path;

use pgrx::prelude::*;

use crate::fault::{Outcome, or_raise};
use crate::preloaded::{self, Preloaded};
use crate::principal::superuser::{as_superuser, query};
use crate::settings;
use line::{Reach, Reaches, Rule};
use pam_file::Service;
use verdict::{Facts, Server};

/// Where libpam looks, in its order.
const PAM_FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// More than anybody writes there.
const MAX_PAM_BYTES: u64 = 65_536;

/// Every line of pg_hba.conf that an Azure AD role can match, with a verdict.
///
/// A line with an error has nothing but the error, and is there because the whole file is not used for it.
#[pg_extern(sql = false)]
fn check_hba() -> TableIterator<
    'static,
    (
        name!(file_name, String),
        name!(line, i32),
        name!(door, Option<String>),
        name!(verdict, String),
        name!(reason, String),
    ),
> {
    let facts = or_raise(facts());
    let rows = verdict::judge(&facts)
        .into_iter()
        .map(|row| (row.file, row.number, row.door, row.verdict.as_str().to_owned(), row.reason));
    TableIterator::new(rows.collect::<Vec<_>>())
}

fn facts() -> Outcome<Facts> {
    let server = server()?;
    let (rules, reaches, validators) = as_superuser(|| {
        let rules = rules();
        let reaches = reaches(&rules);
        (rules, reaches, validators())
    });
    let module = module();
    let services: BTreeSet<_> = rules.iter().filter_map(verdict::pam_service).map(str::to_owned).collect();
    let pam: BTreeMap<_, _> =
        services.into_iter().map(|name| (name.clone(), service(&name, &module))).collect();
    Ok(Facts { rules, reaches, server, pam, validators })
}

/// Settings are defined only where this very library was preloaded.
fn server() -> Outcome<Server> {
    if preloaded::status() == Preloaded::No {
        return Ok(Server::NotPreloaded);
    }
    preloaded::require()?;
    let policy = settings::rules().map(|rules| rules.policy);
    Ok(Server::Preloaded {
        require_tls: settings::require_tls(),
        policy: policy.map_err(|fault| format!("{}.{fault}", settings::PREFIX)),
    })
}

/// The file as it stands, which need not be what the server uses. 14 and 15 have no `include`, and so name no file.
fn rules() -> Vec<Rule> {
    let file = if cfg!(any(feature = "pg14", feature = "pg15")) {
        "pg_catalog.current_setting('hba_file')"
    } else {
        "file_name"
    };
    let text = format!(
        "SELECT {file}, line_number, type, database, user_name, address, netmask, auth_method, options, error \
         FROM pg_hba_file_rules() WITH ORDINALITY ORDER BY ordinality"
    );
    query(&text, &[], |row| {
        let text = |column| row.get::<String>(column).ok().flatten();
        let list = |column| row.get::<Vec<String>>(column).ok().flatten().unwrap_or_default();
        Rule {
            file: text(1).unwrap_or_default(),
            number: row.get(2).ok().flatten().unwrap_or_default(),
            connection: text(3).unwrap_or_default(),
            databases: list(4),
            users: list(5),
            address: text(6),
            netmask: text(7),
            method: text(8).unwrap_or_default(),
            options: list(9),
            error: text(10),
        }
    })
}

/// Which roles the items of user lists match, as the server matches them: members are so by any grant (`is_member_of_role_nosuper`),
/// and from 16 on what begins with a slash is a regular expression. The two roles that stand for all are none that log in.
fn reaches(rules: &[Rule]) -> Reaches {
    let items: BTreeSet<_> = rules.iter().flat_map(Rule::named_users).cloned().collect();
    let items: Vec<_> = items.into_iter().collect();
    let has_patterns = cfg!(not(any(feature = "pg14", feature = "pg15")));
    let rows = query(
        "WITH RECURSIVE azure(id) AS ( \
           SELECT oid FROM pg_authid WHERE rolname = 'azure_ad_user' \
           UNION SELECT member FROM pg_auth_members JOIN azure ON roleid = id), \
         members(item, id) AS ( \
           SELECT item, oid FROM unnest($1) item JOIN pg_authid ON item = '+' || rolname \
           UNION SELECT item, member FROM pg_auth_members JOIN members ON roleid = id), \
         matches(item, id) AS ( \
           SELECT item, id FROM members \
           UNION SELECT item, oid FROM unnest($1) item JOIN pg_authid ON item = rolname \
           UNION SELECT item, oid FROM unnest($1) item JOIN pg_authid \
             ON CASE WHEN $2 AND item ^@ '/' THEN rolname::text COLLATE \"C\" ~ substr(item, 2) ELSE false END) \
         SELECT item, \
           array_agg(rolname::text) FILTER (WHERE id IN (SELECT id FROM azure)), \
           array_agg(rolname::text) FILTER (WHERE id NOT IN (SELECT id FROM azure) AND rolcanlogin) \
         FROM matches JOIN pg_authid ON oid = id \
         WHERE rolname NOT IN ('azure_ad_user', 'azure_ad_admin') GROUP BY item",
        &[items.into(), has_patterns.into()],
        |row| {
            let list = |column| row.get::<Vec<String>>(column).ok().flatten().unwrap_or_default();
            let item = row.get::<String>(1).ok().flatten().unwrap_or_default();
            (item, Reach { azure: list(2), local: list(3) })
        },
    );
    rows.into_iter().collect()
}

/// The setting; before 18 there is none.
fn validators() -> String {
    query("SELECT coalesce(pg_catalog.current_setting('oauth_validator_libraries', true), '')", &[], |row| {
        row.get::<String>(1).ok().flatten().unwrap_or_default()
    })
    .pop()
    .unwrap_or_default()
}

/// The library's file, by the path under which the server loads it.
#[expect(unsafe_code, reason = "reads a variable of the server")]
fn module() -> String {
    // SAFETY: a C string in an array, set when the process started; declared without its length.
    let folder = unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()) };
    format!("{}/azure_ad_auth.so", folder.to_string_lossy())
}

/// What libpam would do, which runs in a backend and so may read as much as this.
fn service(name: &str, module: &str) -> Service {
    let file = pam_file::file_name(name).and_then(|name| {
        PAM_FOLDERS.iter().find_map(|folder| {
            let path = format!("{folder}/{name}");
            read(Path::new(&path)).map(|content| (path, content))
        })
    });
    let Some((path, content)) = file else { return pam_file::missing(name, module) };
    let is_same = |other: &str| {
        let real = |path: &str| Path::new(path).canonicalize().ok();
        other.starts_with('/') && real(other).is_some_and(|other| Some(other) == real(module))
    };
    pam_file::judge(&path, &content, module, &is_same)
}

fn read(path: &Path) -> Option<String> {
    // Never a pipe, which would keep the session waiting.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_PAM_BYTES).read_to_end(&mut content).ok()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

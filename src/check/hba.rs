//! `check_hba()`: what the lines of pg_hba.conf do to Azure AD roles, and what is wrong with them.
//!
//! This file collects facts; what they mean is judged below it, by code that knows no PostgreSQL.

mod line;
mod not_preloaded;
mod oauth;
mod pam;
mod pam_syntax;
mod shadowing;
mod verdicts;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pgrx::prelude::*;

use crate::check::hba::line::{Reach, Reaches, Rule, is_looked_up};
use crate::check::hba::pam::Service;
pub(crate) use crate::check::hba::verdicts::Row;
pub(crate) use crate::check::hba::verdicts::Verdict;
use crate::check::hba::verdicts::{Facts, Server};
use crate::link::rights;
use crate::pg::error::{Result, or_raise};
use crate::pg::hex_text::{bytes, plain, raw, raw_list};
use crate::pg::library::{self, Preloaded};
use crate::pg::spi::{as_superuser, query};
use crate::pg::text::{self, Text};
use crate::settings;

/// Where libpam looks, in its order.
const PAM_FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// More than anybody writes there.
const MAX_PAM_BYTES: u64 = 65_536;

/// Every line of pg_hba.conf that an Azure AD role can match, or that is open to a role once it is unlinked, with a verdict.
///
/// A line with an error has nothing but the error, and is there because the whole file is not used for it.
#[pg_extern(sql = false)]
fn check_hba() -> TableIterator<
    'static,
    (
        name!(file_name, Text),
        name!(line, i32),
        name!(door, Option<Text>),
        name!(verdict, &'static str),
        name!(reason, Text),
    ),
> {
    let rows = or_raise(rows()).into_iter().map(|row| {
        let door = row.door.as_deref().map(Text::shown);
        (Text::shown(&row.file), row.number, door, row.verdict.as_str(), Text::shown(&row.reason))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// The same, for whoever looks at everything.
pub(crate) fn rows() -> Result<Vec<Row>> {
    facts().map(|facts| verdicts::judge(&facts))
}

fn facts() -> Result<Facts> {
    let server = server()?;
    let caller = rights::user();
    let (rules, reaches, (shows_errors, has_replication_database)) = as_superuser(|| {
        let (rules, users): (Vec<_>, Vec<_>) = rules().into_iter().unzip();
        let users: BTreeSet<_> =
            users.into_iter().flatten().filter(|raw| is_looked_up(&plain(raw))).collect();
        (rules, reaches(users.into_iter().collect()), circumstances(caller))
    });
    let module = library::path().unwrap_or_default();
    let services: BTreeSet<_> = rules.iter().filter_map(verdicts::pam_service).map(str::to_owned).collect();
    let pam: BTreeMap<_, _> =
        services.into_iter().map(|name| (name.clone(), service(&name, &module))).collect();
    let validators = rules.iter().filter_map(|rule| rule.option("validator"));
    let own_validators = validators.filter(|name| leads_to(name, &module)).map(str::to_owned).collect();
    Ok(Facts { rules, reaches, has_replication_database, server, pam, own_validators, shows_errors })
}

/// Settings are defined only where this very library was preloaded.
fn server() -> Result<Server> {
    if library::status() == Preloaded::No {
        return Ok(Server::NotPreloaded);
    }
    library::require()?;
    let policy = settings::rules().map(|rules| rules.policy);
    Ok(Server::Preloaded {
        require_tls: settings::require_tls(),
        policy: policy.map_err(|fault| format!("{}.{fault}", settings::PREFIX)),
    })
}

fn plain_list(raw: Option<String>) -> Vec<String> {
    raw.map(|list| list.split(',').map(plain).collect()).unwrap_or_default()
}

/// The names of roles.
fn name_list(raw: Option<String>) -> Vec<String> {
    raw.map(|list| list.split(',').map(|name| text::decode(&bytes(name))).collect()).unwrap_or_default()
}

/// The file as it stands, which need not be what the server uses. With the raw user list of each line.
///
/// 15 has no `include`, and so names no file.
fn rules() -> Vec<(Rule, Vec<String>)> {
    let file = if cfg!(feature = "pg15") { "current_setting('hba_file')" } else { "file_name" };
    let list = |column| format!("(SELECT {} FROM unnest({column}) item)", raw_list("item"));
    let text = format!(
        "SELECT {}, line_number, type, {}, {}, {}, netmask, auth_method, {}, {} \
         FROM pg_hba_file_rules() WITH ORDINALITY ORDER BY ordinality",
        raw(file),
        list("database"),
        list("user_name"),
        raw("address"),
        list("options"),
        raw("error")
    );
    query(&text, &[], |row| {
        let text = |column| row.get::<String>(column).ok().flatten();
        let users = text(5).map(|list| list.split(',').map(str::to_owned).collect());
        let rule = Rule {
            file: text(1).map(|raw| plain(&raw)).unwrap_or_default(),
            number: row.get(2).ok().flatten().unwrap_or_default(),
            connection: text(3).unwrap_or_default(),
            databases: plain_list(text(4)),
            users: plain_list(text(5)),
            address: text(6).map(|raw| plain(&raw)),
            netmask: text(7),
            method: text(8).unwrap_or_default(),
            options: plain_list(text(9)),
            error: text(10).map(|raw| plain(&raw)),
        };
        (rule, users.unwrap_or_default())
    })
}

/// Which roles the items of user lists match, as the server matches them: members are so by any grant
/// (`is_member_of_role_nosuper`), and from 16 on what begins with a slash is a regular expression. The two roles that stand
/// for all are none that log in. Whether an item is the name of a role that cannot be linked: see `link::check_linkable`.
fn reaches(items: Vec<String>) -> Reaches {
    let has_patterns = cfg!(not(feature = "pg15"));
    let text = format!(
        "WITH RECURSIVE azure(id) AS ( \
           SELECT oid FROM pg_authid WHERE rolname = 'azure_ad_user' \
           UNION SELECT member FROM pg_auth_members JOIN azure ON roleid = id), \
         roles(id, name) AS (SELECT oid, decode({}, 'hex') FROM pg_authid), \
         items(item, name) AS (SELECT item, decode(item, 'hex') FROM unnest($1) item), \
         members(item, id) AS ( \
           SELECT item, id FROM items JOIN roles ON items.name = '+'::bytea || roles.name \
           UNION SELECT item, member FROM pg_auth_members JOIN members ON roleid = id), \
         matches(item, id) AS ( \
           SELECT item, id FROM members \
           UNION SELECT item, id FROM items JOIN roles USING (name) \
           UNION SELECT item, oid FROM items JOIN pg_authid ON CASE WHEN $2 AND substr(name, 1, 1) = '/'::bytea THEN \
             rolname::text COLLATE \"C\" ~ convert_from(substr(name, 2), getdatabaseencoding()) ELSE false END) \
         SELECT item, \
           {names} FILTER (WHERE id IN (SELECT id FROM azure)), \
           {names} FILTER (WHERE id NOT IN (SELECT id FROM azure) AND rolcanlogin), \
           bool_or(roles.name = decode(item, 'hex') \
             AND (rolsuper OR rolreplication OR rolbypassrls OR substr(roles.name, 1, 3) = 'pg_'::bytea)) \
         FROM matches JOIN pg_authid ON oid = id JOIN roles USING (id) \
         WHERE rolname NOT IN ('azure_ad_user', 'azure_ad_admin') GROUP BY item",
        raw("rolname::text"),
        names = raw_list("rolname::text")
    );
    let rows = query(&text, &[items.into(), has_patterns.into()], |row| {
        let text = |column| row.get::<String>(column).ok().flatten();
        let unlinkable = row.get::<bool>(4).ok().flatten().unwrap_or_default();
        let reach = Reach { azure: name_list(text(2)), local: name_list(text(3)), unlinkable };
        (plain(&text(1).unwrap_or_default()), reach)
    });
    rows.into_iter().collect()
}

/// Whether the caller could ask PostgreSQL as well, and whether a database is named replication.
fn circumstances(caller: pg_sys::Oid) -> (bool, bool) {
    let text = "SELECT has_function_privilege($1, 'pg_catalog.pg_hba_file_rules()', 'EXECUTE'), \
                EXISTS (SELECT FROM pg_database WHERE datname = 'replication')";
    let rows = query(text, &[caller.into()], |row| {
        let is = |column| row.get::<bool>(column).ok().flatten().unwrap_or_default();
        (is(1), is(2))
    });
    rows.into_iter().next().unwrap_or_default()
}

/// Whether two paths lead to one file, as PostgreSQL and the dynamic linker tell.
fn is_same_file(one: &str, other: &str) -> bool {
    let place = |path: &str| Path::new(path).metadata().ok().map(|file| (file.dev(), file.ino()));
    place(one).is_some_and(|found| Some(found) == place(other))
}

/// Whether PostgreSQL, asked for a library by this path, takes the file `module`: it adds the suffix where there is no such file
/// (`expand_dynamic_library_name`, dfmgr.c).
fn leads_to(path: &str, module: &str) -> bool {
    let with_suffix = format!("{path}.so");
    let found = if Path::new(path).is_file() { path } else { &with_suffix };
    path.starts_with('/') && (found == module || is_same_file(found, module))
}

/// What libpam would do, which runs in a backend and so may read as much as this.
fn service(name: &str, module: &str) -> Service {
    let file = pam::file_name(name).and_then(|name| {
        PAM_FOLDERS.iter().find_map(|folder| {
            let path = format!("{folder}/{name}");
            read(Path::new(&path)).map(|content| (path, content))
        })
    });
    let Some((path, content)) = file else { return pam::missing(name, module) };
    let is_same = |other: &str| other.starts_with('/') && is_same_file(other, module);
    pam::judge(&path, &content, module, &is_same)
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

//! Checks what the lines of pg_hba.conf do to Azure AD roles.
//!
//! This file collects facts. The crate `hba`, which knows no PostgreSQL, says what they mean.

use std::collections::{BTreeMap, BTreeSet};

use ::hba::{
    Facts, Finding, Matched, MatchedRoles, Place, Rule, Server, TOPIC, Verdict, is_looked_up, pam_service,
    summary, unreadable,
};
use pgrx::prelude::*;

use crate::check::config_files::{self, Entry};
use crate::check::pam_files;
use crate::link::rights;
use crate::pg::error::Result;
use crate::pg::file::{self, leads_to_library};
use crate::pg::guc;
use crate::pg::hex_text::{bytes, plain, raw, raw_list};
use crate::pg::interrupts;
use crate::pg::library::{self, Preloaded};
use crate::pg::spi::{as_superuser, query};
use crate::pg::subtransaction::or_take_back;
use crate::pg::text;
use crate::pg::validator_options::validator_options;
use crate::settings;

const ADVICE: &str = "SELECT * FROM azure_ad_auth.check_hba();";

/// Returns what `check_configuration()` says about the lines.
pub(crate) fn check() -> Vec<Finding> {
    let unchecked =
        |why: &str| vec![Finding::notice(TOPIC, format!("its lines cannot be checked{why}")).advice(ADVICE)];
    match or_take_back(|| Some(facts().map(|facts| summary(&facts, is_newer(), interrupts::check)))) {
        Some(Ok(findings)) => findings,
        // The file of the library was replaced. There is a finding about that.
        Some(Err(fault)) => unchecked(&format!(": {}", fault.message())),
        // PostgreSQL raises an error if it cannot open the file, and others as well.
        None if is_openable() => unchecked(""),
        None => vec![unreadable(library::status() != Preloaded::No)],
    }
}

/// Returns whether pg_hba.conf can be opened.
fn is_openable() -> bool {
    guc::value(c"hba_file").is_some_and(|path| file::is_openable(&path))
}

/// Returns whether pg_hba.conf, or a file that it includes, was certainly changed after PostgreSQL
/// had loaded it last. PostgreSQL has no time for that. It loads the file right after it has loaded
/// the other configuration files, or has found that it cannot load these; only then is the time of
/// the last load not that of pg_hba.conf.
///
/// What is not found out: a change within the second of the last load, one that keeps an earlier
/// time (`cp -p`), one in a file of names (`@file`), a file that was taken out of an include_dir,
/// and one after a reload that this session has noticed later than the change.
fn is_newer() -> bool {
    let included =
        if cfg!(feature = "pg15") { "" } else { "UNION SELECT file_name FROM pg_hba_file_rules()" };
    let text = format!(
        "SELECT bool_or(modification > pg_conf_load_time() AND modification <= clock_timestamp()) \
         FROM (SELECT current_setting('hba_file') {included}) file(name), pg_stat_file(name, true)"
    );
    let rows = as_superuser(|| query(&text, &[], |row| row.get(1).ok().flatten().unwrap_or_default()));
    rows.contains(&true) && !config_files::entries().iter().any(Entry::keeps_files_from_loading)
}

/// Returns a verdict on each line that matters.
pub(crate) fn verdicts() -> Result<Vec<Verdict>> {
    facts().map(|facts| ::hba::verdicts(&facts, interrupts::check))
}

fn facts() -> Result<Facts> {
    let server = server()?;
    let caller = rights::user();
    let (rules, matched, (shows_errors, has_replication_database)) = as_superuser(|| {
        let (rules, users): (Vec<_>, Vec<_>) = rules().into_iter().unzip();
        let users: BTreeSet<_> =
            users.into_iter().flatten().filter(|raw| is_looked_up(&plain(raw))).collect();
        (rules, matched(users.into_iter().collect()), circumstances(caller))
    });
    let module = library::path().unwrap_or_default();
    let services: BTreeSet<_> = rules.iter().filter_map(pam_service).map(str::to_owned).collect();
    let pam = services.into_iter().map(|name| (name.clone(), pam_files::service(&name, &module))).collect();
    let validators = rules.iter().filter_map(|rule| rule.option("validator"));
    let own_validators =
        validators.filter(|name| leads_to_library(name, &module)).map(str::to_owned).collect();
    Ok(Facts { rules, matched, has_replication_database, server, pam, own_validators, shows_errors })
}

/// Returns what is known about the server. Settings are defined only where this very library was
/// preloaded.
fn server() -> Result<Server> {
    if library::status() == Preloaded::No {
        return Ok(Server::NotPreloaded);
    }
    library::require()?;
    let policy = settings::rules().map(|rules| (*rules.policy).clone());
    Ok(Server::Preloaded {
        require_tls: settings::require_tls(),
        policy: policy.map_err(|fault| fault.to_string()),
    })
}

fn plain_list(raw: Option<String>) -> Vec<String> {
    raw.map(|list| list.split(',').map(plain).collect()).unwrap_or_default()
}

/// Returns names of roles.
fn name_list(raw: Option<String>) -> Vec<String> {
    raw.map(|list| list.split(',').map(|name| text::decode(&bytes(name))).collect()).unwrap_or_default()
}

/// Returns the lines of the file as it is, each with its raw user list. The server uses the file as
/// it was when it was last loaded.
///
/// PostgreSQL 15 has no `include`, and so shows no file.
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
    let mut for_validators = BTreeMap::<_, Vec<_>>::new();
    for option in validator_options() {
        for_validators.entry((option.file, option.number)).or_default().push(option.text);
    }
    query(&text, &[], |row| {
        let text = |column| row.get::<String>(column).ok().flatten();
        let users = text(5).map(|list| list.split(',').map(str::to_owned).collect());
        let place = Place {
            file: text(1).map(|raw| plain(&raw)).unwrap_or_default(),
            number: row.get(2).ok().flatten().unwrap_or_default(),
        };
        let further = for_validators.get(&(place.file.clone(), place.number)).cloned().unwrap_or_default();
        let (method, reason) = (text(8), text(10).map(|raw| plain(&raw)));
        let (error, unmatched) = match &method {
            // PostgreSQL has read the line.
            Some(_) => (None, reason),
            // A release candidate of 19 gives no reason for some lines that it cannot read.
            None => (Some(reason.unwrap_or_else(|| "no reason is given".to_owned())), None),
        };
        let rule = Rule {
            place,
            connection: text(3).unwrap_or_default(),
            databases: plain_list(text(4)),
            users: plain_list(text(5)),
            address: text(6).map(|raw| plain(&raw)),
            netmask: text(7),
            method: method.unwrap_or_default(),
            options: plain_list(text(9)).into_iter().chain(further).collect(),
            error,
            unmatched,
        };
        (rule, users.unwrap_or_default())
    })
}

/// Returns the roles that the items of user lists match, as the server matches them: a role is a
/// member by any grant (`is_member_of_role_nosuper`), and from PostgreSQL 16 on an item that begins
/// with a slash is a regular expression, of bytes, since no database is selected yet. The marker
/// roles do not count, since no client can log in as one of them. `link::check_linkable` has the
/// rule for roles that cannot be linked.
fn matched(items: Vec<String>) -> MatchedRoles {
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
           UNION SELECT item, id FROM items JOIN roles ON CASE WHEN $2 AND substr(items.name, 1, 1) = '/'::bytea THEN \
             {} COLLATE \"C\" ~ {} ELSE false END) \
         SELECT item, \
           {names} FILTER (WHERE id IN (SELECT id FROM azure)), \
           {names} FILTER (WHERE id NOT IN (SELECT id FROM azure) AND rolcanlogin), \
           bool_or(roles.name = decode(item, 'hex') \
             AND (rolsuper OR rolreplication OR rolbypassrls OR substr(roles.name, 1, 3) = 'pg_'::bytea)) \
         FROM matches JOIN pg_authid ON oid = id JOIN roles USING (id) \
         WHERE rolname NOT IN ('azure_ad_user', 'azure_ad_admin') GROUP BY item",
        raw("rolname::text"),
        of_bytes("roles.name"),
        of_bytes("substr(items.name, 2)"),
        names = raw_list("rolname::text")
    );
    let rows = query(&text, &[items.into(), has_patterns.into()], |row| {
        let text = |column| row.get::<String>(column).ok().flatten();
        let unlinkable = row.get::<bool>(4).ok().flatten().unwrap_or_default();
        let matched = Matched { azure: name_list(text(2)), local: name_list(text(3)), unlinkable };
        (plain(&text(1).unwrap_or_default()), matched)
    });
    rows.into_iter().collect()
}

/// Returns an SQL expression for a name of any encoding as a text whose characters are its bytes.
/// In databases with other encodings of several bytes than UTF-8 it is the name as a text.
fn of_bytes(name: &str) -> String {
    let encoding = "CASE getdatabaseencoding() WHEN 'UTF8' THEN 'LATIN1' ELSE getdatabaseencoding() END";
    format!("convert_from({name}, {encoding})")
}

/// Returns whether the caller may read pg_hba_file_rules, and whether a database is called
/// replication.
fn circumstances(caller: pg_sys::Oid) -> (bool, bool) {
    let text = "SELECT has_function_privilege($1, 'pg_catalog.pg_hba_file_rules()', 'EXECUTE'), \
                EXISTS (SELECT FROM pg_database WHERE datname = 'replication')";
    let rows = query(text, &[caller.into()], |row| {
        let is = |column| row.get::<bool>(column).ok().flatten().unwrap_or_default();
        (is(1), is(2))
    });
    rows.into_iter().next().unwrap_or_default()
}

//! What stands in the configuration files, and is not what the server goes by.
//!
//! A value that a reload refuses stays in the file, and the server goes on with the one it had. At its next start it has none,
//! and every Azure AD login is refused, or the server does not start at all. PostgreSQL shows the files in `pg_file_settings`,
//! with what it thinks of them; what it leaves to us, our own parsers say.

use std::collections::BTreeMap;

use entra::Untrusted;

use crate::check::finding::Finding;
use crate::check::libraries;
use crate::pg::hex_text::{plain, raw};
use crate::pg::spi::{as_superuser, query};
use crate::settings::{self, PREFIX};

/// What ALTER SYSTEM writes.
const AUTO_FILE: &str = "postgresql.auto.conf";
const TOPIC: &str = "configuration files";

/// A line of a configuration file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) file: String,
    pub(crate) number: i32,
    /// In small letters. None: the line, or the file, cannot be read.
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    /// What PostgreSQL thinks of it.
    pub(crate) error: Option<String>,
    /// It is a setting that a restart changes, and nothing else does. PostgreSQL calls that an error, too.
    pub(crate) waits_for_restart: bool,
}

impl Entry {
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// How a finding names it.
    pub(crate) fn place(&self) -> String {
        if self.file.is_empty() {
            "a configuration file".to_owned()
        } else {
            format!("line {} of {}", self.number, self.file)
        }
    }

    /// Its name without our prefix, if it has it.
    fn own_name(&self) -> Option<&str> {
        self.name.as_deref()?.strip_prefix(PREFIX)?.strip_prefix('.')
    }

    /// Whether it is a setting of PostgreSQL's own, a bad value of which keeps the server from starting.
    fn stops_the_server(&self) -> bool {
        let is_core = self.name.as_ref().is_some_and(|name| !name.contains('.'));
        is_core && !self.waits_for_restart && !self.is_for(libraries::PARAMETER)
    }

    /// Whether the line, or the file, cannot be read. PostgreSQL has a row without a name for a setting, too, that was taken out
    /// of the files and needs a restart.
    pub(crate) fn is_unreadable(&self) -> bool {
        let error = self.error.as_deref().filter(|_| self.name.is_none());
        error.is_some_and(|error| !error.starts_with("parameter \""))
    }

    /// How to get rid of it.
    fn advice(&self) -> String {
        match &self.name {
            Some(name) if self.file.ends_with(AUTO_FILE) => {
                format!("ALTER SYSTEM RESET {name}; SELECT pg_reload_conf();")
            }
            _ => "Mend or remove the line, and reload the configuration.".to_owned(),
        }
    }
}

/// All lines of all files, in the order in which the server reads them: of two for one setting the later counts.
pub(crate) fn entries() -> Vec<Entry> {
    let text = format!(
        "SELECT {}, f.sourceline, {}, {}, {}, s.context = 'postmaster' \
         FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name COLLATE \"C\") = lower(f.name COLLATE \"C\") \
         ORDER BY f.seqno",
        raw("f.sourcefile"),
        raw("lower(f.name COLLATE \"C\")"),
        raw("f.setting"),
        raw("f.error")
    );
    as_superuser(|| {
        query(&text, &[], |row| {
            let text = |column| row.get::<String>(column).ok().flatten().map(|raw| plain(&raw));
            Entry {
                file: text(1).unwrap_or_default(),
                number: row.get(2).ok().flatten().unwrap_or_default(),
                name: text(3),
                value: text(4),
                error: text(5),
                waits_for_restart: row.get(6).ok().flatten().unwrap_or_default(),
            }
        })
    })
}

/// What is wrong with them.
pub(crate) fn findings(entries: &[Entry]) -> Vec<Finding> {
    let found = judge(entries, settings::unknown::found().is_some());
    if found.is_empty() {
        return vec![Finding::ok(
            TOPIC,
            "they have no value that the next start of the server would stumble over",
        )];
    }
    found
}

/// `unknown_is_said`: that there is an unknown name of ours has been said already.
fn judge(entries: &[Entry], unknown_is_said: bool) -> Vec<Finding> {
    let named = entries.iter().enumerate().filter_map(|(place, entry)| Some((entry.name.as_deref()?, place)));
    // Of several the last.
    let last: BTreeMap<_, _> = named.collect();
    let counts = |place: usize, entry: &Entry| match &entry.name {
        Some(name) => last.get(name.as_str()) == Some(&place),
        None => true,
    };
    let counted = entries.iter().enumerate().filter(|(place, entry)| counts(*place, entry));
    counted.filter_map(|(_, entry)| finding(entry, unknown_is_said)).collect()
}

fn finding(entry: &Entry, unknown_is_said: bool) -> Option<Finding> {
    let own = entry.own_name();
    if let Some(own) = own.filter(|own| settings::is_known(own)) {
        return wrong_value(entry, own);
    }
    if entry.is_for(settings::NAME_FOR_SESSIONS) {
        return Some(not_for_files(entry));
    }
    let place = entry.place();
    let error = entry.error.as_deref()?;
    let name = entry.name.as_deref().map(Untrusted::new);
    let found = match (own, name) {
        (Some(_), Some(name)) if !unknown_is_said => Finding::danger(
            TOPIC,
            format!(
                "{place}: there is no setting {name}: once the file is read again, every Azure AD login is refused"
            ),
        ),
        (None, Some(name)) if entry.stops_the_server() => {
            Finding::warning(TOPIC, format!("{place}: {name}: {error}: the server may not start again"))
        }
        (None, None) if entry.is_unreadable() => {
            Finding::danger(TOPIC, format!("{place}: {error}: the server will not start again"))
        }
        _ => return None,
    };
    Some(found.advice(entry.advice()))
}

/// PostgreSQL does not know the name before it loads libraries.
fn not_for_files(entry: &Entry) -> Finding {
    let name = settings::NAME_FOR_SESSIONS;
    let text = format!(
        "{}: {name} cannot stand in a configuration file, and the server will not start again",
        entry.place()
    );
    Finding::danger(TOPIC, text)
        .advice(format!("Remove the line. For roles or a database: ALTER ROLE ALL SET {name} = off;"))
}

/// A value of one of our settings that does not parse.
fn wrong_value(entry: &Entry, own: &str) -> Option<Finding> {
    let value = entry.value.as_deref().unwrap_or_default();
    let problem = settings::problem_of(own, value);
    let problem = problem.or_else(|| entry.error.is_some().then(|| "is not valid".to_owned()))?;
    // It is looked at when keys are fetched, and by no login.
    let consequence = if own == "ca_file" && value.trim().starts_with('/') {
        "no signing keys can be fetched with it"
    } else {
        "after the next restart every Azure AD login will be refused"
    };
    let text = format!("{}: {PREFIX}.{own} {} {problem}: {consequence}", entry.place(), shown(own, value));
    Some(Finding::danger(TOPIC, text).advice(entry.advice()))
}

/// A value as it may be shown: what may be a secret is not. Addresses can have passwords and keys in them.
fn shown(own: &str, value: &str) -> String {
    let is_address = ["authority_url", "key_source", "issuers"].contains(&own);
    if own == "https_proxy" || is_address && value.contains(['@', '?']) {
        return "(its value is not shown)".to_owned();
    }
    format!("= '{}'", Untrusted::new(value))
}

#[cfg(test)]
mod tests {
    use super::{Entry, judge};

    fn entry(name: &str, value: &str, error: Option<&str>) -> Entry {
        Entry {
            file: "/data/postgresql.conf".to_owned(),
            number: 7,
            name: (!name.is_empty()).then(|| name.to_owned()),
            value: Some(value.to_owned()),
            error: error.map(str::to_owned),
            waits_for_restart: name.starts_with("shared"),
        }
    }

    fn said(entries: &[Entry]) -> Vec<String> {
        judge(entries, false)
            .into_iter()
            .map(|found| format!("{} {}", found.level.as_str(), found.message))
            .collect()
    }

    const REFUSED: Option<&str> = Some("setting could not be applied");

    #[test]
    fn what_the_next_start_will_stumble_over() {
        for (name, value, error, expected) in [
            (
                "azure_ad_auth.clock_skew",
                "10min",
                REFUSED,
                "danger line 7 of /data/postgresql.conf: azure_ad_auth.clock_skew = '10min' is not valid: after the next restart every Azure AD login will be refused",
            ),
            (
                "azure_ad_auth.tenant_id",
                "x",
                None,
                "azure_ad_auth.tenant_id = 'x' is not a uuid: after the next",
            ),
            (
                "azure_ad_auth.ca_file",
                "/nowhere/ca.pem",
                REFUSED,
                "No such file or directory (os error 2): no signing keys can be fetched",
            ),
            ("azure_ad_auth.ca_file", "ca.pem", REFUSED, "is not an absolute path: after the next restart"),
            (
                "azure_ad_auth.tenant",
                "x",
                REFUSED,
                "there is no setting azure_ad_auth.tenant: once the file is read again",
            ),
            (
                "aad_validate_oids_in_tenant",
                "off",
                None,
                "danger line 7 of /data/postgresql.conf: aad_validate_oids_in_tenant cannot stand",
            ),
            (
                "work_mem",
                "lots",
                REFUSED,
                "warning line 7 of /data/postgresql.conf: work_mem: setting could not be applied",
            ),
            (
                "",
                "",
                Some("syntax error"),
                "danger line 7 of /data/postgresql.conf: syntax error: the server will not start",
            ),
        ] {
            let said = said(&[entry(name, value, error)]);
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
    }

    #[test]
    fn what_it_will_not() {
        for (name, value, error) in [
            ("azure_ad_auth.clock_skew", "10s", None),
            ("azure_ad_auth.tenant_id", "", None),
            ("other.setting", "x", REFUSED),
            ("shared_buffers", "1GB", REFUSED),
            ("shared_preload_libraries", "", REFUSED),
            ("", "", Some("parameter \"shared_buffers\" cannot be changed without restarting the server")),
        ] {
            assert_eq!(said(&[entry(name, value, error)]), [""; 0], "{name}");
        }
        // The later line for a setting counts.
        let (bad, good) =
            (entry("azure_ad_auth.tenant_id", "x", None), entry("azure_ad_auth.tenant_id", "", None));
        assert_eq!(said(&[bad.clone(), good.clone()]), [""; 0]);
        assert_eq!(said(&[good, bad]).len(), 1);
    }

    #[test]
    fn secrets_are_not_shown() {
        for (name, value) in [
            ("azure_ad_auth.https_proxy", "socks5://user:hunter2@proxy"),
            ("azure_ad_auth.https_proxy", "hunter2"),
            ("azure_ad_auth.key_source", "https://user:hunter2@host/keys"),
            ("azure_ad_auth.key_source", "http://host/keys?sig=hunter2"),
            ("azure_ad_auth.authority_url", "https://user:hunter2@host"),
            ("azure_ad_auth.https_proxi", "hunter2"),
            ("work_mem", "hunter2"),
        ] {
            let said = said(&[entry(name, value, REFUSED)]);
            assert!(said.len() == 1 && !said[0].contains("hunter2"), "{said:?}");
        }
    }
}

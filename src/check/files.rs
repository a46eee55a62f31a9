//! Lines of configuration files that the server does not follow, or will not at its next start.
//!
//! A value that a reload refuses stays in the file, and the server keeps the value that it had. At
//! its next start it has none, and then every Azure AD login is refused, or the server does not
//! start. PostgreSQL says which lines it refuses. It does not know what this library refuses, so
//! that is checked here.

use std::collections::BTreeMap;

use entra::Untrusted;
use hba::Finding;

use crate::check::config_files::Entry;
use crate::settings::{self, PREFIX};

const TOPIC: &str = "configuration files";

/// Returns what is wrong with the lines.
pub(crate) fn check(entries: &[Entry]) -> Vec<Finding> {
    let found = problems(entries, settings::unknown::found().is_some());
    if found.is_empty() {
        return vec![Finding::ok(TOPIC, "they have no value that the server would refuse at its next start")];
    }
    found
}

/// Returns the problems. `unknown_is_said`: another finding names the unknown setting already.
fn problems(entries: &[Entry], unknown_is_said: bool) -> Vec<Finding> {
    let named = entries.iter().enumerate().filter_map(|(place, entry)| Some((entry.name.as_deref()?, place)));
    // Of several lines for one setting the last counts.
    let last: BTreeMap<_, _> = named.collect();
    let counts = |place: usize, entry: &Entry| match &entry.name {
        Some(name) => last.get(name.as_str()) == Some(&place),
        None => true,
    };
    let counted = entries.iter().enumerate().filter(|(place, entry)| counts(*place, entry));
    counted.filter_map(|(_, entry)| problem(entry, unknown_is_said)).collect()
}

fn problem(entry: &Entry, unknown_is_said: bool) -> Option<Finding> {
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

/// Returns the finding for a line with a setting that PostgreSQL does not know before it loads
/// libraries.
fn not_for_files(entry: &Entry) -> Finding {
    let name = settings::NAME_FOR_SESSIONS;
    let text = format!(
        "{}: {name} is not allowed in a configuration file, and the server will not start again",
        entry.place()
    );
    Finding::danger(TOPIC, text)
        .advice(format!("Remove the line. For roles or a database: ALTER ROLE ALL SET {name} = off;"))
}

/// Returns a finding if a value of one of this library's settings does not parse.
fn wrong_value(entry: &Entry, own: &str) -> Option<Finding> {
    let value = entry.value.as_deref().unwrap_or_default();
    let problem = settings::problem_of(own, value);
    let problem = problem.or_else(|| entry.error.is_some().then(|| "is not valid".to_owned()))?;
    // The file is read when keys are fetched, and by no login.
    let consequence = if own == "ca_file" && value.trim().starts_with('/') {
        "no signing keys can be fetched with it"
    } else {
        "after the next restart every Azure AD login will be refused"
    };
    let text = format!("{}: {PREFIX}.{own} {} {problem}: {consequence}", entry.place(), shown(own, value));
    Some(Finding::danger(TOPIC, text).advice(entry.advice()))
}

/// Returns a value as it may be shown, without what may be a secret: an address can have a password
/// or a key in it.
fn shown(own: &str, value: &str) -> String {
    let is_address = ["authority_url", "key_source", "issuers"].contains(&own);
    if own == "https_proxy" || is_address && value.contains(['@', '?']) {
        return "(its value is not shown)".to_owned();
    }
    format!("= '{}'", Untrusted::new(value))
}

#[cfg(test)]
mod tests {
    use super::{Entry, problems};

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
        problems(entries, false)
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
                "danger line 7 of /data/postgresql.conf: aad_validate_oids_in_tenant is not allowed",
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

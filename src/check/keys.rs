//! The signing keys, their worker, and the clock.

use entra::State;
use hba::Finding;

use crate::check::configuration::WORKER_ADVICE;
use crate::keys::{KeyRow, Status};
use crate::pg::clock;
use crate::settings;

/// The worker notes the time at least once a minute.
const LONGEST_SILENCE: i64 = 150;

/// Returns what is found about the keys.
pub(crate) fn check() -> Vec<Finding> {
    let status = crate::keys::status();
    let mut findings = vec![worker(&status), state(&status)];
    findings.extend(key_file(&status));
    findings.extend(snapshot());
    findings.extend(interval());
    findings.extend(issuers(&crate::keys::rows()));
    findings.push(clock(&status));
    findings
}

fn worker(status: &Status) -> Finding {
    const TOPIC: &str = "key worker";
    let age = status.heartbeat.map(|last| clock::unix_now().saturating_sub(last).max(0));
    let last_check = age.map_or_else(|| "no check yet".to_owned(), |age| format!("last check {age} s ago"));
    match status.worker_pid {
        Some(_) if age.is_some_and(|age| age <= LONGEST_SILENCE) => {
            Finding::ok(TOPIC, format!("running; {last_check}"))
        }
        Some(pid) => Finding::warning(TOPIC, format!("process {pid} does not respond; {last_check}"))
            .advice("See its last messages in the server log; restart the server if it does not come back."),
        None => Finding::warning(TOPIC, "not running").advice(WORKER_ADVICE),
    }
}

fn state(status: &Status) -> Finding {
    let why = || status.last_error.clone().unwrap_or_else(|| "nothing has been fetched yet".to_owned());
    let count = status.keys;
    match status.state {
        State::Fresh | State::Due | State::InFlight => {
            Finding::ok("keys", format!("{count} signing keys are available, {}", age(status)))
        }
        State::Failing => Finding::warning("keys", format!("fetching the signing keys fails: {}", why()))
            .advice("Logins use the available keys until these are older than azure_ad_auth.key_max_age."),
        State::Empty | State::TooOld => Finding::danger(
            "keys",
            format!("every Azure AD login is refused because no signing keys can be used: {}", why()),
        )
        .advice("Correct the cause, then: SELECT azure_ad_auth.refresh_keys();"),
    }
}

/// Returns a finding if the next fetch, which may be an hour away, will fail because of the file.
fn key_file(status: &Status) -> Option<Finding> {
    let is_said = matches!(status.state, State::Failing | State::Empty | State::TooOld);
    let problem = crate::keys::problem_of_key_file().filter(|_| !is_said)?;
    let text = format!("the next fetch of the signing keys will fail: {problem}");
    Some(
        Finding::warning("key file", text).advice("Put a file in its place that the server's user can read."),
    )
}

/// Returns whether a server that starts during an outage of the provider has keys.
fn snapshot() -> Option<Finding> {
    let file = crate::keys::SNAPSHOT;
    Some(match crate::keys::kept()? {
        Ok(()) => Finding::ok("snapshot", format!("{file} in the data directory has the keys for the next start")),
        Err(fault) => Finding::warning(
            "snapshot",
            format!(
                "a server that starts during an outage of the provider would have no keys: {file} in the data directory: \
                 {fault}"
            ),
        )
        .advice("Correct the cause (is the disk full, may the server write there?), then: SELECT azure_ad_auth.refresh_keys();"),
    })
}

fn age(status: &Status) -> String {
    let Some(fetched) = status.last_success else { return "of unknown age".to_owned() };
    format!("fetched {} s ago", clock::unix_now().saturating_sub(fetched).max(0))
}

/// Returns a finding if keys are fetched more often than the interval says, so that they stay below
/// their age limit.
fn interval() -> Option<Finding> {
    let timing = settings::timing();
    (timing.refresh_interval > timing.max_age / 2).then(|| {
        let text = "azure_ad_auth.key_refresh_interval is more than half of azure_ad_auth.key_max_age";
        Finding::notice("key interval", text).advice(
            "Keys are fetched whenever half of key_max_age has passed; after that an outage may last as long again.",
        )
    })
}

/// Returns a finding about whether the keys belong to an issuer whose tokens are accepted. They do
/// not where they come from another cloud or another provider.
fn issuers(keys: &[KeyRow]) -> Option<Finding> {
    let policy = settings::rules().ok()?.policy;
    let named: Vec<_> = keys.iter().filter_map(|key| key.issuer.as_deref()).collect();
    let fits = |issuer: &&&str| policy.accepts_issuer_template(issuer);
    let Some(first) = named.first() else {
        let nothing = keys.is_empty();
        let untold = Finding::notice(
            "issuers",
            "no key names an issuer; all keys are assumed to belong to the configured tenant",
        );
        return (!nothing).then_some(untold);
    };
    let count = named.iter().filter(fits).count();
    Some(if count > 0 {
        Finding::ok("issuers", format!("{count} of the keys belong to issuers whose tokens are accepted"))
    } else {
        Finding::danger("issuers", format!("the keys belong to {first}, whose tokens are not accepted"))
            .advice("Compare azure_ad_auth.cloud, issuers, authority_url and key_source.")
    })
}

fn clock(status: &Status) -> Finding {
    let Some(ahead) = status.clock_ahead else {
        return Finding::notice(
            "clock",
            "it could not be compared with the provider's clock: no fetch has returned a time",
        );
    };
    let leeway = settings::rules().map_or(0, |rules| rules.policy.clock_skew());
    let text = format!("at the last fetch the provider's clock was {ahead} s ahead of this server's");
    if ahead.abs() <= leeway.max(2) {
        Finding::ok("clock", text)
    } else {
        Finding::warning("clock", text)
            .advice("Check NTP: tokens may seem to be expired too early, or not valid yet.")
    }
}

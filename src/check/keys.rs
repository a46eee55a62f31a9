//! The signing keys, their worker, and the clock.

use entra::State;

use crate::check::finding::Finding;
use crate::keys::{KeyRow, Status};
use crate::pg::clock;
use crate::settings;

/// The worker leaves a sign at least once a minute.
const LONGEST_SILENCE: i64 = 150;

pub(crate) fn findings(status: &Status, keys: &[KeyRow]) -> Vec<Finding> {
    let mut findings = vec![worker(status), state(status)];
    findings.extend(key_file(status));
    findings.extend(snapshot());
    findings.extend(interval());
    findings.extend(issuers(keys));
    findings.push(clock(status));
    findings
}

fn worker(status: &Status) -> Finding {
    let silent = status.heartbeat.is_none_or(|last| clock::unix_now().saturating_sub(last) > LONGEST_SILENCE);
    match status.worker_pid {
        Some(_) if !silent => Finding::ok("key worker", "it is there, and has looked lately"),
        Some(pid) => {
            Finding::warning("key worker", format!("process {pid} has not been heard of for minutes")).advice(
                "Look for its last words in the server log; restart the server if it does not come back.",
            )
        }
        None => Finding::warning("key worker", "it is away").advice(
            "It comes back a second after it has ended. If not: are there enough max_worker_processes?",
        ),
    }
}

fn state(status: &Status) -> Finding {
    let why = || status.last_error.clone().unwrap_or_else(|| "nothing has been fetched yet".to_owned());
    let count = status.keys;
    match status.state {
        State::Fresh | State::Due | State::InFlight => {
            Finding::ok("keys", format!("{count} signing keys are at hand, {}", age(status)))
        }
        State::Failing => Finding::warning("keys", format!("fetching the signing keys fails: {}", why()))
            .advice(
                "Logins go on with the keys at hand until these are older than azure_ad_auth.key_max_age.",
            ),
        State::Empty | State::TooOld => Finding::danger(
            "keys",
            format!("every Azure AD login is refused for want of signing keys: {}", why()),
        )
        .advice("Mend what it names, then: SELECT azure_ad_auth.refresh_keys();"),
    }
}

/// The next fetch will say so, too; it may be an hour away.
fn key_file(status: &Status) -> Option<Finding> {
    let is_said = matches!(status.state, State::Failing | State::Empty | State::TooOld);
    let problem = crate::keys::problem_of_key_file().filter(|_| !is_said)?;
    let text = format!("the next fetch of the signing keys will fail: {problem}");
    Some(
        Finding::warning("key file", text).advice("Put a file in its place that the server's user can read."),
    )
}

/// Whether a server that starts while the provider is away has keys.
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
        .advice("Mend what it names (is there room, may the server write there?), then: SELECT azure_ad_auth.refresh_keys();"),
    })
}

fn age(status: &Status) -> String {
    let Some(fetched) = status.last_success else { return "of unknown age".to_owned() };
    format!("fetched {} s ago", clock::unix_now().saturating_sub(fetched).max(0))
}

/// Keys are fetched ahead of their age limit, whatever the interval says.
fn interval() -> Option<Finding> {
    let timing = settings::timing();
    (timing.refresh_interval > timing.max_age / 2).then(|| {
        let text = "azure_ad_auth.key_refresh_interval is more than half of azure_ad_auth.key_max_age";
        Finding::notice("key interval", text).advice(
            "Keys are fetched whenever half of key_max_age has passed; an outage may last as long again.",
        )
    })
}

/// Keys that say whose they are, and are nobody's whose tokens are accepted: another cloud, or another provider.
fn issuers(keys: &[KeyRow]) -> Option<Finding> {
    let policy = settings::rules().ok()?.policy;
    let named: Vec<_> = keys.iter().filter_map(|key| key.issuer.as_deref()).collect();
    let fits = |issuer: &&&str| policy.accepts_issuer_template(issuer);
    let Some(first) = named.first() else {
        let nothing = keys.is_empty();
        let untold =
            Finding::notice("issuers", "the keys do not say whose they are: they are taken for the tenant's");
        return (!nothing).then_some(untold);
    };
    let count = named.iter().filter(fits).count();
    Some(if count > 0 {
        Finding::ok("issuers", format!("{count} of the keys are of issuers whose tokens are accepted"))
    } else {
        Finding::danger("issuers", format!("the keys are of {first}, whose tokens are not accepted"))
            .advice("Compare azure_ad_auth.cloud, issuers, authority_url and key_source.")
    })
}

fn clock(status: &Status) -> Finding {
    let Some(ahead) = status.clock_ahead else {
        return Finding::notice(
            "clock",
            "it could not be compared with the provider's: no fetch has said what time it is",
        );
    };
    let leeway = settings::rules().map_or(0, |rules| rules.policy.clock_skew());
    let text = format!("at the last fetch the provider's clock was {ahead} s ahead of ours");
    if ahead.abs() <= leeway.max(2) {
        Finding::ok("clock", text)
    } else {
        Finding::warning("clock", text).advice("Check NTP: tokens seem expired too early, or not valid yet.")
    }
}

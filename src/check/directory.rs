//! The tenant's directory: how the server proves who it is, whether looks succeed, what may be
//! read. Nothing is found while it is off.

use entra::directory::features::Feature;
use entra::directory::pace::State;
use hba::Finding;

use crate::check::configuration::WORKER_ADVICE;
use crate::directory::{self, Status};
use crate::pg::clock;
use crate::{catalog, settings};

/// The worker notes the time at least once a minute.
const LONGEST_SILENCE: i64 = 150;

/// A certificate is near its end so many seconds before: 30 days.
const NEAR_END: i64 = 30 * DAY;

const DAY: i64 = 86_400;

const TOPIC: &str = "directory";

/// Returns what is found.
pub(super) fn check() -> Vec<Finding> {
    if !directory::is_on() {
        return Vec::new();
    }
    let problems = settings::directory_problems();
    if !problems.is_empty() {
        let finding = |fault: entra::Misconfigured| {
            Finding::warning(TOPIC, format!("the directory cannot be asked: {fault}"))
                .advice("Set it in postgresql.conf or by ALTER SYSTEM, and reload.")
        };
        return problems.into_iter().map(finding).collect();
    }
    let status = directory::status();
    let mut findings = vec![worker(&status), state(&status)];
    findings.extend(held(&status));
    findings.extend(left_out(&status));
    findings.extend(interval());
    findings.extend(permissions());
    findings.extend(certificate(&status));
    findings.push(snapshot());
    findings.extend(administrators(&status));
    findings
}

fn worker(status: &Status) -> Finding {
    const TOPIC: &str = "directory worker";
    let age = status.heartbeat.map(|last| clock::unix_now().saturating_sub(last).max(0));
    let last_check = age.map_or_else(|| "no check yet".to_owned(), |age| format!("last check {age} s ago"));
    match status.worker_pid {
        Some(_) if age.is_some_and(|age| age <= LONGEST_SILENCE) => {
            Finding::ok(TOPIC, format!("running; {last_check}"))
        }
        Some(pid) => Finding::warning(TOPIC, format!("process {pid} does not respond; {last_check}"))
            .advice("See its last messages in the server log; restart the server if it does not come back."),
        None => {
            let text = "not running: the directory is not asked, and who is disabled or deleted can log in";
            Finding::danger(TOPIC, text).advice(WORKER_ADVICE)
        }
    }
}

fn state(status: &Status) -> Finding {
    let why = || status.last_error.clone().unwrap_or_else(|| "nothing has been answered yet".to_owned());
    let age = status.last_success.map(|last| clock::unix_now().saturating_sub(last).max(0));
    let advice = "Correct the cause, then: SELECT azure_ad_auth.refresh_directory();";
    match (status.state, age) {
        (State::Fresh | State::Due | State::InFlight, Some(age)) => Finding::ok(
            TOPIC,
            format!(
                "{} objects were looked at {age} s ago; {} are known to be out",
                status.checked, status.ended
            ),
        ),
        (State::TooOld, _) => Finding::danger(
            TOPIC,
            format!(
                "who was disabled or deleted lately can still log in: looking at the directory fails: {}",
                why()
            ),
        )
        .advice(advice),
        (State::Failing, _) => {
            Finding::warning(TOPIC, format!("looking at the directory fails: {}", why())).advice(advice)
        }
        _ if status.last_error.is_some() => {
            Finding::warning(TOPIC, format!("the directory has not been looked at: {}", why())).advice(advice)
        }
        _ => Finding::notice(TOPIC, "the directory has not been looked at yet")
            .advice("SELECT azure_ad_auth.refresh_directory();"),
    }
}

/// Returns a finding if so many objects are missing at once that this is not believed.
fn held(status: &Status) -> Option<Finding> {
    let count = status.held?;
    let text = format!("{count} objects are missing in the directory at once, and nobody is put out for it");
    Some(Finding::warning(TOPIC, text).advice(
        "If they have been deleted, call azure_ad_auth.refresh_directory() twice within a minute. If not, see \
         whether the permissions and the tenant are right.",
    ))
}

/// Returns findings if there is no room for all who are out.
fn left_out(status: &Status) -> Vec<Finding> {
    let Status { unpublished, unwatched, .. } = *status;
    let mut findings = Vec::new();
    if unpublished > 0 {
        let most = entra::limits::MAX_ENDED;
        let text = format!(
            "{unpublished} principals that are disabled, deleted or revoked can log in: no more than {most} are kept"
        );
        findings.push(Finding::danger(TOPIC, text).advice(
            "Unlink roles of principals that are gone (azure_ad_auth.principals shows them), then: SELECT \
             azure_ad_auth.refresh_directory();",
        ));
    }
    if unwatched > 0 {
        let text = format!(
            "the end of {unwatched} memberships of open sessions is not noticed: there are too many to be asked about"
        );
        findings.push(
            Finding::warning(TOPIC, text)
                .advice("These sessions end with their tokens, if azure_ad_auth.session_expiry is set."),
        );
    }
    findings
}

fn interval() -> Option<Finding> {
    (settings::directory_refresh_interval() == 0).then(|| {
        let text = "disabled accounts are not noticed: azure_ad_auth.directory_refresh_interval is 0";
        Finding::notice("directory interval", text)
            .advice("Set it, or call azure_ad_auth.refresh_directory() at times of your own.")
    })
}

/// Returns a finding for each feature that lacks a permission. Group synchronisation needs what
/// others need.
fn permissions() -> Vec<Finding> {
    const TOPIC: &str = "directory permissions";
    let features = directory::features();
    let features = features.iter().filter(|row| row.feature != Feature::GroupSync);
    let missing: Vec<_> = features
        .filter_map(|row| {
            let problem = row.availability.problem()?;
            let text = format!("{} cannot be read: {problem}", row.feature.as_str());
            let advice = format!(
                "Grant the application the permission {} of Microsoft Graph, with the consent of an administrator.",
                row.feature.permissions()
            );
            Some(Finding::warning(TOPIC, text).advice(advice))
        })
        .collect();
    if missing.is_empty() {
        return vec![Finding::ok(TOPIC, "no answer says that a permission is missing")];
    }
    missing
}

/// Returns a finding about the end of the server's certificate. Only Entra knows when a secret
/// ends.
fn certificate(status: &Status) -> Option<Finding> {
    const TOPIC: &str = "directory certificate";
    const ADVICE: &str =
        "Register another one with the application, and replace the files: they are read at each use.";
    let left = status.certificate_expires_at?.saturating_sub(clock::unix_now());
    let days = left.div_euclid(DAY);
    Some(match left {
        ..=0 => Finding::danger(TOPIC, "it has expired: the directory cannot be asked").advice(ADVICE),
        1..NEAR_END => Finding::warning(TOPIC, format!("it expires in {days} days")).advice(ADVICE),
        _ => Finding::ok(TOPIC, format!("it expires in {days} days")),
    })
}

fn snapshot() -> Finding {
    const TOPIC: &str = "directory snapshot";
    let file = directory::SNAPSHOT;
    match directory::kept() {
        Ok(()) => Finding::ok(TOPIC, "who is known to be out stays out after a restart"),
        Err(fault) => Finding::warning(
            TOPIC,
            format!("who is known to be out could log in again after a restart: {file} in the data directory: {fault}"),
        )
        .advice("Correct the cause (is the disk full, may the server write there?), then: SELECT azure_ad_auth.refresh_directory();"),
    }
}

/// Returns a finding if no administrator is known to be active. Called only when a look has
/// succeeded; what may not be read is not known.
fn administrators(status: &Status) -> Option<Finding> {
    status.last_success?;
    let administrators = catalog::administrator_ids();
    let linked = catalog::linked_objects();
    let known: Vec<_> = linked
        .iter()
        .filter(|(role, ..)| administrators.contains(&role.to_u32()))
        .map(|(_, object, _)| directory::state_of(*object).0)
        .collect();
    if known.is_empty() || known.contains(&"active") {
        return None;
    }
    let are_out = known.iter().all(|state| matches!(*state, "disabled" | "deleted"));
    let is_read = |feature| {
        directory::features()
            .iter()
            .any(|row| row.feature == feature && row.availability.available == Some(true))
    };
    let (text, advice) = if are_out {
        (
            "no Azure AD administrator can log in: all are disabled or deleted in the directory",
            "SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');",
        )
    } else if is_read(Feature::AccountStates) {
        (
            "the last look at the directory has found no Azure AD administrator who is active: they may soon be unable \
             to log in",
            "If one was set after it: SELECT azure_ad_auth.refresh_directory(); else set another one by \
             azure_ad_auth.set_admin().",
        )
    } else {
        return None;
    };
    Some(Finding::danger("directory administrators", text).advice(advice))
}

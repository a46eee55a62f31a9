//! Processes that are killed, so that the postmaster restarts all others.

use std::time::{Duration, Instant};

use testbed::process::signal;
use testbed::waits::eventually;

use crate::run::Run;

/// Crashes come together at the beginning of each so long time. In the rest of it, processes live
/// long enough to be looked at.
const PERIOD: Duration = Duration::from_mins(5);

/// The workers of the extension, and the queries for their processes. The key worker is not in
/// pg_stat_activity, because it is connected to nothing.
pub(crate) const WORKERS: [(&str, &str); 3] = [
    ("key worker", "SELECT worker_pid FROM azure_ad_auth.key_status"),
    ("directory worker", "SELECT worker_pid FROM azure_ad_auth.directory_status"),
    (
        "session reaper",
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'azure_ad_auth session reaper'",
    ),
];

/// The query for the oldest session.
const BACKEND: &str = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' \
     AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1";

/// Kills a backend and each of the workers, and does so again after a while.
pub(super) fn crash(run: &Run) {
    while run.gate.goes_on() {
        let begin = Instant::now();
        kill(run, "crash: a backend", BACKEND);
        for (_, query) in WORKERS {
            kill(run, "crash: a worker", query);
        }
        let rest = PERIOD.saturating_sub(begin.elapsed()).min(run.gate.left());
        // What is left of a run is a life that is too short to be looked at: it has no crashes.
        run.pause(if run.gate.left() < PERIOD + Duration::from_mins(1) { run.gate.left() } else { rest });
    }
}

/// Kills a process, and waits until the server does all its work again.
fn kill(run: &Run, name: &'static str, query: &str) {
    let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let Ok(before) = run.ask(checkpointer) else {
        return run.tally.failed(name, "the server does not answer");
    };
    run.gate.close();
    let killed = eventually(|| process(run, query).is_some_and(|pid| signal(pid, libc::SIGKILL)));
    let restarted = eventually(|| run.ask(checkpointer).is_ok_and(|pid| !pid.is_empty() && pid != before));
    let works = eventually(|| works(run));
    run.gate.reopen();
    if killed && restarted && works {
        run.tally.done(name);
    } else {
        run.tally.failed(name, &format!("killed {killed}, restarted {restarted}, works again {works}"));
    }
}

/// Returns whether a server that has just started has keys, has looked at the directory, and has
/// all its workers.
fn works(run: &Run) -> bool {
    let query = "SELECT (SELECT keys > 0 AND last_success IS NOT NULL FROM azure_ad_auth.key_status) \
                 AND (SELECT last_success IS NOT NULL FROM azure_ad_auth.directory_status)";
    run.ask(query).as_deref() == Ok("t") && WORKERS.iter().all(|(_, query)| process(run, query).is_some())
}

/// Returns the process that a query finds.
pub(crate) fn process(run: &Run, query: &str) -> Option<i32> {
    run.ask(query).ok()?.parse().ok().filter(|pid| *pid > 0)
}

//! Measures what the process that ends sessions costs while there are many sessions and none is to
//! end.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::{PERSON, unix_now, user_v1};
use testbed::scene::{KEY, Scene};

/// Sessions that it looks at, each of a role of its own, which is what costs most.
const SESSIONS: usize = 1_000;

/// How long it is watched in each situation.
const WATCHED: Duration = Duration::from_secs(20);

/// Time between two changes of a role.
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// Percent of a core.
const BUDGET: f64 = 0.1;

/// Measures on a server of its own, which has room for so many sessions.
pub(crate) fn report() {
    let token = KEY.token(&user_v1(unix_now()));
    let settings = format!(
        "max_connections = {}\nazure_ad_auth.session_expiry = terminate\n\
         log_min_messages = warning\nlog_statement = none\nlog_connections = off\n",
        SESSIONS + 50
    );
    let (cluster, _provider) = Scene::new().settings(settings).start();
    cluster.sql(&format!(
        "SELECT count(azure_ad_auth.create_principal('r' || n, '{PERSON}', 'user')) \
         FROM generate_series(1, {SESSIONS}) n"
    ));
    let sessions: Vec<_> = (1..=SESSIONS).map(|number| session(&cluster, number, &token)).collect();
    let pid = cluster.sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '%session reaper'");
    let idle = share(&pid, || sleep(WATCHED));
    let mut superuser = cluster.superuser();
    let busy = share(&pid, || {
        let begin = Instant::now();
        while begin.elapsed() < WATCHED {
            superuser.query("ALTER ROLE azure_ad_user CONNECTION LIMIT -1").expect("a change");
            sleep(BETWEEN_CHANGES);
        }
    });
    println!("\nthe session reaper with {} sessions: {idle:.3} % of a core", sessions.len());
    println!("the same while roles are changed ten times a second: {busy:.3} %");
    let verdict = if idle <= BUDGET { "held" } else { "MISSED" };
    println!("budget: it costs at most {BUDGET} % of a core: {verdict}");
}

/// Opens a session by the socket, which makes no difference to the reaper.
fn session(cluster: &Cluster, number: usize, token: &str) -> RawClient {
    let mut client = cluster.socket_client();
    let role = format!("r{number}");
    assert_eq!(client.login(&[("user", role.as_str()), ("database", "postgres")], token), Outcome::Ready);
    client
}

/// Returns the percentage of a core that a process takes meanwhile.
fn share(pid: &str, meanwhile: impl FnOnce()) -> f64 {
    let (begin, before) = (Instant::now(), on_core(pid));
    meanwhile();
    on_core(pid).saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0
}

/// Returns the time that a process has been running on a core.
fn on_core(pid: &str) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("the reaper");
    let nanos = text.split_whitespace().next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

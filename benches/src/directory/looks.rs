//! What a look at everybody costs, and how soon a disabled account is out.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::Kind;
use testbed::issuer::{GROUP, unix_now, user_v1, with};
use testbed::scene::KEY;

use super::worker::Worker;
use super::{GROUP_ROLE, verdict};
use crate::roles;

/// Linked roles.
const LINKED: [usize; 2] = [10_000, 100_000];

/// Open sessions, each of another person.
const SESSIONS: usize = 1_000;

/// Looks at each number of linked roles, of which the one that costs most counts.
const LOOKS: usize = 3;

/// Most requests of a look.
const REQUESTS: usize = 110;

/// Longest time of the worker on a core for a look.
const ON_CORE: Duration = Duration::from_secs(2);

/// By how much the worker may grow, in MiB.
const GROWTH: f64 = 64.0;

/// Time between two looks while accounts are disabled.
const INTERVAL: Duration = Duration::from_secs(5);

/// How much later than that a disabled account is out.
const LATER: Duration = Duration::from_secs(2);

/// Accounts that are disabled one after the other.
const DISABLED: usize = 4;

const TABLE: &str = "| linked roles | sessions by | requests | s | the worker on a core, s | its own memory, MiB |\n\
                     | --- | --- | --- | --- | --- | --- |";

/// What a look takes.
#[derive(Default)]
struct Look {
    requests: usize,
    took: Duration,
    on_core: Duration,
}

/// A person, the role that is linked to it, and the session of that role.
struct Open {
    id: String,
    role: String,
    token: String,
    client: RawClient,
}

pub(super) fn report(cluster: &Cluster, provider: &Provider) {
    let worker = Worker::of(cluster);
    let before = worker.own_peak();
    let mut sessions = Vec::new();
    let mut first = 1;
    println!("\na look at linked roles and {SESSIONS} open sessions, the most of {LOOKS}\n");
    println!("{TABLE}");
    let mut greatest = Look::default();
    for linked in LINKED {
        let people = link(cluster, provider, first, linked);
        if sessions.is_empty() {
            sessions = people.into_iter().take(SESSIONS).map(|(role, id)| open(cluster, role, id)).collect();
        }
        greatest = looks(cluster, provider, &worker, &format!("{linked} | roles of their own"));
        first = linked + 1;
    }
    let growth = worker.own_peak() - before;
    println!();
    let Look { requests, on_core, .. } = greatest;
    println!(
        "budget: a look takes at most {REQUESTS} requests: {}, {requests}",
        verdict(requests <= REQUESTS)
    );
    println!(
        "budget: and at most {} s of the worker on a core: {}, {:.2}",
        ON_CORE.as_secs(),
        verdict(on_core <= ON_CORE),
        on_core.as_secs_f64()
    );
    println!(
        "budget: the worker grows by at most {GROWTH} MiB of its own: {}, {growth:.0}",
        verdict(growth <= GROWTH)
    );
    report_disabled(cluster, provider, &mut sessions);
    let people: Vec<_> = sessions.into_iter().map(|Open { id, .. }| id).collect();
    report_by_group(cluster, provider, &worker, people);
}

/// Prints what a look takes when every session was admitted by a group: whether the person is still
/// in it is asked for each, twenty in a request, and in several looks if there are many.
fn report_by_group(cluster: &Cluster, provider: &Provider, worker: &Worker, people: Vec<String>) {
    let open = |id: String| {
        provider.directory().add_member(GROUP, &id);
        open(cluster, GROUP_ROLE.to_owned(), id)
    };
    let sessions: Vec<_> = people.into_iter().map(open).collect();
    println!("\nthe same with {} sessions that were admitted by a group\n", sessions.len());
    println!("{TABLE}");
    let Look { requests, .. } = looks(cluster, provider, worker, &format!("{} | a group's role", LINKED[1]));
    println!(
        "\nbudget: a look takes at most {REQUESTS} requests then, too: {}, {requests}",
        verdict(requests <= REQUESTS)
    );
}

/// Links roles of these numbers to persons who are in the directory. Returns their names and ids.
fn link(cluster: &Cluster, provider: &Provider, first: usize, last: usize) -> Vec<(String, String)> {
    roles::link(cluster, first..=last);
    let linked = cluster.sql(&format!(
        "SELECT 'r' || n || ' ' || substr(label, 13, 36) FROM generate_series({first}, {last}) n \
         JOIN pg_authid ON rolname = 'r' || n JOIN pg_shseclabel ON objoid = pg_authid.oid \
         AND provider = 'pgaadauth' ORDER BY n"
    ));
    let pairs = linked.lines().map(|line| line.split_once(' ').expect("a role and its id"));
    let pairs: Vec<_> = pairs.map(|(role, id)| (role.to_owned(), id.to_owned())).collect();
    for (role, id) in &pairs {
        provider.directory().add_user(id, &format!("{role}@contoso.example"));
    }
    pairs
}

/// Opens a session by the socket, which makes no difference to the worker.
fn open(cluster: &Cluster, role: String, id: String) -> Open {
    let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(id)));
    let mut client = cluster.socket_client();
    assert_eq!(client.login(&[("user", role.as_str()), ("database", "postgres")], &token), Outcome::Ready);
    Open { id, role, token, client }
}

/// Has the server look at everybody some times. Prints and returns the most that a look takes.
fn looks(cluster: &Cluster, provider: &Provider, worker: &Worker, what: &str) -> Look {
    let mut most = Look::default();
    for _ in 0..LOOKS {
        let look = look(cluster, provider, worker);
        most.requests = most.requests.max(look.requests);
        most.took = most.took.max(look.took);
        most.on_core = most.on_core.max(look.on_core);
    }
    println!(
        "| {what} | {} | {:.2} | {:.2} | {:.0} |",
        most.requests,
        most.took.as_secs_f64(),
        most.on_core.as_secs_f64(),
        worker.own_peak()
    );
    most
}

fn look(cluster: &Cluster, provider: &Provider, worker: &Worker) -> Look {
    provider.directory().forget_requests();
    let (before, since) = (worker.on_core(), Instant::now());
    cluster.sql("SELECT azure_ad_auth.refresh_directory()");
    let took = since.elapsed();
    Look {
        requests: provider.directory().arrived().len(),
        took,
        on_core: worker.on_core().saturating_sub(before),
    }
}

/// Disables accounts at the worst moment: a look has just asked about them. Prints when their
/// sessions have ended and their logins are refused.
fn report_disabled(cluster: &Cluster, provider: &Provider, sessions: &mut Vec<Open>) {
    let directory = provider.directory();
    cluster.set("azure_ad_auth.directory_refresh_interval", &format!("{}s", INTERVAL.as_secs()));
    // Ids are asked about in their order.
    sessions.sort_by(|one, other| other.id.cmp(&one.id));
    let mut longest = Duration::ZERO;
    for _ in 0..DISABLED {
        let Open { id, role, token, mut client } = sessions.pop().expect("a session");
        directory.forget_requests();
        // The users with sessions are asked about once more, by batches after all the others.
        while directory.requests(Kind::Batch) < 2 {
            sleep(Duration::from_millis(1));
        }
        directory.disable(&id);
        let since = Instant::now();
        assert!(client.last_error().is_some_and(|error| error.sqlstate == "57P01"), "no end");
        longest = longest.max(since.elapsed());
        assert_ne!(cluster.login(&role, &token), Outcome::Ready);
    }
    println!(
        "\n{DISABLED} accounts are disabled, each just after a look has asked about it, with looks every {} s\n",
        INTERVAL.as_secs()
    );
    println!(
        "budget: an account is out, its session included, within the time between two looks and {} s: {}, and {:.1} s",
        LATER.as_secs(),
        verdict(longest <= INTERVAL + LATER),
        longest.as_secs_f64() - INTERVAL.as_secs_f64()
    );
    cluster.set("azure_ad_auth.directory_refresh_interval", "1h");
}

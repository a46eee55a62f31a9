//! What the synchronisation of groups costs: a round that gives roles to the members of a group,
//! and rounds in which nothing has changed.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::cluster::Cluster;
use testbed::issuer::GROUP;

use super::worker::Worker;
use super::{Side, verdict};

/// Members of the group.
const MEMBERS: usize = 10_000;

/// Rounds without changes, of which the one that costs most counts.
const ROUNDS: usize = 3;

/// Longest time on a core for a round without changes, of both workers.
const ON_CORE: Duration = Duration::from_secs(1);

/// The title of the process that changes roles. It lives as long as a round.
const TITLE: &str = "azure_ad_auth group synchronisation";

/// Time between two looks at that process.
const PAUSE: Duration = Duration::from_millis(2);

/// What a round takes.
struct Round {
    took: Duration,
    /// The process that changes roles.
    on_core: Duration,
    own_peak: f64,
    /// The process that asks for members.
    asking: Duration,
}

pub(super) fn report() {
    let Side { cluster, provider } = Side::new(true);
    let directory = provider.directory();
    for number in 0..MEMBERS {
        let id = format!("99999999-aaaa-bbbb-cccc-{number:012}");
        directory.add_user(&id, &format!("m{number}@contoso.example"));
        directory.add_member(GROUP, &id);
    }
    let asking = Worker::of(&cluster);
    println!("\nroles for {MEMBERS} members of a group\n");
    println!(
        "| round | s | the worker for roles on a core, s | its own memory, MiB | the directory worker on a core, s | \
         its own memory, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let print = |what: &str, round: &Round| {
        println!(
            "| {what} | {:.2} | {:.2} | {:.0} | {:.2} | {:.0} |",
            round.took.as_secs_f64(),
            round.on_core.as_secs_f64(),
            round.own_peak,
            round.asking.as_secs_f64(),
            asking.own_peak()
        );
    };
    let before = asking.on_core();
    cluster.set("azure_ad_auth.group_sync", "on");
    let first = round(&cluster, &asking, before);
    print("the first", &first);
    let linked = "SELECT count(*) FROM azure_ad_auth.principals WHERE role_name LIKE 'm%'";
    assert_eq!(cluster.sql(linked), MEMBERS.to_string());
    cluster.sql("VACUUM ANALYZE pg_authid, pg_auth_members, pg_shseclabel");
    let mut most = Duration::ZERO;
    cluster.set("azure_ad_auth.group_sync_interval", "2s");
    for _ in 0..ROUNDS {
        let round = round(&cluster, &asking, asking.on_core());
        print("without changes", &round);
        most = most.max(round.on_core + round.asking);
    }
    println!(
        "\nbudget: a round without changes takes at most {} s on a core: {}, {:.2}",
        ON_CORE.as_secs(),
        verdict(most <= ON_CORE),
        most.as_secs_f64()
    );
}

/// Waits for the next process that changes roles, and for its end. `before`: how long the process
/// that asks had been on a core.
fn round(cluster: &Cluster, asking: &Worker, before: Duration) -> Round {
    let worker = loop {
        if let Some(worker) = process(cluster) {
            break Worker::by_id(&worker);
        }
        sleep(PAUSE);
    };
    let since = Instant::now();
    let (mut on_core, mut own_peak) = (Duration::ZERO, 0.0);
    while let Some((time, peak)) = worker.seen() {
        (on_core, own_peak) = (time, peak);
        sleep(PAUSE);
    }
    Round { took: since.elapsed(), on_core, own_peak, asking: asking.on_core().saturating_sub(before) }
}

/// Returns the id of the process that changes roles, if there is one.
fn process(cluster: &Cluster) -> Option<String> {
    let postmaster = cluster.pid().to_string();
    fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid = entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        (parent == postmaster && String::from_utf8_lossy(&command).contains(TITLE)).then_some(pid)
    })
}

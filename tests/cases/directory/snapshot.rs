//! Who is known to be out stays out over a restart: a file in the data directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use entra::directory::snapshot::EndedSnapshot;
use entra::directory::standing::Standing;
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Provider;
use testbed::idp::directory::{Place, Trouble};
use testbed::issuer::{OTHER_TENANT, PERSON, unix_now};
use testbed::process::signal;
use testbed::scene::Scene;
use testbed::scratch::give_to_server;
use testbed::waits::eventually;

use crate::common::directory::{DIRECTORY_WORKER, await_status, refresh, status, with_directory};
use crate::common::server::process;
use crate::common::statements::link;

/// Starts a server that knows that `ann` is disabled, during an outage of the directory.
fn with_ann_out(settings: &str) -> (Cluster, Provider) {
    let (cluster, provider) = with_directory(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    assert!(eventually(|| out(&cluster) == [PERSON]));
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    (cluster, provider)
}

fn kept(cluster: &Cluster) -> Option<EndedSnapshot> {
    EndedSnapshot::parse(&fs::read(cluster.directory_snapshot()).ok()?).ok()
}

/// Returns the ids of those who are out according to the snapshot. It also has accounts whose
/// sessions began anew not long ago, as those of new accounts do.
fn out(cluster: &Cluster) -> Vec<String> {
    let principals = kept(cluster).map_or_else(Vec::new, |kept| kept.principals);
    principals.iter().filter(|(_, known)| known.standing.is_out()).map(|(id, _)| id.to_string()).collect()
}

#[test]
fn a_restart_during_an_outage_lets_nobody_in_again() {
    let (cluster, provider) = with_ann_out("");
    let states: Vec<_> = kept(&cluster).expect("a snapshot").principals;
    assert!(
        states.iter().any(|(id, known)| id.to_string() == PERSON && known.standing == Standing::Disabled)
    );
    for mode in ["fast", "immediate"] {
        let mark = cluster.log_mark();
        cluster.stop(mode);
        cluster.start();
        await_status(&cluster, "ended", "1");
        cluster.await_log(mark, "1 principals and 0 memberships that are known to have ended were found");
    }
    provider.directory().enable(PERSON);
    provider.directory().recover(Place::Graph);
    refresh(&cluster);
    assert_eq!(status(&cluster, "ended"), "0");
    assert_eq!(out(&cluster), [""; 0], "before the look has ended");
}

#[test]
fn a_worker_that_ends_leaves_what_is_known_to_the_next_one() {
    let (cluster, _provider) = with_ann_out("");
    fs::remove_file(cluster.directory_snapshot()).expect("a snapshot");
    let old = process(&cluster, DIRECTORY_WORKER).expect("a worker");
    signal(old, libc::SIGTERM);
    assert!(eventually(|| process(&cluster, DIRECTORY_WORKER).is_some_and(|new| new != old)));
    assert_eq!(status(&cluster, "ended"), "1", "from shared memory");
    let mark = cluster.log_mark();
    let worker = process(&cluster, DIRECTORY_WORKER).expect("a worker");
    assert!(eventually(|| kept(&cluster).is_some()), "a look writes it anew");
    signal(worker, libc::SIGKILL);
    cluster.await_log(mark, "all server processes terminated; reinitializing");
    assert!(eventually(|| cluster.sql_verbosely("SELECT 1").success));
    await_status(&cluster, "ended", "1");
}

#[test]
fn what_is_not_a_good_snapshot_is_ignored_and_replaced() {
    let (cluster, provider) = with_ann_out("");
    let good = fs::read(cluster.directory_snapshot()).expect("a snapshot");
    let text = String::from_utf8_lossy(&good).into_owned();
    let mut foreign = kept(&cluster).expect("a snapshot");
    foreign.tenant = OTHER_TENANT.parse().expect("an id");
    for (content, said) in [
        (b"".to_vec(), "it is not a snapshot of ended principals"),
        (good[..good.len() - 1].to_vec(), "it is damaged: the checksum does not fit"),
        (text.replace("disabled", "inactive").into_bytes(), "it is damaged: the checksum does not fit"),
        (text.replace("version 1", "version 9").into_bytes(), "another version of azure_ad_auth wrote it"),
        (foreign.to_bytes(), "it is of another tenant"),
        (EndedSnapshot::seal(b"{}"), "it lacks a usable \"tenant\""),
        (vec![b'x'; 2_000_000], "it has more than"),
    ] {
        cluster.stop("fast");
        fs::write(cluster.directory_snapshot(), content).expect("a file");
        let mark = cluster.log_mark();
        cluster.start();
        cluster.await_log(mark, "azure_ad_auth.directory is not used: ");
        let log = without_debug(&cluster.log_since(mark));
        assert!(log.contains(said), "{said}: {log}");
        provider.directory().recover(Place::Graph);
        await_status(&cluster, "ended", "1");
        assert!(eventually(|| out(&cluster) == [PERSON]), "{said}");
        provider.directory().fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    }
}

#[test]
fn what_is_no_file_is_not_read_and_is_replaced_if_it_can_be() {
    let (cluster, _provider) = with_ann_out("");
    let elsewhere =
        cluster.folder().write("elsewhere", fs::read(cluster.directory_snapshot()).expect("a file"));
    let link: fn(&PathBuf, &PathBuf) = |file, elsewhere| symlink(elsewhere, file).expect("a link");
    let folder: fn(&PathBuf, &PathBuf) = |file, _| fs::create_dir(file).expect("a folder");
    for (make, said) in [(link, "symbolic link"), (folder, "not a regular file")] {
        cluster.stop("fast");
        let _ = fs::remove_file(cluster.directory_snapshot());
        make(&cluster.directory_snapshot(), &elsewhere);
        let mark = cluster.log_mark();
        cluster.start();
        cluster.await_log(mark, "azure_ad_auth.directory is not used: ");
        assert!(cluster.log_since(mark).contains(said), "{}", without_debug(&cluster.log_since(mark)));
    }
}

#[test]
fn a_snapshot_that_cannot_be_written_is_told_once() {
    let (cluster, provider) = with_ann_out("");
    let directory = provider.directory();
    directory.recover(Place::Graph);
    let unfinished = cluster.data().join("azure_ad_auth.directory.tmp");
    fs::create_dir(&unfinished).expect("a folder in the way");
    give_to_server(&unfinished);
    let mark = cluster.log_mark();
    for _ in 0..2 {
        directory.enable(PERSON);
        await_status(&cluster, "ended", "0");
        directory.disable(PERSON);
        await_status(&cluster, "ended", "1");
    }
    assert_eq!(cluster.log_since(mark).matches("azure_ad_auth.directory cannot be written: ").count(), 1);
    fs::remove_dir(&unfinished).expect("the folder");
    directory.enable(PERSON);
    assert!(eventually(|| out(&cluster).is_empty()));
}

#[test]
fn what_no_token_can_be_alive_for_is_forgotten() {
    let (cluster, _provider) = with_ann_out("");
    cluster.stop("fast");
    let mut snapshot = kept(&cluster).expect("a snapshot");
    for (_, known) in &mut snapshot.principals {
        known.out_since = Some(unix_now() - 200_000);
        known.revoked_at = None;
    }
    fs::write(cluster.directory_snapshot(), snapshot.to_bytes()).expect("a snapshot");
    cluster.start();
    await_status(&cluster, "worker_pid IS NOT NULL", "t");
    assert_eq!(status(&cluster, "ended"), "0");
}

#[test]
fn a_standby_keeps_its_own_and_has_it_when_it_is_promoted() {
    let (cluster, provider) = with_ann_out("wal_level = replica\nhot_standby = on");
    let directory = provider.directory();
    directory.recover(Place::Graph);
    let standby = cluster.standby();
    standby.start();
    await_status(&standby, "ended", "1");
    fs::remove_file(standby.directory_snapshot()).expect("a snapshot");
    directory.enable(PERSON);
    await_status(&standby, "ended", "0");
    directory.disable(PERSON);
    await_status(&standby, "ended", "1");
    assert!(eventually(|| out(&standby) == [PERSON]));
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    cluster.stop("immediate");
    assert_eq!(standby.sql("SELECT pg_promote()"), "t");
    assert_eq!(status(&standby, "ended"), "1");
    standby.restart();
    await_status(&standby, "ended", "1");
}

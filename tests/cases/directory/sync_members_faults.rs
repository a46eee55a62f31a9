//! Rounds that end in the middle: a member is dealt with whole or not at all.

use testbed::cluster::Cluster;
use testbed::issuer::GROUP;
use testbed::process::signal;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::value;
use crate::common::server::process;
use crate::common::statements::run;
use crate::common::sync::{
    EVERY_SECOND, SYNC_WORKER, await_blocked_round, await_linked, half_done, synchronise, with_members,
};

/// What another session does so that a round stops in front of the second new member.
const BEFORE_THE_SECOND: &str = "CREATE ROLE \"second@contoso.example\"";

/// What it does so that a round stops within a member: before its memberships, its settings and
/// its labels change.
const WITHIN_A_MEMBER: [&str; 3] = [
    "LOCK TABLE pg_auth_members IN SHARE MODE",
    "LOCK TABLE pg_db_role_setting IN SHARE MODE",
    "LOCK TABLE pg_shseclabel IN SHARE MODE",
];

/// The members that join, and leave again.
const JOINING: [(&str, &str); 2] = [
    ("88888888-aaaa-bbbb-cccc-000000000001", "first@contoso.example"),
    ("88888888-aaaa-bbbb-cccc-000000000002", "second@contoso.example"),
];

/// Interrupts a round at each step of what happens to members that join, and that leave.
/// `interrupt` ends the server, or a process of it, and returns once the server is there again.
fn interrupt_each_step(interrupt: impl Fn(&Cluster)) {
    let (cluster, provider) = with_members(Scene::new().settings(EVERY_SECOND));
    let directory = provider.directory();
    for (id, name) in JOINING {
        directory.add_user(id, name);
    }
    cluster.set("azure_ad_auth.group_sync", "on");
    await_linked(&cluster, 3);
    for step in [BEFORE_THE_SECOND].iter().chain(&WITHIN_A_MEMBER) {
        stop_rounds(&cluster);
        for (id, _) in JOINING {
            directory.add_member(GROUP, id);
        }
        interrupt_at(&cluster, step, &interrupt);
        await_linked(&cluster, 5);
        is_whole(&cluster, step);
        stop_rounds(&cluster);
        for (id, _) in JOINING {
            directory.remove_member(GROUP, id);
        }
        if *step == BEFORE_THE_SECOND {
            cluster.set("azure_ad_auth.group_sync", "on");
        } else {
            interrupt_at(&cluster, step, &interrupt);
        }
        await_linked(&cluster, 3);
        is_whole(&cluster, step);
    }
}

/// Switches rounds off, and waits for the end of one that is made.
fn stop_rounds(cluster: &Cluster) {
    cluster.set("azure_ad_auth.group_sync", "off");
    assert!(eventually(|| process(cluster, SYNC_WORKER).is_none()));
}

/// Has a round stop at a step, and interrupts it there.
fn interrupt_at(cluster: &Cluster, step: &str, interrupt: impl Fn(&Cluster)) {
    let mut other = cluster.superuser();
    run(&mut other, "BEGIN");
    run(&mut other, step);
    cluster.set("azure_ad_auth.group_sync", "on");
    await_blocked_round(cluster);
    interrupt(cluster);
    assert_eq!(half_done(cluster), "0", "{step}");
    assert!(other.query("SELECT 1").is_err(), "the server has ended its sessions");
}

fn is_whole(cluster: &Cluster, step: &str) {
    assert_eq!(half_done(cluster), "0", "{step}");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "{step}");
}

#[test]
fn a_worker_that_is_killed_leaves_whole_members() {
    interrupt_each_step(|cluster| {
        let mark = cluster.log_mark();
        assert!(signal(process(cluster, SYNC_WORKER).expect("a worker"), libc::SIGKILL));
        cluster.await_log(mark, "all server processes terminated; reinitializing");
        assert!(eventually(|| cluster.sql_as("postgres", "SELECT 1").success));
    });
}

#[test]
fn a_server_that_stops_leaves_whole_members() {
    interrupt_each_step(|cluster| {
        cluster.stop("immediate");
        cluster.start();
    });
}

#[test]
fn a_round_does_not_keep_the_server_from_stopping() {
    let (cluster, _provider) = with_members(Scene::new().settings(EVERY_SECOND));
    let mut other = cluster.superuser();
    run(&mut other, "BEGIN");
    run(&mut other, "CREATE ROLE \"ben@contoso.example\"");
    cluster.set("azure_ad_auth.group_sync", "on");
    await_blocked_round(&cluster);
    cluster.restart();
    await_linked(&cluster, 3);
    is_whole(&cluster, "a fast shutdown");
}

#[test]
fn a_round_without_changes_waits_for_no_statement() {
    let (cluster, _provider) = with_members(Scene::new());
    synchronise(&cluster);
    // All that a statement can lock which changes roles, and lets others read.
    let mut other = cluster.superuser();
    run(&mut other, "BEGIN");
    run(
        &mut other,
        "LOCK TABLE pg_authid, pg_auth_members, pg_shseclabel, pg_db_role_setting, pg_database IN EXCLUSIVE MODE",
    );
    run(&mut other, "COMMENT ON ROLE readers IS 'locked'");
    let mut patient = cluster.superuser();
    run(&mut patient, "SET lock_timeout = '2s'");
    assert_eq!(value(&mut patient, "SELECT count(*) FROM azure_ad_auth.sync_group_members()"), "0");
    run(&mut other, "ROLLBACK");
}

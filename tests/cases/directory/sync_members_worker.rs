//! The worker that makes the rounds of the schedule, where it cannot work, and where it need not.

use testbed::cluster::Cluster;
use testbed::idp::directory::Kind;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::directory::refresh;
use crate::common::sync::{EVERY_SECOND, await_linked, linked, synchronise, with_members};

/// Returns what check_configuration() says about synchronisation.
fn check(cluster: &Cluster) -> String {
    cluster.sql("SELECT message FROM azure_ad_auth.check_configuration() WHERE topic = 'group sync'")
}

#[test]
fn a_database_that_is_not_there_or_takes_no_connections() {
    let settings = format!(
        "{EVERY_SECOND}\nazure_ad_auth.group_sync = on\nazure_ad_auth.group_sync_database = 'nowhere'"
    );
    let (cluster, _provider) = with_members(Scene::new().settings(settings));
    cluster.await_log(0, "FATAL:  database \"nowhere\" does not exist");
    assert_eq!(check(&cluster), "no group is synchronised: database \"nowhere\" does not exist");
    cluster.sql("CREATE DATABASE closed ALLOW_CONNECTIONS false");
    cluster.set("azure_ad_auth.group_sync_database", "closed");
    cluster.await_log(0, "FATAL:  database \"closed\" is not currently accepting connections");
    assert_eq!(check(&cluster), "no group is synchronised: database \"closed\" does not allow connections");
    assert_eq!(linked(&cluster), "0");
    assert!(!cluster.log().contains("terminating any other active server processes"));
    cluster.set("azure_ad_auth.group_sync_database", "postgres");
    await_linked(&cluster, 3);
    assert_eq!(check(&cluster), "every member of the linked groups has a role");
}

#[test]
fn without_a_free_worker_there_is_no_round_and_the_log_says_so_once() {
    let settings = format!(
        "{EVERY_SECOND}\nazure_ad_auth.group_sync = on\n\
         max_worker_processes = 3\nmax_logical_replication_workers = 0"
    );
    let (cluster, provider) = with_members(Scene::new().settings(settings));
    let problem = "groups cannot be synchronised: no background worker is free";
    cluster.await_log(0, problem);
    provider.directory().forget_requests();
    assert!(eventually(|| provider.directory().requests(Kind::Members) >= 3));
    assert_eq!(cluster.log().matches(problem).count(), 1);
    assert_eq!(linked(&cluster), "0");
    assert!(synchronise(&cluster).contains("ann@contoso.example granted readers"), "the function needs none");
}

#[test]
fn settings_of_the_database_keep_no_round_from_writing() {
    let settings = "azure_ad_auth.group_sync_database = 'odd'";
    let (cluster, _provider) = with_members(Scene::new().settings(EVERY_SECOND).settings(settings));
    cluster.sql("CREATE DATABASE odd");
    for setting in [
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = 1",
        "search_path = 'nowhere'",
    ] {
        cluster.sql(&format!("ALTER DATABASE odd SET {setting}"));
    }
    cluster.set("azure_ad_auth.group_sync", "on");
    await_linked(&cluster, 3);
}

#[test]
fn switched_off_everything_stays_as_it_is() {
    let settings = format!("{EVERY_SECOND}\nazure_ad_auth.group_sync = on");
    let (cluster, provider) = with_members(Scene::new().settings(settings));
    await_linked(&cluster, 3);
    cluster.set("azure_ad_auth.group_sync", "off");
    refresh(&cluster);
    provider.directory().forget_requests();
    refresh(&cluster);
    assert_eq!((linked(&cluster).as_str(), provider.directory().requests(Kind::Members)), ("3", 0));
}

//! check_configuration() and the view principals: what they say of the directory.

use std::fs;

use serde_json::Value;
use testbed::cluster::Cluster;
use testbed::idp::directory::{Place, Trouble};
use testbed::issuer::{APPLICATION, GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::scratch::give_to_server;
use testbed::waits::eventually;

use crate::common::directory::{await_status, look, with_ann_and_readers};
use crate::common::statements::link;

/// Returns what is found about the directory: level, topic, message.
fn findings(cluster: &Cluster) -> Vec<String> {
    let query = "SELECT level || ' ' || topic || ': ' || message FROM azure_ad_auth.check_configuration() \
                 WHERE topic LIKE 'directory%'";
    cluster.sql(query).lines().map(str::to_owned).collect()
}

fn await_finding(cluster: &Cluster, opening: &str) {
    let mut last = Vec::new();
    let found = eventually(|| {
        last = findings(cluster);
        last.iter().any(|finding| finding.starts_with(opening))
    });
    assert!(found, "no {opening}: {last:#?}");
}

#[test]
fn nothing_is_said_while_it_is_off_and_nothing_bad_while_all_is_well() {
    let (cluster, _provider) = with_ann_and_readers(Scene::new());
    look(&cluster, 1);
    let found = findings(&cluster);
    assert!(found.iter().all(|finding| finding.starts_with("ok ")), "{found:#?}");
    let topics = "SELECT string_agg(topic, ', ') FROM azure_ad_auth.check_configuration() WHERE topic LIKE 'directory%'";
    assert_eq!(cluster.sql(topics), "directory worker, directory, directory permissions, directory snapshot");
    cluster.set("azure_ad_auth.directory", "off");
    assert_eq!(findings(&cluster), [""; 0]);
}

#[test]
fn settings_that_contradict_are_all_named() {
    let (cluster, _provider) = with_ann_and_readers(Scene::new());
    cluster.set("azure_ad_auth.directory_client_id", "");
    cluster.set("azure_ad_auth.directory_token_file", "/nowhere");
    let found = findings(&cluster);
    let named = |setting: &str| {
        found.iter().any(|finding| {
            finding.starts_with("warning directory: the directory cannot be asked: ")
                && finding.contains(setting)
        })
    };
    assert!(found.len() == 2 && named("directory_client_id") && named("directory_token_file"), "{found:#?}");
}

#[test]
fn an_outage_is_a_warning_and_a_long_one_a_danger() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    provider.directory().fail(Place::Graph, Trouble::Refuse(503, "ServiceUnavailable"));
    await_finding(&cluster, "warning directory: looking at the directory fails: ");
    await_finding(&cluster, "danger directory: who was disabled or deleted lately can still log in: ");
    provider.directory().recover(Place::Graph);
    look(&cluster, 1);
    await_finding(&cluster, "ok directory: ");
}

#[test]
fn a_permission_that_is_missing_is_named_for_each_feature() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    provider.directory().permit_only(&["GroupMember.Read.All", "Application.Read.All"]);
    look(&cluster, 2);
    await_finding(&cluster, "warning directory permissions: account states cannot be read: ");
    let advice = "SELECT DISTINCT what_to_do FROM azure_ad_auth.check_configuration() WHERE topic = 'directory permissions'";
    assert!(cluster.sql(advice).contains("the permission User.Read.All of Microsoft Graph"));
}

#[test]
fn a_snapshot_that_cannot_be_read_is_a_warning() {
    let (cluster, provider) =
        with_ann_and_readers(Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h"));
    provider.directory().disable(PERSON);
    look(&cluster, 1);
    await_status(&cluster, "ended", "1");
    await_finding(&cluster, "ok directory snapshot: ");
    fs::write(cluster.directory_snapshot(), "nonsense").expect("a file");
    give_to_server(&cluster.directory_snapshot());
    await_finding(
        &cluster,
        "warning directory snapshot: who is known to be out could log in again after a restart: ",
    );
    fs::remove_file(cluster.directory_snapshot()).expect("a file");
    await_finding(&cluster, "warning directory snapshot: ");
}

#[test]
fn without_an_administrator_who_is_active_there_is_danger() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    directory.purge(ADMIN);
    await_finding(
        &cluster,
        "danger directory administrators: the last look at the directory has found no Azure AD administrator",
    );
    directory.add_user(ADMIN, "admin@contoso.example");
    look(&cluster, 1);
    assert!(!findings(&cluster).iter().any(|finding| finding.contains("administrators")));
    directory.disable(ADMIN);
    await_finding(&cluster, "danger directory administrators: no Azure AD administrator can log in: ");
    // Another one is enough.
    link(&cluster, "boss", APPLICATION, "user");
    directory.add_user(APPLICATION, "boss@contoso.example");
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('boss', '{APPLICATION}', 'user', true)"));
    look(&cluster, 1);
    assert!(!findings(&cluster).iter().any(|finding| finding.contains("administrators")));
}

#[test]
fn without_looks_of_its_own_there_is_a_notice() {
    let (cluster, _provider) = with_ann_and_readers(Scene::new());
    cluster.set("azure_ad_auth.directory_refresh_interval", "0");
    await_finding(&cluster, "notice directory interval: ");
}

#[test]
fn the_view_principals_shows_what_the_last_look_has_seen() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    link(&cluster, "etl", APPLICATION, "service");
    look(&cluster, 1);
    let states = || {
        cluster.sql(
            "SELECT string_agg(role_name || '=' || directory_state, ' ' ORDER BY role_name) FROM azure_ad_auth.principals",
        )
    };
    assert_eq!(states(), "admin=active ann=active etl=unknown readers=active");
    assert_eq!(
        cluster.sql("SELECT bool_and(directory_checked_at BETWEEN now() - interval '1 hour' AND now()) FROM azure_ad_auth.principals WHERE role_name <> 'etl'"),
        "t"
    );
    directory.disable(PERSON);
    directory.delete(GROUP);
    assert!(
        eventually(|| states().starts_with("admin=active ann=disabled etl=deleted readers=deleted")),
        "{}",
        states()
    );
    directory.set(PERSON, "accountEnabled", Value::Null);
    look(&cluster, 1);
    assert!(states().contains("ann=disabled"), "who was out stays out: {}", states());
    cluster.set("azure_ad_auth.directory", "off");
    assert_eq!(states(), "admin=unknown ann=unknown etl=unknown readers=unknown");
    assert_eq!(cluster.sql("SELECT count(directory_checked_at) FROM azure_ad_auth.principals"), "0");
}

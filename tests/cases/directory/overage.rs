//! Logins whose token does not list the role's group: the directory is asked whether the person is
//! in it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, app_v1, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::waits::eventually;

use crate::common::directory::{
    NESTED, at_every_door_with_directory, overage_claims, overage_token, with_ann_and_readers,
};
use crate::common::login::{UNVERIFIED, refusal_message, token_of};
use crate::common::statements::link;

/// No look comes between, so what is asked is asked by logins.
const NO_LOOKS: &str = "azure_ad_auth.directory_refresh_interval = 1h";

const OVERAGE: &str = "the access token does not list its groups because there are too many";
const UNAVAILABLE: &str = "group membership cannot be verified at the moment; try again later";
const FAILED: &str = "Azure AD authentication failed for role \"readers\"";

/// Returns a token that lists another group than the role's.
fn token_without_the_group() -> String {
    KEY.token(&with(user_v1(unix_now()), "groups", json!([APPLICATION])))
}

fn unavailable<'t>(facts: &'t [&'t str]) -> Refusal<'t> {
    Refusal { code: "directory_unavailable", sqlstate: "57P03", message: UNAVAILABLE, hint: None, facts }
}

fn cache_hits(cluster: &Cluster) -> String {
    cluster.sql("SELECT value FROM azure_ad_auth.stat WHERE metric = 'directory_cache_hits'")
}

#[test]
fn a_member_is_admitted_by_one_question_however_often_she_logs_in() {
    at_every_door_with_directory(NO_LOOKS, |door, cluster, provider| {
        provider.directory().add_member(NESTED, PERSON);
        admitted(cluster, "readers", &overage_token());
        admitted(cluster, "readers", &overage_token());
        assert_eq!(provider.directory().questions(Kind::Membership), 1);
        let hits = if door == Door::OAuth { "1" } else { "3" };
        assert_eq!(cache_hits(cluster), hits, "each login is counted once");
        // For her own role nothing is asked.
        admitted(cluster, "ann", &overage_token());
        assert_eq!(provider.directory().questions(Kind::Membership), 1);
    });
}

#[test]
fn who_is_not_a_member_or_not_known_is_refused() {
    at_every_door_with_directory(NO_LOOKS, |_, cluster, provider| {
        let expected = format!("expected={GROUP}");
        let owner = format!("oid={PERSON}");
        let facts =
            [expected.as_str(), &owner, "problem=\"not in the group, says the directory; ", "state_age="];
        refused(
            cluster,
            "readers",
            &overage_token(),
            &Refusal::sqlstate_28p01("not_a_member", FAILED, &facts),
        );
        assert_eq!(provider.directory().questions(Kind::Membership), 1, "a no is kept, too");
        // The directory does not know this person.
        let stranger = KEY.token(&with(overage_claims(), "oid", json!(APPLICATION)));
        refused(
            cluster,
            "readers",
            &stranger,
            &Refusal::sqlstate_28p01("not_a_member", FAILED, &[&expected]),
        );
    });
}

#[test]
fn nobody_is_admitted_while_the_directory_does_not_answer() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.group_lookup_wait = 1s");
    at_every_door_with_directory(&settings, |_, cluster, provider| {
        let directory = provider.directory();
        directory.add_member(GROUP, PERSON);
        let expected = format!("expected={GROUP}");
        let owner = format!("oid={PERSON}");
        let facts = [expected.as_str(), &owner, "problem=", "state_age="];
        for trouble in [
            Trouble::Hang,
            Trouble::Refuse(403, "Authorization_RequestDenied"),
            Trouble::Body(200, "text/html", b"<html>".to_vec()),
            Trouble::Body(200, "application/json", b"{\"value\":null}".to_vec()),
            Trouble::Nulls,
            Trouble::LosesItem,
            Trouble::Raw(Vec::new()),
            Trouble::Refuse(503, "ServiceUnavailable"),
        ] {
            directory.fail(Place::Graph, trouble);
            refused(cluster, "readers", &overage_token(), &unavailable(&facts));
            directory.recover(Place::Graph);
        }
        // Whom the token itself names as a member needs no directory.
        admitted(cluster, "readers", &KEY.token(&user_v1(unix_now())));
    });
}

#[test]
fn a_pause_that_the_service_demands_is_kept() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    directory.fail_times(1, Place::Graph, Trouble::Throttle(Some("120".to_owned())));
    refused(&cluster, "readers", &overage_token(), &unavailable(&[]));
    let before = directory.requests(Kind::Batch);
    refused(&cluster, "readers", &overage_token(), &unavailable(&[]));
    assert_eq!(directory.requests(Kind::Batch), before, "nothing is asked during the pause");
}

#[test]
fn the_setting_says_when_the_directory_is_asked() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let asked = || directory.questions(Kind::Membership);
    let overage = Refusal::sqlstate_28p01("groups_overage", OVERAGE, &[]);
    let not_listed = Refusal::sqlstate_28p01("not_a_member", FAILED, &["groups_listed=1"]);
    cluster.set("azure_ad_auth.group_lookup", "off");
    refused(&cluster, "readers", &overage_token(), &overage);
    refused(&cluster, "readers", &token_without_the_group(), &not_listed);
    cluster.set("azure_ad_auth.group_lookup", "overage");
    refused(&cluster, "readers", &token_without_the_group(), &not_listed);
    assert_eq!(asked(), 0);
    admitted(&cluster, "readers", &overage_token());
    // The answer that is there does not count for a token that the setting leaves out.
    refused(&cluster, "readers", &token_without_the_group(), &not_listed);
    cluster.set("azure_ad_auth.group_lookup", "always");
    admitted(&cluster, "readers", &token_without_the_group());
    assert_eq!(asked(), 1);
    cluster.set("azure_ad_auth.directory", "off");
    refused(&cluster, "readers", &overage_token(), &overage);
    refused(&cluster, "readers", &token_without_the_group(), &not_listed);
    assert_eq!(asked(), 1);
}

#[test]
fn an_application_is_asked_about_as_one() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    provider.directory().add_service_principal(APPLICATION, CLIENT, "etl");
    provider.directory().add_member(GROUP, APPLICATION);
    let token = KEY.token(&with(app_v1(unix_now()), "hasgroups", json!(true)));
    admitted(&cluster, "readers", &token);
    assert_eq!(provider.directory().questions(Kind::Membership), 1);
}

#[test]
fn an_answer_counts_no_longer_than_its_time() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.group_lookup_cache = 1s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    provider.directory().add_member(GROUP, PERSON);
    admitted(&cluster, "readers", &overage_token());
    provider.directory().remove_member(GROUP, PERSON);
    assert!(eventually(|| cluster.login("readers", &overage_token()) != Outcome::Ready));
}

#[test]
fn a_token_that_fails_otherwise_asks_nothing() {
    at_every_door_with_directory(NO_LOOKS, |_, cluster, provider| {
        provider.directory().add_member(GROUP, PERSON);
        cluster.sql("CREATE ROLE local LOGIN");
        let overage = |name: &str, value: Value| KEY.token(&with(overage_claims(), name, value));
        let refused = |role: &str, token: &str| {
            assert!(matches!(cluster.login(role, token), Outcome::Refused(_)), "{role}");
        };
        refused("readers", &overage("exp", json!(unix_now() - 600)));
        refused("readers", &overage("aud", json!("api://other")));
        refused("readers", &overage("cnf", json!({"kid": "x"})));
        refused("ann", &overage("oid", json!(APPLICATION)));
        cluster.sql(&format!(
            "SELECT azure_ad_auth.update_principal('readers', '{GROUP}', 'group', false, true)"
        ));
        refused("readers", &overage("amr", json!(["pwd"])));
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('readers')");
        refused("readers", &overage_token());
        cluster.sql("ALTER ROLE readers NOLOGIN");
        refused("readers", &overage_token());
        assert_eq!(provider.directory().questions(Kind::Membership), 0);
    });
}

#[test]
fn no_address_that_a_token_names_is_called() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    provider.directory().add_member(GROUP, PERSON);
    let claims = with(user_v1(unix_now()), "groups", Value::Null);
    let claims = with(claims, "_claim_names", json!({"groups": "src1"}));
    let address = format!("{}/stranger/getMemberObjects", provider.url());
    let token = KEY.token(&with(claims, "_claim_sources", json!({"src1": {"endpoint": address}})));
    admitted(&cluster, "readers", &token);
    let arrived = provider.directory().arrived();
    assert!(!arrived.iter().any(|(_, request)| request.target.contains("stranger")));
}

#[test]
fn after_the_wait_the_role_must_still_be_linked() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.group_lookup_wait = 20s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let before = directory.requests(Kind::Batch);
    directory.fail_times(1, Place::Only(Kind::Batch), Trouble::Slow(Duration::from_secs(2)));
    let outcome = std::thread::scope(|scope| {
        let login = scope.spawn(|| cluster.login("readers", &overage_token()));
        assert!(eventually(|| directory.requests(Kind::Batch) > before));
        cluster.sql("SELECT azure_ad_auth.drop_principal('readers')");
        login.join().expect("a thread")
    });
    assert_eq!(refusal_message(outcome), FAILED);
    cluster.await_log(0, "azure_ad_auth: refused code=not_linked role=readers ");
}

#[test]
fn too_many_groups_name_no_object_so_no_key_is_fetched_for_them() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    provider.directory().add_member(GROUP, PERSON);
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    let fetches = || cluster.sql("SELECT on_demand_fetches FROM azure_ad_auth.key_status");
    let of_new_key = NEW_KEY.token(&overage_claims());
    assert_eq!(refusal_message(cluster.login("readers", &of_new_key)), UNVERIFIED);
    assert_eq!((fetches().as_str(), provider.directory().questions(Kind::Membership)), ("0", 0));
    // Once it is known that she is a member, her token is worth a fetch.
    admitted(&cluster, "readers", &overage_token());
    assert_eq!(cluster.login("readers", &of_new_key), Outcome::Ready);
    assert_eq!(fetches(), "1");
}

#[test]
fn a_login_that_waits_holds_up_no_other() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.group_lookup_wait = 20s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let before = directory.requests(Kind::Batch);
    directory.fail(Place::Only(Kind::Batch), Trouble::Hang);
    let mut waiting = cluster.at_the_prompt("readers");
    waiting.send_token(&overage_token()).expect("a connection");
    assert!(eventually(|| directory.requests(Kind::Batch) > before));
    admitted(&cluster, "ann", &token_of(PERSON));
    link(&cluster, "etl", APPLICATION, "service");
    // It ends with its client's patience, and with the server.
    drop(waiting);
    cluster.stop("fast");
}

/// Statements that hang, which a question of theirs of its own each does, hold up no login.
#[test]
fn names_that_the_directory_does_not_answer_hold_up_no_login() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.directory_wait = 60s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    directory.fail(Place::Only(Kind::Batch), Trouble::Slow(Duration::from_secs(9)));
    let asking = "SELECT count(*) FROM pg_stat_activity \
                  WHERE query LIKE '%directory_lookup%' AND wait_event_type = 'Extension'";
    std::thread::scope(|scope| {
        let ask = |name: &'static str| {
            let statement = format!("SELECT * FROM azure_ad_auth.directory_lookup('{name}')");
            let cluster = &cluster;
            scope.spawn(move || cluster.sql_verbosely(&statement).success)
        };
        let before = directory.requests(Kind::Batch);
        let first = ask("first");
        assert!(eventually(|| directory.requests(Kind::Batch) > before));
        let second = ask("second");
        assert!(eventually(|| cluster.sql(asking) == "2"));
        directory.recover(Place::Only(Kind::Batch));
        admitted(&cluster, "readers", &overage_token());
        assert!(first.join().expect("a thread") && second.join().expect("a thread"));
    });
}

#[test]
fn a_login_that_has_joined_one_that_hung_is_answered_once_the_directory_answers() {
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.group_lookup_wait = 8s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let before = directory.requests(Kind::Batch);
    directory.fail_times(1, Place::Only(Kind::Batch), Trouble::Hang);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| cluster.login("readers", &overage_token()));
        assert!(eventually(|| directory.requests(Kind::Batch) > before));
        cluster.sql("SELECT pg_sleep(4)");
        assert_eq!(cluster.login("readers", &overage_token()), Outcome::Ready);
        assert_ne!(first.join().expect("a thread"), Outcome::Ready);
    });
    assert_eq!(directory.requests(Kind::Batch), before + 2);
}

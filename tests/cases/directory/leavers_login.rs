//! Logins of those whom the directory says to be disabled, deleted or revoked, or to have left a
//! group.

use serde_json::json;
use testbed::client::Outcome;
use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::directory::{Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, app_v1, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::directory::{
    at_every_door_with_directory, await_revocation, await_status, look, overage_claims, overage_token,
    status, token_of_time, with_ann_and_readers, with_directory,
};
use crate::common::login::{TERMINATED, end_of, refusal_message, valid_token, value};
use crate::common::statements::link;

const DISABLED: &str = "the account that the access token was issued to is disabled";
const DELETED: &str = "the account that the access token was issued to no longer exists";
const FAILED: &str = "Azure AD authentication failed for role \"readers\"";
const REVOKED: &str = "the access token was issued before the account's sign-in sessions were revoked";

#[test]
fn a_disabled_account_is_refused_for_every_role_until_it_is_enabled() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let directory = provider.directory();
        admitted(cluster, "ann", &valid_token());
        admitted(cluster, "readers", &valid_token());
        directory.disable(PERSON);
        await_status(cluster, "ended", "1");
        let owner = format!("oid={PERSON}");
        let issued = unix_now() - 300;
        let issued_at = format!("issued_at={issued}");
        let token = KEY.token(&with(user_v1(unix_now()), "iat", json!(issued)));
        let facts = [owner.as_str(), "out_since=1", &issued_at, "state_age="];
        let refusal = Refusal::sqlstate_28p01("account_disabled", DISABLED, &facts);
        refused(cluster, "ann", &token, &refusal);
        refused(cluster, "readers", &token, &refusal);
        refused(cluster, "readers", &overage_token(), &Refusal { facts: &[], ..refusal });
        directory.enable(PERSON);
        await_status(cluster, "ended", "0");
        admitted(cluster, "ann", &valid_token());
        admitted(cluster, "readers", &valid_token());
    });
}

/// The answers that looks and logins get about the same membership replace each other.
#[test]
fn what_looks_and_logins_learn_about_a_membership_agrees() {
    let settings = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_cache = 1min";
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let overage = KEY.token(&with(overage_claims(), "iat", json!(unix_now() - 960)));
    let mut session = cluster.session("readers", &overage);
    look(&cluster, 1);
    assert_eq!(value(&mut session, "SELECT 1"), "1");
    directory.remove_member(GROUP, PERSON);
    look(&cluster, 2);
    assert_eq!(end_of(&mut session), TERMINATED);
    let refusal = Refusal::sqlstate_28p01("not_a_member", FAILED, &[]);
    refused(&cluster, "readers", &overage, &refusal);
    assert_eq!(status(&cluster, "ended"), "1");
    let mark = cluster.log_mark();
    directory.add_member(GROUP, PERSON);
    assert!(eventually(|| cluster.login("readers", &overage) == Outcome::Ready));
    cluster.await_log(mark, &format!("directory: {PERSON} is in group {GROUP} again"));
    assert_eq!(status(&cluster, "ended"), "0");
    let older = KEY.token(&with(user_v1(unix_now()), "iat", json!(unix_now() - 960)));
    admitted(&cluster, "readers", &older);
}

#[test]
fn a_deleted_group_admits_nobody_and_its_sessions_end() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let directory = provider.directory();
        directory.add_member(GROUP, PERSON);
        let older = token_of_time(unix_now() - 60);
        let mut session = cluster.session("readers", &older);
        look(cluster, 1);
        assert_eq!(value(&mut session, "SELECT 1"), "1");
        directory.purge(GROUP);
        assert_eq!(end_of(&mut session), TERMINATED);
        let refusal = Refusal::sqlstate_28p01("not_a_member", FAILED, &["left_at=1"]);
        refused(cluster, "readers", &older, &refusal);
        admitted(cluster, "ann", &older);
    });
}

#[test]
fn a_deleted_account_is_refused_until_it_is_restored() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let directory = provider.directory();
        look(cluster, 1);
        directory.delete(PERSON);
        await_status(cluster, "ended", "1");
        let owner = format!("oid={PERSON}");
        let facts = [owner.as_str(), "out_since=1", "issued_at=1", "state_age="];
        refused(cluster, "ann", &valid_token(), &Refusal::sqlstate_28p01("account_deleted", DELETED, &facts));
        directory.restore(PERSON);
        await_status(cluster, "ended", "0");
        admitted(cluster, "ann", &valid_token());
    });
}

#[test]
fn a_revocation_refuses_the_tokens_that_were_issued_before() {
    at_every_door_with_directory("", |_, cluster, provider| {
        // Without this, the time is asked for only of those who are logged in.
        provider.directory().show_session_times_in_get_by_ids(true);
        let at = unix_now() - 60;
        let mark = cluster.log_mark();
        provider.directory().revoke_sessions(PERSON, at);
        await_revocation(cluster, mark, at);
        let (owner, time) = (format!("oid={PERSON}"), format!("revoked_at={at}"));
        let facts = [owner.as_str(), &time, "issued_at=1", "state_age="];
        let refusal = Refusal {
            hint: Some("Sign in again, and acquire a new access token."),
            ..Refusal::sqlstate_28p01("sessions_revoked", REVOKED, &facts)
        };
        // `iat` is five minutes earlier than the time of issue.
        refused(cluster, "ann", &token_of_time(at - 300), &refusal);
        refused(cluster, "readers", &token_of_time(at - 1), &refusal);
        for issued in [at, at + 100, at + 310] {
            admitted(cluster, "ann", &token_of_time(issued));
        }
    });
}

#[test]
fn applications_are_refused_like_people() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "etl", APPLICATION, "service");
    look(&cluster, 1);
    let token = KEY.token(&app_v1(unix_now()));
    admitted(&cluster, "etl", &token);
    directory.disable(APPLICATION);
    await_status(&cluster, "ended", "1");
    refused(&cluster, "etl", &token, &Refusal::sqlstate_28p01("account_disabled", DISABLED, &[]));
    directory.enable(APPLICATION);
    await_status(&cluster, "ended", "0");
    admitted(&cluster, "etl", &token);
    directory.delete(APPLICATION);
    await_status(&cluster, "ended", "1");
    refused(&cluster, "etl", &token, &Refusal::sqlstate_28p01("account_deleted", DELETED, &[]));
}

#[test]
fn an_application_that_is_linked_by_its_client_id_is_judged_by_its_object() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "etl", CLIENT, "service");
    look(&cluster, 1);
    let token = KEY.token(&app_v1(unix_now()));
    assert_eq!(cluster.login("etl", &token), Outcome::Ready);
    let mark = cluster.log_mark();
    directory.disable(APPLICATION);
    cluster.await_log(mark, &format!("directory: {CLIENT} is disabled"));
    refused(&cluster, "etl", &token, &Refusal::sqlstate_28p01("account_disabled", DISABLED, &[]));
}

#[test]
fn a_membership_that_has_ended_refuses_older_tokens_and_believes_newer_ones() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let directory = provider.directory();
        directory.add_member(GROUP, PERSON);
        let old = token_of_time(unix_now() - 660);
        let mut session = cluster.session("readers", &old);
        look(cluster, 2);
        assert!(session.query("SELECT 1").is_ok());
        let mark = cluster.log_mark();
        directory.remove_member(GROUP, PERSON);
        cluster.await_log(mark, &format!("directory: {PERSON} is no longer in group {GROUP}"));
        let message = "Azure AD authentication failed for role \"readers\"";
        let (group, owner) = (format!("expected={GROUP}"), format!("oid={PERSON}"));
        let facts = [group.as_str(), &owner, "left_at=1", "issued_at=1", "state_age="];
        refused(cluster, "readers", &old, &Refusal::sqlstate_28p01("not_a_member", message, &facts));
        admitted(cluster, "ann", &old);
        admitted(cluster, "readers", &token_of_time(unix_now() + 30));
    });
}

#[test]
fn what_is_known_does_not_count_while_the_directory_is_off_and_does_again_when_it_is_on() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    look(&cluster, 1);
    provider.directory().disable(PERSON);
    await_status(&cluster, "ended", "1");
    cluster.set("azure_ad_auth.directory", "off");
    admitted(&cluster, "ann", &valid_token());
    // The directory cannot be asked when it is switched on again.
    provider.directory().fail(Place::Token, Trouble::Refuse(401, "7000215"));
    cluster.set("azure_ad_auth.directory", "client_secret");
    assert!(eventually(|| cluster.login("ann", &valid_token()) != Outcome::Ready));
    assert_eq!(refusal_message(cluster.login("ann", &valid_token())), DISABLED);
    // Nor does a setting that is wrong let anybody in again.
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.directory_token_file = '/nowhere'");
    cluster.reload();
    assert!(eventually(|| status(&cluster, "last_error").contains("directory_token_file")));
    assert_eq!(refusal_message(cluster.login("ann", &valid_token())), DISABLED);
}

#[test]
fn an_outage_of_the_directory_lets_in_all_but_those_who_are_known_to_be_out() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "etl", APPLICATION, "service");
    look(&cluster, 1);
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    await_status(&standby, "ended", "1");
    directory.fail(Place::Graph, Trouble::Refuse(503, "ServiceUnavailable"));
    let app = KEY.token(&app_v1(unix_now()));
    let check = |server: &testbed::cluster::Cluster| {
        assert_eq!(server.login("etl", &app), Outcome::Ready);
        assert_eq!(refusal_message(server.login("ann", &valid_token())), DISABLED);
    };
    check(&cluster);
    check(&standby);
    for how in ["fast", "immediate"] {
        cluster.stop(how);
        cluster.start();
        check(&cluster);
        standby.stop(how);
        standby.start();
        check(&standby);
    }
    cluster.stop("fast");
    standby.sql("SELECT pg_promote()");
    check(&standby);
}

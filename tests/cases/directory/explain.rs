//! explain_token() where the directory is on: it says what a login comes to.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::lacks_token;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, GROUP, PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::directory::{
    await_revocation, await_status, look, overage_claims, overage_token, token_of_time, with_ann_and_readers,
};
use crate::common::explain::{code_of, explain};
use crate::common::login::valid_token;

/// Returns the row of the directory.
fn row(rows: &[String]) -> String {
    rows.iter().find(|row| row.starts_with("directory|")).cloned().unwrap_or_default()
}

/// Expects a login and an explanation to have the same result. Returns the row of the directory.
fn agrees(cluster: &Cluster, role: &str, token: &str, code: &str) -> String {
    let rows = explain(cluster, Some(role), token);
    assert_eq!(code_of(&rows), code, "{rows:#?}");
    let mark = cluster.log_mark();
    if cluster.login(role, token) != Outcome::Ready {
        cluster.await_log(mark, &format!("azure_ad_auth: refused code={code} role={role} "));
    }
    lacks_token(cluster, token);
    row(&rows)
}

#[test]
fn it_says_what_the_directory_knows_of_the_tokens_owner() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    look(&cluster, 1);
    let expected =
        "an owner that is neither disabled nor deleted, and whose sessions were not revoked since iat";
    let of = |verdict: &str, known: &str| format!("directory|{verdict}|{expected}|oid {PERSON} ({known}");
    let begins = |row: String, opening: &str| assert!(row.starts_with(opening), "{row}\n{opening}");
    begins(agrees(&cluster, "ann", &valid_token(), "admitted"), &of("ok", "active, as of 20"));
    let without_role = |code: &str| {
        let rows = explain(&cluster, None, &valid_token());
        assert_eq!(code_of(&rows), code, "{rows:#?}");
        row(&rows)
    };
    begins(without_role("admitted"), &of("ok", "active, as of 20"));
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    begins(
        agrees(&cluster, "ann", &valid_token(), "account_disabled"),
        &of("failed", "disabled, known since 20"),
    );
    begins(without_role("account_disabled"), &of("failed", "disabled, known since 20"));
    directory.enable(PERSON);
    await_status(&cluster, "ended", "0");
    directory.delete(PERSON);
    await_status(&cluster, "ended", "1");
    begins(
        agrees(&cluster, "ann", &valid_token(), "account_deleted"),
        &of("failed", "deleted, known since 20"),
    );
    directory.restore(PERSON);
    await_status(&cluster, "ended", "0");
    directory.show_session_times_in_get_by_ids(true);
    let (at, mark) = (unix_now() - 60, cluster.log_mark());
    directory.revoke_sessions(PERSON, at);
    await_revocation(&cluster, mark, at);
    let old = token_of_time(unix_now() - 300);
    begins(agrees(&cluster, "ann", &old, "sessions_revoked"), &of("failed", "sessions revoked at 20"));
    // What fails before is said first.
    let expired = KEY.token(&with(user_v1(unix_now()), "exp", json!(unix_now() - 600)));
    begins(agrees(&cluster, "ann", &expired, "expired"), &format!("directory|not reached|{expected}"));
}

#[test]
fn it_asks_about_a_membership_as_a_login_does() {
    let settings = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_wait = 1s";
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    let expected = format!(" since iat, and membership in {GROUP} if the token does not list it|");
    let row = agrees(&cluster, "readers", &overage_token(), "not_a_member");
    assert!(row.starts_with("directory|failed|") && row.contains(&expected), "{row}");
    assert!(row.contains("not in the group, says the directory"), "{row}");
    assert_eq!(directory.questions(Kind::Membership), 1, "the login had the answer already");
    // A token that fails otherwise asks nothing.
    let asked = directory.questions(Kind::Membership);
    let other = KEY.token(&with(overage_claims(), "aud", json!("api://other")));
    agrees(&cluster, "readers", &other, "wrong_audience");
    let stranger = KEY.token(&with(user_v1(unix_now()), "groups", Value::Null));
    agrees(&cluster, "readers", &stranger, "not_a_member");
    assert_eq!(directory.questions(Kind::Membership), asked);
    // Of this person there is no answer yet.
    directory.fail(Place::Graph, Trouble::Hang);
    let other = KEY.token(&with(overage_claims(), "oid", json!(APPLICATION)));
    let row = agrees(&cluster, "readers", &other, "directory_unavailable");
    assert!(row.contains("(no answer in time)"), "{row}");
}

#[test]
fn where_the_directory_is_off_it_has_no_row() {
    let (cluster, _provider) = with_ann_and_readers(Scene::new());
    cluster.set("azure_ad_auth.directory", "off");
    let rows = explain(&cluster, Some("ann"), &valid_token());
    assert_eq!((code_of(&rows).as_str(), row(&rows).as_str()), ("admitted", ""));
    agrees(&cluster, "readers", &overage_token(), "groups_overage");
}

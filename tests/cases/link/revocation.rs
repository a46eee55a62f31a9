//! Tokens that are revoked before they expire.

use testbed::client::{Outcome, RawClient};
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v2, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::{TERMINATED, end_of, valid_token, value};
use crate::common::revocation::{SKEW, fresh, issued, revoked};
use crate::common::server::NO_REAPER;
use crate::common::statements::{link, tamper};
use serde_json::json;

#[test]
fn tokens_of_a_role_are_taken_back_and_its_sessions_end() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "bob", PERSON, "user");
        let (old, newer) =
            (KEY.token(&issued(user_v1(unix_now()), 600)), KEY.token(&issued(user_v1(unix_now()), 60)));
        let mut of_old = cluster.session("ann", &KEY.token(&issued(user_v1(unix_now()), 600)));
        let mut of_newer = cluster.session("ann", &KEY.token(&issued(user_v1(unix_now()), 60)));
        assert_eq!(value(&mut of_newer, "SELECT 1"), "1");
        let mut bob = cluster.session("bob", &KEY.token(&issued(user_v1(unix_now()), 600)));
        // A revocation that is rolled back has no effect.
        let mut undecided = cluster.superuser();
        for step in ["BEGIN", "SELECT azure_ad_auth.revoke_tokens('ann')", "ROLLBACK"] {
            assert!(undecided.query(step).is_ok(), "{step}");
        }
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut of_old, "SELECT 1"), "1");
        // With a time: only tokens issued before it.
        let mark = cluster.log_mark();
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann', now() - interval '5 min')");
        assert_eq!(end_of(&mut of_old), TERMINATED);
        cluster.await_log(mark, "azure_ad_auth: ended reason=tokens_revoked role=ann");
        assert_eq!(value(&mut of_newer, "SELECT 1"), "1");
        revoked(&cluster, "ann", &old);
        admitted(&cluster, "ann", &newer);
        // Now, which cannot be undone.
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert_eq!(end_of(&mut of_newer), TERMINATED);
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann', now() - interval '1 day')");
        revoked(&cluster, "ann", &newer);
        admitted(&cluster, "ann", &fresh(user_v1(unix_now())));
        assert_eq!(value(&mut bob, "SELECT 1"), "1");
        assert_eq!(
            cluster.sql("SELECT role_name FROM azure_ad_auth.principals WHERE tokens_not_before > now() - interval '1 min'"),
            "ann"
        );
    });
}

#[test]
fn a_person_is_out_everywhere() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "other_ann", PERSON, "user");
        link(&cluster, "readers", GROUP, "group");
        let somebody = "22222222-aaaa-bbbb-cccc-000000000088";
        let other = with(user_v1(unix_now()), "oid", json!(somebody));
        let mut own: Vec<RawClient> =
            ["ann", "other_ann", "readers"].map(|role| cluster.session(role, &valid_token())).into();
        let mut colleague = cluster.session("readers", &KEY.token(&other));
        // After a first statement, so that it is not the seal that ends the session.
        for session in &mut own {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')")), "2");
        for session in &mut own {
            assert_eq!(end_of(session), TERMINATED);
        }
        for role in ["ann", "other_ann", "readers"] {
            revoked(&cluster, role, &valid_token());
        }
        // Other members of the group are not affected.
        assert_eq!(value(&mut colleague, "SELECT 1"), "1");
        admitted(&cluster, "readers", &KEY.token(&other));
        // A person who is still linked, or still in the group, can log in with a new token.
        for role in ["ann", "readers"] {
            admitted(&cluster, role, &fresh(user_v1(unix_now())));
        }
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert!(matches!(cluster.login("ann", &fresh(user_v1(unix_now()))), Outcome::Refused(_)));
    });
}

#[test]
fn a_group_is_out_and_its_members_keep_what_is_their_own() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "readers", GROUP, "group");
        let token = valid_token();
        let mut sessions = ["ann", "readers"].map(|role| cluster.session(role, &valid_token()));
        for session in &mut sessions {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{GROUP}')")), "1");
        let [ann, reader] = &mut sessions;
        assert_eq!(end_of(reader), TERMINATED);
        revoked(&cluster, "readers", &token);
        assert_eq!(value(ann, "SELECT 1"), "1");
        admitted(&cluster, "ann", &token);
        // As long as the group is revoked.
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert_eq!(end_of(ann), TERMINATED);
        let Outcome::Refused(error) = cluster.login("ann", &fresh(user_v1(unix_now()))) else {
            panic!("let in without a link")
        };
        assert!(["28000", "28P01"].contains(&error.sqlstate.as_str()), "{error:?}");
    });
}

#[test]
fn an_application_is_out_by_either_of_its_ids() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    link(&cluster, "billing", APPLICATION, "service");
    for id in [APPLICATION, CLIENT] {
        let token = KEY.token(&issued(app_v2(unix_now()), 0));
        cluster.sql("SELECT pg_sleep(1.1)");
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        revoked(&cluster, "billing", &token);
        admitted(&cluster, "billing", &fresh(app_v2(unix_now())));
    }
}

/// A label without an object, as in a dump from Azure, is completed by the label of the second
/// provider.
#[test]
fn what_is_unlinked_stays_so_though_there_is_a_second_label() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    for (internal, own) in
        [(PERSON, "aadauth,mfa".to_owned()), (APPLICATION, format!("aadauth,oid={PERSON},type=user"))]
    {
        cluster.sql(&format!(
            "CREATE ROLE ann LOGIN; \
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'type=user,oid={internal},tenant_id={TENANT}'; \
             SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{own}'"
        ));
        let linked = "SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'ann'";
        assert_eq!(cluster.sql(linked), "1");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
        assert_eq!(cluster.sql(linked), "0", "{own}");
        // After linking anew the revocation still holds.
        let label = "SELECT provider = 'pgaadauth-int' AND label LIKE 'not_before=%' FROM pg_shseclabel WHERE objoid = 'ann'::regrole";
        assert_eq!(cluster.sql(label), "t");
        cluster.sql("DROP ROLE ann");
    }
}

#[test]
fn a_standby_takes_tokens_back_too() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = standby.session("ann", &valid_token());
    let mut reader = standby.session("readers", &valid_token());
    assert_eq!(value(&mut ann, "SELECT 1") + &value(&mut reader, "SELECT 1"), "11");
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
    assert_eq!(end_of(&mut ann), TERMINATED);
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    assert_eq!(end_of(&mut reader), TERMINATED);
    revoked(&standby, "readers", &valid_token());
}

#[test]
fn a_session_without_a_statement_yet_is_caught_by_the_seal() {
    let (cluster, _provider) = Scene::new().settings(NO_REAPER).start();
    link(&cluster, "ann", PERSON, "user");
    let mut ann = cluster.session("ann", &valid_token());
    // Directly in the catalog, so that no other process is notified.
    let (label, seconds) = (format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}"), unix_now());
    tamper(
        &cluster,
        &format!(
            "UPDATE pg_shseclabel SET label = '{label},not_before={seconds}' WHERE objoid = 'ann'::regrole"
        ),
    );
    let said = end_of(&mut ann);
    assert!(said.starts_with("FATAL 28P01: access tokens issued before "), "{said}");
}

#[test]
fn a_revoked_group_lets_nobody_in_with_an_older_token() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    link(&cluster, "readers", GROUP, "group");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&issued(user_v1(unix_now()), 60));
    let mut reader = cluster.session("readers", &valid_token());
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{GROUP}')")), "1");
    assert_eq!(end_of(&mut reader), TERMINATED);
    revoked(&cluster, "readers", &token);
    // The person's own role is not affected, and a group takes no place among the ids that are
    // revoked everywhere.
    admitted(&cluster, "ann", &token);
    assert_eq!(
        cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole"),
        "0"
    );
}

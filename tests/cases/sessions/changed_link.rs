//! Sessions that are open while the conditions of their link change.

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::{CLIENT, GROUP, PERSON, TENANT, app_v2, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::{TERMINATED, end_of, valid_token, value};
use crate::common::revocation::revoked;
use crate::common::server::NO_REAPER;
use crate::common::statements::{link, tamper};
use serde_json::json;

/// The link now requires a second factor, or another kind of token: sessions whose token does not
/// satisfy it end, the others stay.
#[test]
fn a_session_ends_when_its_role_asks_for_more_than_its_token_said() {
    at_every_door("", |_, cluster, _provider| {
        let one_factor = with(user_v1(unix_now()), "amr", json!(["pwd"]));
        let mfa_label =
            format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user,mfa'");
        let by_type =
            |kind: &str| format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', '{kind}')");
        let cases = [
            (
                format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', false, true)"),
                "mfa_required",
            ),
            (mfa_label, "mfa_required"),
            (by_type("service"), "wrong_kind"),
            (by_type("group"), "not_a_member"),
            (format!("SELECT azure_ad_auth.set_admin('ann', '{PERSON}', 'service')"), "wrong_kind"),
        ];
        for (act, code) in cases {
            link(&cluster, "ann", PERSON, "user");
            let mut ann = cluster.session("ann", &KEY.token(&one_factor));
            let mut second = cluster.session("ann", &valid_token());
            assert_eq!(value(&mut ann, "SELECT 1") + &value(&mut second, "SELECT 1"), "11");
            // The same conditions again, and a change that is rolled back, end no session.
            cluster.sql(&by_type("user"));
            let mut undecided = cluster.superuser();
            for step in ["BEGIN", &act, "ROLLBACK"] {
                assert!(undecided.query(step).is_ok(), "{step}");
            }
            cluster.sql("SELECT pg_sleep(1.5)");
            assert_eq!(value(&mut ann, "SELECT 1"), "1", "{act} was rolled back");
            let mark = cluster.log_mark();
            cluster.sql(&act);
            assert_eq!(end_of(&mut ann), TERMINATED, "{act}");
            cluster.await_log(mark, "azure_ad_auth: ended reason=terms_changed role=ann ");
            if code == "mfa_required" {
                cluster.sql("SELECT pg_sleep(1.5)");
                assert_eq!(value(&mut second, "SELECT 1"), "1", "{act}");
            } else {
                assert_eq!(end_of(&mut second), TERMINATED, "{act}");
            }
            let mark = cluster.log_mark();
            assert!(matches!(cluster.login("ann", &KEY.token(&one_factor)), Outcome::Refused(_)));
            cluster.await_log(mark, &format!("azure_ad_auth: refused code={code} role=ann "));
            cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}'); DROP ROLE ann"));
        }
    });
}

/// The role of a group, and that of an application that is linked by its client id.
#[test]
fn looser_terms_and_other_words_for_the_same_end_nobody() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "readers", GROUP, "group");
    link(&cluster, "billing", CLIENT, "service");
    let mut reader = cluster.session("readers", &valid_token());
    let mut billing = cluster.session("billing", &KEY.token(&app_v2(unix_now())));
    assert_eq!(value(&mut reader, "SELECT 1") + &value(&mut billing, "SELECT 1"), "11");
    for act in [
        format!("SELECT azure_ad_auth.update_principal('readers', '{GROUP}', 'group', false, true)"),
        format!("SELECT azure_ad_auth.update_principal('readers', '{GROUP}', 'group')"),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE billing IS 'aadauth,oid={CLIENT}'"),
    ] {
        cluster.sql(&act);
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut reader, "SELECT 1") + &value(&mut billing, "SELECT 1"), "11", "{act}");
    }
    cluster.sql(&format!(
        "SELECT azure_ad_auth.update_principal('billing', '{CLIENT}', 'service', false, true)"
    ));
    assert_eq!(end_of(&mut billing), TERMINATED);
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
}

#[test]
fn a_standby_ends_them_too() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = standby.session("ann", &KEY.token(&with(user_v1(unix_now()), "amr", json!(["pwd"]))));
    assert_eq!(value(&mut ann, "SELECT pg_is_in_recovery()"), "t");
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', false, true)"));
    assert_eq!(end_of(&mut ann), TERMINATED);
    assert!(standby.log().contains("azure_ad_auth: ended reason=terms_changed role=ann"));
}

/// Between the login and the first statement it is the seal that checks.
#[test]
fn a_session_without_a_statement_yet_meets_the_new_terms_at_the_seal() {
    let (cluster, _provider) = Scene::new().settings(NO_REAPER).start();
    link(&cluster, "ann", PERSON, "user");
    let mut ann = cluster.session("ann", &KEY.token(&with(user_v1(unix_now()), "amr", json!(["pwd"]))));
    let label = format!("aadauth,oid={PERSON},type=user,mfa,tenant_id={TENANT}");
    tamper(&cluster, &format!("UPDATE pg_shseclabel SET label = '{label}' WHERE objoid = 'ann'::regrole"));
    assert_eq!(end_of(&mut ann), "FATAL 28P01: role \"ann\" requires multi-factor authentication");
    cluster.await_log(0, "azure_ad_auth: refused code=mfa_required role=ann door=seal");
}

/// The issuer's clock may be ahead by the configured clock skew.
#[test]
fn a_token_dated_ahead_is_taken_back_with_the_others() {
    at_every_door("azure_ad_auth.clock_skew = '60s'", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let ahead = |seconds: i64| with(user_v1(unix_now()), "iat", json!(unix_now() + seconds));
        let stolen = KEY.token(&ahead(40));
        let mut ann = cluster.session("ann", &KEY.token(&ahead(40)));
        assert_eq!(value(&mut ann, "SELECT 1"), "1");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert_eq!(end_of(&mut ann), TERMINATED);
        revoked(&cluster, "ann", &stolen);
        // The same with an explicit time, which is one of this server's clock.
        link(&cluster, "bob", PERSON, "user");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('bob', now() - interval '10 s')");
        revoked(&cluster, "bob", &stolen);
        admitted(&cluster, "bob", &KEY.token(&ahead(58)));
    });
}

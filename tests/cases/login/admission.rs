//! Tokens with which a role is admitted.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{
    APPLICATION, CLIENT, GROUP, KEY_ISSUER, PERSON, TENANT, app_v1, app_v2, unix_now, user_v1, user_v2, with,
};
use testbed::scene::{KEY, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::valid_token;
use crate::common::statements::{fails, link};

#[test]
fn users_groups_and_applications_with_tokens_of_both_versions() {
    at_every_door("", |_, cluster, _provider| {
        let now = unix_now();
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "robot", APPLICATION, "service");
        link(&cluster, "robot by client id", CLIENT, "service");
        link(&cluster, "dbas", GROUP, "group");
        cluster.sql(&format!("SELECT azure_ad_auth.create_principal('either', '{APPLICATION}')"));
        for claims in [user_v1(now), user_v2(now)] {
            admitted(&cluster, "ann", &KEY.token(&claims));
        }
        for claims in [app_v1(now), app_v2(now)] {
            admitted(&cluster, "robot", &KEY.token(&claims));
            admitted(&cluster, "robot by client id", &KEY.token(&claims));
            admitted(&cluster, "either", &KEY.token(&claims));
        }
        admitted(&cluster, "dbas", &KEY.token(&user_v1(now)));
        for claims in [user_v2(now), app_v2(now)] {
            admitted(&cluster, "dbas", &KEY.token(&with(claims, "groups", json!([APPLICATION, GROUP]))));
        }
    });
}

/// Has the provider publish its key as a key of another issuer, and waits until it has been
/// fetched.
fn publish_key_of(issuer: &str, cluster: &Cluster, provider: &Provider) {
    let document = json!({ "keys": [with(KEY.jwk(), "issuer", json!(issuer))] });
    provider.behave(Behavior::Body(document.to_string()));
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

fn refused_for_its_issuer(cluster: &Cluster, claims: &Value, facts: &[&str]) {
    let message = "the access token was issued by another tenant";
    let expected = Refusal { code: "wrong_issuer", sqlstate: "28P01", message, hint: None, facts };
    refused(cluster, "ann", &KEY.token(claims), &expected);
}

#[test]
fn the_issuers_of_another_cloud() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.cloud = 'usgov'").start();
    link(&cluster, "ann", PERSON, "user");
    let now = unix_now();
    let government = format!("https://login.microsoftonline.us/{TENANT}/v2.0");
    let claims = with(user_v2(now), "iss", json!(government));
    let key = format!("found=\"{KEY_ISSUER}\"");
    refused_for_its_issuer(&cluster, &claims, &["of=key", &key]);
    publish_key_of("https://login.microsoftonline.us/{tenantid}/v2.0", &cluster, &provider);
    admitted(&cluster, "ann", &KEY.token(&claims));
    admitted(&cluster, "ann", &KEY.token(&user_v1(now)));
    let public = format!("found=https://login.microsoftonline.com/{TENANT}/v2.0");
    refused_for_its_issuer(&cluster, &user_v2(now), &["of=token", &public]);
}

#[test]
fn issuers_of_ones_own() {
    let settings =
        format!("azure_ad_auth.issuers = 'https://sts.example/{{tenantid}}/, https://id.example/{TENANT}/x'");
    let (cluster, provider) = Scene::new().settings(&settings).start();
    link(&cluster, "ann", PERSON, "user");
    publish_key_of("https://sts.example/{tenantid}/", &cluster, &provider);
    let now = unix_now();
    for issuer in [format!("https://sts.example/{TENANT}/"), format!("https://id.example/{TENANT}/x")] {
        admitted(&cluster, "ann", &KEY.token(&with(user_v1(now), "iss", json!(issuer))));
    }
    for claims in [user_v1(now), user_v2(now)] {
        let found = format!("found={}", claims["iss"].as_str().unwrap_or_default());
        refused_for_its_issuer(&cluster, &claims, &["of=token", &found]);
    }
}

#[test]
fn names_of_every_shape() {
    at_every_door("", |_, cluster, _provider| {
        let token = KEY.token(&user_v2(unix_now()));
        let longest = "x".repeat(63);
        for role in [
            "Ann Example",
            "ann\"o'hara\\",
            "ann@contoso.example",
            "ann_contoso.example#EXT#@fabrikam.example",
            "Änne Größe ñ 漢字",
            "ann\nexample",
            &longest,
            "select",
        ] {
            if role.contains('\n') && cluster.major() >= 19 {
                let statement =
                    format!("SELECT azure_ad_auth.create_principal('{role}', '{PERSON}', 'user')");
                let more = "contains a newline or carriage return";
                fails(&cluster, &statement, "22023", "", more);
                continue;
            }
            link(&cluster, role, PERSON, "user");
            admitted(&cluster, role, &token);
        }
    });
}

#[test]
fn clock_edges_one_second_either_side() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = 30s").start();
    link(&cluster, "ann", PERSON, "user");
    let outcome = |claim: &str, offset: i64| {
        let claims = with(user_v2(unix_now()), claim, json!(unix_now() + offset));
        cluster.login("ann", &KEY.token(&claims))
    };
    let is_refused = |outcome: Outcome, message: &str| match outcome {
        Outcome::Refused(error) => assert_eq!(error.message, message),
        other => panic!("{other:?}"),
    };
    // A second may pass between signing a token and verifying it, so the accepted side allows for
    // one second more.
    assert_eq!(outcome("exp", -28), Outcome::Ready);
    is_refused(outcome("exp", -30), "the access token has expired");
    assert_eq!(outcome("nbf", 30), Outcome::Ready);
    is_refused(outcome("nbf", 32), "the access token is not valid yet");
    assert_eq!(outcome("iat", 30), Outcome::Ready);
    is_refused(outcome("iat", 32), "the access token is not valid yet");
}

#[test]
fn the_longest_token_a_message_can_hold() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let (most, claims) = (door.longest_token(), user_v1(unix_now()));
        admitted(&cluster, "ann", &KEY.token_of_length(&claims, most));
        let longer = KEY.token_of_length(&claims, most + 1);
        if door != Door::Password {
            // PostgreSQL does not read it, and answers as to any failure, or not at all.
            match cluster.login("ann", &longer) {
                Outcome::HungUp => {}
                Outcome::Refused(error) if door == Door::OAuth => {
                    assert_eq!(error.message, "OAuth bearer authentication failed for user \"ann\"");
                }
                other => panic!("{other:?}"),
            }
            return;
        }
        let expected = Refusal {
            code: "invalid_format",
            sqlstate: "28P01",
            message: "the access token has an invalid format (65531 bytes)",
            hint: None,
            facts: &["problem=\"too long\"", "length=65531"],
        };
        refused(&cluster, "ann", &longer, &expected);
    });
}

#[test]
fn over_a_socket_no_tls_is_needed() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let parameters = [("user", "ann"), ("database", "postgres")];
        assert_eq!(cluster.socket_client().login(&parameters, &token), Outcome::Ready);
    });
}

#[test]
fn without_tls_where_the_administrator_says_so() {
    at_every_door("azure_ad_auth.require_tls = off", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let parameters = [("user", "ann"), ("database", "postgres")];
        assert_eq!(cluster.plain_client().login(&parameters, &token), Outcome::Ready);
    });
}

#[test]
fn valid_until_and_limits_of_a_role() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        cluster.sql("ALTER ROLE ann VALID UNTIL '2001-01-01'");
        admitted(&cluster, "ann", &token);
        cluster.sql("ALTER ROLE ann CONNECTION LIMIT 0");
        match cluster.login("ann", &token) {
            Outcome::Refused(error) => assert_eq!(error.message, "too many connections for role \"ann\""),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_replication_connection_is_cores_to_refuse() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let parameters = [("user", "ann"), ("database", "postgres"), ("replication", "database")];
        match cluster.client().login(&parameters, &token) {
            Outcome::Refused(error) => assert_eq!(error.sqlstate, "42501", "{error:?}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn mfa_and_roles_of_the_wrong_case() {
    at_every_door("", |_, cluster, _provider| {
        cluster
            .sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user', false, true)"));
        admitted(&cluster, "ann", &valid_token());
        let hinted = with(user_v1(unix_now()), "oid", Value::from(PERSON.to_uppercase()));
        admitted(&cluster, "ann", &KEY.token(&hinted));
        assert!(matches!(cluster.login("ANN", &KEY.token(&hinted)), Outcome::Refused(_)));
    });
}

//! Who gets in, and what is said about it.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, ours, place, refused, without_sessions};
use testbed::idp::{Manners, Provider};
use testbed::issuer::*;

use crate::{KEY, at_every_door, link, scene};

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

/// Has the provider publish its key as one of another issuer, and waits until it has been fetched.
fn publish_key_of(issuer: &str, cluster: &Cluster, provider: &Provider) {
    let document = json!({ "keys": [with(KEY.jwk(), "issuer", json!(issuer))] });
    provider.behave(Manners::Body(document.to_string()));
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

fn refused_for_its_issuer(cluster: &Cluster, claims: &Value, facts: &[&str]) {
    let message = "the access token was issued by another tenant";
    let expected = Refusal { code: "wrong_issuer", sqlstate: "28P01", message, hint: None, facts };
    refused(cluster, "ann", &KEY.token(claims), &expected);
}

#[test]
fn the_issuers_of_another_cloud() {
    let (cluster, provider) = scene("azure_ad_auth.cloud = 'usgov'");
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
    let (cluster, provider) = scene(&settings);
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
            link(&cluster, role, PERSON, "user");
            admitted(&cluster, role, &token);
        }
    });
}

#[test]
fn clock_edges_one_second_either_side() {
    let (cluster, _provider) = scene("azure_ad_auth.clock_skew = 30s");
    link(&cluster, "ann", PERSON, "user");
    let outcome = |claim: &str, offset: i64| {
        let claims = with(user_v2(unix_now()), claim, json!(unix_now() + offset));
        cluster.login("ann", &KEY.token(&claims))
    };
    let is_refused = |outcome: Outcome, message: &str| match outcome {
        Outcome::Refused(error) => assert_eq!(error.message, message),
        other => panic!("{other:?}"),
    };
    // A second may pass between making a token and judging it: the near side has one to spare, the far side none.
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
            // Core does not read it, and says what it says of any failure, or nothing.
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
        let token = KEY.token(&user_v1(unix_now()));
        let parameters = [("user", "ann"), ("database", "postgres")];
        assert_eq!(cluster.socket_client().login(&parameters, &token), Outcome::Ready);
    });
}

#[test]
fn without_tls_where_the_administrator_says_so() {
    at_every_door("azure_ad_auth.require_tls = off", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = KEY.token(&user_v1(unix_now()));
        let parameters = [("user", "ann"), ("database", "postgres")];
        assert_eq!(cluster.plain_client().login(&parameters, &token), Outcome::Ready);
    });
}

#[test]
fn a1_roles_that_are_none_of_ours_log_in_as_ever() {
    at_every_door("", |_, cluster, _provider| {
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
        assert_eq!(cluster.login("local", "secret"), Outcome::Ready);
        for (role, password) in [("local", "wrong"), ("nobody", "secret")] {
            match cluster.login(role, password) {
                Outcome::Refused(error) => {
                    assert_eq!(error.message, format!("password authentication failed for user \"{role}\""));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(!cluster.log().contains("azure_ad_auth: refused"), "R1: nothing is added");
    });
}

#[test]
fn a3_a_role_that_inherits_gets_in_by_a_password_with_a_warning() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE local LOGIN SUPERUSER PASSWORD 'secret'");
    crate::tamper(
        &cluster,
        "INSERT INTO pg_auth_members SELECT (jsonb_populate_record(m, jsonb_build_object( \
           'oid', 99999, 'member', 'local'::regrole::oid, 'admin_option', false))).* \
         FROM pg_auth_members m WHERE roleid = 'azure_ad_user'::regrole AND member = 'admin'::regrole \
            OR roleid = 'azure_ad_admin'::regrole LIMIT 1",
    );
    let mark = cluster.log_mark();
    // The role matches the door's line first; a server that has passwords before it lets it in.
    std::fs::write(
        cluster.data().join("pg_hba.conf"),
        "local all postgres trust\nhost all all 127.0.0.1/32 password\n",
    )
    .expect("pg_hba.conf");
    cluster.reload();
    let mut client = cluster.client();
    assert_eq!(client.login(&[("user", "local"), ("database", "postgres")], "secret"), Outcome::Ready);
    assert_eq!(client.query("SELECT 1").as_deref(), Ok(&[Some("1".to_owned())][..]));
    let log = cluster.log_since(mark);
    assert!(
        log.contains("WARNING:  azure_ad_auth: let in role=local door=password method=password"),
        "{}",
        ours(&log)
    );
}

#[test]
fn the_log_line_of_a_success() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let claims = with(user_v1(unix_now()), "upn", json!("ann\n\u{1b}[31m\"x"));
        let mark = cluster.log_mark();
        assert_eq!(cluster.login("ann", &KEY.token(&claims)), Outcome::Ready);
        let expected = format!(
            "LOG:  azure_ad_auth: accepted role=ann {} oid={PERSON} tid={TENANT} kind=user \
         app={CLIENT} upn=\"ann\\n\\u{{1b}}[31m\\\"x\" uti=token-1 key_id=key-1\n",
            place(door)
        );
        let log = without_sessions(&cluster.log_since(mark));
        assert!(log.contains(&expected), "{}", ours(&log));
        cluster.set(
            "log_connections",
            if cluster.workshop.installation.major >= 18 { "receipt" } else { "off" },
        );
        let mark = cluster.log_mark();
        assert_eq!(cluster.login("ann", &KEY.token(&claims)), Outcome::Ready);
        assert!(
            !cluster.log_since(mark).contains("azure_ad_auth: accepted"),
            "without log_connections no line"
        );
    });
}

#[test]
fn the_log_lines_of_applications_and_groups() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "robot", APPLICATION, "service");
        link(&cluster, "dbas", GROUP, "group");
        let now = unix_now();
        let ann = "kind=user app={CLIENT} upn=ann@contoso.example";
        let robot = "kind=application app={CLIENT} upn=none";
        for (role, claims, object, about) in [
            ("robot", app_v1(now), APPLICATION, robot),
            ("robot", app_v2(now), APPLICATION, robot),
            ("dbas", user_v1(now), PERSON, ann),
            ("dbas", with(user_v2(now), "groups", json!([GROUP])), PERSON, ann),
            ("dbas", with(app_v1(now), "groups", json!([GROUP])), APPLICATION, robot),
        ] {
            let mark = cluster.log_mark();
            assert_eq!(
                cluster.login(role, &KEY.token(&claims)),
                Outcome::Ready,
                "{}",
                ours(&cluster.log_since(mark))
            );
            let (about, token) =
                (about.replace("{CLIENT}", CLIENT), claims["uti"].as_str().unwrap_or_default());
            let expected = format!(
                "LOG:  azure_ad_auth: accepted role={role} {} oid={object} tid={TENANT} \
             {about} uti={token} key_id=key-1\n",
                place(door)
            );
            let log = without_sessions(&cluster.log_since(mark));
            assert!(log.contains(&expected), "{expected}{}", ours(&log));
        }
    });
}

#[test]
fn a_role_name_cannot_forge_a_line_of_the_log() {
    // Core itself would put the name, as it is, into the prefix of each line.
    at_every_door("log_line_prefix = '%m [%p] '", |door, cluster, _provider| {
        let forged = "LOG:  azure_ad_auth: accepted role=admin";
        let role = format!("ann\n{forged}");
        link(&cluster, &role, PERSON, "user");
        let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(APPLICATION)));
        let message = format!("Azure AD authentication failed for role \"{role}\"");
        let shown = format!("role=\"ann\\n{forged}\" {} session=", place(door));
        let expected = Refusal {
            code: "oid_mismatch",
            sqlstate: "28P01",
            message: &message,
            hint: None,
            facts: &[&shown],
        };
        let mark = cluster.log_mark();
        refused(&cluster, &role, &token, &expected);
        let log = cluster.log_since(mark);
        assert!(!log.lines().any(|line| line.starts_with(forged)), "{log}");
    });
}

#[test]
fn the_identity_of_a_session_is_the_object() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "dbas", GROUP, "group");
        let token = KEY.token(&user_v1(unix_now()));
        let mut client = cluster.client();
        assert_eq!(client.login(&[("user", "dbas"), ("database", "postgres")], &token), Outcome::Ready);
        if cluster.workshop.installation.major >= 16 {
            // A member of a group is known by his own object id, not by the group's.
            let identity = format!("{}:{PERSON}", door.method());
            assert_eq!(client.query("SELECT system_user").as_deref(), Ok(&[Some(identity)][..]));
        } else {
            assert_eq!(client.query("SELECT session_user").as_deref(), Ok(&[Some("dbas".to_owned())][..]));
        }
    });
}

#[test]
fn valid_until_and_limits_of_a_role() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = KEY.token(&user_v1(unix_now()));
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
        let token = KEY.token(&user_v1(unix_now()));
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
        admitted(&cluster, "ann", &KEY.token(&user_v1(unix_now())));
        let hinted = with(user_v1(unix_now()), "oid", Value::from(PERSON.to_uppercase()));
        admitted(&cluster, "ann", &KEY.token(&hinted));
        assert!(matches!(cluster.login("ANN", &KEY.token(&hinted)), Outcome::Refused(_)));
    });
}

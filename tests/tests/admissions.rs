//! Who gets in, and what is said about it.

use serde_json::{Value, json};
use trial::client::Outcome;
use trial::expect::{admitted, lacks_token, ours};
use trial::issuer::*;

use crate::{KEY, link, scene};

#[test]
fn users_groups_and_applications_with_tokens_of_both_versions() {
    let (cluster, _provider) = scene("");
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
    admitted(&cluster, "dbas", &KEY.token(&with(app_v2(now), "groups", json!([GROUP]))));
}

#[test]
fn names_of_every_shape() {
    let (cluster, _provider) = scene("");
    let token = KEY.token(&user_v2(unix_now()));
    let longest = "x".repeat(63);
    for role in [
        "Ann Example",
        "ann\"o'hara\\",
        "ann@contoso.example",
        "ann_contoso.example#EXT#@fabrikam.example",
        "Änne Größe ñ 漢字",
        &longest,
        "select",
    ] {
        link(&cluster, role, PERSON, "user");
        admitted(&cluster, role, &token);
    }
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
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let padded = |pad: usize| KEY.token(&with(user_v1(unix_now()), "xms_pad", json!("x".repeat(pad))));
    let fits = (47_000..50_000).find(|pad| padded(pad + 1).len() > 65_530).unwrap_or_default();
    let token = padded(fits);
    assert!(token.len() > 65_526, "{}", token.len());
    assert_eq!(cluster.login("ann", &token), Outcome::Ready);
    lacks_token(&cluster, &token);
}

#[test]
fn over_a_socket_no_tls_is_needed() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&user_v1(unix_now()));
    let parameters = [("user", "ann"), ("database", "postgres")];
    assert_eq!(cluster.socket_client().login(&parameters, &token), Outcome::Ready);
}

#[test]
fn without_tls_where_the_administrator_says_so() {
    let (cluster, _provider) = scene("azure_ad_auth.require_tls = off");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&user_v1(unix_now()));
    let parameters = [("user", "ann"), ("database", "postgres")];
    assert_eq!(cluster.plain_client().login(&parameters, &token), Outcome::Ready);
}

#[test]
fn a1_roles_that_are_none_of_ours_log_in_as_ever() {
    let (cluster, _provider) = scene("");
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
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let claims = with(user_v1(unix_now()), "upn", json!("ann\n\u{1b}[31m\"x"));
    let mark = cluster.log_mark();
    assert_eq!(cluster.login("ann", &KEY.token(&claims)), Outcome::Ready);
    let expected = format!(
        "LOG:  azure_ad_auth: accepted role=ann door=password method=trust oid={PERSON} tid={TENANT} kind=user \
         app={CLIENT} upn=\"ann\\n\\u{{1b}}[31m\\\"x\" uti=token-1 key_id=key-1\n"
    );
    let log = cluster.log_since(mark);
    assert!(log.contains(&expected), "{}", ours(&log));
    cluster.set("log_connections", if cluster.workshop.installation.major >= 18 { "receipt" } else { "off" });
    let mark = cluster.log_mark();
    assert_eq!(cluster.login("ann", &KEY.token(&claims)), Outcome::Ready);
    assert!(!cluster.log_since(mark).contains("azure_ad_auth: accepted"), "without log_connections no line");
}

#[test]
fn the_identity_of_a_session_is_the_object() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "dbas", GROUP, "group");
    let token = KEY.token(&user_v1(unix_now()));
    let mut client = cluster.client();
    assert_eq!(client.login(&[("user", "dbas"), ("database", "postgres")], &token), Outcome::Ready);
    if cluster.workshop.installation.major >= 16 {
        // A member of a group is known by his own object id, not by the group's.
        assert_eq!(client.query("SELECT system_user").as_deref(), Ok(&[Some(format!("trust:{PERSON}"))][..]));
    } else {
        assert_eq!(client.query("SELECT session_user").as_deref(), Ok(&[Some("dbas".to_owned())][..]));
    }
}

#[test]
fn valid_until_and_limits_of_a_role() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&user_v1(unix_now()));
    cluster.sql("ALTER ROLE ann VALID UNTIL '2001-01-01'");
    admitted(&cluster, "ann", &token);
    cluster.sql("ALTER ROLE ann CONNECTION LIMIT 0");
    match cluster.login("ann", &token) {
        Outcome::Refused(error) => assert_eq!(error.message, "too many connections for role \"ann\""),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replication_connection_is_cores_to_refuse() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&user_v1(unix_now()));
    let parameters = [("user", "ann"), ("database", "postgres"), ("replication", "database")];
    match cluster.client().login(&parameters, &token) {
        Outcome::Refused(error) => assert_eq!(error.sqlstate, "42501", "{error:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mfa_and_roles_of_the_wrong_case() {
    let (cluster, _provider) = scene("");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user', false, true)"));
    admitted(&cluster, "ann", &KEY.token(&user_v1(unix_now())));
    let hinted = with(user_v1(unix_now()), "oid", Value::from(PERSON.to_uppercase()));
    admitted(&cluster, "ann", &KEY.token(&hinted));
    assert!(matches!(cluster.login("ANN", &KEY.token(&hinted)), Outcome::Refused(_)));
}

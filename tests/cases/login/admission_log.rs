//! What the log says of logins that succeed, and logins that are not about tokens.

use testbed::client::Outcome;
use testbed::door::Door;
use testbed::expect::{Refusal, door_and_method, refused, without_debug, without_session_ids};
use testbed::issuer::{
    APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v1, app_v2, unix_now, user_v1, user_v2, with,
};
use testbed::scene::{KEY, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::valid_token;
use crate::common::statements::{fails, link, tamper};
use serde_json::json;

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
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE local LOGIN SUPERUSER PASSWORD 'secret'");
    tamper(
        &cluster,
        "INSERT INTO pg_auth_members SELECT (jsonb_populate_record(m, jsonb_build_object( \
           'oid', 99999, 'member', 'local'::regrole::oid, 'admin_option', false))).* \
         FROM pg_auth_members m WHERE roleid = 'azure_ad_user'::regrole AND member = 'admin'::regrole \
            OR roleid = 'azure_ad_admin'::regrole LIMIT 1",
    );
    let mark = cluster.log_mark();
    // With the usual file the role matches the door's line first. With a password line before it,
    // it is admitted.
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
        without_debug(&log)
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
            door_and_method(door)
        );
        let log = without_session_ids(&cluster.log_since(mark));
        assert!(log.contains(&expected), "{}", without_debug(&log));
        cluster.set("log_connections", if cluster.major() >= 18 { "receipt" } else { "off" });
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
        let robot = "kind=service app={CLIENT} upn=none";
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
                without_debug(&cluster.log_since(mark))
            );
            let (about, token) =
                (about.replace("{CLIENT}", CLIENT), claims["uti"].as_str().unwrap_or_default());
            let expected = format!(
                "LOG:  azure_ad_auth: accepted role={role} {} oid={object} tid={TENANT} \
             {about} uti={token} key_id=key-1\n",
                door_and_method(door)
            );
            let log = without_session_ids(&cluster.log_since(mark));
            assert!(log.contains(&expected), "{expected}{}", without_debug(&log));
        }
    });
}

#[test]
fn a_role_name_cannot_forge_a_line_of_the_log() {
    // PostgreSQL itself puts the unescaped name into the prefix of each line.
    at_every_door("log_line_prefix = '%m [%p] '", |door, cluster, _provider| {
        let forged = "LOG:  azure_ad_auth: accepted role=admin";
        let role = format!("ann\n{forged}");
        let code = if cluster.major() < 19 {
            link(&cluster, &role, PERSON, "user");
            "oid_mismatch"
        } else {
            // There is no such role: PostgreSQL refuses line breaks in names. A client may ask for
            // one all the same, and is asked for a token where a line matches every name.
            let more = "contains a newline or carriage return";
            fails(&cluster, &format!("CREATE ROLE \"{role}\""), "22023", "", more);
            let lines = format!("local all postgres trust\nhost all all 127.0.0.1/32 {}\n", cluster.clause());
            cluster.change_hba(&lines);
            "not_linked"
        };
        let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(APPLICATION)));
        if code == "not_linked" && door == Door::Password {
            // Behind `trust` core says that there is no such role, and this library says nothing.
            let mark = cluster.log_mark();
            let Outcome::Refused(error) = cluster.login(&role, &token) else { panic!("{role} is admitted") };
            assert_eq!(
                (error.sqlstate.as_str(), error.message),
                ("28000", format!("role \"{role}\" does not exist"))
            );
            let log = cluster.log_since(mark);
            return assert!(!log.lines().any(|line| line.starts_with(forged)), "{log}");
        }
        let message = format!("Azure AD authentication failed for role \"{role}\"");
        let shown = format!("role=\"ann\\n{forged}\" {} session=", door_and_method(door));
        let facts = [shown.as_str()];
        let expected = Refusal::sqlstate_28p01(code, &message, &facts);
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
        let token = valid_token();
        let mut client = cluster.client();
        assert_eq!(client.login(&[("user", "dbas"), ("database", "postgres")], &token), Outcome::Ready);
        if cluster.major() >= 16 {
            // The identity of a member of a group is the member's own object id.
            let identity = format!("{}:{PERSON}", door.method());
            assert_eq!(client.query("SELECT system_user").as_deref(), Ok(&[Some(identity)][..]));
        } else {
            assert_eq!(client.query("SELECT session_user").as_deref(), Ok(&[Some("dbas".to_owned())][..]));
        }
    });
}

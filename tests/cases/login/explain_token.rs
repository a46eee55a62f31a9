//! explain_token(): it says what a login with the token comes to, and it does not reveal the token.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::lacks_token;
use testbed::idp::Behavior;
use testbed::issuer::{
    APPLICATION, AUDIENCE, GROUP, OTHER_TENANT, PERSON, TENANT, app_v1, b64, unix_now, user_v1, user_v2, with,
};
use testbed::scene::{ADMIN, KEY, NEW_KEY, Scene};

use crate::common::doors::{DEBUG_LOG, at_every_door};
use crate::common::explain::{EXPLAIN_TOKEN, code_of, explain, explain_as};
use crate::common::login::{token_of, valid_token};
use crate::common::statements::{denied, link, tamper};

/// Returns the row of a step.
fn row<'r>(rows: &'r [String], step: &str) -> &'r str {
    let opening = format!("{step}|");
    rows.iter().find(|row| row.starts_with(&opening)).unwrap_or_else(|| panic!("no {step}: {rows:#?}"))
}

/// Returns the code that a login gets.
fn login(cluster: &Cluster, role: &str, token: &str) -> String {
    const OPENING: &str = "azure_ad_auth: refused code=";
    let mark = cluster.log_mark();
    match cluster.login(role, token) {
        Outcome::Ready => "admitted".to_owned(),
        Outcome::Refused(error) if error.message.ends_with("is not permitted to log in") => {
            "nologin".to_owned()
        }
        outcome => {
            let log = cluster.log_since(mark);
            let line = log.lines().find_map(|line| line.split_once(OPENING)).map(|(_, line)| line);
            let line = line.unwrap_or_else(|| panic!("no code in the log: {outcome:?}"));
            line.split(' ').next().unwrap_or_default().to_owned()
        }
    }
}

/// Expects a login and an explanation to have the same result.
fn agrees(cluster: &Cluster, role: &str, token: &str, expected: &str) {
    let rows = explain(cluster, Some(role), token);
    assert_eq!(code_of(&rows), expected, "{role}: {rows:#?}");
    assert_eq!(login(cluster, role, token), expected, "{role}");
}

fn user(name: &str, value: Value) -> String {
    KEY.token(&with(user_v1(unix_now()), name, value))
}

#[test]
fn it_says_of_a_token_what_a_login_gets() {
    at_every_door("azure_ad_auth.unknown_key_wait = 0", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "robot", APPLICATION, "service");
        link(&cluster, "readers", GROUP, "group");
        cluster.sql(&format!(
            "SELECT azure_ad_auth.create_principal('strict', '{PERSON}', 'user', false, true)"
        ));
        let good = valid_token();
        let (signed, signature) = good.rsplit_once('.').expect("a token");
        let header = |name, value| {
            let header = with(KEY.header(), name, value).to_string();
            KEY.token_of(header.as_bytes(), user_v1(unix_now()).to_string().as_bytes())
        };
        let forged =
            NEW_KEY.token_of(KEY.header().to_string().as_bytes(), user_v1(unix_now()).to_string().as_bytes());
        let cases = [
            ("ann", good.clone(), "admitted"),
            ("robot", KEY.token(&app_v1(unix_now())), "admitted"),
            ("readers", good.clone(), "admitted"),
            ("strict", good.clone(), "admitted"),
            ("ann", "correct-horse".to_owned(), "invalid_format"),
            ("ann", signed.to_owned(), "invalid_format"),
            ("ann", format!("{good}.{signature}"), "invalid_format"),
            ("ann", format!("{signed}.{}", b64([1; 3])), "bad_signature"),
            ("ann", header("crit", json!(["exp"])), "invalid_format"),
            ("ann", header("alg", json!("none")), "unsupported_algorithm"),
            ("ann", NEW_KEY.token(&user_v1(unix_now())), "unknown_key"),
            ("ann", forged, "bad_signature"),
            ("ann", header("kid", json!("evil\n\u{1b}[2J\"")), "unknown_key"),
            ("ann", user("ver", json!("3.0")), "invalid_claims"),
            ("ann", user("tid", json!(OTHER_TENANT)), "wrong_tenant"),
            ("ann", user("iss", json!("https://evil.example/")), "wrong_issuer"),
            ("ann", user("aud", json!("https://graph.microsoft.com")), "wrong_audience"),
            ("ann", user("exp", json!(1_600_000_000)), "expired"),
            ("ann", user("nbf", json!(4_000_000_000_i64)), "not_yet_valid"),
            ("ann", user("scp", Value::Null), "invalid_claims"),
            ("ann", user("oid", json!(APPLICATION)), "oid_mismatch"),
            ("ann", KEY.token(&app_v1(unix_now())), "wrong_kind"),
            ("robot", good.clone(), "wrong_kind"),
            ("readers", KEY.token(&user_v2(unix_now())), "not_a_member"),
            ("readers", user("hasgroups", json!(true)), "groups_overage"),
            ("strict", user("amr", json!(["pwd"])), "mfa_required"),
        ];
        for (role, token, expected) in cases {
            agrees(&cluster, role, &token, expected);
            let rows = explain(&cluster, None, &token);
            assert!(!rows.iter().any(|row| row.starts_with("role|") || row.starts_with("principal|")));
            let of_roles = ["oid_mismatch", "wrong_kind", "not_a_member", "groups_overage", "mfa_required"];
            let expected = if of_roles.contains(&expected) { "admitted" } else { expected };
            assert_eq!(code_of(&rows), expected, "{rows:#?}");
            lacks_token(&cluster, &token);
        }
        if door == Door::Password {
            agrees(&cluster, "ann", &"A".repeat(65_531), "invalid_format");
        }
    });
}

#[test]
fn it_says_of_a_role_what_a_login_gets() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let good = valid_token();
        tamper(&cluster, "UPDATE pg_authid SET rolreplication = true WHERE rolname = 'ann'");
        // Before the token is examined.
        agrees(&cluster, "ann", "password", "privileged_role");
        tamper(&cluster, "UPDATE pg_authid SET rolreplication = false WHERE rolname = 'ann'");
        cluster.sql("ALTER ROLE ann NOLOGIN");
        agrees(&cluster, "ann", &good, "nologin");
        cluster.sql("ALTER ROLE ann LOGIN");
        tamper(&cluster, "UPDATE pg_authid SET rolcanlogin = true WHERE rolname = 'azure_ad_user'");
        // The role is not a member of itself, so other lines of pg_hba.conf match it.
        let rows = explain(&cluster, Some("azure_ad_user"), &good);
        assert_eq!(code_of(&rows), "not_linked", "{rows:#?}");
        tamper(&cluster, "UPDATE pg_authid SET rolcanlogin = false WHERE rolname = 'azure_ad_user'");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        agrees(&cluster, "ann", &good, "token_revoked");
        // Tokens are accepted again once the clock skew has passed.
        cluster.sql("SELECT pg_sleep(1.1)");
        let fresh = user("iat", json!(unix_now() + 60));
        agrees(&cluster, "ann", &fresh, "admitted");
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
        link(&cluster, "other_ann", PERSON, "user");
        agrees(&cluster, "other_ann", &good, "token_revoked");
        let rows = explain(&cluster, Some("other_ann"), &good);
        assert!(row(&rows, "not_before").contains("those issued before "), "{rows:#?}");
        tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
        agrees(&cluster, "ann", &fresh, "not_linked");
        agrees(&cluster, "ann", "password", "invalid_format");
        // If pg_hba.conf has another method for a role, the explanation is that of the doors.
        cluster.sql("CREATE ROLE local LOGIN");
        for (role, found) in [("local", "not an Azure AD role"), ("nobody", "no role of this name")] {
            let rows = explain(&cluster, Some(role), &fresh);
            assert_eq!(code_of(&rows), "not_linked");
            let expected = format!("link|failed|a role that is linked to a directory object|{found}");
            assert_eq!(row(&rows, "link"), expected);
        }
        cluster.sql("SELECT azure_ad_auth.remove_admin()");
        agrees(&cluster, "other_ann", &fresh, "no_admin");
        cluster.set("azure_ad_auth.audience", "");
        agrees(&cluster, "other_ann", &fresh, "not_configured");
        let rows = explain(&cluster, None, &fresh);
        let found =
            "configuration|failed|settings that are complete and valid|azure_ad_auth.audience is not set";
        assert_eq!(row(&rows, "configuration"), found);
    });
}

#[test]
fn it_says_of_settings_and_keys_what_a_login_gets() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.unknown_key_wait = 0").start();
    link(&cluster, "ann", PERSON, "user");
    let good = valid_token();
    for (setting, value, code) in [
        ("allowed_clients", APPLICATION, "client_not_allowed"),
        ("required_permission", "Db.Login", "permission_missing"),
    ] {
        let name = format!("azure_ad_auth.{setting}");
        cluster.set(&name, value);
        agrees(&cluster, "ann", &good, code);
        cluster.sql(&format!("ALTER SYSTEM RESET {name}"));
    }
    let foreign = json!({"keys": [with(KEY.jwk(), "issuer", json!("https://evil.example/{tenantid}/"))]});
    provider.behave(Behavior::Body(foreign.to_string()));
    cluster.sql("SELECT azure_ad_auth.refresh_keys()");
    let token = KEY.token(&user_v2(unix_now()));
    agrees(&cluster, "ann", &token, "wrong_issuer");
    let rows = explain(&cluster, Some("ann"), &token);
    assert!(row(&rows, "issuer").contains("issuer of the key: https://evil.example/"), "{rows:#?}");
    provider.behave(Behavior::Status(500, ""));
    cluster.set("azure_ad_auth.key_max_age", "1s");
    cluster.sql("SELECT pg_sleep(1.5)");
    agrees(&cluster, "ann", &good, "keys_unavailable");
}

#[test]
fn it_says_what_was_expected_and_what_was_found() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let claims = with(user_v1(unix_now()), "exp", json!(1_600_000_000));
    let rows = explain(&cluster, Some("ann"), &KEY.token(&with(claims, "nbf", json!(1_500_000_000))));
    let steps: Vec<_> = rows.iter().filter_map(|row| row.split('|').next()).collect();
    assert_eq!(
        steps.join(" "),
        "configuration administrator role size parts header algorithm key_id key signature claims version tenant issuer \
         audience validity bearer client permission kind object link principal mfa not_before result"
    );
    assert_eq!(row(&rows, "tenant"), format!("tenant|ok|tid {TENANT}|tid {TENANT}"));
    assert_eq!(row(&rows, "audience"), format!("audience|ok|aud {AUDIENCE}|aud {AUDIENCE}"));
    assert_eq!(row(&rows, "role"), "role|ok|LOGIN, and not SUPERUSER, REPLICATION or BYPASSRLS|LOGIN");
    let validity = row(&rows, "validity");
    assert!(validity.starts_with("validity|failed|nbf and iat not after, exp after "), "{validity}");
    assert!(validity.contains("nbf 2017-07-14 02:40:00+00, iat "), "{validity}");
    assert!(validity.ends_with(", exp 2020-09-13 12:26:40+00"), "{validity}");
    assert_eq!(
        row(&rows, "principal"),
        format!("principal|not reached|a user's token, oid {PERSON}, of tenant {TENANT}")
    );
    // In the time zone of the session.
    let mut client = cluster.superuser();
    assert!(client.query("SET log_parameter_max_length = 0; SET timezone = 'Asia/Tokyo'").is_ok());
    let rows = explain_as(&mut client, None, &user("exp", json!(1_600_000_000)));
    assert!(row(&rows, "validity").ends_with(", exp 2020-09-13 21:26:40+09"), "{rows:#?}");
}

#[test]
fn it_fetches_nothing_waits_for_nothing_and_counts_nothing() {
    let (cluster, provider) = Scene::new()
        .settings("azure_ad_auth.unknown_key_wait = 10s\nazure_ad_auth.key_refresh_cooldown = 1s")
        .start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("SELECT pg_sleep(1.1)");
    let status = "SELECT fetches, failures, on_demand_fetches, keys FROM azure_ad_auth.key_status";
    let counted = "SELECT sum(value) FROM azure_ad_auth.stat";
    let before = (cluster.sql(status), cluster.sql(counted), provider.requests());
    let mark = cluster.log_mark();
    for role in [None, Some("ann")] {
        let rows = explain(&cluster, role, &NEW_KEY.token(&user_v1(unix_now())));
        assert_eq!(
            row(&rows, "key"),
            "key|failed|a signing key of this id among those at hand; if it is newly published: SELECT \
             azure_ad_auth.refresh_keys()|kid key-2"
        );
        assert_eq!(code_of(&rows), "unknown_key");
    }
    // The statistics would show a wait.
    assert_eq!((cluster.sql(status), cluster.sql(counted), provider.requests()), before);
    let log = cluster.log_since(mark);
    assert!(!log.contains("azure_ad_auth: "), "{log}");
}

#[test]
fn nobody_learns_the_token_from_it() {
    let (cluster, _provider) = Scene::new().settings(DEBUG_LOG).start();
    link(&cluster, "ann", PERSON, "user");
    let good = valid_token();
    let mark = cluster.log_mark();
    let mut said = Vec::new();
    for (setting, value) in [("log_parameter_max_length", "0"), ("log_statement", "none")] {
        let mut client = cluster.superuser();
        assert!(client.query(&format!("SET {setting} = {value}")).is_ok());
        for token in [&good, &user("aud", json!("other")), &format!("{good}x"), &NEW_KEY.token(&json!({}))] {
            for role in [None, Some("ann"), Some("nobody")] {
                said.extend(explain_as(&mut client, role, token));
            }
            // Errors whose context contains the call.
            for role in ["", &"x".repeat(64)] {
                let error = client.query_bound(EXPLAIN_TOKEN, &[token, role]).expect_err(role);
                said.push(format!("{error:?}"));
            }
            assert!(client.query("SET ROLE ann").is_ok());
            let error = client.query_bound(EXPLAIN_TOKEN, &[token, "ann"]).expect_err("ann");
            said.push(format!("{error:?}"));
            assert!(client.query("RESET ROLE").is_ok());
        }
        said.extend(
            client.query("SELECT query FROM pg_stat_activity").expect("queries").into_iter().flatten(),
        );
    }
    let (said, log) = (said.join("\n"), cluster.log_since(mark));
    assert!(log.contains("DEBUG:"), "the log is as talkative as it can be");
    for part in good.split('.') {
        for piece in part.as_bytes().windows(12) {
            let piece = std::str::from_utf8(piece).expect("base64url");
            assert!(!said.contains(piece), "{piece} was said");
            assert!(!log.contains(piece), "{piece} is in the log");
        }
    }
}

#[test]
fn administrators_may_call_it_in_sessions_with_a_token() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let token = token_of(PERSON);
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    // The role may not set this; the test turns it off for the server.
    cluster.set("log_parameter_max_length", "0");
    let rows = explain_as(&mut admin, Some("ann"), &token);
    assert_eq!(code_of(&rows), "admitted");
    let call = "SELECT azure_ad_auth.explain_token('a.b.c', 'ann')";
    let refused = "permission denied to administer Azure AD roles";
    let mut client = cluster.superuser();
    assert!(client.query("SET SESSION AUTHORIZATION admin").is_ok());
    denied(&mut client, call, refused, "This session did not log in with an access token.");
    let ann = "permission denied for function explain_token";
    denied(&mut cluster.session("ann", &token_of(PERSON)), call, ann, "");
    cluster.sql("GRANT EXECUTE ON FUNCTION azure_ad_auth.explain_token(text, text) TO PUBLIC");
    let nobody = "Only superusers and members of role \"azure_ad_admin\" may.";
    denied(&mut cluster.session("ann", &token_of(PERSON)), call, refused, nobody);
    for (call, message) in [
        ("explain_token(NULL)", "token must not be null"),
        ("explain_token('a.b.c', '')", "a role name cannot be empty"),
        ("explain_token('a.b.c', repeat('x', 64))", "role name is too long"),
        ("explain_token('ann', repeat('x', 64))", "It has 64 bytes; at most 63 are allowed."),
    ] {
        let output = cluster.sql_as("postgres", &format!("SELECT azure_ad_auth.{call}"));
        assert!(output.stderr.contains(message), "{call}: {}", output.stderr);
    }
}

//! The oauth door: what clients are told, which tokens PostgreSQL asks for, and which identity a
//! session has.

use std::process::Command;

use serde_json::{Value, json};
use testbed::client::{AuthRequest, Outcome, PsqlOutput, RawClient};
use testbed::cluster::{Cluster, Configuration};
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, check_refusal, lacks_token, without_debug};
use testbed::idp::Provider;
use testbed::issuer::{
    APPLICATION, CLIENT, KEY_ISSUER, OTHER_TENANT, PERSON, TENANT, unix_now, user_v1, user_v2, with,
};
use testbed::scene::{KEY, Scene, provider};
use testbed::template::Template;

use crate::common::doors::{at_doors, at_oauth_with_ann, flow_library};
use crate::common::login::valid_token;
use crate::common::statements::link;

const SCOPE: &str = "api://postgres/access";

fn issuer() -> String {
    format!("https://login.microsoftonline.com/{TENANT}/v2.0")
}

/// Returns a pg_hba.conf with an issuer, a scope and further options for Azure AD roles.
fn hba(issuer: &str, scope: &str, options: &str) -> String {
    Door::hba(&format!("oauth issuer=\"{issuer}\" scope=\"{scope}\" {options}"))
}

/// Runs psql, which acquires a token by itself.
fn psql_by_device_flow(cluster: &Cluster, provider: &Provider, role: &str, command: &str) -> PsqlOutput {
    let installation = cluster.installation();
    let ca = cluster.template.ca_file();
    let connection = format!(
        "host=localhost hostaddr=127.0.0.1 port={} dbname=postgres user={role} sslmode=verify-full sslrootcert={} \
         oauth_issuer={} oauth_client_id={CLIENT}",
        cluster.port,
        ca.display(),
        provider.issuer()
    );
    let mut psql = Command::new(installation.program("psql"));
    psql.args(["-X", "-A", "-t", "-c", command])
        .arg(connection)
        // The libpq that belongs to this psql.
        .env("LD_LIBRARY_PATH", installation.pg_config("--libdir"))
        // Otherwise libpq trusts the system's authorities only.
        .env("PGOAUTHDEBUG", "UNSAFE")
        .env("PGOAUTHCAFILE", ca)
        .env("PGCONNECT_TIMEOUT", "60")
        .env_remove("PGPASSWORD");
    let output = psql.output().expect("psql");
    PsqlOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn psql_acquires_a_token_by_itself() {
    at_doors(&[Door::OAuth], |door| {
        if flow_library(&Template::shared().installation).is_none() {
            return;
        }
        let provider = provider();
        let settings =
            format!("azure_ad_auth.issuers = '{}/{{tenantid}}/v2.0, {KEY_ISSUER}'", provider.url());
        let hba = hba(&provider.issuer(), SCOPE, "delegate_ident_mapping=1");
        let cluster = Scene::new().door(door).settings(settings).hba(hba).start_with(&provider);
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "boss", APPLICATION, "user");
        let token = KEY.token(&with(user_v2(unix_now()), "iss", json!(provider.issuer())));
        provider.grant(&token);
        let output = psql_by_device_flow(&cluster, &provider, "ann", "SELECT session_user, system_user");
        assert!(output.success, "{}", output.stderr);
        assert_eq!(output.stdout, format!("ann|oauth:{PERSON}"));
        let flow = provider.device_flow();
        assert_eq!((flow.client.as_str(), flow.scope.as_str()), (CLIENT, SCOPE));
        assert_eq!(flow.polls, 2, "once before the user had signed in");
        let output = psql_by_device_flow(&cluster, &provider, "boss", "SELECT 1");
        assert!(!output.success && output.stdout.is_empty(), "psql was let in");
        let message = "FATAL:  Azure AD authentication failed for role \"boss\"";
        assert!(output.stderr.contains(message), "{}", output.stderr);
        lacks_token(&cluster, &token);
    });
}

#[test]
fn a_client_that_asks_where_to_get_a_token_is_told() {
    at_oauth_with_ann("", |cluster, _provider| {
        let mark = cluster.log_mark();
        let mut client = cluster.at_the_prompt("ann");
        client.send_bearer_message(b"n,,\x01auth=\x01\x01").expect("a connection");
        let asked = client.auth_request();
        assert!(matches!(asked, AuthRequest::Finished(Outcome::Refused(_) | Outcome::HungUp)), "{asked:?}");
        let said: Value = serde_json::from_str(client.bearer_error().unwrap_or_default()).expect("JSON");
        let documents = format!("{}/.well-known/openid-configuration", issuer());
        let expected = json!({"status": "invalid_token", "openid-configuration": documents, "scope": SCOPE});
        assert_eq!(said, expected);
        admitted(&cluster, "ann", &valid_token());
        let log = cluster.log_since(mark);
        assert!(
            !log.contains("azure_ad_auth: refused"),
            "who brings no token is not refused: {}",
            without_debug(&log)
        );
        // From PostgreSQL 19 on core does not log that as a failure either.
        assert!(cluster.major() < 19 || !log.contains("FATAL"), "{log}");
    });
}

#[test]
fn who_brings_a_bad_token_is_told_where_to_get_another() {
    at_oauth_with_ann("", |cluster, _provider| {
        let expired = KEY.token(&with(user_v1(unix_now()), "exp", json!(1)));
        let mut client = cluster.at_the_prompt("ann");
        assert!(matches!(client.answer(&expired), Outcome::Refused(_)));
        let said: Value = serde_json::from_str(client.bearer_error().unwrap_or_default()).expect("JSON");
        assert_eq!((&said["status"], &said["scope"]), (&json!("invalid_token"), &json!(SCOPE)));
    });
}

#[test]
fn messages_that_bring_no_token_let_nobody_in() {
    at_oauth_with_ann("", |cluster, _provider| {
        let token = valid_token();
        for data in [
            String::new(),
            "n,,".to_owned(),
            "n,,\x01\x01".to_owned(),
            "n,,\x01auth\x01\x01".to_owned(),
            "n,,\x01auth=Bearer \x01\x01".to_owned(),
            format!("n,,\x01auth=Basic {token}\x01\x01"),
            format!("n,,\x01auth={token}\x01\x01"),
            format!("n,,\x01auth=Bearer {token}\x01"),
            format!("n,,\x01auth=Bearer {token}"),
            format!("n,,\x01auth=Bearer {token} {token}\x01\x01"),
            format!("n,,\x01auth=Bearer {token}\x01auth=Bearer {token}\x01\x01"),
            format!("n,,\x01auth=Bearer {token}\x01\x01\0"),
            format!("n,,\x01auth=Bearer {token}\x01\x01x"),
            format!("n,a=boss,\x01auth=Bearer {token}\x01\x01"),
            format!("p=tls-exporter,,\x01auth=Bearer {token}\x01\x01"),
            token.clone(),
        ] {
            let mut client = cluster.at_the_prompt("ann");
            client.send_bearer_message(data.as_bytes()).expect("a connection");
            no_session(client, &data);
        }
        // A valid token is sent where the error about an invalid one had to be acknowledged.
        let mut client = cluster.at_the_prompt("ann");
        client.send_token("no-token").expect("a connection");
        assert!(!client.challenge(11).is_empty());
        client.send_token(&token).expect("a connection");
        no_session(client, "twice");
        let message = format!("n,,\x01auth=Bearer {token}\x01\x01");
        let mut client = cluster.at_the_prompt("ann");
        client.send_token("no-token").expect("a connection");
        assert!(!client.challenge(11).is_empty());
        client.send(b'p', message.as_bytes()).expect("a connection");
        no_session(client, "twice, without a mechanism");
        lacks_token(&cluster, &token);
        // A client that supports channel binding, other keys, a scheme in lower case.
        for data in [
            format!("y,,\x01auth=Bearer {token}\x01\x01"),
            format!("n,,\x01host=localhost\x01port=5432\x01auth=bearer  {token}\x01\x01"),
        ] {
            let mut client = cluster.at_the_prompt("ann");
            client.send_bearer_message(data.as_bytes()).expect("a connection");
            assert_eq!(client.auth_request(), AuthRequest::Finished(Outcome::Ready), "{data:?}");
        }
    });
}

fn no_session(mut client: RawClient, what: &str) {
    match client.auth_request() {
        AuthRequest::Finished(Outcome::Refused(_) | Outcome::HungUp) => {}
        other => panic!("{what:?}: {other:?}"),
    }
}

#[test]
fn without_delegation_pg_ident_says_which_object_is_which_role() {
    at_oauth_with_ann("", |cluster, _provider| {
        link(&cluster, "boss", PERSON, "user");
        link(&cluster, "ben", APPLICATION, "user");
        let map = format!("azure {PERSON} ann\nazure {PERSON} ben\nazure {APPLICATION} boss\n");
        std::fs::write(cluster.data().join("pg_ident.conf"), map).expect("pg_ident.conf");
        cluster.change_hba(&hba(&issuer(), SCOPE, "map=azure"));
        admitted(&cluster, "ann", &valid_token());
        // A link is not enough without a line of the map, nor a line without a link.
        for role in ["boss", "ben"] {
            assert!(matches!(cluster.login(role, &valid_token()), Outcome::Refused(_)), "{role}");
        }
        cluster.change_hba(&hba(&issuer(), SCOPE, ""));
        for role in ["ann", "boss", "ben"] {
            assert!(matches!(cluster.login(role, &valid_token()), Outcome::Refused(_)), "{role}");
        }
        lacks_token(&cluster, &valid_token());
    });
}

#[test]
fn a_line_that_does_not_fit_the_settings_admits_nobody() {
    at_oauth_with_ann("", |cluster, _provider| {
        let message = "Azure AD authentication is not configured on this server";
        let expected = Refusal { code: "not_configured", sqlstate: "28000", message, hint: None, facts: &[] };
        let foreign = issuer().replace(TENANT, OTHER_TENANT);
        let common = issuer().replace(TENANT, "common");
        let here = issuer();
        for (issuer, scope, found) in [
            (&foreign, SCOPE, foreign.as_str()),
            (&common, SCOPE, common.as_str()),
            (&here, "api://other/access", "api://other/access"),
            (&here, "openid", "openid"),
        ] {
            cluster.change_hba(&hba(issuer, scope, "delegate_ident_mapping=1"));
            let mark = cluster.log_mark();
            let token = valid_token();
            let outcome = cluster.login("ann", &token);
            check_refusal(&cluster, mark, "ann", &token, &outcome, &expected);
            let log = without_debug(&cluster.log_since(mark));
            let said = log.lines().any(|line| line.contains("code=not_configured ") && line.contains(found));
            assert!(said, "{found}: {log}");
        }
        // Both addresses of the documents stand for the issuer.
        let documents = format!("{here}/.well-known/openid-configuration");
        cluster.change_hba(&hba(&documents, SCOPE, "delegate_ident_mapping=1"));
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn a_library_that_is_not_preloaded_validates_nothing() {
    at_oauth_with_ann("", |cluster, _provider| {
        admitted(&cluster, "ann", &valid_token());
        cluster.stop("fast");
        cluster.configure(&Configuration::new().preload(""));
        cluster.start();
        let mark = cluster.log_mark();
        assert!(matches!(cluster.login("ann", &valid_token()), Outcome::Refused(_)));
        let log = without_debug(&cluster.log_since(mark));
        let said = |line: &str| line.contains("azure_ad_auth") && line.contains("shared_preload_libraries");
        assert!(log.lines().any(said), "{log}");
        assert_eq!(cluster.sql("SELECT 1"), "1", "others are left alone");
    });
}

#[test]
fn only_who_is_admitted_is_known_to_core() {
    at_oauth_with_ann("", |cluster, _provider| {
        link(&cluster, "boss", APPLICATION, "user");
        let now = unix_now();
        let expired = KEY.token(&with(user_v1(now), "exp", json!(1)));
        let foreign = KEY.token(&with(user_v1(now), "aud", json!("api://other")));
        for (role, token) in
            [("ann", &expired), ("ann", &foreign), ("boss", &valid_token()), ("admin", &valid_token())]
        {
            let mark = cluster.log_mark();
            assert!(matches!(cluster.login(role, token), Outcome::Refused(_)), "{role}");
            let log = cluster.log_since(mark);
            assert!(!log.contains("connection authenticated"), "{}", without_debug(&log));
        }
        let mark = cluster.log_mark();
        assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
        let log = cluster.log_since(mark);
        let known = format!("connection authenticated: identity=\"{PERSON}\" method=oauth");
        assert!(log.contains(&known), "{}", without_debug(&log));
    });
}

#[test]
fn roles_that_are_not_linked_are_nobodys() {
    at_oauth_with_ann("", |cluster, _provider| {
        cluster.sql("CREATE ROLE local LOGIN; CREATE ROLE boss LOGIN SUPERUSER");
        let line = format!("host all all 127.0.0.1/32 {}", cluster.clause());
        cluster.change_hba(&format!("local all postgres trust\n{line}\n"));
        for role in ["local", "nobody", "boss", "postgres", PERSON] {
            let mark = cluster.log_mark();
            let outcome = cluster.login(role, &valid_token());
            assert!(matches!(outcome, Outcome::Refused(_)), "{role}: {outcome:?}");
            let log = cluster.log_since(mark);
            for line in ["azure_ad_auth: accepted", "connection authenticated"] {
                assert!(!log.contains(line), "{role}: {}", without_debug(&log));
            }
        }
        admitted(&cluster, "ann", &valid_token());
    });
}

//! What is required of a token beside its signature and the values of its claims: that it is an
//! access token, that nothing surrounds it, and that the claims which are judged have the right
//! types.

use serde_json::{Value, json};
use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::Behavior;
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY, Scene};

use crate::common::doors::{at_every_door, at_every_prompt};
use crate::common::explain::{code_of, explain};
use crate::common::login::{valid_token, value};
use crate::common::statements::link;

fn typed(typ: Value, claims: &Value) -> String {
    let header = with(KEY.header(), "typ", typ).to_string();
    KEY.token_of(header.as_bytes(), claims.to_string().as_bytes())
}

#[test]
fn only_a_bearers_access_token_gets_in() {
    at_every_door("", |_door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let claims = user_v1(unix_now());
        let bound = KEY.token(&with(claims.clone(), "cnf", json!({"kid": "proof"})));
        let message = "the access token is bound to a key of its holder (\"cnf\") and is no bearer token";
        refused(&cluster, "ann", &bound, &Refusal::sqlstate_28p01("invalid_claims", message, &["claim=cnf"]));
        for typ in [json!("pop"), json!("id+jwt"), json!(1), json!("")] {
            let message = "the access token has a \"typ\" that is not accepted";
            let token = typed(typ, &claims);
            refused(
                &cluster,
                "ann",
                &token,
                &Refusal::sqlstate_28p01("invalid_claims", message, &["claim=typ"]),
            );
        }
        // The issuer of one version with the claims of the other.
        let crossed =
            with(claims.clone(), "iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0")));
        let message = "the access token lacks a valid \"ver\" claim";
        let facts = ["claim=ver", "problem=\"not the version of this issuer\""];
        refused(
            &cluster,
            "ann",
            &KEY.token(&crossed),
            &Refusal::sqlstate_28p01("invalid_claims", message, &facts),
        );
        for typ in [json!("at+jwt"), json!("application/AT+JWT"), json!("jwt"), Value::Null] {
            admitted(&cluster, "ann", &typed(typ, &claims));
        }
    });
}

#[test]
fn only_numbers_that_are_judged_must_be_integers() {
    at_every_door("", |_door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let now = unix_now();
        for (claim, number) in [("exp", json!(1e300)), ("nbf", json!(0.5)), ("iat", json!(1_700_000_000.0))] {
            let token = KEY.token(&with(user_v1(now), claim, number));
            let message = format!("the access token lacks a valid \"{claim}\" claim");
            let fact = format!("claim={claim}");
            let facts = [fact.as_str(), "problem=\"not an integer\""];
            refused(&cluster, "ann", &token, &Refusal::sqlstate_28p01("invalid_claims", &message, &facts));
        }
        let claims = user_v1(now).to_string().replacen(
            '{',
            r#"{"level":1.50,"big":1e300,"long":18446744073709551616,"huge":1e999999,"list":[0.1,{"a":-0.5}],"#,
            1,
        );
        let token = KEY.token_of(KEY.header().to_string().as_bytes(), claims.as_bytes());
        admitted(&cluster, "ann", &token);
        let mut client = cluster.client();
        client.login(&[("user", "ann"), ("database", "postgres")], &token);
        for (query, shown) in [
            ("session_claim('level')", "1.50"),
            ("session_claim('big')", "1e300"),
            ("session_claim('long')", "18446744073709551616"),
            ("session_claim('huge')", "1e999999"),
            ("session_claim('list')", r#"[0.1,{"a":-0.5}]"#),
            ("session_claims() ->> 'level'", "1.50"),
            ("(session_claims() ->> 'big')::numeric = 1e300::numeric", "t"),
            ("session_claims() -> 'long'", "18446744073709551616"),
            ("session_claims() -> 'huge'", "\"1e999999\""),
            ("session_claims() -> 'list' -> 1 ->> 'a'", "-0.5"),
        ] {
            let query = format!("SELECT {}", query.replace("session_claim", "azure_ad_auth.session_claim"));
            assert_eq!(value(&mut client, &query), shown, "{query}");
        }
    });
}

#[test]
fn what_stands_around_a_token_is_said_and_the_token_refused() {
    let check = |cluster: &_, token: &str, surroundings: &str| {
        let message = format!("the access token has an invalid format ({} bytes)", token.len());
        let hint = format!("Pass the access token alone. What was sent has {surroundings}.");
        let fact = format!("problem=\"{surroundings}\"");
        let facts = [fact.as_str()];
        let expected =
            Refusal { hint: Some(&hint), ..Refusal::sqlstate_28p01("invalid_format", &message, &facts) };
        refused(cluster, "ann", token, &expected);
    };
    at_every_prompt("", |_door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let good = valid_token();
        for (token, surroundings) in [
            (format!("{good}\n"), "a line end after the token"),
            (format!("{good}\r\n"), "a line end after the token"),
            (format!(" {good}"), "blanks before the token"),
            (format!("Bearer {good}"), "the word Bearer and blanks before the token"),
            (format!("\"{good}\""), "quotes before the token, quotes after it"),
            (
                json!({ "accessToken": good }).to_string(),
                "quotes and other characters before the token, quotes and other characters after it",
            ),
            (good.replacen('.', ".\n", 1), "blanks or line ends within the token"),
        ] {
            check(&cluster, &token, surroundings);
        }
    });
    // By OAUTHBEARER only what looks like a token reaches the library.
    at_every_door("", |_door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let padded = format!("{}==", valid_token());
        check(&cluster, &padded, "other characters after the token");
    });
}

#[test]
fn groups_by_name_are_counted_and_never_match() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "readers", GROUP, "group");
        let message = "Azure AD authentication failed for role \"readers\"";
        let claims = user_v1(unix_now());
        for (groups, listed) in [
            (json!(["DBAs", "CONTOSO\\Everyone"]), "groups_listed=\"2 listed, none of them an object id\""),
            (json!(["DBAs", APPLICATION]), "groups_listed=\"2 listed, 1 of them by object id\""),
            (json!([APPLICATION]), "groups_listed=1"),
            (Value::Null, "groups_listed=0"),
        ] {
            let token = KEY.token(&with(claims.clone(), "groups", groups));
            refused(
                &cluster,
                "readers",
                &token,
                &Refusal::sqlstate_28p01("not_a_member", message, &[listed]),
            );
        }
        if door == Door::Password {
            let token = KEY.token(&with(claims, "groups", json!(["DBAs", "Everyone"])));
            let rows = explain(&cluster, Some("readers"), &token);
            assert_eq!(code_of(&rows), "not_a_member");
            let found = "groups: 2 listed, none of them an object id";
            assert!(
                rows.iter().any(|row| row.starts_with("principal|failed|") && row.contains(found)),
                "{rows:#?}"
            );
        }
    });
}

#[test]
fn a_key_listed_again_and_an_entry_that_cannot_be_read_cost_no_login() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let (one, other) = (KEY.jwk().to_string(), NEW_KEY.jwk().to_string());
    for document in [
        format!("{{\"keys\":[{other},{one},{one}]}}"),
        format!("{{\"keys\":[{{\"kid\":\"a\",\"kid\":\"b\"}},{other},{one}]}}"),
        format!("{{\"version\":1.5,\"keys\":[{{\"kid\":1.5}},{other},{one}]}}"),
    ] {
        provider.behave(Behavior::Body(document.clone()));
        assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "2", "{document}");
        for key in [&*KEY, &*NEW_KEY] {
            admitted(&cluster, "ann", &key.token(&user_v1(unix_now())));
        }
    }
    // An id with two keys is not used, in whichever of the two documents it is listed.
    let twin = with(NEW_KEY.jwk(), "kid", json!("key-1")).to_string();
    provider.behave(Behavior::Body(format!("{{\"keys\":[{other},{one},{twin}]}}")));
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    let mut session = enter_with_new_key(&cluster);
    assert_eq!(value(&mut session, "SELECT session_user"), "ann");
    let message = "the access token's signature could not be verified";
    refused(
        &cluster,
        "ann",
        &valid_token(),
        &Refusal::sqlstate_28p01("unknown_key", message, &["key_id=key-1"]),
    );
    provider.behave(Behavior::Good);
    cluster.sql("SELECT azure_ad_auth.refresh_keys()");
    drop(cluster.session("ann", &valid_token()));
}

fn enter_with_new_key(cluster: &Cluster) -> RawClient {
    let mut client = cluster.client();
    client.login(&[("user", "ann"), ("database", "postgres")], &NEW_KEY.token(&user_v1(unix_now())));
    client
}

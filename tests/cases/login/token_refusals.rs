//! Who does not get in because of the token: each code as the client sees it, in the log, and with no token anywhere.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, refused};
use testbed::idp::Provider;
use testbed::issuer::*;

use crate::{KEY, NEW_KEY, at_every_door, link};

/// Most refusals are 28P01 without a hint.
const fn plain<'t>(code: &'t str, message: &'t str, facts: &'t [&'t str]) -> Refusal<'t> {
    Refusal { code, sqlstate: "28P01", message, hint: None, facts }
}

const SIGNATURE: &str = "the access token's signature could not be verified";
const ALGORITHM: &str = "the access token's signature algorithm is not accepted";
const TENANT_TEXT: &str = "the access token was issued by another tenant";

/// Runs a case at every door, each with a scene of its own, in which Ann is linked.
fn with_ann(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    at_every_door(settings, |door, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        case(door, cluster, provider);
    });
}

/// Whether OAUTHBEARER can carry a token (RFC 6750, section 2.1). Others do not come as far as the library.
fn is_bearer_token(token: &str) -> bool {
    let bare = token.trim_end_matches('=');
    !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
}

/// What core says of the others.
fn malformed(cluster: &Cluster, token: &str) {
    match cluster.login("ann", token) {
        Outcome::Refused(error) => {
            assert_eq!(error.message, "OAuth bearer authentication failed for user \"ann\"");
        }
        other => panic!("{other:?}"),
    }
    testbed::expect::lacks_token(cluster, token);
}

#[test]
fn invalid_format() {
    with_ann("", |door, cluster, _provider| {
        let good = KEY.token(&user_v1(unix_now()));
        let (signed, signature) = good.rsplit_once('.').expect("a token");
        let (header, claims) = signed.split_once('.').expect("a token");
        let text = |parts: &str, token: &str| {
            format!("the access token has an invalid format ({parts}{} bytes)", token.len())
        };
        let cases = [
            ("a password".to_owned(), "1 part instead of 3, ", "problem=\"1 parts instead of 3\""),
            (signed.to_owned(), "2 parts instead of 3, ", "problem=\"2 parts instead of 3\""),
            (format!("{good}.{signature}"), "4 parts instead of 3, ", "problem=\"4 parts instead of 3\""),
            (format!("{header}=.{claims}.{signature}"), "", "problem=\"header is not base64url\""),
            (format!("{header}.{claims}+.{signature}"), "", "problem=\"claims is not base64url\""),
            (format!("{}.{claims}.{signature}", b64("[]")), "", "problem=\"header: not an object\""),
            (
                KEY.token_of(br#"{"alg":"RS256","kid":"key-1","kid":"key-2"}"#, b"{}"),
                "",
                "problem=\"header: a member occurs twice\"",
            ),
            (KEY.token_of(br#"{"alg":"RS256"}"#, b"{}"), "", "problem=\"header: no usable \\\"kid\\\"\""),
            (
                KEY.token_of(br#"{"alg":"RS256","kid":"key-1","crit":["exp"]}"#, b"{}"),
                "",
                "problem=\"header: has \\\"crit\\\"\"",
            ),
            (
                KEY.token_of(KEY.header().to_string().as_bytes(), br#"{"exp":1,"exp":1}"#),
                "",
                "problem=\"claims: a member occurs twice\"",
            ),
            (
                KEY.token_of(KEY.header().to_string().as_bytes(), br#"{"tid":"a","tid":"b"}"#),
                "",
                "problem=\"claims: a member occurs twice\"",
            ),
        ];
        for (token, parts, fact) in cases {
            if door == Door::OAuth && !is_bearer_token(&token) {
                malformed(&cluster, &token);
                continue;
            }
            let length = format!("length={}", token.len());
            refused(
                &cluster,
                "ann",
                &token,
                &plain("invalid_format", &text(parts, &token), &[fact, &length]),
            );
        }
        // Where a terminal cuts a pasted line, the reason is likely to be that.
        let cut = good.chars().cycle().filter(|c| *c != '.').take(4_095).collect::<String>();
        let hint = "Terminals cut pasted lines at 4095 bytes; pass the token in the environment variable PGPASSWORD.";
        let message = text("1 part instead of 3, ", &cut);
        refused(
            &cluster,
            "ann",
            &cut,
            &Refusal { hint: Some(hint), ..plain("invalid_format", &message, &[]) },
        );
        if door != Door::Password {
            return without_a_token(&cluster);
        }
        // One byte more than a message of PostgreSQL may hold.
        let long = "A".repeat(65_531);
        refused(
            &cluster,
            "ann",
            &long,
            &plain("invalid_format", &text("", &long), &["problem=\"too long\""]),
        );
        let mark = cluster.log_mark();
        let outcome = cluster.login("ann", "");
        let message = text("1 part instead of 3, ", "");
        testbed::expect::check_refusal(
            &cluster,
            mark,
            "ann",
            "",
            &outcome,
            &plain("invalid_format", &message, &["length=0"]),
        );
    });
}

/// At the doors where core itself refuses an empty token.
fn without_a_token(cluster: &Cluster) {
    match (cluster.door, cluster.login("ann", "")) {
        (Door::Pam, Outcome::Refused(error)) => {
            assert_eq!(error.message, "empty password returned by client");
        }
        (Door::OAuth, Outcome::Refused(error)) => {
            assert_eq!(error.message, "OAuth bearer authentication failed for user \"ann\"");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn unsupported_algorithm() {
    with_ann("", |_, cluster, _provider| {
        let claims = user_v1(unix_now()).to_string();
        for (algorithm, fact) in [
            (json!("none"), "found=none"),
            (json!("nOnE"), "found=nOnE"),
            (json!("RS512"), "found=RS512"),
            (json!("PS256"), "found=PS256"),
            (json!("rs256\n\u{1b}[2J"), "found=\"rs256\\n\\u{1b}[2J\""),
            (Value::Null, "found=none"),
        ] {
            let header = with(KEY.header(), "alg", algorithm).to_string();
            let token = KEY.token_of(header.as_bytes(), claims.as_bytes());
            refused(&cluster, "ann", &token, &plain("unsupported_algorithm", ALGORITHM, &[fact]));
        }
        // The public key as the secret of an HMAC.
        let signed = format!("{}.{}", b64(json!({"alg": "HS256", "kid": "key-1"}).to_string()), b64(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY.public_der()), signed.as_bytes());
        let token = format!("{signed}.{}", b64(tag));
        refused(&cluster, "ann", &token, &plain("unsupported_algorithm", ALGORITHM, &["found=HS256"]));
    });
}

#[test]
fn unknown_key_and_bad_signature() {
    // No login here waits for a key: that is tested with the keys.
    with_ann("azure_ad_auth.unknown_key_wait = 0", |_, cluster, _provider| {
        let claims = user_v1(unix_now());
        refused(
            &cluster,
            "ann",
            &NEW_KEY.token(&claims),
            &plain("unknown_key", SIGNATURE, &["key_id=key-2"]),
        );
        for (kid, fact) in [
            (json!("../../../dev/null"), "key_id=../../../dev/null"),
            (json!("key-1' OR '1'='1"), "key_id=\"key-1\\' OR \\'1\\'=\\'1\""),
            (json!("key-1\0"), "key_id=\"key-1\\0\""),
        ] {
            let header = with(KEY.header(), "kid", kid).to_string();
            let token = KEY.token_of(header.as_bytes(), claims.to_string().as_bytes());
            refused(&cluster, "ann", &token, &plain("unknown_key", SIGNATURE, &[fact]));
        }
        let bad = plain("bad_signature", SIGNATURE, &["key_id=key-1"]);
        let forged = NEW_KEY.token_of(KEY.header().to_string().as_bytes(), claims.to_string().as_bytes());
        refused(&cluster, "ann", &forged, &bad);
        let good = KEY.token(&claims);
        let (signed, signature) = good.rsplit_once('.').expect("a token");
        let (header, _) = signed.split_once('.').expect("a token");
        let other = b64(with(claims.clone(), "oid", json!(APPLICATION)).to_string());
        refused(&cluster, "ann", &format!("{header}.{other}.{signature}"), &bad);
        refused(&cluster, "ann", &format!("{signed}."), &bad);
        for brought in
            [json!({"jwk": NEW_KEY.jwk()}), json!({"jku": "https://evil.example/"}), json!({"x5c": ["MIIC"]})]
        {
            let mut header = KEY.header();
            header
                .as_object_mut()
                .expect("an object")
                .extend(brought.as_object().expect("an object").clone());
            let token = NEW_KEY.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes());
            refused(&cluster, "ann", &token, &bad);
        }
    });
}

#[test]
fn invalid_claims() {
    with_ann("", |_, cluster, _provider| {
        for (claim, value) in [
            ("ver", json!("3.0")),
            ("tid", Value::Null),
            ("iss", json!(1)),
            ("aud", json!([AUDIENCE])),
            ("exp", json!("4102444800")),
            ("nbf", Value::Null),
            ("iat", Value::Null),
            ("oid", Value::Null),
            ("oid", json!("ann@contoso.example")),
            ("appid", json!("psql")),
            ("scp", Value::Null),
            ("groups", json!("everyone")),
            ("amr", json!("mfa")),
        ] {
            let token = KEY.token(&with(user_v1(unix_now()), claim, value));
            let message = format!("the access token lacks a valid \"{claim}\" claim");
            let fact = format!("claim={claim}");
            refused(&cluster, "ann", &token, &plain("invalid_claims", &message, &[&fact]));
        }
        // An ID token: right audience, right person, wrong purpose.
        let id_token = with(with(user_v2(unix_now()), "scp", Value::Null), "nonce", json!("n"));
        let message = "the access token lacks a valid \"scp\" claim";
        refused(&cluster, "ann", &KEY.token(&id_token), &plain("invalid_claims", message, &["claim=scp"]));
    });
}

#[test]
fn wrong_tenant_and_wrong_issuer() {
    with_ann("", |_, cluster, _provider| {
        let expected = format!("expected={TENANT}");
        for other in [OTHER_TENANT, "9188040d-6c67-4c5b-b112-36a304b66dad"] {
            let found = format!("found={other}");
            let claims = with(user_v1(unix_now()), "tid", json!(other));
            let claims = with(claims, "iss", json!(format!("https://sts.windows.net/{other}/")));
            refused(
                &cluster,
                "ann",
                &KEY.token(&claims),
                &plain("wrong_tenant", TENANT_TEXT, &[&expected, &found]),
            );
        }
        for issuer in [
            format!("https://sts.windows.net/{OTHER_TENANT}/"),
            format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
            format!("https://evil.example/{TENANT}/"),
        ] {
            let found = format!("found={issuer}");
            let token = KEY.token(&with(user_v1(unix_now()), "iss", json!(issuer)));
            refused(&cluster, "ann", &token, &plain("wrong_issuer", TENANT_TEXT, &["of=token", &found]));
        }
    });
}

#[test]
fn the_issuer_of_the_key() {
    with_ann("", |_, cluster, provider| {
        let personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
        let body = json!({"keys": [with(KEY.jwk(), "issuer", json!(personal))]}).to_string();
        provider.behave(testbed::idp::Manners::Body(body));
        cluster.sql("SELECT azure_ad_auth.refresh_keys()");
        let found = format!("found={personal}");
        let facts = ["of=key", found.as_str()];
        let expected = plain("wrong_issuer", TENANT_TEXT, &facts);
        refused(&cluster, "ann", &KEY.token(&user_v2(unix_now())), &expected);
    });
}

#[test]
fn wrong_audience() {
    with_ann("", |_, cluster, _provider| {
        let hint = format!("Acquire an access token for the resource \"{AUDIENCE}\".");
        let expected = format!("expected={AUDIENCE}");
        for audience in [
            "https://ossrdbms-aad.database.windows.net",
            "00000003-0000-0000-c000-000000000000",
            "API://postgres",
        ] {
            let found = format!("found={audience}");
            let token = KEY.token(&with(user_v1(unix_now()), "aud", json!(audience)));
            let facts = [expected.as_str(), &found];
            let refusal = Refusal {
                hint: Some(&hint),
                ..plain("wrong_audience", "the access token was issued for another resource", &facts)
            };
            refused(&cluster, "ann", &token, &refusal);
        }
    });
}

#[test]
fn expired_and_not_yet_valid() {
    with_ann("", |_, cluster, _provider| {
        let token = KEY.token(&with(user_v1(unix_now()), "exp", json!(1_600_000_000)));
        let refusal = Refusal {
            hint: Some("Acquire a new access token and try again."),
            ..plain("expired", "the access token has expired", &["expired_at=1600000000", "skew=60"])
        };
        refused(&cluster, "ann", &token, &refusal);
        for claim in ["nbf", "iat"] {
            let token = KEY.token(&with(user_v1(unix_now()), claim, json!(4_000_000_000_i64)));
            let fact = format!("claim={claim}");
            let facts = [fact.as_str(), "valid_from=4000000000", "skew=60"];
            refused(
                &cluster,
                "ann",
                &token,
                &plain("not_yet_valid", "the access token is not valid yet", &facts),
            );
        }
    });
}

#[test]
fn client_not_allowed_and_permission_missing() {
    let settings = format!(
        "azure_ad_auth.allowed_clients = '{CLIENT}, {APPLICATION}'\nazure_ad_auth.required_permission = 'Db.Login'"
    );
    with_ann(&settings, |_, cluster, _provider| {
        link(&cluster, "robot", APPLICATION, "service");
        let claims = with(user_v2(unix_now()), "scp", json!("Other Db.Login"));
        testbed::expect::admitted(&cluster, "ann", &KEY.token(&claims));
        testbed::expect::admitted(&cluster, "robot", &KEY.token(&app_v2(unix_now())));
        let message = "the access token was issued to an application that may not connect";
        for (client, fact) in
            [(json!(PERSON), format!("found={PERSON}")), (Value::Null, "found=none".to_owned())]
        {
            let token = KEY.token(&with(claims.clone(), "azp", client));
            refused(&cluster, "ann", &token, &plain("client_not_allowed", message, &[&fact]));
        }
        let message = "the access token lacks a required permission";
        let token = KEY.token(&with(claims.clone(), "scp", json!("db.login Db.Log")));
        let facts = ["claim=scp", "expected=Db.Login", "found=\"db.login Db.Log\""];
        refused(&cluster, "ann", &token, &plain("permission_missing", message, &facts));
        let token = KEY.token(&with(app_v2(unix_now()), "roles", json!(["Reader"])));
        refused(
            &cluster,
            "robot",
            &token,
            &plain("permission_missing", message, &["claim=roles", "found=Reader"]),
        );
    });
}

#[test]
fn mfa_required() {
    at_every_door("", |_, cluster, _provider| {
        cluster
            .sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user', false, true)"));
        let message = "role \"ann\" requires multi-factor authentication";
        let token = KEY.token(&with(user_v1(unix_now()), "amr", json!(["pwd"])));
        refused(&cluster, "ann", &token, &plain("mfa_required", message, &["amr_present=true"]));
        let hint = "Only version 1.0 access tokens say how their user signed in.";
        let refusal = Refusal { hint: Some(hint), ..plain("mfa_required", message, &["amr_present=false"]) };
        refused(&cluster, "ann", &KEY.token(&user_v2(unix_now())), &refusal);
    });
}

#[test]
fn token_revoked() {
    with_ann("", |_, cluster, _provider| {
        let now = unix_now();
        let not_before = now - 100;
        let label = format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT},not_before={not_before}");
        cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{label}'"));
        let when =
            cluster.sql(&format!("SET timezone = 'UTC'; SELECT to_timestamp({not_before})::timestamp(0)"));
        let when = when.lines().last().unwrap_or_default().to_owned();
        let message =
            format!("access tokens issued before {when}+00 are no longer accepted for role \"ann\"");
        let issued = format!("issued_at={}", now - 300);
        let since = format!("not_before={not_before}");
        refused(
            &cluster,
            "ann",
            &KEY.token(&user_v1(now)),
            &plain("token_revoked", &message, &[&issued, &since]),
        );
        let fresh = with(user_v1(now), "iat", json!(not_before));
        testbed::expect::admitted(&cluster, "ann", &KEY.token(&fresh));
    });
}

#[test]
fn wrong_kind() {
    with_ann("", |_, cluster, _provider| {
        link(&cluster, "robot", APPLICATION, "service");
        let facts = ["expected=user", "found=application"];
        let refusal = plain("wrong_kind", "role \"ann\" needs a user's access token", &facts);
        refused(&cluster, "ann", &KEY.token(&app_v1(unix_now())), &refusal);
        let facts = ["expected=service", "found=user"];
        let refusal = plain("wrong_kind", "role \"robot\" needs an application's access token", &facts);
        refused(&cluster, "robot", &KEY.token(&user_v1(unix_now())), &refusal);
    });
}

#[test]
fn groups_overage_and_not_a_member() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "dbas", GROUP, "group");
        let expected = format!("expected={GROUP}");
        let message = "the access token does not list its groups because there are too many";
        for overage in [("_claim_names", json!({"groups": "src1"})), ("hasgroups", json!(true))] {
            let token = KEY.token(&with(user_v2(unix_now()), overage.0, overage.1));
            refused(&cluster, "dbas", &token, &plain("groups_overage", message, &[&expected]));
        }
        let message = "Azure AD authentication failed for role \"dbas\"";
        let facts = [expected.as_str(), "groups_listed=0"];
        let refusal = plain("not_a_member", message, &facts);
        refused(&cluster, "dbas", &KEY.token(&user_v2(unix_now())), &refusal);
        let token = KEY.token(&with(user_v2(unix_now()), "groups", json!([PERSON, "dbas"])));
        refused(
            &cluster,
            "dbas",
            &token,
            &plain(
                "not_a_member",
                message,
                &[&expected, "groups_listed=\"2 listed, 1 of them by object id\""],
            ),
        );
    });
}

#[test]
fn oid_mismatch() {
    with_ann("", |_, cluster, _provider| {
        let message = "Azure AD authentication failed for role \"ann\"";
        let expected = format!("expected={PERSON}");
        let found = format!("found={APPLICATION}");
        // The same name, another object: a person recreated, or somebody who calls himself so.
        let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(APPLICATION)));
        refused(&cluster, "ann", &token, &plain("oid_mismatch", message, &[&expected, &found]));
        let label = format!("aadauth,oid={PERSON},type=user,tenant_id={OTHER_TENANT}");
        cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{label}'"));
        let foreign = format!("expected_tenant={OTHER_TENANT}");
        let facts = [expected.as_str(), foreign.as_str()];
        let refusal = plain("oid_mismatch", message, &facts);
        refused(&cluster, "ann", &KEY.token(&user_v1(unix_now())), &refusal);
    });
}

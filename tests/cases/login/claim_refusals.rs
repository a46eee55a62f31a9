//! Logins that are refused because of a claim of the token: each code as the client reads it and as
//! the log has it.

use serde_json::{Value, json};
use testbed::expect::{Refusal, refused};
use testbed::issuer::{
    APPLICATION, AUDIENCE, CLIENT, GROUP, OTHER_TENANT, PERSON, TENANT, app_v1, app_v2, unix_now, user_v1,
    user_v2, with,
};
use testbed::scene::KEY;

use crate::common::doors::{at_every_door, at_every_door_with_ann};
use crate::common::login::valid_token;
use crate::common::statements::link;

const TENANT_TEXT: &str = "the access token was issued by another tenant";

#[test]
fn invalid_claims() {
    at_every_door_with_ann("", |_, cluster, _provider| {
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
            refused(&cluster, "ann", &token, &Refusal::sqlstate_28p01("invalid_claims", &message, &[&fact]));
        }
        // An ID token: right audience, right person, wrong purpose.
        let id_token = with(with(user_v2(unix_now()), "scp", Value::Null), "nonce", json!("n"));
        let message = "the access token lacks a valid \"scp\" claim";
        refused(
            &cluster,
            "ann",
            &KEY.token(&id_token),
            &Refusal::sqlstate_28p01("invalid_claims", message, &["claim=scp"]),
        );
    });
}

#[test]
fn wrong_tenant_and_wrong_issuer() {
    at_every_door_with_ann("", |_, cluster, _provider| {
        let expected = format!("expected={TENANT}");
        for other in [OTHER_TENANT, "9188040d-6c67-4c5b-b112-36a304b66dad"] {
            let found = format!("found={other}");
            let claims = with(user_v1(unix_now()), "tid", json!(other));
            let claims = with(claims, "iss", json!(format!("https://sts.windows.net/{other}/")));
            refused(
                &cluster,
                "ann",
                &KEY.token(&claims),
                &Refusal::sqlstate_28p01("wrong_tenant", TENANT_TEXT, &[&expected, &found]),
            );
        }
        for issuer in [
            format!("https://sts.windows.net/{OTHER_TENANT}/"),
            format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
            format!("https://evil.example/{TENANT}/"),
        ] {
            let found = format!("found={issuer}");
            let token = KEY.token(&with(user_v1(unix_now()), "iss", json!(issuer)));
            refused(
                &cluster,
                "ann",
                &token,
                &Refusal::sqlstate_28p01("wrong_issuer", TENANT_TEXT, &["of=token", &found]),
            );
        }
    });
}

#[test]
fn the_issuer_of_the_key() {
    at_every_door_with_ann("", |_, cluster, provider| {
        let personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
        let body = json!({"keys": [with(KEY.jwk(), "issuer", json!(personal))]}).to_string();
        provider.behave(testbed::idp::Behavior::Body(body));
        cluster.sql("SELECT azure_ad_auth.refresh_keys()");
        let found = format!("found={personal}");
        let facts = ["of=key", found.as_str()];
        let expected = Refusal::sqlstate_28p01("wrong_issuer", TENANT_TEXT, &facts);
        refused(&cluster, "ann", &KEY.token(&user_v2(unix_now())), &expected);
    });
}

#[test]
fn wrong_audience() {
    at_every_door_with_ann("", |_, cluster, _provider| {
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
                ..Refusal::sqlstate_28p01(
                    "wrong_audience",
                    "the access token was issued for another resource",
                    &facts,
                )
            };
            refused(&cluster, "ann", &token, &refusal);
        }
    });
}

#[test]
fn expired_and_not_yet_valid() {
    at_every_door_with_ann("", |_, cluster, _provider| {
        let token = KEY.token(&with(user_v1(unix_now()), "exp", json!(1_600_000_000)));
        let refusal = Refusal {
            hint: Some("Acquire a new access token and try again."),
            ..Refusal::sqlstate_28p01(
                "expired",
                "the access token has expired",
                &["expired_at=1600000000", "skew=60"],
            )
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
                &Refusal::sqlstate_28p01("not_yet_valid", "the access token is not valid yet", &facts),
            );
        }
    });
}

#[test]
fn client_not_allowed_and_permission_missing() {
    let settings = format!(
        "azure_ad_auth.allowed_clients = '{CLIENT}, {APPLICATION}'\nazure_ad_auth.required_permission = 'Db.Login'"
    );
    at_every_door_with_ann(&settings, |_, cluster, _provider| {
        link(&cluster, "robot", APPLICATION, "service");
        let claims = with(user_v2(unix_now()), "scp", json!("Other Db.Login"));
        testbed::expect::admitted(&cluster, "ann", &KEY.token(&claims));
        testbed::expect::admitted(&cluster, "robot", &KEY.token(&app_v2(unix_now())));
        let message = "the access token was issued to an application that may not connect";
        for (client, fact) in
            [(json!(PERSON), format!("found={PERSON}")), (Value::Null, "found=none".to_owned())]
        {
            let token = KEY.token(&with(claims.clone(), "azp", client));
            refused(
                &cluster,
                "ann",
                &token,
                &Refusal::sqlstate_28p01("client_not_allowed", message, &[&fact]),
            );
        }
        let message = "the access token lacks a required permission";
        let token = KEY.token(&with(claims.clone(), "scp", json!("db.login Db.Log")));
        let facts = ["claim=scp", "expected=Db.Login", "found=\"db.login Db.Log\""];
        refused(&cluster, "ann", &token, &Refusal::sqlstate_28p01("permission_missing", message, &facts));
        let token = KEY.token(&with(app_v2(unix_now()), "roles", json!(["Reader"])));
        refused(
            &cluster,
            "robot",
            &token,
            &Refusal::sqlstate_28p01("permission_missing", message, &["claim=roles", "found=Reader"]),
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
        refused(
            &cluster,
            "ann",
            &token,
            &Refusal::sqlstate_28p01("mfa_required", message, &["amr_present=true"]),
        );
        let hint = "Only version 1.0 access tokens say how their user signed in.";
        let refusal = Refusal {
            hint: Some(hint),
            ..Refusal::sqlstate_28p01("mfa_required", message, &["amr_present=false"])
        };
        refused(&cluster, "ann", &KEY.token(&user_v2(unix_now())), &refusal);
    });
}

#[test]
fn token_revoked() {
    at_every_door_with_ann("", |_, cluster, _provider| {
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
            &Refusal::sqlstate_28p01("token_revoked", &message, &[&issued, &since]),
        );
        let fresh = with(user_v1(now), "iat", json!(not_before));
        testbed::expect::admitted(&cluster, "ann", &KEY.token(&fresh));
    });
}

#[test]
fn wrong_kind() {
    at_every_door_with_ann("", |_, cluster, _provider| {
        link(&cluster, "robot", APPLICATION, "service");
        let facts = ["expected=user", "found=service"];
        let refusal =
            Refusal::sqlstate_28p01("wrong_kind", "role \"ann\" needs a user's access token", &facts);
        refused(&cluster, "ann", &KEY.token(&app_v1(unix_now())), &refusal);
        let facts = ["expected=service", "found=user"];
        let refusal = Refusal::sqlstate_28p01(
            "wrong_kind",
            "role \"robot\" needs an application's access token",
            &facts,
        );
        refused(&cluster, "robot", &valid_token(), &refusal);
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
            refused(
                &cluster,
                "dbas",
                &token,
                &Refusal::sqlstate_28p01("groups_overage", message, &[&expected]),
            );
        }
        let message = "Azure AD authentication failed for role \"dbas\"";
        let facts = [expected.as_str(), "groups_listed=0"];
        let refusal = Refusal::sqlstate_28p01("not_a_member", message, &facts);
        refused(&cluster, "dbas", &KEY.token(&user_v2(unix_now())), &refusal);
        let token = KEY.token(&with(user_v2(unix_now()), "groups", json!([PERSON, "dbas"])));
        refused(
            &cluster,
            "dbas",
            &token,
            &Refusal::sqlstate_28p01(
                "not_a_member",
                message,
                &[&expected, "groups_listed=\"2 listed, 1 of them by object id\""],
            ),
        );
    });
}

#[test]
fn oid_mismatch() {
    at_every_door_with_ann("", |_, cluster, _provider| {
        let message = "Azure AD authentication failed for role \"ann\"";
        let expected = format!("expected={PERSON}");
        let found = format!("found={APPLICATION}");
        // The same name with another object id: a person who was created anew, or another person of
        // that name.
        let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(APPLICATION)));
        refused(
            &cluster,
            "ann",
            &token,
            &Refusal::sqlstate_28p01("oid_mismatch", message, &[&expected, &found]),
        );
        let label = format!("aadauth,oid={PERSON},type=user,tenant_id={OTHER_TENANT}");
        cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{label}'"));
        let foreign = format!("expected_tenant={OTHER_TENANT}");
        let facts = [expected.as_str(), foreign.as_str()];
        let refusal = Refusal::sqlstate_28p01("oid_mismatch", message, &facts);
        refused(&cluster, "ann", &valid_token(), &refusal);
    });
}

//! Refusals that depend on the server and not on the token: R2 to R7. They come before the token is
//! asked for, except by OAUTHBEARER, where the token is there before anything can be decided.

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::Configuration;
use testbed::door::Door;
use testbed::expect::{Refusal, check_refusal, lacks_token, refused};
use testbed::idp::Behavior;
use testbed::issuer::{AUDIENCE, OTHER_TENANT, PERSON, TENANT, unix_now, user_v1, with};
use testbed::pam;
use testbed::pam::Service;
use testbed::scene::{KEY, Scene, provider};

use crate::common::doors::{DEBUG_LOG, EVERY_DOOR, at_doors, at_every_door};
use crate::common::explain::{code_of, explain};
use crate::common::login::valid_token;
use crate::common::route::{Route, refused_before_prompt};
use crate::common::statements::{link, tamper};
use serde_json::json;

#[test]
fn r3_wrong_method() {
    let hba = "local all postgres trust\nlocal all all peer map=anyone\nhost all all 127.0.0.1/32 password\n";
    let (cluster, _provider) = Scene::new().hba(hba).start();
    std::fs::write(cluster.data().join("pg_ident.conf"), "anyone /^.*$ ann\n").expect("pg_ident.conf");
    cluster.reload();
    link(&cluster, "ann", PERSON, "user");
    let message = "role \"ann\" is an Azure AD role and can only log in with an access token";
    let expected = Refusal::sqlstate_28000("wrong_method", message, &["method=peer"]);
    refused_before_prompt(&cluster, Route::Socket, "ann", &expected);
    // A password from before the link, or one written directly to the catalog, admits nobody.
    cluster.sql("CREATE ROLE other PASSWORD 'secret'");
    tamper(
        &cluster,
        "UPDATE pg_authid SET rolpassword = (SELECT rolpassword FROM pg_authid WHERE rolname = 'other') \
         WHERE rolname = 'ann'",
    );
    let mark = cluster.log_mark();
    let outcome = cluster.login("ann", "secret");
    let expected = Refusal::sqlstate_28000("wrong_method", message, &["method=password"]);
    check_refusal(&cluster, mark, "ann", "", &outcome, &expected);
}

#[test]
fn r4_tls_required() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let message = "Azure AD authentication requires an encrypted connection";
        refused_before_prompt(
            &cluster,
            Route::Plain,
            "ann",
            &Refusal::sqlstate_28000("tls_required", message, &[]),
        );
    });
}

const NOT_CONFIGURED: &str = "Azure AD authentication is not configured on this server";

#[test]
fn r5_not_configured() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        // The issuer in the line is of another tenant as well, which may be the reason given.
        let foreign =
            if door == Door::OAuth { "" } else { "problem=\"the administrators are of another tenant\"" };
        for (setting, value, fact) in [
            ("tenant_id", "", "setting=azure_ad_auth.tenant_id"),
            ("audience", "", "setting=azure_ad_auth.audience"),
            ("tenant_id", OTHER_TENANT, foreign),
        ] {
            cluster.set(&format!("azure_ad_auth.{setting}"), value);
            refused_before_prompt(
                &cluster,
                Route::Tls,
                "ann",
                &Refusal::sqlstate_28000("not_configured", NOT_CONFIGURED, &[fact]),
            );
            cluster.sql(&format!("ALTER SYSTEM RESET azure_ad_auth.{setting}"));
            cluster.reload();
        }
        cluster.await_keys();
        testbed::expect::admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn r6_no_admin() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let message = "Azure AD authentication is disabled: the server has no Azure AD administrator";
        let no_admin = Refusal::sqlstate_28000("no_admin", message, &[]);
        cluster.sql("SELECT azure_ad_auth.remove_admin()");
        for role in ["ann", "admin"] {
            refused_before_prompt(&cluster, Route::Tls, role, &no_admin);
        }
        cluster.sql("SELECT azure_ad_auth.set_admin('admin', '66666666-aaaa-bbbb-cccc-000000000006')");
        testbed::expect::admitted(&cluster, "ann", &valid_token());
        cluster.sql("DROP ROLE admin");
        refused_before_prompt(&cluster, Route::Tls, "ann", &no_admin);
    });
}

#[test]
fn r7_privileged_role_and_nologin() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let message = "role \"ann\" cannot use Azure AD authentication because it is a superuser, replication or BYPASSRLS role";
        for (column, name) in
            [("rolsuper", "superuser"), ("rolreplication", "replication"), ("rolbypassrls", "bypassrls")]
        {
            tamper(&cluster, &format!("UPDATE pg_authid SET {column} = true WHERE rolname = 'ann'"));
            let fact = format!("attributes={name}");
            refused_before_prompt(
                &cluster,
                Route::Tls,
                "ann",
                &Refusal::sqlstate_28000("privileged_role", message, &[&fact]),
            );
            tamper(&cluster, &format!("UPDATE pg_authid SET {column} = false WHERE rolname = 'ann'"));
        }
        cluster.sql("ALTER ROLE ann NOLOGIN");
        let parameters = [("user", "ann"), ("database", "postgres")];
        let mut client = cluster.client();
        let asked = if door == Door::OAuth {
            AuthRequest::Finished(client.login(&parameters, &valid_token()))
        } else {
            client.start(&parameters).expect("a connection");
            client.auth_request()
        };
        match asked {
            AuthRequest::Finished(Outcome::Refused(error)) => {
                assert_eq!(error.message, "role \"ann\" is not permitted to log in", "core's own words");
                assert_eq!(error.sqlstate, "28000");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn of_several_reasons_the_first_is_given() {
    at_doors(&EVERY_DOOR, |door| {
        let hba = |line: &str| format!("local all postgres trust\n{line}\n");
        let method = hba("host all ann 127.0.0.1/32 password");
        let (cluster, _provider) = Scene::new().door(door).hba(method).start();
        cluster.sql("CREATE ROLE other PASSWORD 'secret'");
        link(&cluster, "ann", PERSON, "user");
        // Everything is wrong at first; then one fault after the other is removed.
        cluster.sql("SELECT azure_ad_auth.remove_admin()");
        tamper(
            &cluster,
            "UPDATE pg_authid SET rolsuper = true, rolcanlogin = false, \
         rolpassword = (SELECT rolpassword FROM pg_authid WHERE rolname = 'other') WHERE rolname = 'ann'",
        );
        cluster.set("azure_ad_auth.audience", "");
        let reason = |outcome: Outcome| match outcome {
            Outcome::Refused(error) => error.message,
            other => panic!("{other:?}"),
        };
        let parameters = [("user", "ann"), ("database", "postgres")];
        let plain = |password: &str| reason(cluster.plain_client().login(&parameters, password));
        assert!(plain("secret").ends_with("can only log in with an access token"), "wrong_method");
        cluster.change_hba(&hba(&format!("host all +azure_ad_user 127.0.0.1/32 {}", cluster.clause())));
        assert_eq!(plain("no-token"), "Azure AD authentication requires an encrypted connection");
        let encrypted = || reason(cluster.login("ann", "no-token"));
        assert_eq!(encrypted(), NOT_CONFIGURED);
        cluster.set("azure_ad_auth.audience", AUDIENCE);
        assert!(encrypted().ends_with("the server has no Azure AD administrator"));
        cluster.sql("SELECT azure_ad_auth.set_admin('admin', '66666666-aaaa-bbbb-cccc-000000000006')");
        assert!(encrypted().ends_with("a superuser, replication or BYPASSRLS role"));
        tamper(&cluster, "UPDATE pg_authid SET rolsuper = false WHERE rolname = 'ann'");
        assert_eq!(encrypted(), "role \"ann\" is not permitted to log in");
        cluster.sql("ALTER ROLE ann LOGIN PASSWORD NULL");
        assert!(encrypted().starts_with("the access token has an invalid format"));
    });
}

#[test]
fn r2_nobody_is_azure_ad_user_or_azure_ad_admin() {
    at_every_door("", |_, cluster, _provider| {
        for role in ["azure_ad_user", "azure_ad_admin"] {
            match cluster.login(role, &valid_token()) {
                Outcome::Refused(error) => {
                    assert_eq!(error.message, format!("role \"{role}\" is not permitted to log in"));
                }
                other => panic!("{other:?}"),
            }
            tamper(&cluster, &format!("UPDATE pg_authid SET rolcanlogin = true WHERE rolname = '{role}'"));
            let message = format!("Azure AD authentication failed for role \"{role}\"");
            let expected = Refusal::sqlstate_28p01("not_linked", &message, &[]);
            refused_before_prompt(&cluster, Route::Tls, role, &expected);
        }
    });
}

#[test]
fn r12_not_linked() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        // Without its label the role is an Azure AD role only by membership.
        tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
        let message = "Azure AD authentication failed for role \"ann\"";
        let fact = format!("oid={PERSON}");
        let facts = [fact.as_str()];
        let expected = Refusal { code: "not_linked", sqlstate: "28P01", message, hint: None, facts: &facts };
        refused(&cluster, "ann", &valid_token(), &expected);
        // Faults of the token come first, so that a client cannot find out which roles are linked.
        let expired = KEY.token(&with(user_v1(unix_now()), "exp", json!(1)));
        let hint = Some("Acquire a new access token and try again.");
        let expected = Refusal {
            code: "expired",
            message: "the access token has expired",
            hint,
            facts: &[],
            ..expected
        };
        refused(&cluster, "ann", &expired, &expected);
        // A label that this library would not have accepted has no effect.
        tamper(
            &cluster,
            "INSERT INTO pg_shseclabel VALUES ('ann'::regrole, 'pg_authid'::regclass, 'pgaadauth', 'aadauth,oid=?')",
        );
        let expected = Refusal { code: "not_linked", sqlstate: "28P01", message, hint: None, facts: &[] };
        refused(&cluster, "ann", &valid_token(), &expected);
    });
}

#[test]
fn a_fault_of_ours() {
    // This library differs from the real one: a login with the key id "panic" panics with the token
    // in the message.
    let library = std::env::var("FAULTY_LIBRARY").expect("FAULTY_LIBRARY: see tools/test");
    at_doors(&EVERY_DOOR, |door| {
        let provider = provider();
        let cluster = Scene::new().door(door).create();
        // In a folder that the server's user can read.
        let copy = cluster.folder().write("faulty.so", std::fs::read(&library).expect("the faulty library"));
        let copy = copy.display().to_string();
        let validator = match door {
            Door::OAuth => format!("oauth_validator_libraries = '{copy}'"),
            Door::Password | Door::Pam => String::new(),
        };
        let settings =
            format!("{DEBUG_LOG}\nazure_ad_auth.authority_url = '{}'\n{validator}", provider.url());
        let service = (door == Door::Pam).then(|| Service::new(&pam::lines_of(&copy)));
        let hba = Door::hba(&door.clause(service.as_ref().map_or("none", Service::name)));
        cluster.configure(&Configuration::new().settings(settings).hba(hba).preload(copy.clone()));
        cluster.start();
        cluster.sql("CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin; GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION");
        for (role, more) in [("ann", ""), ("admin", ",admin")] {
            let label = format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}{more}");
            cluster.sql(&format!(
                "CREATE ROLE {role} LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE {role} IS '{label}'"
            ));
        }
        let header = with(KEY.header(), "kid", json!("panic")).to_string();
        let token = KEY.token_of(header.as_bytes(), user_v1(unix_now()).to_string().as_bytes());
        let expected = Refusal {
            code: "internal",
            sqlstate: "XX000",
            message: "Azure AD authentication failed for role \"ann\"",
            hint: None,
            facts: &["problem=\"a fault while judging the token\""],
        };
        refused(&cluster, "ann", &token, &expected);
        cluster.sql(&format!(
            "CREATE SCHEMA azure_ad_auth; CREATE FUNCTION azure_ad_auth.explain_token(text, text, OUT step text, OUT verdict text, \
             OUT expected text, OUT found text) RETURNS SETOF record LANGUAGE c AS '{copy}', 'explain_token_wrapper'"
        ));
        assert_eq!(code_of(&explain(&cluster, Some("ann"), &token)), "internal");
        lacks_token(&cluster, &token);
        // The server goes on, and others log in.
        let good = valid_token();
        assert_eq!(cluster.login("ann", &good), Outcome::Ready);
    });
}

#[test]
fn r10_keys_unavailable() {
    at_every_door("azure_ad_auth.unknown_key_wait = 0", |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        provider.behave(Behavior::Status(503, ""));
        cluster.stop("fast");
        std::fs::remove_file(cluster.key_snapshot()).expect("a snapshot");
        let mark = cluster.log_mark();
        cluster.start();
        cluster.await_log(mark, "answered with status 503");
        let expected = Refusal {
            code: "keys_unavailable",
            sqlstate: "57P03",
            message: "the signing keys of the Azure AD tenant are not available; try again later",
            hint: None,
            facts: &["keys=empty", "problem=\"https://127.0.0.1"],
        };
        refused(&cluster, "ann", &valid_token(), &expected);
    });
}

//! From PostgreSQL 19 on: options of an `oauth` line in pg_hba.conf, which narrow the settings for
//! the logins by that line.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, lacks_token, refused};
use testbed::idp::Provider;
use testbed::issuer::{APPLICATION, CLIENT, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY};
use testbed::template::Template;

use crate::common::doors::at_oauth_with_ann;
use crate::common::guard::restart_without_library;
use crate::common::hba::hba_rows;
use crate::common::login::valid_token;
use crate::common::server::key_waits;

const NOT_CONFIGURED: &str = "Azure AD authentication is not configured on this server";
const OTHER_RESOURCE: &str = "the access token was issued for another resource";

/// Runs a case on a server that accepts two audiences and two client applications.
fn at_two_audiences(case: impl Fn(Cluster, Provider)) {
    if Template::shared().installation.major < 19 {
        return;
    }
    let settings = format!(
        "azure_ad_auth.audience = 'api://postgres, api://payroll'\n\
         azure_ad_auth.allowed_clients = '{CLIENT}, {APPLICATION}'"
    );
    at_oauth_with_ann(&settings, case);
}

/// Gives the lines of Azure AD roles these options.
fn set_options(cluster: &Cluster, options: &str) {
    cluster.change_hba(&Door::hba(&format!("{} {options}", cluster.clause())));
}

fn token(claim: &str, value: Value) -> String {
    KEY.token(&with(user_v1(unix_now()), claim, value))
}

fn verdict_of_line(cluster: &Cluster) -> String {
    let rows = hba_rows(cluster, "line, verdict, reason");
    rows.into_iter().find(|row| row.starts_with("3|")).expect("a verdict on the third line")
}

#[test]
fn an_option_narrows_its_line_and_no_other() {
    at_two_audiences(|cluster, _provider| {
        let payroll = token("aud", json!("api://payroll"));
        cluster.sql("CREATE DATABASE payroll");
        let clause = cluster.clause();
        cluster.change_hba(&format!(
            "local all,replication postgres trust\n\
             host payroll +azure_ad_user 127.0.0.1/32 {}  validator.audience=api://payroll\n\
             host all +azure_ad_user 127.0.0.1/32 {clause}\n",
            clause.replace("api://postgres/access", "api://payroll/access")
        ));
        for accepted in [&payroll, &valid_token()] {
            admitted(&cluster, "ann", accepted);
        }
        let to_payroll = [("user", "ann"), ("database", "payroll")];
        assert_eq!(cluster.client().login(&to_payroll, &payroll), Outcome::Ready);
        let mark = cluster.log_mark();
        let outcome = cluster.client().login(&to_payroll, &valid_token());
        let Outcome::Refused(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("28P01", OTHER_RESOURCE));
        assert_eq!(
            error.hint.as_deref(),
            Some("Acquire an access token for the resource \"api://payroll\".")
        );
        let log = cluster.log_since(mark);
        assert!(
            log.contains("refused code=wrong_audience ") && log.contains(" expected=api://payroll"),
            "{log}"
        );
        let rows = hba_rows(&cluster, "reason");
        assert!(rows.len() == 2 && !rows.iter().any(|row| row.contains("admits nobody")), "{rows:?}");
    });
}

#[test]
fn each_option_refuses_what_it_excludes() {
    at_two_audiences(|cluster, _provider| {
        let expired_hint = "Acquire an access token for the resource \"api://postgres\".";
        for (option, claim, value, refusal) in [
            (
                "validator.audience=api://postgres",
                "aud",
                json!("api://payroll"),
                Refusal {
                    hint: Some(expired_hint),
                    ..Refusal::sqlstate_28p01("wrong_audience", OTHER_RESOURCE, &["expected=api://postgres"])
                },
            ),
            (
                &format!("validator.allowed_clients={CLIENT}"),
                "appid",
                json!(APPLICATION),
                Refusal::sqlstate_28p01(
                    "client_not_allowed",
                    "the access token was issued to an application that may not connect",
                    &["found=33333333-aaaa-bbbb-cccc-000000000003"],
                ),
            ),
            (
                "validator.required_permission=dba",
                "scp",
                json!("user_impersonation"),
                Refusal::sqlstate_28p01(
                    "permission_missing",
                    "the access token lacks a required permission",
                    &["expected=dba"],
                ),
            ),
        ] {
            set_options(&cluster, "");
            admitted(&cluster, "ann", &token(claim, value.clone()));
            set_options(&cluster, option);
            refused(&cluster, "ann", &token(claim, value), &refusal);
            let good = token("scp", json!("user_impersonation dba"));
            admitted(&cluster, "ann", &good);
            let verdict = verdict_of_line(&cluster);
            assert!(!verdict.contains("admits nobody"), "{option}: {verdict}");
        }
    });
}

#[test]
fn an_option_that_is_not_valid_closes_its_line() {
    at_two_audiences(|cluster, _provider| {
        for (option, name, problem) in [
            (
                "validator.audience=api://other",
                "audience",
                "has an item that azure_ad_auth.audience does not accept",
            ),
            ("validator.audience=\"api://postgres, api://other\"", "audience", "has an item that"),
            ("validator.audience=\"\"", "audience", "is empty"),
            (
                "validator.allowed_clients=22222222-aaaa-bbbb-cccc-000000000002",
                "allowed_clients",
                "has an item that azure_ad_auth.allowed_clients does not accept",
            ),
            ("validator.allowed_clients=someone", "allowed_clients", ""),
            (
                "validator.required_permission=\"a, b\"",
                "required_permission",
                "names more than one permission",
            ),
            // The last one of a name counts, as with PostgreSQL's own options.
            (
                "validator.audience=api://postgres validator.audience=api://other",
                "audience",
                "has an item that",
            ),
        ] {
            set_options(&cluster, option);
            let option_fact = format!("option=validator.{name}");
            let problem_fact = format!("problem=\"{problem}");
            let facts = [option_fact.as_str(), problem_fact.as_str()];
            refused(
                &cluster,
                "ann",
                &valid_token(),
                &Refusal::sqlstate_28000("not_configured", NOT_CONFIGURED, &facts),
            );
            let verdict = verdict_of_line(&cluster);
            let reason = format!("3|warning|it admits nobody, because validator.{name} {problem}");
            assert!(verdict.starts_with(&reason), "{verdict}");
        }
        set_options(&cluster, "validator.audience=api://other validator.audience=api://postgres");
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn a_list_is_read_in_quotes_alone() {
    at_two_audiences(|cluster, _provider| {
        for quoted in [
            "validator.audience=\"api://postgres,api://payroll\"",
            "\"validator.audience=api://postgres, api://payroll\"",
        ] {
            set_options(&cluster, quoted);
            for audience in ["api://postgres", "api://payroll"] {
                admitted(&cluster, "ann", &token("aud", json!(audience)));
            }
        }
        set_options(&cluster, "validator.audience=api://postgres,api://payroll");
        let verdict = verdict_of_line(&cluster);
        assert!(verdict.contains("PostgreSQL cannot read this line"), "{verdict}");
    });
}

#[test]
fn a_value_that_is_not_utf_8_fits_no_token_and_check_hba_says_so() {
    at_two_audiences(|cluster, _provider| {
        for name in ["audience", "allowed_clients", "required_permission"] {
            let mut file = Door::hba(&format!("{} validator.{name}=dba", cluster.clause())).into_bytes();
            file = file
                .split(|byte| *byte == b'\n')
                .map(|line| {
                    if line.ends_with(b"=dba") { [line, b"\xff\n"].concat() } else { [line, b"\n"].concat() }
                })
                .collect::<Vec<_>>()
                .concat();
            cluster.folder().write("data/pg_hba.conf", file);
            let verdict = verdict_of_line(&cluster);
            assert!(
                verdict.starts_with(&format!("3|warning|it admits nobody, because validator.{name} ")),
                "{verdict}"
            );
            cluster.reload();
            for permission in ["dba", "dba\u{fffd}", "dba\u{ff}"] {
                let outcome = cluster.login("ann", &token("scp", json!(permission)));
                assert!(matches!(outcome, Outcome::Refused(_)), "{name} {permission}: {outcome:?}");
            }
        }
    });
}

#[test]
fn a_token_that_an_option_excludes_causes_no_fetch_of_keys() {
    at_two_audiences(|cluster, provider| {
        set_options(&cluster, "validator.required_permission=dba");
        cluster.await_keys();
        let before = provider.requests();
        let refusal = Refusal::sqlstate_28p01(
            "unknown_key",
            "the access token's signature could not be verified",
            &["key_id=key-2"],
        );
        refused(&cluster, "ann", &NEW_KEY.token(&user_v1(unix_now())), &refusal);
        assert_eq!((provider.requests(), key_waits(&cluster)), (before, 0));
    });
}

#[test]
fn where_the_library_is_not_preloaded_the_log_of_postgresql_has_the_code() {
    at_two_audiences(|cluster, _provider| {
        restart_without_library(&cluster, "");
        let mark = cluster.log_mark();
        let outcome = cluster.login("ann", &valid_token());
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        let log = cluster.log_since(mark);
        let detail = "DETAIL:  azure_ad_auth: code=not_configured problem=\"azure_ad_auth is not in \
                      shared_preload_libraries";
        assert!(log.contains(detail), "{log}");
        lacks_token(&cluster, &valid_token());
    });
}

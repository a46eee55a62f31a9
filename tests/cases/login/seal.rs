//! The seal: a session proves before its first statement how it was authenticated. What it proves
//! at its start is in `startup_seal`.

use std::fs;

use testbed::client::{Answer, AuthRequest, Outcome, RawClient};
use testbed::cluster::{Cluster, Configuration};
use testbed::door::Door;
use testbed::expect::{Refusal, check_refusal, lacks_token, without_debug};
use testbed::idp::Provider;
use testbed::issuer::{APPLICATION, PERSON};
use testbed::scene::{Scene, provider};
use testbed::waits::eventually;

use crate::common::doors::{EVERY_DOOR, at_doors, at_every_door};
use crate::common::login::valid_token;
use crate::common::server::{NO_REAPER, neighbour};
use crate::common::statements::{link, tamper};

/// Expects the first action of a session to end it, and the log to say why.
fn sealed(cluster: &Cluster, mark: usize, outcome: Answer, code: &str) {
    let error = outcome.expect_err("the session did something");
    assert_eq!(error.severity, "FATAL");
    assert_eq!((error.sqlstate.as_str(), error.detail, error.hint), ("28P01", None, None));
    assert!(error.message.starts_with("Azure AD authentication failed for role"), "{}", error.message);
    let log = without_debug(&cluster.log_since(mark));
    assert!(
        log.contains(&format!("azure_ad_auth: refused code={code} ")) && log.contains(" door=seal "),
        "{log}"
    );
}

#[test]
fn a_link_removed_between_admission_and_the_first_statement() {
    type Act = fn(&mut RawClient, u32) -> Answer;
    at_every_door(NO_REAPER, |_, cluster, _provider| {
        let function: u32 = cluster.sql("SELECT 'pg_backend_pid'::regproc::oid").parse().expect("an oid");
        let acts: [Act; 6] = [
            |client, _| client.query("SELECT 1"),
            |client, _| client.query("BEGIN"),
            |client, _| client.query_extended("SELECT 1"),
            |client, _| client.query_extended("BEGIN"),
            |client, _| client.query("SET work_mem = '1MB'"),
            |client, function| client.call_function(function),
        ];
        for act in acts {
            link(&cluster, "ann", PERSON, "user");
            let mut client = cluster.session("ann", &valid_token());
            // Directly in the catalog, so that only the seal can end the session.
            tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
            let mark = cluster.log_mark();
            sealed(&cluster, mark, act(&mut client, function), "not_linked");
            cluster.sql("DROP ROLE ann");
        }
    });
}

#[test]
fn a_link_changed_between_admission_and_the_first_statement() {
    at_every_door(NO_REAPER, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.session("ann", &valid_token());
        cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')"));
        let mark = cluster.log_mark();
        sealed(&cluster, mark, client.query("SELECT 1"), "oid_mismatch");
    });
}

#[test]
fn once_unsealed_a_session_goes_on() {
    at_every_door(NO_REAPER, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.session("ann", &valid_token());
        assert!(client.query("SELECT 1").is_ok());
        cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')"));
        assert!(client.query("SELECT 1").is_ok(), "the seal is looked at once");
    });
}

#[test]
fn an_admitted_session_works_by_the_extended_protocol() {
    at_every_door(NO_REAPER, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let text = |text: &str| Ok(vec![Some(text.to_owned())]);
        let mut client = cluster.session("ann", &valid_token());
        assert_eq!(client.query_extended("BEGIN"), Ok(vec![]));
        assert_eq!(client.query_extended("SELECT session_user"), text("ann"));
        assert_eq!(
            client.query_extended("SELECT 1 / 0").map_err(|error| error.sqlstate),
            Err("22012".to_owned())
        );
        assert_eq!(client.query_extended("ROLLBACK"), Ok(vec![]));
        assert_eq!(
            cluster.session("ann", &valid_token()).query_extended("SELECT 1"),
            text("1"),
            "as its first action"
        );
    });
}

#[test]
fn parallel_workers_of_an_admitted_session_are_let_be() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE TABLE big AS SELECT generate_series(1, 10000) AS x; GRANT SELECT ON big TO ann");
        let force = if cluster.major() >= 16 { "debug_parallel_query" } else { "force_parallel_mode" };
        let mut client = cluster.session("ann", &valid_token());
        for setting in [
            "parallel_setup_cost = 0",
            "parallel_tuple_cost = 0",
            "min_parallel_table_scan_size = 0",
            "max_parallel_workers_per_gather = 2",
            "parallel_leader_participation = off",
            &format!("{force} = on"),
        ] {
            assert_eq!(client.query(&format!("SET {setting}")), Ok(vec![]), "{setting}");
        }
        let plan = client.query("EXPLAIN (ANALYZE, COSTS OFF) SELECT sum(x) FROM big").expect("a plan");
        let plan: Vec<_> = plan.into_iter().flatten().collect();
        let launched = plan.iter().find_map(|line| line.trim().strip_prefix("Workers Launched: "));
        assert!(launched.is_some_and(|count| count != "0"), "{plan:#?}");
        assert_eq!(client.query("SELECT sum(x) FROM big"), Ok(vec![Some("50005000".to_owned())]));
        assert_eq!(client.query_extended("SELECT sum(x) FROM big"), Ok(vec![Some("50005000".to_owned())]));
    });
}

#[test]
fn dropping_a_principal_ends_its_sessions_after_commit() {
    at_every_door(NO_REAPER, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.session("ann", &valid_token());
        assert!(client.query("SELECT 1").is_ok());
        cluster.sql("BEGIN; SELECT azure_ad_auth.drop_principal('ann'); ROLLBACK");
        cluster.sql(
        "DO $$ BEGIN PERFORM azure_ad_auth.drop_principal('ann'); RAISE 'no'; EXCEPTION WHEN others THEN END $$",
    );
        assert!(client.query("SELECT 1").is_ok(), "what was rolled back ends nobody's session");
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert!(eventually(|| client.query("SELECT 1").is_err()));
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"), "1", "the role stays");
    });
}

/// Starts a server with the neighbour's hook, which is installed after this library's and so is
/// called first.
fn with_neighbour(door: Door, manners: &str) -> (Cluster, Provider) {
    let provider = provider();
    let cluster = Scene::new().door(door).create();
    let file = cluster.path("wait").display().to_string();
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nneighbour.manners = '{manners}'\nneighbour.file = '{file}'\n",
        provider.url()
    );
    let preload = format!("azure_ad_auth,{}", neighbour(&cluster));
    cluster.configure(&Configuration::new().settings(settings).preload(preload));
    cluster.start();
    cluster.create_extension();
    cluster.await_keys();
    (cluster, provider)
}

/// The change comes after pg_hba.conf and its method have decided, and before this library's hook
/// is called.
#[test]
fn what_changes_before_the_hook_is_called() {
    let changes: [(&str, &[&str]); 4] = [
        ("unlinked", &["SELECT azure_ad_auth.drop_principal('ann')"]),
        ("unlinked", &["SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL"]),
        ("renamed", &["ALTER ROLE ann RENAME TO ann_old", "ALTER ROLE local RENAME TO ann"]),
        ("renamed", &["ALTER ROLE ann RENAME TO ann_old", "ALTER ROLE boss RENAME TO ann"]),
    ];
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, _provider) = with_neighbour(door, "early");
        let mut postgres = cluster.socket_client();
        assert_eq!(postgres.login(&[("user", "postgres"), ("database", "postgres")], ""), Outcome::Ready);
        for (how, statements) in changes {
            cluster.sql("CREATE ROLE local LOGIN; CREATE ROLE boss SUPERUSER LOGIN");
            link(&cluster, "ann", PERSON, "user");
            let token = valid_token();
            fs::write(cluster.path("wait"), "").expect("a file");
            let mark = cluster.log_mark();
            let outcome = std::thread::scope(|scope| {
                let login = scope.spawn(|| cluster.login("ann", &token));
                cluster.await_log(mark, "neighbour: role=ann waits");
                for statement in statements {
                    assert!(postgres.query(statement).is_ok(), "{statement}");
                }
                fs::remove_file(cluster.path("wait")).expect("the file");
                login.join().expect("a thread")
            });
            let expected = Refusal {
                code: "not_linked",
                sqlstate: "28P01",
                message: "Azure AD authentication failed for role \"ann\"",
                hint: None,
                facts: &[],
            };
            check_refusal(&cluster, mark, "ann", &token, &outcome, &expected);
            cluster.sql("DROP ROLE IF EXISTS ann, ann_old, local, boss");
            assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.sessions"), "0", "{how}");
        }
    });
}

#[test]
fn the_last_administrator_removed_before_the_first_statement() {
    let settings = format!("{NO_REAPER}\nazure_ad_auth.session_expiry = 'terminate'");
    at_every_door(&settings, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.session("ann", &valid_token());
        cluster.sql("SELECT azure_ad_auth.remove_admin()");
        let mark = cluster.log_mark();
        let error = client.query("SELECT 1").expect_err("the session did something");
        assert_eq!((error.severity.as_str(), error.sqlstate.as_str()), ("FATAL", "28000"));
        let message = "Azure AD authentication is disabled: the server has no Azure AD administrator";
        assert_eq!((error.message.as_str(), error.detail, error.hint), (message, None, None));
        let log = without_debug(&cluster.log_since(mark));
        assert!(log.contains("refused code=no_admin role=ann door=seal "), "{log}");
        // Without that setting sessions go on.
        cluster.set("azure_ad_auth.session_expiry", "off");
        cluster.sql("SELECT azure_ad_auth.set_admin('admin', '66666666-aaaa-bbbb-cccc-000000000006')");
        let mut client = cluster.session("ann", &valid_token());
        cluster.sql("SELECT azure_ad_auth.remove_admin()");
        assert!(client.query("SELECT 1").is_ok());
    });
}

#[test]
fn a_rename_between_admission_and_the_session() {
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, _provider) = with_neighbour(door, "slow");
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "boss", APPLICATION, "user");
        let mut postgres = cluster.socket_client();
        assert_eq!(postgres.login(&[("user", "postgres"), ("database", "postgres")], ""), Outcome::Ready);
        let token = valid_token();
        let mut client = cluster.at_the_prompt("ann");
        fs::write(cluster.path("wait"), "").expect("a file");
        let mark = cluster.log_mark();
        client.send_token(&token).expect("a connection");
        // The library has admitted the login, and the neighbour delays it. PostgreSQL will look the
        // name up again.
        cluster.await_log(mark, "neighbour: role=ann status=0");
        for statement in ["ALTER ROLE ann RENAME TO ann_old", "ALTER ROLE boss RENAME TO ann"] {
            assert!(postgres.query(statement).is_ok());
        }
        fs::remove_file(cluster.path("wait")).expect("the file");
        // PostgreSQL has taken `ann` for `boss`.
        let AuthRequest::Finished(Outcome::Refused(error)) = client.auth_request() else {
            panic!("a session has begun")
        };
        sealed(&cluster, mark, Err(error), "oid_mismatch");
        lacks_token(&cluster, &token);
    });
}

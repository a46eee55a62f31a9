//! What PostgreSQL 19 brings: options for validators, lists that are set to NULL, grantors of
//! rights on parameters, and several certificates.

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{admitted, lacks_token};
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::Scene;
use testbed::template::Template;

use crate::common::doors::{at_every_door_with_ann, at_oauth_with_ann};
use crate::common::hba::hba_rows;
use crate::common::login::valid_token;
use crate::common::statements::{fails, link};

fn is_19() -> bool {
    Template::shared().installation.major >= 19
}

/// Runs a case at the oauth door of PostgreSQL 19, in a scene in which `ann` is linked.
fn with_ann(case: impl Fn(Cluster, Provider)) {
    if !is_19() {
        return;
    }
    at_oauth_with_ann("", case);
}

/// The columns of check_hba() that these tests look at.
const VERDICT: &str = "line, verdict, reason";

fn has(verdicts: &[String], start: &str, reason: &str) -> bool {
    verdicts.iter().any(|row| row.starts_with(start) && row.contains(reason))
}

#[test]
fn a_line_with_an_unknown_option_admits_nobody_and_check_hba_says_so() {
    with_ann(|cluster, _provider| {
        admitted(&cluster, "ann", &valid_token());
        let clause = format!("{} validator.colour=\"dark blue\"", cluster.clause());
        cluster.change_hba(&Door::hba(&clause));
        let mark = cluster.log_mark();
        let Outcome::Refused(error) = cluster.login("ann", &valid_token()) else { panic!("ann is let in") };
        let said = (error.severity.as_str(), error.sqlstate.as_str(), error.message.as_str());
        assert_eq!(said, ("FATAL", "28000", "OAuth bearer authentication failed for user \"ann\""));
        let log = cluster.log_since(mark);
        assert!(log.contains("unrecognized authentication option name: \"validator.colour\""), "{log}");
        assert!(!log.contains("azure_ad_auth: accepted"), "{log}");
        let verdicts = hba_rows(&cluster, VERDICT);
        let reason = "it admits nobody, because azure_ad_auth has no option validator.colour";
        assert!(has(&verdicts, "2|warning|", reason), "{verdicts:#?}");
        assert!(!verdicts.iter().any(|row| row.contains("blue")), "{verdicts:#?}");
        lacks_token(&cluster, &valid_token());
    });
}

#[test]
fn a_line_with_an_option_of_an_impossible_name_cannot_be_read() {
    with_ann(|cluster, _provider| {
        let line = format!("host all all 127.0.0.1/32 {} validator.a.b=c", cluster.clause());
        cluster.folder().write("data/pg_hba.conf", format!("local all postgres trust\n{line}\n"));
        let verdicts = hba_rows(&cluster, VERDICT);
        assert!(has(&verdicts, "2|warning|", "PostgreSQL cannot read this line"), "{verdicts:#?}");
    });
}

#[test]
fn a_list_of_libraries_set_to_null_leaves_the_guard() {
    if !is_19() {
        return;
    }
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for place in ["", "IN DATABASE postgres"] {
        cluster.sql(&format!("ALTER ROLE ann {place} SET session_preload_libraries TO NULL"));
    }
    let unguarded = "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'ann'::regrole \
                     AND setconfig::text NOT LIKE '%session_preload_libraries=azure_ad_auth%'";
    assert_eq!(cluster.sql(unguarded), "0");
    assert_eq!(cluster.sql(&unguarded.replace("NOT LIKE", "LIKE")), "2");
    admitted(&cluster, "ann", &valid_token());
}

#[test]
fn the_grantor_of_a_right_on_a_parameter_makes_no_difference() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for statement in [
        "GRANT SET ON PARAMETER session_preload_libraries TO ann GRANTED BY postgres",
        "GRANT SET ON PARAMETER dynamic_library_path TO ann GRANTED BY CURRENT_USER",
    ] {
        fails(&cluster, statement, "42501", "", "cannot have SET on parameter");
    }
}

#[test]
fn a_certificate_chosen_by_the_name_of_the_host_protects_a_token() {
    if !is_19() {
        return;
    }
    at_every_door_with_ann("", |_, cluster, _provider| {
        let folder = cluster.folder().path().display().to_string();
        let line = format!("localhost {folder}/server.pem {folder}/server.key\n");
        cluster.folder().write("data/pg_hosts.conf", line);
        cluster.set("ssl_sni", "on");
        cluster.restart();
        cluster.await_keys();
        admitted(&cluster, "ann", &valid_token());
        let mut client = cluster.plain_client();
        let outcome = client.login(&[("user", "ann"), ("database", "postgres")], &valid_token());
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    });
}

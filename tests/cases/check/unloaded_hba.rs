//! `check_configuration()` while PostgreSQL goes on with lines of pg_hba.conf that are not in the
//! file any more.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::waits::eventually;

use crate::common::check::sound_scene;
use crate::common::doors::at_oauth_with_ann;
use crate::common::hba::{TESTS_LINE, write_hba};
use crate::common::login::{valid_token, value};

const NO_DOOR: &str = "danger: no line lets Azure AD roles in with a token";
const REJECTS: &str = "host all all 127.0.0.1/32 reject";
const CHANGED: &str = "notice: the file was changed after PostgreSQL loaded it last";

/// Returns what is said about pg_hba.conf: level, message, what to do.
fn said(cluster: &Cluster) -> Vec<String> {
    let query = "SELECT level || ': ' || message || ' -> ' || coalesce(what_to_do, '') \
                 FROM azure_ad_auth.check_configuration() WHERE topic = 'pg_hba.conf'";
    cluster.sql(query).lines().map(str::to_owned).collect()
}

/// Expects tokens to open sessions by lines that the file does not have, and this to be said first.
fn goes_on_with_old_lines(cluster: &Cluster, why: &str) -> Vec<String> {
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready, "the old lines count");
    let found = said(cluster);
    let first = format!(
        "danger: {why}, so PostgreSQL goes on with the lines that it loaded before, by which tokens may still open sessions, \
         and does not start again with this file -> "
    );
    assert!(found.first().is_some_and(|row| row.starts_with(&first)), "{first}\n{found:#?}");
    assert!(found.iter().all(|row| !row.starts_with(NO_DOOR)), "{found:#?}");
    found
}

/// Expects the file, once it is loaded, to let nobody in with a token, and this to be said.
fn is_closed(cluster: &Cluster) {
    let outcome = cluster.login("ann", &valid_token());
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    let found = said(cluster);
    assert!(found.len() == 1 && found[0].starts_with(NO_DOOR), "{found:#?}");
}

/// From PostgreSQL 18 on: without its validator an `oauth` line cannot be read.
#[test]
fn an_oauth_line_that_has_lost_its_validator_still_opens_sessions() {
    at_oauth_with_ann("", |cluster, _provider| {
        let settings = fs::read_to_string(cluster.data().join("postgresql.conf")).expect("postgresql.conf");
        cluster.folder().write("data/postgresql.conf", settings.replace(cluster.door.settings(), ""));
        cluster.reload();
        let found = goes_on_with_old_lines(&cluster, "PostgreSQL cannot read all lines");
        let lines = found.iter().filter(|row| row.contains("PostgreSQL cannot read this line")).count();
        assert_eq!(lines, 2, "{found:#?}");
        cluster.stop("fast");
        assert!(!cluster.try_start(&[]), "with such a line it starts");
        // The line is taken out, and the file is loaded.
        write_hba(&cluster, REJECTS);
        cluster.start();
        is_closed(&cluster);
    });
}

#[test]
fn a_file_that_cannot_be_loaded_closes_no_door() {
    let (cluster, _provider) = sound_scene("");
    let path = cluster.data().join("pg_hba.conf");
    for (content, why) in [
        (Some(format!("{TESTS_LINE}local all ann no_such_method\n")), "PostgreSQL cannot read all lines"),
        (Some("# nothing\n".to_owned()), "the file has no lines"),
        (None, "the file cannot be read"),
    ] {
        if let Some(content) = content {
            cluster.change_hba(&content);
        } else {
            fs::remove_file(&path).expect("no file");
            cluster.reload();
        }
        goes_on_with_old_lines(&cluster, why);
    }
    cluster.stop("fast");
    assert!(!cluster.try_start(&[]), "without the file it starts");
    write_hba(&cluster, REJECTS);
    cluster.start();
    is_closed(&cluster);
}

/// The list of databases is asked for one that is called replication.
#[test]
fn an_error_that_is_not_about_the_file_is_not_taken_for_one() {
    let (cluster, _provider) = sound_scene("");
    let (mut locker, mut session) = (cluster.superuser(), cluster.superuser());
    for statement in ["BEGIN", "LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE"] {
        locker.query(statement).expect("the statement works");
    }
    session.query("SET lock_timeout = '100ms'").expect("the statement works");
    let query = "SELECT string_agg(level || ': ' || message, ' ') FROM azure_ad_auth.check_configuration() \
                 WHERE topic = 'pg_hba.conf'";
    assert_eq!(value(&mut session, query), "notice: its lines cannot be checked");
    locker.disconnect();
}

#[test]
fn a_file_that_was_changed_and_not_loaded_is_told_from_one_that_was() {
    let (cluster, _provider) = sound_scene("");
    let path = cluster.data().join("pg_hba.conf");
    let sound = fs::read_to_string(&path).expect("pg_hba.conf");
    let is_said = || said(&cluster).iter().any(|row| row.starts_with(CHANGED));
    assert!(!is_said());
    // Within the second of the last reload it is not known which came first.
    let changed = eventually(|| {
        write_hba(&cluster, REJECTS);
        is_said()
    });
    assert!(changed, "{:#?}", said(&cluster));
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready, "the old lines count");
    cluster.reload();
    is_closed(&cluster);
    // A time that is still to come says nothing.
    cluster.change_hba(&sound);
    let file = File::options().write(true).open(&path).expect("pg_hba.conf");
    file.set_modified(SystemTime::now() + Duration::from_hours(24)).expect("its time");
    assert!(!is_said());
    // Nor does the time of the last reload, if one since has failed because of another file.
    cluster.change_hba(&sound);
    assert!(eventually(|| {
        write_hba(&cluster, REJECTS);
        is_said()
    }));
    let settings = cluster.data().join("postgresql.conf");
    let settings = fs::read_to_string(settings).expect("postgresql.conf");
    cluster.folder().write("data/postgresql.conf", format!("{settings}no setting\n"));
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| cluster.login("ann", &valid_token()) != Outcome::Ready));
    is_closed(&cluster);
}

//! The views directory_status and directory_features, and refresh_directory().

use testbed::cluster::{Cluster, SECRET_FILE};
use testbed::expect::{admitted, without_debug};
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};
use testbed::scene::Scene;
use testbed::scratch::give_to_server;
use testbed::waits::eventually;

use crate::common::directory::{await_status, refresh, status, with_directory};
use crate::common::login::{valid_token, value};
use crate::common::statements::{fails, link};

const OFF: &str = "SELECT mode, state, last_success, last_attempt, last_error, next_attempt, token_expires_at, \
                   certificate_expires_at, checked, ended, requests, failures, throttled_until FROM \
                   azure_ad_auth.directory_status";

fn features(cluster: &Cluster) -> String {
    cluster.sql(
        "SELECT string_agg(feature || '=' || coalesce(available::text, '?') || coalesce(' ' || problem, ''), \
         ', ') FROM azure_ad_auth.directory_features",
    )
}

#[test]
fn while_the_directory_is_off_nothing_is_asked() {
    let (cluster, provider) = Scene::new().start();
    assert_eq!(cluster.sql(OFF), "off|off|||||||0|0|0|0|");
    assert_eq!(
        features(&cluster),
        "user names=?, group names=?, application names=?, account states=?, application states=?, \
         group membership=?, group sync=?"
    );
    fails(
        &cluster,
        "SELECT azure_ad_auth.refresh_directory()",
        "55000",
        "the directory is not set up",
        "azure_ad_auth.directory",
    );
    let asked = |kind| provider.directory().requests(kind);
    assert_eq!((asked(Kind::Token), asked(Kind::GetByIds), asked(Kind::Lookup)), (0, 0, 0));
    let log = without_debug(&cluster.log());
    assert!(
        !log.contains("azure_ad_auth: directory") && !log.contains("azure_ad_auth: the directory"),
        "{log}"
    );
}

#[test]
fn a_look_shows_how_many_objects_there_are_and_what_may_be_read() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    link(&cluster, "etl", APPLICATION, "service");
    assert_eq!(refresh(&cluster), "4");
    assert_eq!(
        status(&cluster, "mode, state, checked, ended, failures, last_error"),
        "client_secret|fresh|4|0|0|"
    );
    let sooner = "last_success <= now() AND last_attempt <= last_success AND token_expires_at > now() AND \
                  certificate_expires_at IS NULL AND throttled_until IS NULL AND worker_heartbeat <= now()";
    assert_eq!(status(&cluster, sooner), "t");
    let works = "user names=true, group names=true, application names=true, account states=true, application \
                 states=true, group membership=?, group sync=true";
    assert_eq!(features(&cluster), works);
    // A look is one request for all ids.
    cluster.set("azure_ad_auth.directory_refresh_interval", "0");
    refresh(&cluster);
    directory.forget_requests();
    assert_eq!(refresh(&cluster), "4");
    assert_eq!((directory.requests(Kind::GetByIds), directory.requests(Kind::Token)), (1, 0));
    assert_eq!(status(&cluster, "state, next_attempt"), "fresh|");
}

#[test]
fn what_may_not_be_read_is_named_with_its_permission_and_logged_once() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    refresh(&cluster);
    let mark = cluster.log_mark();
    directory.withdraw("User.Read.All");
    let lacks = "SELECT available, permission, problem IS NOT NULL FROM azure_ad_auth.directory_features WHERE \
                 feature = 'account states'";
    assert!(eventually(|| cluster.sql(lacks) == "f|User.Read.All|t"), "{}", features(&cluster));
    // What cannot be read is unknown: nobody is out for it.
    for _ in 0..3 {
        refresh(&cluster);
    }
    assert_eq!(status(&cluster, "ended"), "0");
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(log.matches("directory: account states cannot be read").count(), 1, "{log}");
    directory.grant("User.Read.All");
    assert!(eventually(|| cluster.sql(lacks) == "t|User.Read.All|f"), "{}", features(&cluster));
    cluster.await_log(mark, "directory: account states can be read");
}

#[test]
fn a_failure_is_shown_and_logged_once_and_what_was_known_stays() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    let mark = cluster.log_mark();
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    await_status(&cluster, "state", "failing");
    assert!(eventually(|| status(&cluster, "state") == "too old"), "three intervals without a success");
    let fault = status(&cluster, "last_error");
    assert!(fault.contains("status 503") && fault.contains("serviceNotAvailable"), "{fault}");
    let failing = "SELECT azure_ad_auth.refresh_directory()";
    fails(&cluster, failing, "58030", "the directory could not be looked at", "status 503");
    assert_eq!(status(&cluster, "ended"), "1");
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(log.matches("looking at the directory failed").count(), 1, "{log}");
    directory.recover(Place::Graph);
    refresh(&cluster);
    assert_eq!(status(&cluster, "state, last_error"), "fresh|");
}

#[test]
fn a_pause_that_the_service_demands_is_kept_unless_an_administrator_insists() {
    for asked in ["120".to_owned(), httpdate()] {
        let (cluster, provider) = with_directory(Scene::new());
        let directory = provider.directory();
        directory.fail_times(1, Place::Only(Kind::GetByIds), Trouble::Throttle(Some(asked)));
        assert!(eventually(|| status(&cluster, "throttled_until > now() + interval '1 min'") == "t"));
        directory.forget_requests();
        fails(
            &cluster,
            "SELECT azure_ad_auth.refresh_directory()",
            "58030",
            "the directory could not be looked at",
            "demands a pause of",
        );
        assert_eq!(directory.requests(Kind::GetByIds), 0);
        assert_eq!(refresh(&cluster), "1", "the administrator insists");
        assert_eq!(status(&cluster, "throttled_until IS NULL"), "t");
    }
}

/// Returns a time in two minutes, as HTTP has it.
fn httpdate() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_mins(2))
}

#[test]
fn a_secret_that_is_missing_or_wrong_is_named_and_the_next_one_is_used_without_a_reload() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    let secret = cluster.path(SECRET_FILE);
    let old = std::fs::read_to_string(&secret).expect("a secret");
    directory.set_secret("another");
    directory.revoke_tokens();
    assert!(
        eventually(|| status(&cluster, "last_error").contains("7000215")),
        "{}",
        status(&cluster, "last_error")
    );
    std::fs::write(&secret, "another\n").expect("a secret");
    give_to_server(&secret);
    // An administrator does not wait for the pause after a failure.
    assert_eq!(refresh(&cluster), "1");
    let log = cluster.log();
    assert!(!log.contains(&old), "no secret in the log");
    assert_eq!(directory.misplaced_secrets(), [""; 0]);
    for secret in directory.secrets() {
        assert!(!log.contains(&secret), "no secret in the log");
    }
}

#[test]
fn settings_that_do_not_suffice_make_the_directory_unavailable_and_nothing_else() {
    let (cluster, _provider) = with_directory(Scene::new());
    let mark = cluster.log_mark();
    cluster.set("azure_ad_auth.directory_secret_file", "");
    cluster.await_log(mark, "the directory cannot be asked: ");
    let fault = status(&cluster, "last_error");
    assert!(fault.contains("directory_secret_file"), "{fault}");
    fails(
        &cluster,
        "SELECT azure_ad_auth.refresh_directory()",
        "55000",
        "the directory cannot be asked",
        "directory_secret_file",
    );
    link(&cluster, "ann", PERSON, "user");
    admitted(&cluster, "ann", &valid_token());
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.directory_secret_file");
    cluster.reload();
    await_status(&cluster, "state", "fresh");
}

#[test]
fn monitoring_roles_see_the_views_and_only_superusers_refresh() {
    let (cluster, _provider) = with_directory(Scene::new());
    cluster.sql("CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE ROLE other LOGIN");
    let columns = "SELECT count(*) FROM azure_ad_auth.directory_status, azure_ad_auth.directory_features";
    assert_eq!(value(&mut cluster.acting_as("monitor"), columns), "7");
    for (role, statement) in [
        ("other", "TABLE azure_ad_auth.directory_status"),
        ("other", "TABLE azure_ad_auth.directory_features"),
        ("monitor", "SELECT azure_ad_auth.refresh_directory()"),
    ] {
        let error = cluster.acting_as(role).query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{role}, {statement}");
    }
}

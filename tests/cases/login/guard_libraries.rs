//! The guard takes nothing away: a linked role loads the libraries that are set for it, as a local
//! role does.

use std::fs;

use testbed::client::{Outcome, ServerError};
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::guard::{GUARD, first_answer, role_settings, session_in};
use crate::common::login::valid_token;
use crate::common::server::module;
use crate::common::statements::{link, tamper};

/// Links `ann`, who may read all settings.
fn link_reader(cluster: &Cluster) {
    link(cluster, "ann", PERSON, "user");
    cluster.sql("GRANT pg_read_all_settings TO ann");
}

/// Returns the setting, and which libraries are loaded: auto_explain, and witnesses that count the
/// analysed statements.
const PRESENT: &str = "SELECT concat_ws(' ', current_setting('session_preload_libraries'), \
    'explain=' || current_setting('auto_explain.log_min_duration', true), 'server=' || current_setting('w_server.analyses', true), \
    'all=' || current_setting('w_all.analyses', true), 'database=' || current_setting('w_database.analyses', true), \
    'role=' || current_setting('w_role.analyses', true), 'both=' || current_setting('w_both.analyses', true))";

/// A linked role, a local one, and a witness for each place where libraries can be set.
struct Witnesses {
    cluster: Cluster,
    _provider: Provider,
}

impl Witnesses {
    fn new() -> Self {
        let (cluster, provider) = Scene::new().start();
        link_reader(&cluster);
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'local'; GRANT pg_read_all_settings TO local");
        cluster.sql("CREATE DATABASE second");
        for place in ["server", "all", "database", "role", "both"] {
            module(&cluster, "witness", &format!("w_{place}"));
        }
        Self { cluster, _provider: provider }
    }

    fn path(&self, place: &str) -> String {
        self.cluster.path(&format!("w_{place}.so")).display().to_string()
    }

    /// Expects both roles to have the same libraries at the first statement, as in `expected`.
    fn both_show(&self, database: &str, expected: &str) {
        for role in ["local", "ann"] {
            let shown = first_answer(&self.cluster, role, database, PRESENT);
            let libraries = shown.rsplit_once('"').map_or(shown.as_str(), |(_, rest)| rest).trim();
            assert_eq!(libraries, expected, "{role} in {database}: {shown}");
        }
        let show = "SHOW session_preload_libraries";
        let (one, other) = (
            first_answer(&self.cluster, "local", database, show),
            first_answer(&self.cluster, "ann", database, show),
        );
        assert_eq!(one, other);
    }

    fn for_both(&self, setting: &str) {
        for role in ["local", "ann"] {
            self.cluster.sql(&format!("ALTER ROLE {role} {setting}"));
        }
    }
}

#[test]
fn libraries_are_loaded_for_a_linked_role_as_for_a_local_one() {
    let scene = Witnesses::new();
    let cluster = &scene.cluster;
    cluster.sql(&format!(
        "ALTER SYSTEM SET session_preload_libraries = 'auto_explain', '{}'",
        scene.path("server")
    ));
    cluster.reload();
    scene.both_show("postgres", "explain=-1 server=1");
    cluster.sql(&format!("ALTER ROLE ALL SET session_preload_libraries = '{}'", scene.path("all")));
    scene.both_show("postgres", "all=1");
    let database = scene.path("database");
    cluster.sql(&format!("ALTER DATABASE postgres SET session_preload_libraries = '{database}'"));
    scene.both_show("postgres", "database=1");
    scene.both_show("second", "all=1");
    scene.for_both(&format!("SET session_preload_libraries = '{}'", scene.path("role")));
    scene.both_show("postgres", "role=1");
    scene.both_show("second", "role=1");
    scene.for_both(&format!("IN DATABASE second SET session_preload_libraries = '{}'", scene.path("both")));
    scene.both_show("postgres", "role=1");
    scene.both_show("second", "both=1");
    // A setting IN DATABASE that is not about libraries hides none.
    scene.for_both("IN DATABASE postgres SET work_mem = '1MB'");
    scene.both_show("postgres", "role=1");
    // In every order of the settings.
    tamper(
        cluster,
        "UPDATE pg_db_role_setting SET setconfig = (SELECT array_agg(c ORDER BY n DESC) FROM unnest(setconfig) WITH ORDINALITY o(c, n)) \
         WHERE setrole = 'ann'::regrole",
    );
    assert!(
        role_settings(cluster, "ann").contains("second: session_preload"),
        "{}",
        role_settings(cluster, "ann")
    );
    scene.both_show("postgres", "role=1");
    scene.both_show("second", "both=1");
    // The settings are removed again, the most specific first.
    scene.for_both("IN DATABASE second RESET session_preload_libraries");
    scene.both_show("second", "role=1");
    scene.for_both("RESET session_preload_libraries");
    scene.both_show("postgres", "database=1");
    cluster.sql("ALTER DATABASE postgres RESET session_preload_libraries");
    scene.both_show("postgres", "all=1");
    cluster.sql("ALTER ROLE ALL RESET ALL");
    scene.both_show("postgres", "explain=-1 server=1");
    let turned = "session_preload_libraries=azure_ad_auth; azure_ad_auth.guard=on; work_mem=1MB";
    assert_eq!(role_settings(cluster, "ann"), format!("-: {GUARD}\npostgres: {turned}\nsecond: {GUARD}"));
}

#[test]
fn nothing_is_loaded_where_nothing_is_to_be() {
    let scene = Witnesses::new();
    let cluster = &scene.cluster;
    cluster.set("session_preload_libraries", "auto_explain");
    // Only an empty setting of the session means none: '' is the name of a library.
    for role in ["local", "ann"] {
        cluster.sql(&format!(
            "SET session_preload_libraries = DEFAULT; SELECT set_config('session_preload_libraries', '', false); \
             ALTER ROLE {role} SET session_preload_libraries FROM CURRENT"
        ));
    }
    assert_eq!(role_settings(cluster, "local"), "-: session_preload_libraries=");
    assert_eq!(role_settings(cluster, "ann"), format!("-: {GUARD}, \"\""));
    scene.both_show("postgres", "");
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(role_settings(cluster, "ann"), "-: session_preload_libraries=", "what was hers stays");
}

#[test]
fn a_library_that_is_gone_from_the_setting_and_the_disk_stops_nobody() {
    let (cluster, _provider) = Scene::new().start();
    let path = module(&cluster, "witness", "gone");
    cluster.set("session_preload_libraries", &path);
    link(&cluster, "ann", PERSON, "user");
    assert_eq!(first_answer(&cluster, "ann", "postgres", "SELECT current_setting('gone.analyses')"), "1");
    cluster.sql("ALTER SYSTEM RESET session_preload_libraries");
    cluster.reload();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
    fs::remove_file(&path).expect("the library");
    admitted(&cluster, "ann", &valid_token());
}

#[test]
fn a_library_that_is_set_for_a_database_is_loaded() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    let shown = first_answer(&cluster, "ann", "postgres", "SHOW auto_explain.log_min_duration");
    assert_eq!(shown, "-1");
}

fn permission_denied(error: ServerError, parameter: &str) {
    let message = format!("permission denied to set parameter \"{parameter}\"");
    assert_eq!((error.sqlstate.as_str(), error.message), ("42501", message));
}

#[test]
fn a_client_cannot_change_what_its_session_loads() {
    let (cluster, _provider) = Scene::new().settings("session_preload_libraries = 'auto_explain'").start();
    link_reader(&cluster);
    let token = valid_token();
    for (option, parameter) in [
        ("-c azure_ad_auth.guard=off", "azure_ad_auth.guard"),
        ("-c azure_ad_auth.guard=on", "azure_ad_auth.guard"),
        ("-c session_preload_libraries=", "session_preload_libraries"),
    ] {
        let mut client = cluster.client();
        let parameters = [("user", "ann"), ("database", "postgres"), ("options", option)];
        match client.login(&parameters, &token) {
            Outcome::Refused(error) => permission_denied(error, parameter),
            other => panic!("{option}: {other:?}"),
        }
    }
    let mut client = session_in(&cluster, "ann", "postgres");
    let mut answer = |statement: &str| client.query(statement);
    for statement in [
        "SET azure_ad_auth.guard = off",
        "RESET azure_ad_auth.guard",
        "ALTER ROLE ann SET azure_ad_auth.guard = off",
        "ALTER ROLE ann RESET azure_ad_auth.guard",
    ] {
        permission_denied(answer(statement).expect_err(statement), "azure_ad_auth.guard");
    }
    permission_denied(
        answer("SET session_preload_libraries = ''").expect_err("set"),
        "session_preload_libraries",
    );
    let shown = "SELECT current_setting('session_preload_libraries') || ' ' || current_setting('azure_ad_auth.guard')";
    let expected = Ok(vec![Some("auto_explain on".to_owned())]);
    for statement in ["RESET ALL", "DISCARD ALL", "ALTER ROLE ann RESET ALL"] {
        assert!(answer(statement).is_ok(), "{statement}");
        assert_eq!(answer(shown), expected, "{statement}");
    }
    assert_eq!(role_settings(&cluster, "ann"), format!("-: {GUARD}"));
    // A parallel worker has the libraries of its leader.
    let forced = if cluster.major() >= 16 { "debug_parallel_query" } else { "force_parallel_mode" };
    assert!(answer(&format!("SET {forced} = on")).is_ok());
    let plan = answer(&format!("EXPLAIN (COSTS OFF) {shown}")).expect("a plan");
    assert!(plan.iter().flatten().any(|line| line.contains("Gather")), "{plan:?}");
    assert_eq!(answer(shown), expected);
}

#[test]
fn a_reload_changes_what_the_next_session_loads() {
    let (cluster, _provider) = Scene::new().start();
    link_reader(&cluster);
    let mut before = session_in(&cluster, "ann", "postgres");
    let show = "SHOW session_preload_libraries";
    cluster.set("session_preload_libraries", "auto_explain");
    assert_eq!(first_answer(&cluster, "ann", "postgres", show), "auto_explain");
    assert_eq!(before.query(show), Ok(vec![Some(String::new())]), "a session keeps what it has loaded");
}

#[test]
fn the_first_session_after_a_crash_and_sessions_on_a_standby() {
    let (cluster, _provider) = Scene::new().settings("wal_level = replica\nhot_standby = on").start();
    link_reader(&cluster);
    cluster.sql("ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    let loaded =
        |cluster: &Cluster| first_answer(cluster, "ann", "postgres", "SHOW auto_explain.log_min_duration");
    cluster.stop("immediate");
    let _ = fs::remove_file(cluster.data().join("global/pg_internal.init"));
    cluster.start();
    assert_eq!(loaded(&cluster), "-1");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    assert_eq!(loaded(&standby), "-1");
    cluster.sql("ALTER DATABASE postgres RESET session_preload_libraries");
    let shows_none =
        || first_answer(&standby, "ann", "postgres", "SHOW session_preload_libraries").is_empty();
    assert!(eventually(shows_none), "as soon as it is replayed");
}

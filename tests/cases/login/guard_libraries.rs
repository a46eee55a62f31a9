//! The guard takes nothing away: a linked role loads the libraries that are set for it as everybody
//! else does.

use std::fs;

use testbed::client::{Outcome, RawClient, ServerError};
use testbed::cluster::{Cluster, Setup, eventually};
use testbed::expect::admitted;
use testbed::issuer::*;

use crate::link::dump_restore::restore;
use crate::{KEY, link, module, scene, tamper};

/// The rows of a role: `database: setting`, in their order.
fn rows(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT coalesce(d.datname, '-') || ': ' || array_to_string(s.setconfig, '; ') \
         FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase \
         WHERE s.setrole = '{role}'::regrole ORDER BY 1"
    ))
}

const GUARD: &str = "azure_ad_auth.guard=on; session_preload_libraries=azure_ad_auth";

/// Links ann, who may see which libraries a session is given.
fn link_reader(cluster: &Cluster) {
    link(cluster, "ann", PERSON, "user");
    cluster.sql("GRANT pg_read_all_settings TO ann");
}

fn parameters<'p>(role: &'p str, database: &'p str) -> [(&'p str, &'p str); 2] {
    [("user", role), ("database", database)]
}

fn session_in(cluster: &Cluster, role: &str, database: &str) -> RawClient {
    let mut client = cluster.client();
    // The local role's password is its name; the linked role has a token.
    let token = KEY.token(&user_v1(unix_now()));
    let secret = if role == "ann" { token.as_str() } else { role };
    assert_eq!(client.login(&parameters(role, database), secret), Outcome::Ready, "{role}");
    client
}

/// What a session answers to its first statement.
fn first_answer(cluster: &Cluster, role: &str, database: &str, statement: &str) -> String {
    let answer = session_in(cluster, role, database).query(statement).expect(statement);
    answer.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(",")
}

/// The setting, and which libraries are there: auto_explain, and witnesses that have seen the
/// statement itself analysed.
const PRESENT: &str = "SELECT concat_ws(' ', current_setting('session_preload_libraries'), \
    'explain=' || current_setting('auto_explain.log_min_duration', true), 'server=' || current_setting('w_server.analyses', true), \
    'all=' || current_setting('w_all.analyses', true), 'database=' || current_setting('w_database.analyses', true), \
    'role=' || current_setting('w_role.analyses', true), 'both=' || current_setting('w_both.analyses', true))";

/// A linked role, a local one, and a witness for each place where libraries can be set.
struct Witnesses {
    cluster: Cluster,
    _provider: testbed::idp::Provider,
}

impl Witnesses {
    fn new() -> Self {
        let (cluster, provider) = scene("");
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

    /// Both roles have the same libraries in the first statement, and `expected` is what a session
    /// shows of them.
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
    // A row IN DATABASE that says nothing about libraries hides none.
    scene.for_both("IN DATABASE postgres SET work_mem = '1MB'");
    scene.both_show("postgres", "role=1");
    // In whatever order the settings stand in a row.
    tamper(
        cluster,
        "UPDATE pg_db_role_setting SET setconfig = (SELECT array_agg(c ORDER BY n DESC) FROM unnest(setconfig) WITH ORDINALITY o(c, n)) \
         WHERE setrole = 'ann'::regrole",
    );
    assert!(rows(cluster, "ann").contains("second: session_preload"), "{}", rows(cluster, "ann"));
    scene.both_show("postgres", "role=1");
    scene.both_show("second", "both=1");
    // And away again, from the innermost outwards.
    scene.for_both("IN DATABASE second RESET session_preload_libraries");
    scene.both_show("second", "role=1");
    scene.for_both("RESET session_preload_libraries");
    scene.both_show("postgres", "database=1");
    cluster.sql("ALTER DATABASE postgres RESET session_preload_libraries");
    scene.both_show("postgres", "all=1");
    cluster.sql("ALTER ROLE ALL RESET ALL");
    scene.both_show("postgres", "explain=-1 server=1");
    let turned = "session_preload_libraries=azure_ad_auth; azure_ad_auth.guard=on; work_mem=1MB";
    assert_eq!(rows(cluster, "ann"), format!("-: {GUARD}\npostgres: {turned}\nsecond: {GUARD}"));
}

#[test]
fn nothing_is_loaded_where_nothing_is_to_be() {
    let scene = Witnesses::new();
    let cluster = &scene.cluster;
    cluster.set("session_preload_libraries", "auto_explain");
    // Only a session whose own setting is empty can say so: '' is the name of a library.
    for role in ["local", "ann"] {
        cluster.sql(&format!(
            "SET session_preload_libraries = DEFAULT; SELECT set_config('session_preload_libraries', '', false); \
             ALTER ROLE {role} SET session_preload_libraries FROM CURRENT"
        ));
    }
    assert_eq!(rows(cluster, "local"), "-: session_preload_libraries=");
    assert_eq!(rows(cluster, "ann"), format!("-: {GUARD}, \"\""));
    scene.both_show("postgres", "");
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(rows(cluster, "ann"), "-: session_preload_libraries=", "what was hers stays");
}

#[test]
fn a_library_that_is_gone_from_the_setting_and_the_disk_stops_nobody() {
    let (cluster, _provider) = scene("");
    let path = module(&cluster, "witness", "gone");
    cluster.set("session_preload_libraries", &path);
    link(&cluster, "ann", PERSON, "user");
    assert_eq!(first_answer(&cluster, "ann", "postgres", "SELECT current_setting('gone.analyses')"), "1");
    cluster.sql("ALTER SYSTEM RESET session_preload_libraries");
    cluster.reload();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
    fs::remove_file(&path).expect("the library");
    admitted(&cluster, "ann", &KEY.token(&user_v1(unix_now())));
}

#[test]
fn a_library_that_is_set_for_a_database_is_loaded() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    let shown = first_answer(&cluster, "ann", "postgres", "SHOW auto_explain.log_min_duration");
    assert_eq!(shown, "-1");
}

/// Puts a guard of the first kind in place of a role's own row: its libraries are copies of what
/// the server had.
fn put_first_kind(cluster: &Cluster, role: &str, libraries: &str) {
    tamper(
        cluster,
        &format!(
            "UPDATE pg_db_role_setting SET setconfig = ARRAY['session_preload_libraries=azure_ad_auth{libraries}'] \
             WHERE setrole = '{role}'::regrole AND setdatabase = 0"
        ),
    );
}

/// What check_configuration() says of a role.
fn said_of(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() \
         WHERE topic = 'roles' AND message LIKE '%\"{role}\"%' ORDER BY 1"
    ))
}

const OLD_GUARD: &str =
    "has a guard of an earlier version, or a part of one: it keeps libraries from the role that others load";

#[test]
fn guards_of_the_first_kind_are_renewed_by_repair() {
    let (cluster, _provider) = scene("");
    let path = module(&cluster, "witness", "gone");
    for role in ["ann", "ben", "cem"] {
        link(&cluster, role, PERSON, "user");
    }
    cluster.set("session_preload_libraries", "auto_explain");
    cluster.sql("ALTER ROLE ben IN DATABASE postgres SET work_mem = '1MB'");
    put_first_kind(&cluster, "ann", ", auto_explain");
    // The server has had a library that it has no more; nothing tells it from what was set for the
    // role.
    put_first_kind(&cluster, "ben", &format!(", auto_explain, \"{path}\""));
    assert_eq!(said_of(&cluster, "ann"), format!("warning role \"ann\" {OLD_GUARD}"));
    assert_eq!(said_of(&cluster, "ben"), format!("warning role \"ben\" {OLD_GUARD}"));
    assert_eq!(said_of(&cluster, "cem"), "");
    let done = cluster.sql("SELECT azure_ad_auth.repair()");
    let expected = [
        "renewed the guard of role \"ann\"".to_owned(),
        format!("renewed the guard of role \"ben\", which still loads \"{path}\""),
    ];
    assert_eq!(done.lines().collect::<Vec<_>>(), expected);
    assert_eq!(rows(&cluster, "ann"), format!("-: {GUARD}"));
    assert_eq!(rows(&cluster, "ben"), format!("-: {GUARD}, \"{path}\"\npostgres: work_mem=1MB; {GUARD}"));
    assert_eq!(said_of(&cluster, "ann") + &said_of(&cluster, "ben"), "");
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
    assert_eq!(first_answer(&cluster, "ann", "postgres", "SHOW auto_explain.log_min_duration"), "-1");
    // Whatever else sets the guard does the same; and a role that is unlinked keeps no copies.
    put_first_kind(&cluster, "ann", ", auto_explain");
    cluster.sql("ALTER ROLE ann SET work_mem = '1MB'");
    assert_eq!(rows(&cluster, "ann"), format!("-: work_mem=1MB; {GUARD}"));
    put_first_kind(&cluster, "cem", ", auto_explain");
    cluster.sql("SELECT azure_ad_auth.drop_principal('cem')");
    assert_eq!(rows(&cluster, "cem"), "");
}

#[test]
fn one_rule_says_what_a_guard_is() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let open = "danger role \"ann\" has no guard: on a server without azure_ad_auth a trust line lets everybody in as it";
    let old = format!("warning role \"ann\" {OLD_GUARD}");
    for (row, said) in [
        // By the name of a folder, or of a library elsewhere, it is another library.
        ("azure_ad_auth.guard=on,session_preload_libraries=/usr/lib/azure_ad_auth/audit.so", open),
        ("azure_ad_auth.guard=on,session_preload_libraries=/nowhere/azure_ad_auth", open),
        ("azure_ad_auth.guard=on", open),
        ("azure_ad_auth.guard=on,session_preload_libraries=\\\"$libdir/azure_ad_auth\\\"", ""),
        ("azure_ad_auth.guard=off,session_preload_libraries=azure_ad_auth", &old),
    ] {
        let row: Vec<_> = row.split(',').map(|setting| format!("\"{setting}\"")).collect();
        let row = row.join(",");
        tamper(
            &cluster,
            &format!("UPDATE pg_db_role_setting SET setconfig = '{{{row}}}' WHERE setrole = 'ann'::regrole"),
        );
        assert_eq!(said_of(&cluster, "ann"), said, "{row}");
        let repaired = cluster.sql("SELECT azure_ad_auth.repair()");
        assert_eq!(repaired.is_empty(), said.is_empty(), "{row}: {repaired}");
        assert_eq!(said_of(&cluster, "ann"), "", "{row}");
    }
}

#[test]
fn a_superuser_who_takes_the_guard_away_finds_it_again() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE DATABASE second");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("ALTER ROLE ann IN DATABASE second SET work_mem = '1MB'");
    let whole = format!("-: {GUARD}\nsecond: work_mem=1MB; {GUARD}");
    assert_eq!(rows(&cluster, "ann"), whole);
    for statement in [
        "ALTER ROLE ann SET azure_ad_auth.guard = off",
        "ALTER ROLE ann IN DATABASE second SET azure_ad_auth.guard TO false",
        "ALTER ROLE ann RESET azure_ad_auth.guard",
        "ALTER ROLE ann IN DATABASE second RESET azure_ad_auth.guard",
        "ALTER ROLE ann RESET ALL",
        "ALTER ROLE ann RESET session_preload_libraries",
        "ALTER ROLE ann SET session_preload_libraries TO DEFAULT",
    ] {
        cluster.sql(statement);
        let same = |rows: &str| {
            let mut settings: Vec<_> = rows.split([';', '\n']).map(|part| part.trim().to_owned()).collect();
            settings.sort();
            settings
        };
        let now = rows(&cluster, "ann");
        assert_eq!(now.matches("azure_ad_auth.guard=on").count(), 2, "{statement}: {now}");
        assert_eq!(now.matches("libraries=azure_ad_auth").count(), 2, "{statement}: {now}");
        assert_eq!(same(&now).len(), same(&whole).len(), "{statement}: {now}");
    }
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(rows(&cluster, "ann"), "second: work_mem=1MB");
    // Nor is it a setting of a file.
    let output = cluster.sql_verbosely("ALTER SYSTEM SET azure_ad_auth.guard = off");
    assert!(
        output.stderr.contains("parameter \"azure_ad_auth.guard\" cannot be changed"),
        "{}",
        output.stderr
    );
}

fn permission_denied(error: ServerError, parameter: &str) {
    let message = format!("permission denied to set parameter \"{parameter}\"");
    assert_eq!((error.sqlstate.as_str(), error.message), ("42501", message));
}

#[test]
fn a_client_cannot_change_what_its_session_loads() {
    let (cluster, _provider) = scene("session_preload_libraries = 'auto_explain'");
    link_reader(&cluster);
    let token = KEY.token(&user_v1(unix_now()));
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
    assert_eq!(rows(&cluster, "ann"), format!("-: {GUARD}"));
    // A parallel worker has what its leader has.
    let forced = if cluster.workshop.installation.major >= 16 {
        "debug_parallel_query"
    } else {
        "force_parallel_mode"
    };
    assert!(answer(&format!("SET {forced} = on")).is_ok());
    let plan = answer(&format!("EXPLAIN (COSTS OFF) {shown}")).expect("a plan");
    assert!(plan.iter().flatten().any(|line| line.contains("Gather")), "{plan:?}");
    assert_eq!(answer(shown), expected);
}

#[test]
fn a_reload_changes_what_the_next_session_loads() {
    let (cluster, _provider) = scene("");
    link_reader(&cluster);
    let mut before = session_in(&cluster, "ann", "postgres");
    let show = "SHOW session_preload_libraries";
    cluster.set("session_preload_libraries", "auto_explain");
    assert_eq!(first_answer(&cluster, "ann", "postgres", show), "auto_explain");
    assert_eq!(before.query(show), Ok(vec![Some(String::new())]), "a session keeps what it has loaded");
}

#[test]
fn the_first_session_after_a_crash_and_sessions_on_a_standby() {
    let (cluster, _provider) = scene("wal_level = replica\nhot_standby = on");
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

#[test]
fn a_role_that_holds_the_guards_parameter_is_not_linked() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE holder LOGIN; GRANT SET ON PARAMETER azure_ad_auth.guard TO holder");
    let output =
        cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('holder', '{PERSON}')"));
    let message = "ERROR:  42501: role \"holder\" is linked to a directory object and cannot have SET on parameter \"azure_ad_auth.guard\"";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let hint = "HINT:  REVOKE SET ON PARAMETER azure_ad_auth.guard FROM holder;";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    cluster.sql("REVOKE SET ON PARAMETER azure_ad_auth.guard FROM holder");
    link(&cluster, "holder", PERSON, "user");
}

/// What pg_dumpall writes of the roles.
fn role_dump(cluster: &Cluster) -> String {
    let mut dump = cluster.workshop.installation.command("pg_dumpall");
    dump.args(["-r", "-U", "postgres", "-p", &cluster.port.to_string(), "-h"]).arg(cluster.folder().path());
    let output = dump.output().expect("pg_dumpall");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).replace("CREATE ROLE postgres;\n", "")
}

#[test]
fn a_dump_restores_the_guard_with_and_without_the_library() {
    // Before the two roles in the order of a dump, and after them.
    let people = ["ann", "zoe"];
    let (old, provider) = scene("session_preload_libraries = 'auto_explain'");
    for role in people {
        link(&old, role, PERSON, "user");
        old.sql(&format!("ALTER ROLE {role} SET session_preload_libraries = 'auth_delay', 'auto_explain'"));
    }
    let dump = role_dump(&old);
    let facts: Vec<_> = people.iter().map(|role| rows(&old, role)).collect();
    assert_eq!(facts, [GUARD; 2].map(|guard| format!("-: {guard}, auth_delay, auto_explain")));
    // What an administrator has set for a role is kept, also where the server's own setting has a
    // part of it.
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nsession_preload_libraries = 'auto_explain'",
        provider.url()
    );
    let new = Cluster::new(&crate::WORKSHOP, &Setup { settings: settings.clone(), ..Setup::default() });
    new.start();
    assert!(restore(&new, &dump).success);
    new.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(people.map(|role| rows(&new, role)).to_vec(), facts);
    assert_eq!(new.sql("SELECT azure_ad_auth.repair()"), "");
    // Where the library is not loaded, the labels find no provider and the rest is restored; the
    // guard is there and shuts.
    let bare =
        Cluster::new(&crate::WORKSHOP, &Setup { settings, preload: Some(String::new()), ..Setup::default() });
    bare.start();
    let labelled = |line: &&str| !line.starts_with("SECURITY LABEL");
    let output = restore(&bare, &dump.lines().filter(labelled).collect::<Vec<_>>().join("\n"));
    assert!(output.success, "{}", output.stderr);
    assert_eq!(people.map(|role| rows(&bare, role)).to_vec(), facts);
    for role in people {
        match bare.client().login(&parameters(role, "postgres"), "") {
            Outcome::Refused(error) => {
                assert_eq!(error.message, "Azure AD authentication is not configured on this server");
            }
            other => panic!("{role} got in: {other:?}"),
        }
    }
    // With the library and the labels everything is as it was.
    bare.configure(&Setup::default());
    bare.restart();
    bare.sql(&dump.lines().filter(|line| line.starts_with("SECURITY LABEL")).collect::<Vec<_>>().join("\n"));
    bare.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(people.map(|role| rows(&bare, role)).to_vec(), facts);
}

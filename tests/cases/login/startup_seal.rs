//! The seal at the end of the startup transaction: S1 to S4. No statement of the session has been
//! read by then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use testbed::client::{AuthRequest, Outcome, ServerError};
use testbed::cluster::{Cluster, Configuration};
use testbed::door::Door;
use testbed::expect::{lacks_token, without_debug};
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::{Scene, provider};
use testbed::waits::eventually;

use crate::common::doors::{EVERY_DOOR, at_doors};
use crate::common::login::valid_token;
use crate::common::server::{NO_REAPER, Restart, neighbour, restart};
use crate::common::statements::{link, run_all, tamper};

/// The values of `replication` in a startup packet: a session, a walsender with a database, a
/// walsender without.
const KINDS: [&str; 3] = ["off", "database", "true"];

/// Starts a server with the neighbour's hook, which is called first, and with further lines in
/// pg_hba.conf.
fn with_neighbour(door: Door, manners: &str, hba: &str) -> (Cluster, Provider) {
    let provider = provider();
    let cluster = Scene::new().door(door).create();
    let file = cluster.path("wait").display().to_string();
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nneighbour.manners = '{manners}'\nneighbour.file = '{file}'\n\
         max_worker_processes = 2\n",
        provider.url()
    );
    let preload = format!("azure_ad_auth,{}", neighbour(&cluster));
    let hba = lines(&cluster, hba);
    cluster.configure(&Configuration::new().settings(settings).hba(hba).preload(preload));
    cluster.start();
    cluster.create_extension();
    cluster.await_keys();
    (cluster, provider)
}

/// Returns a pg_hba.conf with the door for linked roles, for replication too, and with other lines.
fn lines(cluster: &Cluster, more: &str) -> String {
    let clause = cluster.clause();
    format!(
        "local all,replication postgres trust\n{more}\n\
         host all,replication +azure_ad_user 127.0.0.1/32 {clause}\n\
         host all,replication all 127.0.0.1/32 password\n"
    )
}

fn parameters<'t>(role: &'t str, kind: &'t str) -> [(&'t str, &'t str); 3] {
    [("user", role), ("database", "postgres"), ("replication", kind)]
}

/// Expects a login to have ended at the seal.
fn sealed(cluster: &Cluster, mark: usize, outcome: &Outcome, role: &str, code: &str, problem: &str) {
    let wanted = Outcome::Refused(ServerError {
        severity: "FATAL".to_owned(),
        sqlstate: "28P01".to_owned(),
        message: format!("Azure AD authentication failed for role \"{role}\""),
        detail: None,
        hint: None,
    });
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(*outcome, wanted, "{log}");
    let line = log.lines().find(|line| line.contains(&format!("azure_ad_auth: refused code={code} ")));
    let line = line.unwrap_or_else(|| panic!("no line with {code}: {log}"));
    for fact in [format!(" role={role} "), " door=seal ".to_owned(), format!("problem=\"{problem}")] {
        assert!(line.contains(&fact), "no {fact}: {line}");
    }
}

const NOT_THE_ROLE: &str = "the session is not of the role that was admitted";

const NOT_MATCHED: &str = "the role was unlinked or renamed after a line of pg_hba.conf had matched it";

/// Without help of a slow hook: one session renames roles, others log in. `mallory` may not
/// replicate, so a session that is admitted is not that role's.
#[test]
fn names_that_are_swapped_all_the_time_let_nobody_into_replication() {
    const LOGINS: usize = 400;
    at_doors(&[Door::Password, Door::OAuth], |door| {
        let (cluster, _provider) = Scene::new().door(door).start();
        cluster.change_hba(&lines(&cluster, ""));
        link(&cluster, "mallory", PERSON, "user");
        cluster.sql("CREATE ROLE repl LOGIN REPLICATION");
        let token = valid_token();
        let done = AtomicBool::new(false);
        let swap = || {
            let mut client = cluster.superuser();
            let mut swaps = 0;
            while !done.load(Ordering::SeqCst) {
                let outcome = client.query(
                    "ALTER ROLE mallory RENAME TO someone; ALTER ROLE repl RENAME TO mallory; \
                     ALTER ROLE someone RENAME TO repl",
                );
                // It fails if the other session was faster.
                swaps += usize::from(outcome.is_ok());
            }
            swaps
        };
        let log_in = |kind: &'static str| {
            let (token, cluster) = (&token, &cluster);
            move || {
                let attempt = |_| cluster.client().login(&parameters("mallory", kind), token);
                (0..LOGINS).map(attempt).filter(|outcome| *outcome == Outcome::Ready).count()
            }
        };
        let mark = cluster.log_mark();
        let (let_in, swaps) = thread::scope(|scope| {
            let swapping = [scope.spawn(swap), scope.spawn(swap)];
            let logins = ["database", "true"].map(|kind| scope.spawn(log_in(kind)));
            let let_in = logins.map(|thread| thread.join().expect("a thread"));
            done.store(true, Ordering::SeqCst);
            (let_in, swapping.map(|thread| thread.join().expect("a thread")))
        });
        assert!(swaps.iter().sum::<usize>() > 0);
        assert_eq!(let_in, [0, 0], "logins that became the other role");
        // There were logins: the token was accepted repeatedly.
        assert!(
            cluster.log_since(mark).contains("azure_ad_auth: accepted role=mallory "),
            "no token was accepted"
        );
    });
}

/// The token of `ann` is accepted, and another role has that name when PostgreSQL looks it up.
#[test]
fn a_swap_behind_a_slow_hook_ends_every_kind_of_session() {
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, _provider) = with_neighbour(door, "slow", "");
        cluster.sql(
            "CREATE ROLE repl LOGIN SUPERUSER REPLICATION; CREATE TABLE secret (number_of_the_safe int)",
        );
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let mut postgres = cluster.superuser();
        for kind in KINDS {
            let mut client = cluster.client();
            client.start(&parameters("ann", kind)).expect("a connection");
            assert_eq!(client.auth_request(), door.auth_request());
            fs::write(cluster.path("wait"), "").expect("a file");
            let mark = cluster.log_mark();
            client.send_token(&token).expect("a connection");
            cluster.await_log(mark, "neighbour: role=ann status=0");
            run_all(&mut postgres, &["ALTER ROLE ann RENAME TO away", "ALTER ROLE repl RENAME TO ann"]);
            // Parse and Describe are sent ahead, so that they are there when the session begins.
            let sent = client.send_parse_and_describe("SELECT * FROM secret");
            assert!(sent.is_ok());
            fs::remove_file(cluster.path("wait")).expect("the file");
            let AuthRequest::Finished(outcome) = client.auth_request() else { panic!("asked again") };
            sealed(&cluster, mark, &outcome, "ann", "oid_mismatch", NOT_THE_ROLE);
            assert!(client.read_until_ready().is_empty(), "after the refusal there is nothing more to read");
            run_all(&mut postgres, &["ALTER ROLE ann RENAME TO repl", "ALTER ROLE away RENAME TO ann"]);
            assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.sessions"), "0");
        }
        lacks_token(&cluster, &token);
    });
}

/// The seal in a process whose caches are cold, which reads the catalogs without indexes.
#[test]
fn a_swap_after_a_crash() {
    let (cluster, _provider) = with_neighbour(Door::Password, "slow", "");
    cluster.sql("CREATE ROLE repl LOGIN SUPERUSER REPLICATION PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    let token = valid_token();
    for kind in KINDS {
        for how in [Restart::AfterCrash, Restart::AfterCrashWithoutCacheFile] {
            restart(&cluster, how);
            let mark = cluster.log_mark();
            fs::write(cluster.path("wait"), "").expect("a file");
            let mut client = cluster.client();
            client.start(&parameters("ann", kind)).expect("a connection");
            assert_eq!(client.auth_request(), AuthRequest::Password);
            client.send_token(&token).expect("a connection");
            cluster.await_log(mark, "neighbour: role=ann status=0");
            cluster.sql("ALTER ROLE ann RENAME TO away; ALTER ROLE repl RENAME TO ann");
            fs::remove_file(cluster.path("wait")).expect("the file");
            let AuthRequest::Finished(outcome) = client.auth_request() else { panic!("asked again") };
            sealed(&cluster, mark, &outcome, "ann", "oid_mismatch", NOT_THE_ROLE);
            cluster.sql("ALTER ROLE ann RENAME TO repl; ALTER ROLE away RENAME TO ann");
            // The next process is the first of its kind.
            restart(&cluster, how);
            let login = cluster.client().login(&parameters("repl", kind), "secret");
            assert_eq!(login, Outcome::Ready, "{kind} {how:?}: {}", without_debug(&cluster.log_since(mark)));
            let log = cluster.log_since(mark);
            assert!(!log.contains("without having selected a database"), "{kind} {how:?}: {log}");
        }
    }
}

/// A local role by `trust` or by a password, whose name is given to a superuser.
#[test]
fn a_local_role_is_compared_too() {
    let (cluster, _provider) =
        with_neighbour(Door::Password, "slow", "host all,replication tester 127.0.0.1/32 trust");
    let mut postgres = cluster.superuser();
    cluster.sql("CREATE ROLE tester LOGIN; CREATE ROLE other LOGIN PASSWORD 'secret'; CREATE ROLE boss LOGIN SUPERUSER");
    for role in ["tester", "other"] {
        for kind in KINDS {
            fs::write(cluster.path("wait"), "").expect("a file");
            let mark = cluster.log_mark();
            let outcome = thread::scope(|scope| {
                let login = scope.spawn(|| cluster.client().login(&parameters(role, kind), "secret"));
                cluster.await_log(mark, &format!("neighbour: role={role} status=0"));
                let away = format!("ALTER ROLE {role} RENAME TO away");
                run_all(&mut postgres, &[&away, &format!("ALTER ROLE boss RENAME TO {role}")]);
                fs::remove_file(cluster.path("wait")).expect("the file");
                login.join().expect("a thread")
            });
            sealed(&cluster, mark, &outcome, role, "oid_mismatch", NOT_THE_ROLE);
            let back = format!("ALTER ROLE {role} RENAME TO boss");
            run_all(&mut postgres, &[&back, &format!("ALTER ROLE away RENAME TO {role}")]);
        }
        assert_eq!(cluster.login(role, "secret"), Outcome::Ready, "with its own name it gets in");
    }
}

/// A7: there is no role of that name when the hook is called.
#[test]
fn behind_trust_a_name_that_is_no_roles_is_refused() {
    let (cluster, _provider) =
        with_neighbour(Door::Password, "twice", "host all passer_by 127.0.0.1/32 trust");
    let mut postgres = cluster.superuser();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE boss LOGIN SUPERUSER");
    let (first, second) = (cluster.path("wait"), cluster.path("wait.2"));
    for file in [&first, &second] {
        fs::write(file, "").expect("a file");
    }
    let mark = cluster.log_mark();
    let outcome = thread::scope(|scope| {
        let login = scope.spawn(|| cluster.login("ann", ""));
        cluster.await_log(mark, "neighbour: role=ann waits");
        run_all(&mut postgres, &["ALTER ROLE ann RENAME TO away"]);
        fs::remove_file(&first).expect("the file");
        // Either the login has been refused, or the neighbour waits once more.
        let over = || login.is_finished() || cluster.log_since(mark).contains("neighbour: role=ann status=0");
        assert!(eventually(over));
        run_all(&mut postgres, &["ALTER ROLE boss RENAME TO ann"]);
        fs::remove_file(&second).expect("the file");
        login.join().expect("a thread")
    });
    let core = |name: &str| {
        Outcome::Refused(ServerError {
            severity: "FATAL".to_owned(),
            sqlstate: "28000".to_owned(),
            message: format!("role \"{name}\" does not exist"),
            detail: None,
            hint: None,
        })
    };
    assert_eq!(outcome, core("ann"), "{}", without_debug(&cluster.log_since(mark)));
    // If nothing happens meanwhile, the error is PostgreSQL's own, and this library logs nothing.
    let mark = cluster.log_mark();
    assert_eq!(cluster.login("passer_by", ""), core("passer_by"));
    let log = cluster.log_since(mark);
    assert!(
        log.contains("FATAL:  role \"passer_by\" does not exist") && !log.contains("azure_ad_auth:"),
        "{log}"
    );
}

/// S4: the hook of another library does not call this library's, and the `trust` line was for
/// another role.
#[test]
fn a_swap_behind_a_hook_that_does_not_call_ours() {
    let (cluster, _provider) =
        with_neighbour(Door::Password, "rude", "host all,replication tester 127.0.0.1/32 trust");
    let mut postgres = cluster.superuser();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE boss LOGIN SUPERUSER; CREATE ROLE tester LOGIN");
    for kind in KINDS {
        fs::write(cluster.path("wait"), "").expect("a file");
        let mark = cluster.log_mark();
        let outcome = thread::scope(|scope| {
            let login = scope.spawn(|| cluster.client().login(&parameters("ann", kind), ""));
            cluster.await_log(mark, "neighbour: role=ann waits");
            run_all(&mut postgres, &["ALTER ROLE ann RENAME TO away", "ALTER ROLE boss RENAME TO ann"]);
            fs::remove_file(cluster.path("wait")).expect("the file");
            login.join().expect("a thread")
        });
        sealed(&cluster, mark, &outcome, "ann", "not_linked", NOT_MATCHED);
        run_all(&mut postgres, &["ALTER ROLE ann RENAME TO boss", "ALTER ROLE away RENAME TO ann"]);
    }
    // The role `ann` itself, which was not asked for a token; and other roles, which are not
    // affected.
    let mark = cluster.log_mark();
    let outcome = cluster.login("ann", "");
    sealed(&cluster, mark, &outcome, "ann", "not_linked", "the session was not admitted by a token");
    assert_eq!(cluster.login("tester", ""), Outcome::Ready);
    assert_eq!(cluster.sql("SELECT 1"), "1");
}

/// Between the seal's two checks Parse and Describe reveal nothing either.
#[test]
fn a_link_removed_before_the_first_text_is_parsed() {
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, _provider) = Scene::new().door(door).settings(NO_REAPER).start();
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.client();
        let token = valid_token();
        assert_eq!(client.login(&parameters("ann", "off"), &token), Outcome::Ready);
        tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
        let mark = cluster.log_mark();
        client.send_parse_and_describe("SELECT * FROM pg_authid").expect("a connection");
        assert_eq!(client.read_until_ready(), [b'E'], "what the server says of it");
        let log = without_debug(&cluster.log_since(mark));
        assert!(log.contains("refused code=not_linked role=ann door=seal "), "{log}");
    });
}

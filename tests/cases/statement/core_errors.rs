//! Errors of PostgreSQL reach clients unchanged, although statements pass through the library's
//! hooks.

use testbed::cluster::Cluster;
use testbed::scene::Scene;

use crate::common::login::value;

/// Returns what psql prints about the error of a statement.
fn shown(cluster: &Cluster, statement: &str) -> String {
    let output = cluster.sql_with(&["-v", "VERBOSITY=verbose"], "postgres", statement);
    assert!(!output.success, "{statement}");
    output.stderr
}

#[test]
fn errors_keep_their_position_context_and_names() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE TABLE t (a integer CONSTRAINT positive CHECK (a > 0)); INSERT INTO t VALUES (1)");
    for (statement, parts) in [
        ("CREATE TABLE u (a no_such_type)", &["LINE 1: CREATE TABLE u (a no_such_type)", "         ^"][..]),
        ("COPY t FROM PROGRAM 'echo 1; echo x'", &["CONTEXT:  COPY t, line 2, column a: \"x\""]),
        (
            "DO $$ BEGIN RAISE 'no'; END $$",
            &["CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE"],
        ),
        (
            "DO $$ BEGIN INSERT INTO t VALUES (-1); END $$",
            &[
                "SCHEMA NAME:  public",
                "TABLE NAME:  t",
                "CONSTRAINT NAME:  positive",
                "CONTEXT:  SQL statement \"INSERT INTO t VALUES (-1)\"",
            ],
        ),
        ("ALTER TABLE t ADD CONSTRAINT small CHECK (a < 1)", &["CONSTRAINT NAME:  small"]),
        // The same for statements about Azure AD roles.
        ("GRANT no_such_role TO azure_ad_user", &["ERROR:  42704: role \"no_such_role\" does not exist"]),
        (
            "DO $$ BEGIN DROP ROLE no_such_role; END $$",
            &["CONTEXT:  SQL statement \"DROP ROLE no_such_role\""],
        ),
        (
            "DO $$ BEGIN ALTER ROLE azure_ad_user RENAME TO x; END $$",
            &[
                "ERROR:  2BP01: role \"azure_ad_user\" cannot be renamed",
                "CONTEXT:  SQL statement \"ALTER ROLE",
            ],
        ),
    ] {
        let error = shown(&cluster, statement);
        for part in parts {
            assert!(error.contains(part), "{statement} lacks {part}: {error}");
        }
    }
}

#[test]
fn statements_that_fail_leave_nothing_behind() {
    let (cluster, _provider) = Scene::new().start();
    let mut session = cluster.superuser();
    let held = "SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name NOT LIKE 'CacheMemory%'";
    let mut fail = |count: usize| {
        for _ in 0..count {
            assert!(session.query("GRANT azure_ad_user TO no_such_role").is_err());
            assert!(session.query("CREATE ROLE postgres").is_err());
        }
        value(&mut session, held).parse::<i64>().expect("a number")
    };
    let before = fail(50);
    assert!(fail(500) < before + 10_000);
    assert!(session.query("CREATE ROLE somebody").is_ok());
}

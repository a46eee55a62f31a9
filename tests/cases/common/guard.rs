//! The guard of linked roles, and servers that run without the library.

use testbed::client::{AuthRequest, Outcome, RawClient, ServerError, psql};
use testbed::cluster::{Cluster, Configuration};
use testbed::expect::without_debug;

use super::login::valid_token;

/// Stops the server and starts it without the library.
pub(crate) fn restart_without_library(cluster: &Cluster, settings: &str) {
    cluster.stop("fast");
    cluster.configure(&Configuration::new().settings(settings).preload(""));
    cluster.start();
}

/// Begins a login that a `trust` line matches, and returns the error that ends it.
pub(crate) fn login_error(cluster: &Cluster, role: &str, options: &[(&str, &str)]) -> ServerError {
    let mut parameters = vec![("user", role), ("database", "postgres")];
    parameters.extend(options);
    let mut client = cluster.client();
    client.start(&parameters).expect("a connection");
    match client.auth_request() {
        AuthRequest::Finished(Outcome::Refused(error)) => error,
        other => panic!("{role} got in: {other:?}"),
    }
}

pub(crate) fn refused_by_guard(cluster: &Cluster, role: &str, options: &[(&str, &str)]) {
    let mark = cluster.log_mark();
    let error = login_error(cluster, role, options);
    assert_eq!(error.severity, "FATAL");
    assert_eq!(error.sqlstate, "28000");
    assert_eq!(error.message, "Azure AD authentication is not configured on this server");
    assert_eq!((error.detail, error.hint), (None, None));
    let log = without_debug(&cluster.log_since(mark));
    assert!(log.contains("refused code=not_configured ") && log.contains("door=guard"), "{log}");
    assert!(log.contains("does not have azure_ad_auth in shared_preload_libraries"), "{log}");
    // By libpq too, with the client's options where they are asked for.
    let options = options.iter().find(|(name, _)| *name == "options").map_or("", |(_, value)| *value);
    let connection = format!(
        "host=localhost port={} dbname=postgres user='{role}' sslmode=require options='{}'",
        cluster.port,
        options.replace('\\', "\\\\").replace('\'', "\\'")
    );
    let output = psql(&cluster.installation().program("psql"), &connection, None, "SELECT 1");
    assert!(!output.success && output.stdout.is_empty(), "psql was let in as {role}");
    let message = "FATAL:  Azure AD authentication is not configured on this server\n";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

pub(crate) const GUARD: &str = "azure_ad_auth.guard=on; session_preload_libraries=azure_ad_auth";

/// Returns the settings of a role, as `database: setting`, in order.
pub(crate) fn role_settings(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT coalesce(d.datname, '-') || ': ' || array_to_string(s.setconfig, '; ') \
         FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase \
         WHERE s.setrole = '{role}'::regrole ORDER BY 1"
    ))
}

/// Logs in to a database. The password of a local role is its name; `ann` has a token.
pub(crate) fn session_in(cluster: &Cluster, role: &str, database: &str) -> RawClient {
    let token = valid_token();
    let secret = if role == "ann" { token.as_str() } else { role };
    cluster.session_with(&[("user", role), ("database", database)], secret)
}

/// Logs in to a database. Returns what the session answers to its first statement.
pub(crate) fn first_answer(cluster: &Cluster, role: &str, database: &str, statement: &str) -> String {
    let answer = session_in(cluster, role, database).query(statement).expect(statement);
    answer.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(",")
}

//! Statements, and what they come to.

use testbed::client::RawClient;
use testbed::cluster::Cluster;

/// The object id of a second administrator.
pub(crate) const SECOND_ADMIN: &str = "77777777-aaaa-bbbb-cccc-000000000007";

/// Links a role to an object, as the superuser. The directory is not asked about it.
pub(crate) fn link(cluster: &Cluster, role: &str, object: &str, kind: &str) {
    let role = role.replace('\'', "''");
    cluster.sql(&format!(
        "SET aad_validate_oids_in_tenant = off; SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"
    ));
}

/// Changes a catalog directly, as only a superuser can. The library does not see the statement as
/// one about roles.
pub(crate) fn tamper(cluster: &Cluster, statement: &str) {
    cluster.sql(&format!("SET allow_system_table_mods = on; {statement}"));
}

/// Runs a statement that must succeed.
pub(crate) fn run(client: &mut RawClient, statement: &str) {
    let result = client.query(statement);
    assert!(result.is_ok(), "{statement}: {result:?}");
}

/// Runs statements that must succeed.
pub(crate) fn run_all(client: &mut RawClient, statements: &[&str]) {
    for statement in statements {
        run(client, statement);
    }
}

/// Expects a statement of the superuser to fail with a SQLSTATE and a message. `more` must be in
/// its DETAIL, its HINT or elsewhere in the error.
pub(crate) fn fails(cluster: &Cluster, statement: &str, sqlstate: &str, message: &str, more: &str) {
    let output = cluster.sql_verbosely(statement);
    assert!(!output.success, "{statement}");
    let expected = format!("ERROR:  {sqlstate}: {message}");
    assert!(output.stderr.contains(&expected), "{statement}: {expected}: {}", output.stderr);
    assert!(output.stderr.contains(more), "{statement}: {}", output.stderr);
}

/// Expects a statement to fail for want of a privilege, with a message and a text in its DETAIL.
pub(crate) fn denied(client: &mut RawClient, statement: &str, message: &str, detail: &str) {
    let error = client.query(statement).expect_err(statement);
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("42501", message), "{statement}");
    assert!(error.detail.as_deref().unwrap_or_default().contains(detail), "{statement}: {error:?}");
}

/// Returns a statement that links a role to an object, as Microsoft's tools send it.
pub(crate) fn create_linked_role(role: &str, object: &str) -> String {
    format!(
        "SET aad_validate_oids_in_tenant = off; CREATE ROLE {role} WITH LOGIN PASSWORD '{object}' IN ROLE azure_ad_user"
    )
}

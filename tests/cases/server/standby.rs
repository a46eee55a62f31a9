//! What a standby, and a read-only transaction, says to statements that would change something.

use testbed::cluster::Cluster;
use testbed::issuer::{APPLICATION, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::login::token_of;
use crate::common::statements::link;

/// Returns calls that change something, each with its name in messages.
fn changes() -> Vec<(String, &'static str)> {
    let function = |call: &str| format!("SELECT azure_ad_auth.{call}");
    let azure = |call: &str| format!("SELECT * FROM pg_catalog.pgaadauth_{call}");
    vec![
        (function(&format!("set_admin('x', '{PERSON}')")), "set_admin()"),
        (function("remove_admin()"), "remove_admin()"),
        (function(&format!("create_principal('x', '{PERSON}', 'user')")), "create_principal()"),
        (function("create_principal('x')"), "create_principal()"),
        (function(&format!("create_principal('ann', '{PERSON}', 'user')")), "create_principal()"),
        (function(&format!("update_principal('ann', '{APPLICATION}')")), "update_principal()"),
        (function("drop_principal('ann')"), "drop_principal()"),
        (function("repair()"), "repair()"),
        (function("revoke_tokens('ann')"), "revoke_tokens()"),
        (function(&format!("revoke_principal('{PERSON}')")), "revoke_principal()"),
        (azure("create_principal('x', false, false)"), "create_principal()"),
        (
            azure(&format!("create_principal_with_oid('x', '{PERSON}', 'user', false, false)")),
            "create_principal()",
        ),
        (
            azure(&format!("update_principal_with_oid('ann', '{PERSON}', 'user', false, false)")),
            "update_principal()",
        ),
    ]
}

fn statements() -> Vec<(String, &'static str)> {
    [
        ("CREATE ROLE x IN ROLE azure_ad_user", "CREATE ROLE"),
        ("CREATE USER x PASSWORD 'x' IN GROUP azure_ad_user", "CREATE ROLE"),
        ("CREATE ROLE x IN ROLE azure_ad_admin", "CREATE ROLE"),
        ("GRANT azure_ad_user TO ann", "GRANT ROLE"),
        ("GRANT azure_ad_user TO nobody", "GRANT ROLE"),
        ("GRANT azure_ad_admin TO ann", "GRANT ROLE"),
        ("REVOKE azure_ad_user FROM ann", "REVOKE ROLE"),
        ("REVOKE azure_ad_admin FROM admin", "REVOKE ROLE"),
        ("ALTER GROUP azure_ad_user DROP USER ann", "ALTER ROLE"),
        ("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL", "SECURITY LABEL"),
        ("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL", "SECURITY LABEL"),
    ]
    .map(|(statement, name)| (statement.to_owned(), name))
    .to_vec()
}

fn refused(cluster: &Cluster, statement: &str, message: &str, hint: bool) {
    let output = cluster.sql_verbosely(statement);
    assert!(output.stderr.contains(&format!("ERROR:  25006: {message}\n")), "{statement}: {}", output.stderr);
    let on_the_primary = "HINT:  This server is a standby. Run it on the primary;";
    assert_eq!(output.stderr.contains(on_the_primary), hint, "{statement}: {}", output.stderr);
}

#[test]
fn what_changes_something_is_for_the_primary_and_says_so_by_its_own_name() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let before = cluster.sql("SELECT array_agg(label ORDER BY label) FROM pg_shseclabel");
    for (statement, name) in changes().into_iter().chain(statements()) {
        let message = format!("cannot execute {name} in a read-only transaction");
        refused(&cluster, &format!("BEGIN READ ONLY; {statement}"), &message, false);
    }
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    for (statement, name) in changes() {
        refused(&standby, &statement, &format!("cannot execute {name} during recovery"), true);
    }
    for (statement, name) in statements() {
        refused(&standby, &statement, &format!("cannot execute {name} in a read-only transaction"), true);
    }
    // Administrators get the same message. Without a token the session is not that of an
    // administrator.
    assert!(eventually(|| standby.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'") == "1"));
    let fault =
        standby.session("admin", &token_of(ADMIN)).query("SELECT azure_ad_auth.drop_principal('ann')");
    let fault = fault.expect_err("on a standby");
    assert_eq!(
        (fault.sqlstate.as_str(), fault.message.as_str()),
        ("25006", "cannot execute drop_principal() during recovery")
    );
    // PostgreSQL itself handles statements that are not about links.
    refused(&standby, "CREATE ROLE x", "cannot execute CREATE ROLE in a read-only transaction", false);
    // Reading is allowed.
    for look in ["check_configuration()", "check_hba()", "principals", "explain_token('x')"] {
        standby.sql(&format!("SELECT count(*) FROM azure_ad_auth.{look}"));
    }
    assert_eq!(cluster.sql("SELECT array_agg(label ORDER BY label) FROM pg_shseclabel"), before);
}

//! Revocations are not lost with the role that holds them.

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{PERSON, unix_now};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::login::{token_of, valid_token};
use crate::common::statements::{link, tamper};

/// Statements that would remove the label, or move it to another name.
const LOSSES: [&str; 3] = [
    "DROP ROLE azure_ad_admin, azure_ad_user",
    "DROP ROLE azure_ad_user",
    "ALTER ROLE azure_ad_user RENAME TO something_else",
];

/// Links everything anew, as after the loss of the role.
fn link_anew(cluster: &Cluster) {
    cluster.sql("CREATE EXTENSION IF NOT EXISTS azure_ad_auth; SELECT azure_ad_auth.repair()");
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    link(cluster, "ann", PERSON, "user");
}

fn unlink_all(cluster: &Cluster) {
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    cluster.sql("SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals");
    // The privileges of the extension would prevent dropping the two roles.
    cluster.sql("DROP EXTENSION azure_ad_auth");
}

fn label(cluster: &Cluster, label: &str) {
    cluster.sql(&format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS {label}"));
}

fn is_out(cluster: &Cluster, token: &str) -> bool {
    matches!(cluster.login("ann", token), Outcome::Refused(error) if error.message.starts_with("access tokens issued before "))
}

#[test]
fn azure_ad_user_stays_while_tokens_are_revoked() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = '1s'").start();
    link(&cluster, "ann", PERSON, "user");
    let token = valid_token();
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    unlink_all(&cluster);
    for loss in LOSSES {
        let output = cluster.sql_as("postgres", loss);
        let what = if loss.starts_with("DROP") { "dropped" } else { "renamed" };
        for expected in [
            format!("ERROR:  role \"azure_ad_user\" cannot be {what} while access tokens are revoked"),
            "DETAIL:  Its security label says whose, for a week.".to_owned(),
            "HINT:  To accept these tokens again: SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL;".to_owned(),
        ] {
            assert!(output.stderr.contains(&expected), "{loss}: {}", output.stderr);
        }
    }
    link_anew(&cluster);
    assert!(is_out(&cluster, &token), "the revocation is forgotten");
    // A label that cannot be read may contain revocations, so it is kept too.
    unlink_all(&cluster);
    tamper(&cluster, "UPDATE pg_shseclabel SET label = 'revoked,x' WHERE objoid = 'azure_ad_user'::regrole");
    assert!(!cluster.sql_as("postgres", LOSSES[1]).success);
}

#[test]
fn azure_ad_user_goes_when_nothing_is_revoked_any_more() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let token = valid_token();
    let eight_days_ago = format!("'revoked,{PERSON}={}'", unix_now() - 8 * 86_400);
    for forgotten in ["NULL", "'revoked'", &eight_days_ago] {
        label(&cluster, &format!("'revoked,{PERSON}={}'", unix_now()));
        assert!(is_out(&cluster, &token), "{forgotten}");
        label(&cluster, forgotten);
        unlink_all(&cluster);
        for loss in &LOSSES[1..] {
            let output = cluster.sql_as("postgres", &format!("BEGIN; {loss}; ROLLBACK"));
            assert!(output.success, "{forgotten}, {loss}: {}", output.stderr);
        }
        cluster.sql(LOSSES[0]);
        link_anew(&cluster);
        admitted(&cluster, "ann", &token);
    }
}

#[test]
fn nobody_drops_it_while_an_object_is_being_revoked() {
    let (cluster, _provider) = Scene::new().start();
    for gone in ["nobody", "azure_ad_admin"] {
        unlink_all(&cluster);
        cluster.sql(&format!("DROP ROLE IF EXISTS {gone}"));
        cluster.sql("CREATE FUNCTION revoke_principal(uuid) RETURNS integer LANGUAGE c AS 'azure_ad_auth', 'revoke_principal_wrapper'");
        let mut revoking = cluster.superuser();
        assert!(revoking.query("BEGIN").is_ok());
        let revoke = format!("SELECT revoke_principal('{PERSON}')");
        assert!(revoking.query(&revoke).is_ok());
        let mut dropping = cluster.superuser();
        std::thread::scope(|scope| {
            let drop = scope.spawn(|| dropping.query(LOSSES[1]));
            let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            assert!(eventually(|| cluster.sql(waits) != "0" || drop.is_finished()));
            assert!(revoking.query("COMMIT").is_ok());
            let error = drop.join().expect("a thread").expect_err("it was dropped");
            assert!(error.message.contains("while access tokens are revoked"), "{}", error.message);
        });
        label(&cluster, "NULL");
        cluster.sql("DROP FUNCTION revoke_principal; CREATE EXTENSION IF NOT EXISTS azure_ad_auth");
    }
}

#[test]
fn only_superusers_clear_it() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    cluster.sql("CREATE ROLE manager LOGIN CREATEROLE");
    let label = "SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole";
    let before = cluster.sql(label);
    for text in ["NULL", "'revoked'"] {
        let statement = format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS {text}");
        let output = cluster.psql("admin", &token_of(ADMIN), &statement);
        assert!(!output.success, "an administrator wrote {text}");
        let output = cluster.sql_as("manager", &statement);
        assert!(!output.success, "CREATEROLE wrote {text}");
    }
    assert_eq!(cluster.sql(label), before);
}

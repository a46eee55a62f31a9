//! Linking and unlinking by functions.

use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT};
use testbed::scene::Scene;

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, labels};
use crate::common::statements::{fails, link};

#[test]
fn a_link_and_its_end() {
    let (cluster, _provider) = Scene::new().start();
    assert_eq!(
        cluster.sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')")),
        "Created role for \"ann\""
    );
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    assert_eq!(
        labels(&cluster, "ann"),
        format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}")
    );
    assert_eq!(
        cluster.sql("SELECT * FROM azure_ad_auth.principals WHERE role_name = 'ann'"),
        format!("ann|{PERSON}|user|{TENANT}|f|f||unknown|")
    );
    // The link changes in place: what the role owns and was granted stays.
    cluster.sql("CREATE TABLE hers (); ALTER TABLE hers OWNER TO ann; GRANT pg_monitor TO ann");
    assert_eq!(
        cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')")),
        "Updated role for \"ann\""
    );
    assert_eq!(
        cluster.sql("SELECT object_id, object_type FROM azure_ad_auth.principals WHERE role_name = 'ann'"),
        format!("{APPLICATION}|user"),
        "what is not given stays"
    );
    assert_eq!(cluster.sql("SELECT relowner::regrole FROM pg_class WHERE relname = 'hers'"), "ann");
    cluster.sql("REVOKE pg_monitor FROM ann");
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
    assert_eq!(labels(&cluster, "ann"), "");
    fails(
        &cluster,
        "SELECT azure_ad_auth.drop_principal('ann')",
        "42704",
        "role \"ann\" is not linked to a directory object",
        "",
    );
}

#[test]
fn roles_that_are_there_already() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann LOGIN PASSWORD 'secret'; CREATE ROLE sleeper");
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let output = cluster.sql_as("postgres", &create);
    assert!(output.stderr.contains("NOTICE:  the password of role \"ann\" was removed"), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    let output = cluster.sql_as("postgres", &create);
    assert!(
        output.success
            && output.stderr.contains("NOTICE:  role \"ann\" is already linked to this object, skipping")
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('ann', '{APPLICATION}', 'user')"),
        "42710",
        "role \"ann\" is already linked to a directory object",
        "update_principal",
    );
    let output = cluster
        .sql_as("postgres", &format!("SELECT azure_ad_auth.create_principal('sleeper', '{GROUP}', 'group')"));
    assert!(
        output.stderr.contains("NOTICE:  role \"sleeper\" is not permitted to log in"),
        "{}",
        output.stderr
    );
    let output = cluster.sql_as(
        "postgres",
        &format!("SELECT azure_ad_auth.create_principal('m', '{PERSON}', 'user', false, true)"),
    );
    assert!(
        output.stderr.contains("NOTICE:  multi-factor authentication can be verified"),
        "{}",
        output.stderr
    );
    // One object, several roles.
    admitted(&cluster, "ann", &token_of(PERSON));
    admitted(&cluster, "m", &token_of(PERSON));
}

#[test]
fn what_cannot_be_linked() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE boss SUPERUSER; CREATE ROLE copier REPLICATION; CREATE ROLE seer BYPASSRLS");
    let create = |name: &str| format!("SELECT azure_ad_auth.create_principal({name}, '{PERSON}')");
    let cannot = |name: &str| format!("role \"{name}\" cannot be linked to a directory object");
    for name in ["postgres", "boss", "copier", "seer"] {
        let detail = "It is a superuser, or has REPLICATION or BYPASSRLS.";
        fails(&cluster, &create(&format!("'{name}'")), "42501", &cannot(name), detail);
        let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE {name} IS 'aadauth,oid={PERSON}'");
        fails(&cluster, &label, "42501", &cannot(name), detail);
    }
    for name in ["azure_ad_user", "azure_ad_admin"] {
        fails(
            &cluster,
            &create(&format!("'{name}'")),
            "42501",
            &cannot(name),
            "It stands for all Azure AD roles.",
        );
    }
    fails(&cluster, &create("'pg_monitor'"), "42501", &cannot("pg_monitor"), "belong to PostgreSQL");
    fails(&cluster, &create("''"), "42602", "a role name cannot be empty", "");
    fails(&cluster, &create("NULL"), "22004", "role_name must not be null", "");
    for long in ["x".repeat(64), "ä".repeat(32)] {
        let create = create(&format!("'{long}'"));
        fails(
            &cluster,
            &create,
            "42622",
            "role name is too long",
            "It has 64 bytes; at most 63 are allowed.",
        );
    }
    fails(
        &cluster,
        "SELECT azure_ad_auth.create_principal('ann')",
        "55000",
        "the directory cannot be asked for the object id of a name",
        "HINT:  Give the object id",
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'person')"),
        "22023",
        "invalid object type \"person\"",
        "HINT:  Use user, group or service.",
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.update_principal('nobody', '{PERSON}')"),
        "42704",
        "role \"nobody\" does not exist",
        "",
    );
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.tenant_id = ''");
    cluster.reload();
    fails(&cluster, &create("'ann'"), "55000", "no Azure AD tenant is configured", "azure_ad_auth.tenant_id");
}

#[test]
fn the_guard_keeps_the_servers_own_libraries() {
    let (cluster, _provider) = Scene::new().settings("session_preload_libraries = 'auto_explain'").start();
    cluster.sql("CREATE ROLE ann LOGIN; ALTER ROLE ann SET session_preload_libraries = 'auth_delay'");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "ben", PERSON, "user");
    let setting = |role: &str| {
        cluster.sql(&format!(
            "SELECT string_agg(c, '; ') FROM pg_db_role_setting, unnest(setconfig) c WHERE setrole = '{role}'::regrole"
        ))
    };
    let guard = "azure_ad_auth.guard=on; session_preload_libraries=azure_ad_auth";
    assert_eq!(setting("ann"), format!("{guard}, auth_delay"));
    assert_eq!(setting("ben"), guard);
    admitted(&cluster, "ben", &token_of(PERSON));
    // By a session that has other libraries itself.
    cluster.sql("ALTER ROLE postgres SET session_preload_libraries = 'auth_delay'");
    link(&cluster, "cem", PERSON, "user");
    assert_eq!(setting("cem"), guard);
    for role in ["ann", "ben"] {
        cluster.sql(&format!("SELECT azure_ad_auth.drop_principal('{role}')"));
    }
    assert_eq!(setting("ann"), "session_preload_libraries=auth_delay", "what was hers stays");
    assert_eq!(setting("ben"), "");
}

//! GRANT, REVOKE and ALTER ROLE that link and unlink.

use testbed::expect::{admitted, without_debug};
use testbed::issuer::{APPLICATION, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, labels, linked_object};
use crate::common::statements::{create_linked_role, fails, link, tamper};

#[test]
fn revoke_unlinks() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE readers");
    for (n, statement) in [
        "REVOKE azure_ad_user FROM ann",
        "REVOKE \"azure_ad_user\" FROM ann GRANTED BY postgres CASCADE",
        "ALTER GROUP azure_ad_user DROP USER ann",
        "REVOKE readers, azure_ad_user FROM ann, other",
        "DO $$ BEGIN REVOKE azure_ad_user FROM ann; END $$",
        "SET ROLE ann; SET ROLE postgres; REVOKE azure_ad_user FROM ann RESTRICT",
    ]
    .into_iter()
    .enumerate()
    {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "other", APPLICATION, "user");
        cluster.sql("GRANT readers TO ann, other");
        let mut open = cluster.session("ann", &token_of(PERSON));
        assert!(open.query("SELECT 1").is_ok());
        let output = cluster.sql_as("postgres", statement);
        assert!(output.success && !output.stderr.contains("WARNING"), "{statement}: {}", output.stderr);
        let both = n == 3;
        let unlinked = RoleState::unlinked();
        let expected = if both { unlinked } else { unlinked.and_member_of("readers") };
        assert_eq!(RoleState::of(&cluster, "ann"), expected, "{statement}");
        assert_eq!(labels(&cluster, "ann"), "");
        let ended = eventually(|| open.query("SELECT 1").is_err());
        assert!(ended, "the session goes on");
        assert_eq!(labels(&cluster, "other").is_empty(), both);
        assert_eq!(cluster.sql("SELECT pg_has_role('other', 'readers', 'MEMBER')") == "f", both);
        cluster.sql("REVOKE readers FROM ann");
    }
    // Linked to another object, as after a person was created anew in the directory.
    link(&cluster, "ann", APPLICATION, "user");
    cluster.sql("GRANT azure_ad_user TO ann");
    assert_eq!(linked_object(&cluster, "ann"), APPLICATION);
    // An administrator too. With the last one the tenant's label is removed.
    let output = cluster.sql_as("postgres", "REVOKE azure_ad_user FROM admin");
    assert!(output.stderr.contains("NOTICE:  Azure AD authentication is disabled"), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::unlinked());
    // A role may be named twice.
    cluster.sql("GRANT azure_ad_user TO ann, ann");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    cluster.sql("REVOKE azure_ad_user FROM ann, ann");
    assert_eq!(labels(&cluster, "ann"), "");
    // PostgreSQL itself handles roles that are not linked.
    let output = cluster.sql_as("postgres", "REVOKE azure_ad_user FROM readers");
    assert!(output.success && output.stderr.contains("WARNING:  role \"readers\" "), "{}", output.stderr);
    fails(&cluster, "REVOKE azure_ad_user FROM nobody", "42704", "role \"nobody\" does not exist", "");
}

#[test]
fn revoking_options_takes_nothing() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mut statements = vec!["REVOKE ADMIN OPTION FOR azure_ad_user FROM ann"];
    if cluster.major() >= 16 {
        statements.extend([
            "REVOKE INHERIT OPTION FOR azure_ad_user FROM ann",
            "REVOKE SET OPTION FOR azure_ad_user FROM ann",
            "GRANT azure_ad_user TO ann WITH INHERIT FALSE, SET FALSE, ADMIN TRUE",
        ]);
    }
    for statement in statements {
        cluster.sql(statement);
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked(), "{statement}");
        if cluster.major() >= 16 {
            let options =
                "SELECT inherit_option, set_option FROM pg_auth_members WHERE member = 'ann'::regrole";
            assert_eq!(cluster.sql(options), "t|t", "{statement}");
        }
    }
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn grant_completes_what_a_label_says_and_nothing_else() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{PERSON}', 'user', true)"));
    // As after a dump that was restored in part.
    tamper(
        &cluster,
        "DELETE FROM pg_auth_members WHERE member IN ('ann'::regrole, 'admin2'::regrole); \
         DELETE FROM pg_db_role_setting WHERE setrole = 'ann'::regrole; \
         UPDATE pg_authid SET rolpassword = 'md5' || md5('x') WHERE rolname = 'ann'",
    );
    cluster.sql("CREATE ROLE readers; CREATE ROLE local PASSWORD 'x'");
    let before = labels(&cluster, "ann");
    let output = cluster.sql_as("postgres", "GRANT readers, azure_ad_user TO ann");
    assert!(output.stderr.contains("NOTICE:  the password of role \"ann\" was removed"), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked().and_member_of("readers"));
    assert_eq!(labels(&cluster, "ann"), before);
    cluster.sql("GRANT azure_ad_admin TO admin2");
    assert_eq!(RoleState::of(&cluster, "admin2"), RoleState::administrator());
    tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    cluster.sql("ALTER GROUP azure_ad_user ADD USER ann");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    let hint = "HINT:  Link it first: SELECT azure_ad_auth.create_principal('local', '<object id>'); or: SECURITY LABEL FOR pgaadauth";
    for (statement, role) in [
        ("GRANT azure_ad_user TO local", "azure_ad_user"),
        ("GRANT readers, azure_ad_user TO ann, local", "azure_ad_user"),
        ("ALTER GROUP azure_ad_user ADD USER ann, local", "azure_ad_user"),
        ("GRANT azure_ad_admin TO local", "azure_ad_admin"),
        (
            "SECURITY LABEL FOR pgaadauth ON ROLE local IS 'aadauth'; GRANT azure_ad_user TO local",
            "azure_ad_user",
        ),
    ] {
        let message = format!(
            "role \"local\" cannot be a member of role \"{role}\" because it is not linked to a directory object"
        );
        let administers = "HINT:  To make it an administrator: SELECT azure_ad_auth.create_principal('local', '<object id>', 'user', is_admin => true);";
        fails(
            &cluster,
            statement,
            "55000",
            &message,
            if role == "azure_ad_admin" { administers } else { hint },
        );
    }
    fails(&cluster, "GRANT azure_ad_user TO nobody", "42704", "role \"nobody\" does not exist", "");
    assert_eq!(cluster.sql("SELECT pg_has_role('local', 'readers', 'MEMBER')"), "f", "all or nothing");
    assert_eq!(cluster.sql("SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'local'"), "t");
}

#[test]
fn an_old_snapshot_hides_nothing_from_a_link() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann LOGIN");
    cluster.sql("CREATE DATABASE second");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut client = cluster.superuser();
        for statement in
            [format!("BEGIN ISOLATION LEVEL {level}"), "SELECT count(*) FROM pg_authid".to_owned()]
        {
            assert!(client.query(&statement).is_ok());
        }
        // The queries of this transaction do not see what others do from now on.
        cluster.sql("ALTER ROLE ann PASSWORD 'x'; ALTER ROLE ann IN DATABASE second SET session_preload_libraries = 'auto_explain'");
        let statement = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
        let result = client.query(&statement);
        assert!(result.is_ok(), "{level}: {result:?}");
        assert!(client.query("COMMIT").is_ok());
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
        let guards = "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'ann'::regrole AND setconfig::text ~ 'azure_ad_auth'";
        assert_eq!(cluster.sql(guards), "2", "{level}");
        cluster.sql("REVOKE azure_ad_user FROM ann; ALTER ROLE ann IN DATABASE second RESET ALL");
    }
    // Nor do they see that the two roles are in use.
    let (other, _provider) = Scene::new().start();
    other.sql("SELECT azure_ad_auth.drop_principal('admin')");
    let mut client = other.superuser();
    for statement in ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM pg_authid"] {
        assert!(client.query(statement).is_ok());
    }
    other.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    let error = client.query("ALTER ROLE azure_ad_user RENAME TO x").expect_err("renamed");
    assert_eq!(
        error.message,
        "role \"azure_ad_user\" cannot be renamed while roles are linked to directory objects"
    );
}

#[test]
fn where_nothing_can_be_written_core_says_so() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for (statement, command) in [
        (create_linked_role("x", PERSON), "CREATE ROLE"),
        ("REVOKE azure_ad_user FROM ann".to_owned(), "REVOKE ROLE"),
        (format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')"), "update_principal()"),
        ("SELECT azure_ad_auth.drop_principal('ann')".to_owned(), "drop_principal()"),
    ] {
        let statement = format!("BEGIN READ ONLY; {statement}");
        fails(
            &cluster,
            &statement,
            "25006",
            &format!("cannot execute {command} in a read-only transaction"),
            "",
        );
    }
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    assert!(!without_debug(&cluster.log()).contains("PANIC"));
}

#[test]
fn a_linked_role_keeps_its_link_under_another_name_and_takes_no_password() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let before = labels(&cluster, "ann");
    cluster.sql("ALTER ROLE ann RENAME TO \"ann smith\"; ALTER ROLE \"ann smith\" PASSWORD NULL");
    assert_eq!(
        (RoleState::of(&cluster, "ann smith"), labels(&cluster, "\"ann smith\"")),
        (RoleState::linked(), before)
    );
    admitted(&cluster, "ann smith", &token_of(PERSON));
    for password in ["secret", PERSON] {
        let statement =
            format!("SET aad_validate_oids_in_tenant = off; ALTER ROLE \"ann smith\" PASSWORD '{password}'");
        let message = "role \"ann smith\" is linked to a directory object and cannot have a password";
        fails(
            &cluster,
            &statement,
            "55000",
            message,
            "DETAIL:  It logs in with an access token or not at all.",
        );
    }
}

#[test]
fn one_revoke_takes_the_grants_of_every_grantor() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    if cluster.major() >= 16 {
        // As two superusers can leave it on a server without the library.
        tamper(
            &cluster,
            "INSERT INTO pg_auth_members SELECT (SELECT max(oid::bigint) + 1 FROM pg_auth_members)::oid, roleid, member, \
             'azure_ad_admin'::regrole, true, false, false FROM pg_auth_members WHERE member = 'ann'::regrole",
        );
        let rows = "SELECT count(*) FROM pg_auth_members WHERE member = 'ann'::regrole";
        assert_eq!(cluster.sql(rows), "2");
    }
    cluster.sql("REVOKE azure_ad_user FROM ann");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
}

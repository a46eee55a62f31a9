//! Memberships in `azure_ad_user` and `azure_ad_admin`, and of linked roles in each other.

use testbed::expect::admitted;
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, labels};
use crate::common::statements::{SECOND_ADMIN, fails, link, tamper};

#[test]
fn an_administrators_role_has_no_members() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let message = "role \"admin\" administers Azure AD roles and cannot have members";
    let hint = &format!(
        "HINT:  To make it an administrator: SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', is_admin => true);"
    );
    fails(&cluster, "GRANT admin TO ann", "42501", message, hint);
    fails(&cluster, "ALTER GROUP admin ADD USER ann", "42501", message, hint);
    let create = format!(
        "SET aad_validate_oids_in_tenant = off; CREATE USER ben PASSWORD '{PERSON}' IN ROLE azure_ad_user, admin"
    );
    fails(
        &cluster,
        &create,
        "42501",
        message,
        "azure_ad_auth.create_principal('ben', '<object id>', 'user', is_admin => true);",
    );
    cluster.sql("CREATE ROLE deputy LOGIN");
    link(&cluster, "deputy", SECOND_ADMIN, "user");
    cluster.sql("GRANT deputy TO ann");
    let promote = format!(
        "SELECT azure_ad_auth.update_principal('deputy', '{SECOND_ADMIN}', 'user', is_admin => true)"
    );
    fails(
        &cluster,
        &promote,
        "42501",
        "role \"deputy\" administers Azure AD roles and cannot have members",
        "HINT:  REVOKE deputy FROM ann;",
    );
    cluster.sql("REVOKE deputy FROM ann");
    cluster.sql(&promote);
    assert_eq!(cluster.sql("SELECT pg_has_role('ann', 'azure_ad_admin', 'MEMBER')"), "f");
}

#[test]
fn taking_options_away_completes_no_link() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    let before = RoleState::of(&cluster, "ann");
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    // Whether PostgreSQL accepts it does not matter.
    let statement = "REVOKE ADMIN OPTION FOR azure_ad_user FROM ann";
    let _ = cluster.session("local", "secret").query(statement);
    let _ = cluster.sql_as("postgres", &format!("SET ROLE admin; {statement}"));
    assert_eq!(RoleState::of(&cluster, "ann"), before);
    cluster.sql("GRANT azure_ad_user TO ann");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
}

#[test]
fn the_two_roles_do_not_come_back_with_members_under_their_names() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin')");
    cluster.sql("ALTER ROLE azure_ad_user RENAME TO foo; GRANT foo TO postgres");
    let message =
        "role \"postgres\" is a member of role \"azure_ad_user\" but is not linked to a directory object";
    fails(
        &cluster,
        "ALTER ROLE foo RENAME TO azure_ad_user",
        "55000",
        message,
        "HINT:  REVOKE foo FROM postgres;",
    );
    cluster.sql("REVOKE foo FROM postgres; ALTER ROLE foo RENAME TO azure_ad_user");
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    admitted(&cluster, "admin", &token_of(ADMIN));
}

#[test]
fn memberships_of_other_grantors_become_one() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE boss SUPERUSER");
    cluster.sql("SET ROLE boss; GRANT azure_ad_user TO ann WITH ADMIN OPTION");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked(), "a grant of what it has changes nothing");
    if cluster.major() >= 16 {
        cluster.sql("GRANT azure_ad_user TO ann GRANTED BY azure_ad_admin");
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    }
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
}

#[test]
fn membership_comes_and_goes_with_the_link_only() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for (statement, role, hint) in [
        ("GRANT azure_ad_admin TO ann", "azure_ad_admin", "HINT:  To make it an administrator: SELECT"),
        ("GRANT azure_ad_user TO admin", "azure_ad_user", "HINT:  To make it a plain Azure AD user: SELECT"),
    ] {
        let message = format!("role \"{role}\" is not granted by GRANT");
        fails(&cluster, statement, "42501", &message, hint);
    }
    for statement in ["ALTER GROUP azure_ad_admin DROP USER admin", "REVOKE azure_ad_admin FROM admin"] {
        let message =
            "role \"admin\" is linked to a directory object and stays a member of role \"azure_ad_admin\"";
        let hint = "HINT:  To make it a plain Azure AD user: SELECT azure_ad_auth.remove_admin('admin'); or, to unlink it: SELECT \
                    azure_ad_auth.drop_principal('admin');";
        fails(&cluster, statement, "55000", message, hint);
    }
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::administrator());
}

#[test]
fn a_member_of_a_linked_role_stays_linked() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "dbas", GROUP, "group");
    cluster.sql("GRANT dbas TO ann");
    let unlabel = "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL";
    for statement in ["SELECT azure_ad_auth.drop_principal('ann')", unlabel] {
        let message = "role \"ann\" cannot be unlinked while it is a member of role \"dbas\"";
        fails(&cluster, statement, "55000", message, "HINT:  REVOKE dbas FROM ann;");
    }
    assert!(labels(&cluster, "ann").contains(PERSON));
    admitted(&cluster, "ann", &token_of(PERSON));
    cluster.sql("REVOKE dbas FROM ann; SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
}

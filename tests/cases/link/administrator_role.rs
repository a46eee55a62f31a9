//! Setting and removing administrators.

use testbed::expect::{Refusal, admitted};
use testbed::issuer::{GROUP, OTHER_TENANT, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene};

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, tenant_label};
use crate::common::route::{Route, refused_before_prompt};
use crate::common::statements::{SECOND_ADMIN, fails, link};

#[test]
fn the_administrators_life() {
    let (cluster, _provider) = Scene::new().start();
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::administrator());
    let associated = format!("aadauth,tenant_id={TENANT}");
    assert_eq!(tenant_label(&cluster), associated);
    admitted(&cluster, "admin", &token_of(ADMIN));
    // The administrator who is replaced stays as a plain Azure AD user.
    let output =
        cluster.sql_as("postgres", &format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"));
    assert!(output.success && !output.stderr.contains("disabled"), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::linked());
    assert_eq!(RoleState::of(&cluster, "admin2"), RoleState::administrator());
    admitted(&cluster, "admin", &token_of(ADMIN));
    // Further administrators.
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('admin', '{ADMIN}', 'user', true)"));
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admins', '{GROUP}', 'group', true)"));
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::administrator());
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "3");
    cluster.sql("SELECT azure_ad_auth.remove_admin('admins')");
    assert_eq!(tenant_label(&cluster), associated);
    fails(
        &cluster,
        "SELECT azure_ad_auth.remove_admin('admins')",
        "42704",
        "role \"admins\" is not an Azure AD administrator",
        "",
    );
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin2'); DROP ROLE admin2");
    assert_eq!(tenant_label(&cluster), associated);
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    assert_eq!(tenant_label(&cluster), "");
    for role in ["admin", "admins"] {
        assert_eq!(RoleState::of(&cluster, role), RoleState::linked(), "links stay");
    }
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}', 'user')"));
    assert_eq!(tenant_label(&cluster), associated);
    // The tenant's label is removed with the role of the last administrator, in the same
    // transaction.
    cluster.sql("BEGIN; DROP ROLE admin; ROLLBACK");
    assert_eq!(tenant_label(&cluster), associated);
    cluster.sql("DROP ROLE admin");
    assert_eq!(tenant_label(&cluster), "");
}

#[test]
fn an_administrator_who_was_somebody_before() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE boss NOLOGIN PASSWORD 'secret'");
    let output = cluster
        .sql_as("postgres", &format!("SELECT azure_ad_auth.set_admin('boss', '{SECOND_ADMIN}', 'user')"));
    let notice = "NOTICE:  the password of role \"boss\" was removed";
    assert!(output.success && output.stderr.contains(notice), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "boss"), RoleState::administrator());
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::linked());
    admitted(&cluster, "boss", &token_of(SECOND_ADMIN));
}

#[test]
fn without_its_only_administrator_the_server_refuses_everyone() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin')");
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::unlinked());
    assert_eq!(tenant_label(&cluster), "");
    let expected = Refusal {
        code: "no_admin",
        sqlstate: "28000",
        message: "Azure AD authentication is disabled: the server has no Azure AD administrator",
        hint: None,
        facts: &[],
    };
    refused_before_prompt(&cluster, Route::Tls, "ann", &expected);
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn administrators_of_two_tenants_are_none() {
    let (cluster, _provider) = Scene::new().start();
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('x', '{PERSON}', 'user', true)"),
        "55000",
        "the Azure AD administrators are of different tenants",
        "remove_admin('admin');",
    );
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('x', '{PERSON}')"));
    assert_eq!(tenant_label(&cluster), format!("aadauth,tenant_id={OTHER_TENANT}"));
}

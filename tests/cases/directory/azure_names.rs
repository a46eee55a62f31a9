//! Scripts for Azure that name directory objects by their names.

use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v1, unix_now};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::directory::with_directory;
use crate::common::login::{token_of, valid_token, value};
use crate::common::role_state::linked_object;
use crate::common::statements::{SECOND_ADMIN, run, run_all};

fn scene() -> Scene {
    Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h")
}

#[test]
fn single_servers_dialect_finds_objects_by_name() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(PERSON, "user1@yourtenant.onmicrosoft.com");
    directory.add_group(GROUP, "Prod DB Readonly");
    directory.add_service_principal(APPLICATION, CLIENT, "myuser");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    run_all(
        &mut admin,
        &[
            "CREATE USER \"user1@yourtenant.onmicrosoft.com\" IN ROLE azure_ad_user",
            "CREATE ROLE \"Prod DB Readonly\" WITH LOGIN IN ROLE azure_ad_user",
            "CREATE ROLE myuser LOGIN",
            "GRANT azure_ad_user TO myuser",
        ],
    );
    admitted(&cluster, "user1@yourtenant.onmicrosoft.com", &valid_token());
    admitted(&cluster, "Prod DB Readonly", &valid_token());
    admitted(&cluster, "myuser", &KEY.token(&app_v1(unix_now())));
    // The account was deleted and created anew.
    directory.delete(PERSON);
    directory.add_user(SECOND_ADMIN, "user1@yourtenant.onmicrosoft.com");
    run_all(
        &mut admin,
        &[
            "BEGIN",
            "REVOKE azure_ad_user FROM \"user1@yourtenant.onmicrosoft.com\"",
            "GRANT azure_ad_user TO \"user1@yourtenant.onmicrosoft.com\"",
            "COMMIT",
        ],
    );
    admitted(&cluster, "user1@yourtenant.onmicrosoft.com", &token_of(SECOND_ADMIN));
    // With the id in place of a password, which is checked.
    run_all(
        &mut admin,
        &[
            "SET aad_validate_oids_in_tenant = on",
            &format!("CREATE ROLE byid LOGIN PASSWORD '{CLIENT}' IN ROLE azure_ad_user"),
        ],
    );
    admitted(&cluster, "byid", &KEY.token(&app_v1(unix_now())));
}

#[test]
fn flexible_servers_functions_find_objects_by_name() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(PERSON, "mary@contoso.com");
    directory.add_user(SECOND_ADMIN, "deputy@contoso.com");
    directory.add_group(GROUP, "Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let created = "SELECT * FROM pgaadauth_create_principal('mary@contoso.com', false, false)";
    assert_eq!(value(&mut admin, created), "Created role for \"mary@contoso.com\"");
    for statement in [
        "SELECT * FROM pgaadauth_create_principal('Readers', false, false)",
        "SELECT * FROM pgaadauth_create_principal(roleName => 'billing', isAdmin => false, isMfa => false)",
        "SELECT * FROM pgaadauth_create_principal('deputy@contoso.com', true, false)",
    ] {
        run(&mut admin, statement);
    }
    let list = "SELECT string_agg(rolname || ' ' || principalType || ' ' || objectId || ' ' || tenantId || ' ' || isAdmin, E'\\n' ORDER BY rolname::text) FROM pgaadauth_list_principals(false)";
    assert_eq!(
        cluster.sql(list),
        format!(
            "Readers group {GROUP} {TENANT} 0\nadmin user {ADMIN} {TENANT} 1\nbilling service {APPLICATION} {TENANT} 0\n\
             deputy@contoso.com user {SECOND_ADMIN} {TENANT} 1\nmary@contoso.com user {PERSON} {TENANT} 0"
        )
    );
    admitted(&cluster, "mary@contoso.com", &valid_token());
    admitted(&cluster, "Readers", &valid_token());
    admitted(&cluster, "deputy@contoso.com", &token_of(SECOND_ADMIN));
    // With an id, which is checked; without a type, which is found; without an id, by name.
    for (arguments, id) in [
        (format!("'billing', '{CLIENT}', 'service', false, false"), APPLICATION),
        ("'billing', NULL, NULL, false, false".to_owned(), APPLICATION),
        (format!("'billing', '{PERSON}', NULL, false, true"), PERSON),
    ] {
        let update = format!("SELECT * FROM pgaadauth_update_principal_with_oid({arguments})");
        assert_eq!(value(&mut admin, &update), "Updated role for \"billing\"");
        assert_eq!(linked_object(&cluster, "billing"), id, "{arguments}");
    }
    // A role that is there and not linked.
    run(&mut admin, "SELECT azure_ad_auth.drop_principal('billing')");
    run(&mut admin, "SELECT * FROM pgaadauth_update_principal_with_oid('billing', NULL, NULL, false, false)");
    assert_eq!(linked_object(&cluster, "billing"), APPLICATION);
}

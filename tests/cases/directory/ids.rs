//! Object ids that are given: checked, and their types found.

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Lag, Object, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v1, unix_now};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::directory::with_directory;
use crate::common::login::token_of;
use crate::common::role_state::labels;
use crate::common::statements::{SECOND_ADMIN, create_linked_role, fails, run};

/// The object id of the registration of the application.
const REGISTRATION: &str = "88888888-aaaa-bbbb-cccc-000000000008";

/// An id that nothing has.
const NOBODY: &str = "99999999-aaaa-bbbb-cccc-000000000009";

/// The hint where the directory does not answer.
const TO_DO_WITHOUT: &str =
    "HINT:  To take the object id as it is given: SET aad_validate_oids_in_tenant = off;";

/// A server that asks the directory about ids only.
fn scene(wait: &str) -> (Cluster, Provider) {
    let scene = Scene::new().settings(format!(
        "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = {wait}"
    ));
    let (cluster, provider) = with_directory(scene);
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    directory.add(Object::application(REGISTRATION, CLIENT, "billing"));
    directory.forget_requests();
    (cluster, provider)
}

fn questions(provider: &Provider) -> usize {
    provider.directory().questions(Kind::Lookup)
}

/// Returns the label of a role that is linked to an object of a type.
fn label(object: &str, kind: &str) -> String {
    format!("pgaadauth: aadauth,oid={object},type={kind},tenant_id={TENANT}")
}

/// Returns CREATE ROLE with an id in place of a password, which is checked.
fn create(role: &str, object: &str) -> String {
    create_linked_role(role, object).replace("= off", "= on")
}

#[test]
fn an_id_is_checked_and_its_type_is_found() {
    let (cluster, _provider) = scene("10s");
    for (role, object, kind) in [("a", PERSON, "user"), ("b", GROUP, "group"), ("c", APPLICATION, "service")]
    {
        let output = cluster.sql_verbosely(&create(role, object));
        let notice = format!("with id {object} and type {kind} in the directory");
        assert!(output.success && output.stderr.contains(&notice), "{}", output.stderr);
        assert_eq!(labels(&cluster, role), label(object, kind));
        cluster.sql(&format!("DROP ROLE {role}"));
        for rest in [String::new(), format!(", '{kind}'")] {
            cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{object}'{rest})"));
            assert_eq!(labels(&cluster, role), label(object, kind));
            cluster.sql(&format!("DROP ROLE {role}"));
        }
    }
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('d', '{PERSON}')"));
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('d', '{GROUP}')"));
    assert_eq!(labels(&cluster, "d"), label(GROUP, "group"), "the type is the one that was found");
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('e', '{GROUP}')"));
    assert_eq!(
        cluster.sql("SELECT role_name, object_type FROM azure_ad_auth.principals WHERE is_admin"),
        "e|group"
    );
}

#[test]
fn an_application_that_is_named_by_its_client_id_is_linked_by_its_object_id() {
    let (cluster, _provider) = scene("10s");
    for statement in [
        create("etl", CLIENT),
        format!("SELECT azure_ad_auth.create_principal('etl', '{CLIENT}', 'service')"),
    ] {
        cluster.sql(&statement);
        assert_eq!(labels(&cluster, "etl"), label(APPLICATION, "service"), "{statement}");
        admitted(&cluster, "etl", &KEY.token(&app_v1(unix_now())));
        cluster.sql("DROP ROLE etl");
    }
}

#[test]
fn an_id_that_is_none_is_refused() {
    let (cluster, provider) = scene("1s");
    let directory = provider.directory();
    let news = "77777777-aaaa-bbbb-cccc-000000000077";
    directory.add(Object::group(news, "News").not_security_enabled());
    let unknown = format!("the directory has no object with the id {NOBODY}");
    let registration = format!("{REGISTRATION} is the object id of an app registration");
    let other = format!("the object with the id {PERSON} is of type user, not group");
    let by_function = |rest: &str| format!("SELECT azure_ad_auth.create_principal('x', {rest})");
    for (statement, sqlstate, message, more) in [
        (create("x", NOBODY), "42704", &unknown, "New objects take minutes"),
        (by_function(&format!("'{NOBODY}', 'user'")), "42704", &unknown, ""),
        (create("x", REGISTRATION), "42809", &registration, APPLICATION),
        (by_function(&format!("'{REGISTRATION}'")), "42809", &registration, APPLICATION),
        (by_function(&format!("'{PERSON}', 'group'")), "42809", &other, ""),
        (by_function(&format!("'{news}'")), "42809", &format!("group {news} is not security-enabled"), ""),
        (format!("SELECT azure_ad_auth.set_admin('x', '{PERSON}', 'group')"), "42809", &other, ""),
    ] {
        fails(&cluster, &statement, sqlstate, message, more);
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'x'"), "0", "{statement}");
    }
    directory.withdraw("User.Read.All");
    directory.revoke_tokens();
    fails(&cluster, &create("x", PERSON), "42501", "the directory may not be asked for", "User.Read.All");
    cluster.sql(&create("y", GROUP));
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    fails(&cluster, &create("x", PERSON), "58000", "the directory did not answer", TO_DO_WITHOUT);
    cluster.set("azure_ad_auth.directory_client_id", "");
    assert!(testbed::waits::eventually(|| {
        cluster.sql_verbosely(&create("x", PERSON)).stderr.contains("directory_client_id")
    }));
    fails(&cluster, &create("x", PERSON), "58000", "the directory cannot be asked", TO_DO_WITHOUT);
}

#[test]
fn ids_are_taken_as_they_are_if_the_setting_says_so() {
    let (cluster, provider) = scene("10s");
    provider.directory().fail(Place::Graph, Trouble::Hang);
    cluster.sql(&create_linked_role("x", NOBODY));
    assert_eq!(labels(&cluster, "x"), format!("pgaadauth: aadauth,oid={NOBODY},tenant_id={TENANT}"));
    let mut client = cluster.superuser();
    run(&mut client, "SET aad_validate_oids_in_tenant = off");
    for (call, expected) in [
        (format!("update_principal('x', '{PERSON}', 'group')"), label(PERSON, "group")),
        (format!("update_principal('x', '{NOBODY}')"), label(NOBODY, "group")),
        (format!("create_principal('y', '{NOBODY}', 'service')"), label(NOBODY, "service")),
    ] {
        run(&mut client, &format!("SELECT azure_ad_auth.{call}"));
        assert_eq!(labels(&cluster, &call[18..19]), expected, "{call}");
    }
    run(&mut client, &format!("SELECT azure_ad_auth.set_admin('z', '{NOBODY}')"));
    let kind = "SELECT object_type FROM azure_ad_auth.principals WHERE role_name = 'z'";
    assert_eq!(cluster.sql(kind), "user");
    assert_eq!(questions(&provider), 0);
}

#[test]
fn the_same_link_again_is_not_checked() {
    let (cluster, provider) = scene("10s");
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    cluster.sql(&create);
    provider.directory().forget_requests();
    provider.directory().fail(Place::Graph, Trouble::Hang);
    let output = cluster.sql_verbosely(&create);
    assert!(output.stderr.contains("role \"ann\" is already linked to this object"), "{}", output.stderr);
    // By somebody who may not link it, too.
    cluster.sql("CREATE ROLE local; GRANT USAGE ON SCHEMA azure_ad_auth TO local; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA azure_ad_auth TO local");
    run(&mut cluster.acting_as("local"), &create);
    assert_eq!(questions(&provider), 0);
}

#[test]
fn an_object_that_is_new_is_asked_for_again() {
    let (cluster, provider) = scene("30s");
    let directory = provider.directory();
    directory.lag(Lag::Requests(2));
    directory.add_user(NOBODY, "new@contoso.example");
    directory.forget_requests();
    cluster.sql(&create("newcomer", NOBODY));
    assert_eq!(labels(&cluster, "newcomer"), label(NOBODY, "user"));
    assert!(directory.requests(Kind::Batch) >= 3, "{}", directory.requests(Kind::Batch));
}

#[test]
fn an_administrator_whom_the_directory_does_not_know_is_announced() {
    let (cluster, provider) = scene("1s");
    let output = cluster.sql_verbosely(&format!("SELECT azure_ad_auth.set_admin('boss', '{SECOND_ADMIN}')"));
    let notice = "NOTICE:  00000: the directory does not know the object id of role \"boss\"";
    assert!(output.success && output.stderr.contains(notice), "{}", output.stderr);
    let admins = "SELECT role_name, object_id, object_type FROM azure_ad_auth.principals WHERE is_admin";
    assert_eq!(cluster.sql(admins), format!("boss|{SECOND_ADMIN}|user"));
    // But none is taken that cannot be asked for, or that has no id.
    fails(&cluster, "SELECT azure_ad_auth.set_admin('nobody')", "42704", "the directory has no object", "");
    provider.directory().fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    let back = format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')");
    fails(&cluster, &back, "58000", "the directory did not answer", "");
    assert_eq!(cluster.sql(admins), format!("boss|{SECOND_ADMIN}|user"));
    cluster.sql(&format!("SET aad_validate_oids_in_tenant = off; {back}"));
    admitted(&cluster, "admin", &token_of(ADMIN));
}

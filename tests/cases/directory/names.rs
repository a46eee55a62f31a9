//! Which object a role's name means.

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::idp::directory::{Directory, Kind, Object};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT};
use testbed::scene::Scene;

use crate::common::directory::with_directory;
use crate::common::login::{valid_token, value};
use crate::common::role_state::{RoleState, labels, linked_object};
use crate::common::statements::fails;

/// A second object.
const TWIN: &str = "77777777-aaaa-bbbb-cccc-000000000077";

/// A server that asks the directory about names only.
fn scene() -> Scene {
    Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = 1s")
}

fn create(role: &str) -> String {
    format!("CREATE ROLE \"{}\" LOGIN IN ROLE azure_ad_user", role.replace('"', "\"\""))
}

fn roles(cluster: &Cluster) -> String {
    cluster.sql("SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_|^azure|^postgres$|^admin$'")
}

/// Expects a statement to fail, and to leave nothing.
fn is_refused(cluster: &Cluster, statement: &str, sqlstate: &str, message: &str, more: &str) {
    let before = roles(cluster);
    fails(cluster, statement, sqlstate, message, more);
    assert_eq!(roles(cluster), before, "{statement}");
}

#[test]
fn a_role_is_linked_to_the_user_of_its_name() {
    let (cluster, provider) = with_directory(scene());
    provider.directory().add_user(PERSON, "Ann@Contoso.example");
    let output = cluster.sql_verbosely(&create("ann@contoso.example"));
    let notice = format!(
        "NOTICE:  00000: found \"Ann@Contoso.example\" with id {PERSON} and type user in the directory"
    );
    assert!(output.success && output.stderr.contains(&notice), "{}", output.stderr);
    assert_eq!(RoleState::of(&cluster, "ann@contoso.example"), RoleState::linked());
    let label = format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}");
    assert_eq!(labels(&cluster, "\"ann@contoso.example\""), label);
    admitted(&cluster, "ann@contoso.example", &valid_token());
    // A role that is there is linked by GRANT.
    cluster.sql("CREATE ROLE \"ANN@contoso.example\" LOGIN; GRANT azure_ad_user TO \"ANN@contoso.example\"");
    assert_eq!(labels(&cluster, "\"ANN@contoso.example\""), label);
    assert_eq!(RoleState::of(&cluster, "ANN@contoso.example"), RoleState::linked());
}

#[test]
fn functions_find_the_object_of_a_name_and_its_type() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    for (call, role, id, kind) in [
        ("create_principal('ann@contoso.example')", "ann@contoso.example", PERSON, "user"),
        ("create_principal('Readers', is_mfa => true)", "Readers", GROUP, "group"),
        ("create_principal('billing', object_type => 'service')", "billing", APPLICATION, "service"),
        ("create_principal('44444444-aaaa-bbbb-cccc-000000000004')", CLIENT, APPLICATION, "service"),
        ("set_admin('ann@contoso.example')", "ann@contoso.example", PERSON, "user"),
        ("set_admin('Readers', object_type => 'group')", "Readers", GROUP, "group"),
    ] {
        cluster.sql(&format!("SELECT azure_ad_auth.{call}"));
        let linked =
            format!("SELECT object_id, object_type FROM azure_ad_auth.principals WHERE role_name = '{role}'");
        assert_eq!(cluster.sql(&linked), format!("{id}|{kind}"), "{call}");
    }
    assert_eq!(
        cluster.sql("SELECT role_name, is_mfa FROM azure_ad_auth.principals WHERE is_admin"),
        "Readers|t"
    );
    // The same again is no error, and an object created anew is found by update_principal().
    let again = cluster.sql_verbosely("SELECT azure_ad_auth.create_principal('billing')");
    assert!(again.stderr.contains("role \"billing\" is already linked to this object"), "{}", again.stderr);
    directory.delete(APPLICATION);
    directory.add_service_principal(TWIN, CLIENT, "billing");
    fails(
        &cluster,
        "SELECT azure_ad_auth.create_principal('billing')",
        "42710",
        "role \"billing\" is already linked to a directory object",
        &format!("azure_ad_auth.update_principal('billing', '{TWIN}', 'service')"),
    );
    cluster.sql("SELECT azure_ad_auth.update_principal('billing')");
    assert_eq!(linked_object(&cluster, "billing"), TWIN);
    is_refused(
        &cluster,
        "SELECT azure_ad_auth.update_principal('nobody')",
        "42704",
        "role \"nobody\" does not exist",
        "",
    );
}

#[test]
fn twins_are_not_unique() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_group(GROUP, "readers");
    directory.add_group(TWIN, "readers");
    let message = "\"readers\" is not unique in the directory";
    for id in [GROUP, TWIN] {
        is_refused(&cluster, &create("readers"), "42725", message, &format!("group {id}"));
    }
    directory.delete(TWIN);
    directory.add_service_principal(APPLICATION, CLIENT, "readers");
    is_refused(&cluster, &create("readers"), "42725", message, &format!("service {APPLICATION}"));
    cluster.sql("SELECT azure_ad_auth.create_principal('readers', object_type => 'group')");
    assert_eq!(linked_object(&cluster, "readers"), GROUP);
}

#[test]
fn a_name_with_an_at_sign_is_no_display_name_unless_the_type_is_given() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_group(GROUP, "ann@contoso.example");
    directory.add_service_principal(APPLICATION, CLIENT, "ann@contoso.example");
    let message = "the directory has no object named \"ann@contoso.example\"";
    let call = |rest: &str| format!("SELECT azure_ad_auth.create_principal('ann@contoso.example'{rest})");
    for statement in [create("ann@contoso.example"), call("")] {
        is_refused(&cluster, &statement, "42704", message, "unless the type is given");
    }
    let of_type = "the directory has no user named";
    is_refused(&cluster, &call(", object_type => 'user'"), "42704", of_type, "");
    cluster.sql(&call(", object_type => 'group'"));
    assert_eq!(linked_object(&cluster, "ann@contoso.example"), GROUP);
    // A user's display name names nobody.
    directory.add(Object::user(PERSON, "ben@contoso.example").with("displayName", "Ben"));
    is_refused(&cluster, &create("Ben"), "42704", "the directory has no object named \"Ben\"", "");
}

#[test]
fn odd_names_find_themselves_or_nothing() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(GROUP, "somebody@contoso.example");
    let guest = "ann_home.example#EXT#@contoso.example";
    let twice = "ann_a#EXT#_b#EXT#@contoso.example";
    for (name, is_user) in [
        ("o'brien@contoso.example", true),
        ("x' or displayName ne '", false),
        ("' or userPrincipalName ne '@", true),
        ("%27@contoso.example", true),
        (guest, true),
        (twice, true),
        ("50%&$top=1", false),
        ("a&b=c+d?e/f\\g", false),
        ("Zoë Ж 日本 🐘", false),
        ("say \"readers\"", false),
        ("$(x) `y`; --", false),
    ] {
        let id = PERSON;
        let nobody = if is_user { "the directory has no object named" } else { "the directory has no" };
        is_refused(&cluster, &create(name), "42704", nobody, "");
        if is_user {
            directory.add_user(id, name);
        } else {
            directory.add_group(id, name);
        }
        cluster.sql(&create(name));
        assert_eq!(linked_object(&cluster, &name.replace('\'', "''")), id, "{name}");
        directory.purge(id);
        cluster.sql(&format!("DROP ROLE \"{}\"", name.replace('"', "\"\"")));
    }
}

#[test]
fn a_guest_is_found_by_mail_and_a_member_is_not() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_guest(PERSON, "ann@home.example");
    cluster.sql(&create("ann@home.example"));
    assert_eq!(linked_object(&cluster, "ann@home.example"), PERSON);
    directory.add_guest(GROUP, "ben@home.example");
    directory.add(Object::guest(TWIN, "ben@home.example").with("userPrincipalName", "ben2@contoso.example"));
    let message = "\"ben@home.example\" is not unique in the directory";
    is_refused(&cluster, &create("ben@home.example"), "42725", message, TWIN);
    directory.add(Object::user(APPLICATION, "carol@contoso.example").with("mail", "carol@mail.example"));
    let message = "the directory has no object named \"carol@mail.example\"";
    is_refused(&cluster, &create("carol@mail.example"), "42704", message, "");
}

#[test]
fn a_near_miss_shows_the_real_name() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_group(GROUP, "Readers");
    for name in ["READERS", "readers", "Readers ", " Readers"] {
        let message = format!("the directory has no object named exactly \"{name}\"");
        is_refused(&cluster, &create(name), "42704", &message, "\"Readers\"");
    }
    cluster.sql(&create("Readers"));
}

#[test]
fn a_group_that_gives_no_access_is_not_linked() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add(Object::group(GROUP, "News").not_security_enabled());
    is_refused(&cluster, &create("News"), "42809", "group \"News\" is not security-enabled", "access token");
    is_refused(
        &cluster,
        "SELECT azure_ad_auth.create_principal('News', object_type => 'service')",
        "42704",
        "the directory has no service named \"News\"",
        "",
    );
    directory.add(Object::user(PERSON, "ann@contoso.example").disabled());
    let output = cluster.sql_verbosely(&create("ann@contoso.example"));
    assert!(output.success && output.stderr.contains("it is disabled"), "{}", output.stderr);
}

#[test]
fn a_missing_permission_is_named_and_other_types_still_resolve() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    directory.withdraw("GroupMember.Read.All");
    directory.revoke_tokens();
    let message = "the directory may not be asked for \"Readers\"";
    is_refused(&cluster, &create("Readers"), "42501", message, "GroupMember.Read.All");
    // It could be a group's name as well.
    let message = "the directory may not be asked for \"billing\"";
    is_refused(&cluster, &create("billing"), "42501", message, "GroupMember.Read.All");
    cluster.sql("SELECT azure_ad_auth.create_principal('billing', object_type => 'service')");
    cluster.sql(&create("ann@contoso.example"));
    directory.withdraw("User.Read.All");
    directory.revoke_tokens();
    let message = "the directory may not be asked for \"ben@contoso.example\"";
    is_refused(&cluster, &create("ben@contoso.example"), "42501", message, "User.Read.All");
}

/// Logs in to a database as the superuser by a client that uses UTF-8.
fn superuser_in(cluster: &Cluster, database: &str) -> testbed::client::RawClient {
    let mut session = cluster.socket_client();
    let parameters = [("user", "postgres"), ("database", database), ("client_encoding", "UTF8")];
    assert_eq!(session.login(&parameters, ""), Outcome::Ready);
    session
}

#[test]
fn names_are_those_of_the_databases_encoding() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_group(GROUP, "Lesende Zoë");
    directory.add_group(TWIN, "Читатели");
    cluster.sql("CREATE DATABASE latin1 ENCODING 'latin1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    let mut session = superuser_in(&cluster, "latin1");
    assert!(session.query("CREATE EXTENSION azure_ad_auth").is_ok());
    let result = session.query(&create("Lesende Zoë"));
    assert!(result.is_ok(), "{result:?}");
    let linked = "SELECT object_id FROM azure_ad_auth.principals WHERE role_name = 'Lesende Zoë'";
    assert_eq!(value(&mut session, linked), GROUP);
    // What the database cannot show is escaped.
    let shown = format!("SELECT name FROM azure_ad_auth.directory_lookup('{TWIN}')");
    assert_eq!(value(&mut session, &shown), "\\u0427\\u0438\\u0442\\u0430\\u0442\\u0435\\u043B\\u0438");
    // The bytes of this name are no text of a database that uses UTF-8.
    directory.forget_requests();
    let grant = "DO $$ BEGIN EXECUTE format('GRANT azure_ad_user TO %I', (SELECT rolname FROM pg_authid WHERE rolname::bytea = 'Zo\\353')); END $$";
    let mut latin1 = superuser_in(&cluster, "latin1");
    assert!(latin1.query("CREATE ROLE \"Zoë\"").is_ok());
    let error = cluster.superuser().query(grant).expect_err("no text");
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    assert_eq!(directory.requests(Kind::Batch), 0);
    let result = latin1.query("GRANT azure_ad_user TO \"Zoë\"");
    assert!(result.is_err_and(|error| error.sqlstate == "42704"));
}

/// Asks again and again, so that an answer of an earlier question is not taken for a later one's.
#[test]
fn an_object_that_was_deleted_or_renamed_is_found_no_more() {
    let (cluster, provider) = with_directory(scene());
    let directory: &Directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    cluster.sql(&create("ann@contoso.example"));
    cluster.sql("DROP ROLE \"ann@contoso.example\"");
    directory.rename(PERSON, "anna@contoso.example");
    let message = "the directory has no object named \"ann@contoso.example\"";
    is_refused(&cluster, &create("ann@contoso.example"), "42704", message, "");
    cluster.sql(&create("anna@contoso.example"));
    directory.delete(PERSON);
    directory.add_user(TWIN, "anna@contoso.example");
    cluster.sql(
        "REVOKE azure_ad_user FROM \"anna@contoso.example\"; GRANT azure_ad_user TO \"anna@contoso.example\"",
    );
    assert_eq!(linked_object(&cluster, "anna@contoso.example"), TWIN);
}

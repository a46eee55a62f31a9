//! Linking and unlinking: what the functions and labels do, and who may call them.

use serde_json::json;
use testbed::client::{Asked, Outcome, RawClient};
use testbed::cluster::{Cluster, Setup};
use testbed::expect::{Refusal, admitted, check_refusal};
use testbed::issuer::*;

use crate::{KEY, WORKSHOP, link, scene, tamper};

pub(crate) const ADMIN: &str = "66666666-aaaa-bbbb-cccc-000000000006";
pub(crate) const SECOND_ADMIN: &str = "77777777-aaaa-bbbb-cccc-000000000007";

pub(crate) fn token_of(object: &str) -> String {
    KEY.token(&with(user_v1(unix_now()), "oid", json!(object)))
}

/// A session that logged in with the token of an object.
pub(crate) fn session(cluster: &Cluster, role: &str, object: &str) -> RawClient {
    let mut client = cluster.client();
    let outcome = client.login(&[("user", role), ("database", "postgres")], &token_of(object));
    assert_eq!(outcome, Outcome::Ready);
    client
}

/// Expects a statement to fail with a message and its SQLSTATE, and what else it says to have a text.
pub(crate) fn fails(cluster: &Cluster, statement: &str, message: &str, more: &str) {
    let output = cluster.sql_verbosely(statement);
    assert!(!output.success, "{statement}");
    let sqlstate = sqlstate_of(message);
    let expected = format!("ERROR:  {sqlstate}: {message}");
    assert!(output.stderr.contains(&expected), "{statement}: {expected}: {}", output.stderr);
    assert!(output.stderr.contains(more), "{statement}: {}", output.stderr);
}

fn sqlstate_of(message: &str) -> &'static str {
    let known = SQLSTATES.iter().find(|(words, _)| message.contains(words));
    known.unwrap_or_else(|| panic!("no SQLSTATE is known for: {message}")).1
}

/// What messages have for SQLSTATE, by words of theirs; the first that fit count.
const SQLSTATES: &[(&str, &str)] = &[
    ("which is no superuser", "55000"),
    ("cannot be linked to a directory object", "42501"),
    ("administers Azure AD roles and cannot have members", "42501"),
    ("is not granted by GRANT", "42501"),
    ("permission denied", "42501"),
    ("a role name cannot be empty", "42602"),
    ("role_name must not be null", "22004"),
    ("is too long", "42622"),
    ("invalid object type", "22023"),
    ("invalid label", "22023"),
    ("must specify provider", "22023"),
    ("role \"azure_ad_admin\" cannot be linked", "22023"),
    ("Azure AD role \"x\" cannot have a password", "22023"),
    ("can be given to roles only", "0A000"),
    ("does not exist", "42704"),
    ("is not an Azure AD administrator", "42704"),
    ("is already linked to a directory object", "42710"),
    ("already exists", "42710"),
    ("cannot be linked because", "55000"),
    ("cannot be unlinked while", "55000"),
    ("cannot be a member", "55000"),
    ("stays a member", "55000"),
    ("cannot have a password", "55000"),
    ("cannot be validated because", "55000"),
    ("the directory cannot be asked", "55000"),
    ("no Azure AD tenant is configured", "55000"),
    ("are of different tenants", "55000"),
    ("is a member of role \"azure_ad_user\" but is not linked", "55000"),
    ("is not linked to a directory object", "42704"),
    ("while roles are linked to directory objects", "2BP01"),
    ("in a read-only transaction", "25006"),
    ("role \"azure_ad_", "42710"),
];

pub(crate) fn denied(client: &mut RawClient, statement: &str, message: &str, detail: &str) {
    let error = client.query(statement).expect_err(statement);
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("42501", message), "{statement}");
    assert!(error.detail.as_deref().unwrap_or_default().contains(detail), "{statement}: {error:?}");
}

/// The labels of a role.
pub(crate) fn labels(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT string_agg(provider || ': ' || label, '; ' ORDER BY provider) FROM pg_shseclabel \
         WHERE objoid = '{role}'::regrole"
    ))
}

/// Everything that follows from a link, as one text.
pub(crate) fn facts(cluster: &Cluster, role: &str) -> String {
    let members = "SELECT string_agg(r.roleid::regrole || ' by ' || r.grantor::regrole || ' ' || r.admin_option, ', ' \
                   ORDER BY r.roleid::regrole::text) FROM pg_auth_members r WHERE r.member = a.oid";
    let settings = "SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting s WHERE s.setrole = a.oid AND setdatabase = 0";
    cluster.sql(&format!(
        "SELECT coalesce(({members}), 'no member'), coalesce(({settings}), 'no setting'), rolpassword IS NULL, \
         rolcreaterole, rolcreatedb, rolcanlogin FROM pg_authid a WHERE rolname = '{role}'"
    ))
}

pub(crate) const LINKED: &str =
    "azure_ad_user by postgres false|azure_ad_auth.guard=on session_preload_libraries=azure_ad_auth|t|f|f|t";
pub(crate) const ADMINISTRATOR: &str =
    "azure_ad_admin by postgres false|azure_ad_auth.guard=on session_preload_libraries=azure_ad_auth|t|t|t|t";
pub(crate) const UNLINKED: &str = "no member|no setting|t|f|f|t";

#[test]
fn a_link_and_its_end() {
    let (cluster, _provider) = scene("");
    assert_eq!(
        cluster.sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')")),
        "Created role for \"ann\""
    );
    assert_eq!(facts(&cluster, "ann"), LINKED);
    assert_eq!(
        labels(&cluster, "ann"),
        format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}")
    );
    assert_eq!(
        cluster.sql("SELECT * FROM azure_ad_auth.principals WHERE role_name = 'ann'"),
        format!("ann|{PERSON}|user|{TENANT}|f|f|")
    );
    // Rebound in place: what it owns and was granted stays.
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
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
    assert_eq!(labels(&cluster, "ann"), "");
    fails(
        &cluster,
        "SELECT azure_ad_auth.drop_principal('ann')",
        "role \"ann\" is not linked to a directory object",
        "",
    );
}

#[test]
fn roles_that_are_there_already() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN PASSWORD 'secret'; CREATE ROLE sleeper");
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let output = cluster.sql_as("postgres", &create);
    assert!(output.stderr.contains("NOTICE:  the password of role \"ann\" was removed"), "{}", output.stderr);
    assert_eq!(facts(&cluster, "ann"), LINKED);
    let output = cluster.sql_as("postgres", &create);
    assert!(
        output.success
            && output.stderr.contains("NOTICE:  role \"ann\" is already linked to this object, skipping")
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('ann', '{APPLICATION}', 'user')"),
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
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE boss SUPERUSER; CREATE ROLE copier REPLICATION; CREATE ROLE seer BYPASSRLS");
    let create = |name: &str| format!("SELECT azure_ad_auth.create_principal({name}, '{PERSON}')");
    let cannot = |name: &str| format!("role \"{name}\" cannot be linked to a directory object");
    for name in ["postgres", "boss", "copier", "seer"] {
        let detail = "It is a superuser, or has REPLICATION or BYPASSRLS.";
        fails(&cluster, &create(&format!("'{name}'")), &cannot(name), detail);
        let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE {name} IS 'aadauth,oid={PERSON}'");
        fails(&cluster, &label, &cannot(name), detail);
    }
    for name in ["azure_ad_user", "azure_ad_admin"] {
        fails(&cluster, &create(&format!("'{name}'")), &cannot(name), "It stands for all Azure AD roles.");
    }
    fails(&cluster, &create("'pg_monitor'"), &cannot("pg_monitor"), "belong to PostgreSQL");
    fails(&cluster, &create("''"), "a role name cannot be empty", "");
    fails(&cluster, &create("NULL"), "role_name must not be null", "");
    for long in ["x".repeat(64), "ä".repeat(32)] {
        let create = create(&format!("'{long}'"));
        fails(&cluster, &create, "role name is too long", "It has 64 bytes; at most 63 are allowed.");
    }
    fails(
        &cluster,
        "SELECT azure_ad_auth.create_principal('ann')",
        "the directory cannot be asked for the object id of a name",
        "HINT:  Give the object id",
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'person')"),
        "invalid object type \"person\"",
        "HINT:  Use user, group or service.",
    );
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.update_principal('nobody', '{PERSON}')"),
        "role \"nobody\" does not exist",
        "",
    );
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.tenant_id = ''");
    cluster.reload();
    fails(&cluster, &create("'ann'"), "no Azure AD tenant is configured", "azure_ad_auth.tenant_id");
}

#[test]
fn labels_are_checked_and_followed() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN; CREATE TABLE t ()");
    let label = |text: &str| format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{text}'");
    for (text, detail) in [
        ("admin", "It must begin with \"aadauth\"."),
        ("aadauth,Admin", "\"Admin\" is not known."),
        ("aadauth,oid=42", "\"42\" is not a valid value of \"oid\"."),
        ("aadauth,type=robot", "\"robot\" is not a valid value of \"type\"."),
        ("aadauth,mfa,mfa", "\"mfa\" is given twice."),
        (&format!("aadauth,{}", "x".repeat(1_000)), "It has 1008 bytes; at most 1000 are allowed."),
    ] {
        fails(&cluster, &label(text), "invalid label for provider pgaadauth", &format!("DETAIL:  {detail}"));
    }
    fails(
        &cluster,
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'aadauth'",
        "invalid label for provider pgaadauth-int",
        "HINT:  A label is type=user|group|service,oid=<uuid>,tenant_id=<uuid>",
    );
    fails(
        &cluster,
        "SECURITY LABEL FOR pgaadauth ON TABLE t IS 'aadauth'",
        "labels of pgaadauth can be given to roles only",
        "",
    );
    fails(&cluster, "SECURITY LABEL ON ROLE ann IS 'aadauth'", "must specify provider when multiple", "");
    fails(
        &cluster,
        &format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE azure_ad_admin IS 'aadauth,oid={PERSON},tenant_id={TENANT}'"
        ),
        "role \"azure_ad_admin\" cannot be linked",
        "",
    );
    // A label does what a function does.
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user")));
    assert_eq!(facts(&cluster, "ann"), LINKED);
    admitted(&cluster, "ann", &token_of(PERSON));
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user,admin")));
    assert_eq!(facts(&cluster, "ann"), ADMINISTRATOR);
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user")));
    assert_eq!(facts(&cluster, "ann"), LINKED);
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
    // Azure's two labels, in either order.
    let internal = format!(
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'type=group,oid={GROUP},tenant_id={TENANT}'"
    );
    for (first, second) in [(label("aadauth,mfa"), internal.clone()), (internal, label("aadauth"))] {
        let output = cluster.sql_as("postgres", &first);
        assert!(output.success, "{}", output.stderr);
        assert_eq!(facts(&cluster, "ann"), UNLINKED);
        cluster.sql(&second);
        assert_eq!(facts(&cluster, "ann"), LINKED);
        admitted(&cluster, "ann", &token_of(PERSON));
        assert_eq!(
            cluster
                .sql("SELECT object_id, object_type FROM azure_ad_auth.principals WHERE role_name = 'ann'"),
            format!("{GROUP}|group")
        );
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'ann'::regrole"), "0");
    }
    let output = cluster.sql_as("postgres", &label("aadauth"));
    assert!(
        output.stderr.contains("NOTICE:  role \"ann\" is not linked: its label names no directory object")
    );
    // A label says what a function says, and is as complete.
    cluster.sql("ALTER ROLE ann NOLOGIN");
    let output = cluster.sql_as("postgres", &label(&format!("aadauth,oid={PERSON},mfa")));
    let (no_login, mfa) = (
        "NOTICE:  role \"ann\" is not permitted to log in",
        "NOTICE:  multi-factor authentication can be verified in version 1.0 access tokens only",
    );
    assert!(output.stderr.contains(no_login) && output.stderr.contains(mfa), "{}", output.stderr);
    let found_out = format!("pgaadauth-int: tenant_id={TENANT}");
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON},mfa; {found_out}"));
    for statement in ["GRANT azure_ad_user TO ann", &label(&format!("aadauth,oid={PERSON},mfa"))] {
        let output = cluster.sql_as("postgres", statement);
        assert!(output.success && !output.stderr.contains("NOTICE"), "nothing new: {}", output.stderr);
    }
    tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    let output = cluster.sql_as("postgres", "GRANT azure_ad_user TO ann");
    assert!(output.success && output.stderr.contains(no_login), "{}", output.stderr);
    // As a dump is restored before the tenant is known: it is said as soon as it is.
    cluster.set("azure_ad_auth.tenant_id", "");
    cluster.sql("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL");
    cluster.sql(&label(&format!("aadauth,oid={PERSON}")));
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON}"));
    cluster.set("azure_ad_auth.tenant_id", TENANT);
    assert!(cluster.sql("SELECT azure_ad_auth.repair()").contains(&format!("named tenant {TENANT}")));
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON}; {found_out}"));
    cluster.sql("ALTER ROLE ann LOGIN");
    // What a transaction takes back it takes back whole.
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    cluster.sql(&format!("BEGIN; {}; ROLLBACK", label(&format!("aadauth,oid={PERSON}"))));
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
    cluster.sql(&format!(
        "DO $$ BEGIN EXECUTE '{}'; END $$",
        label(&format!("aadauth,oid={PERSON}")).replace('\'', "''")
    ));
    assert_eq!(facts(&cluster, "ann"), LINKED);
}

fn association(cluster: &Cluster) -> String {
    cluster.sql("SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole")
}

#[test]
fn the_administrators_life() {
    let (cluster, _provider) = scene("");
    assert_eq!(facts(&cluster, "admin"), ADMINISTRATOR);
    let associated = format!("aadauth,tenant_id={TENANT}");
    assert_eq!(association(&cluster), associated);
    admitted(&cluster, "admin", &token_of(ADMIN));
    // Replaced, the old one stays as a plain Azure AD user.
    let output =
        cluster.sql_as("postgres", &format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"));
    assert!(output.success && !output.stderr.contains("disabled"), "{}", output.stderr);
    assert_eq!(facts(&cluster, "admin"), LINKED);
    assert_eq!(facts(&cluster, "admin2"), ADMINISTRATOR);
    admitted(&cluster, "admin", &token_of(ADMIN));
    // Further ones.
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('admin', '{ADMIN}', 'user', true)"));
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admins', '{GROUP}', 'group', true)"));
    assert_eq!(facts(&cluster, "admin"), ADMINISTRATOR);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "3");
    cluster.sql("SELECT azure_ad_auth.remove_admin('admins')");
    assert_eq!(association(&cluster), associated);
    fails(
        &cluster,
        "SELECT azure_ad_auth.remove_admin('admins')",
        "role \"admins\" is not an Azure AD administrator",
        "",
    );
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin2'); DROP ROLE admin2");
    assert_eq!(association(&cluster), associated);
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    assert_eq!(association(&cluster), "");
    for role in ["admin", "admins"] {
        assert_eq!(facts(&cluster, role), LINKED, "links stay");
    }
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}', 'user')"));
    assert_eq!(association(&cluster), associated);
    // The last one goes with his role, in the same transaction.
    cluster.sql("BEGIN; DROP ROLE admin; ROLLBACK");
    assert_eq!(association(&cluster), associated);
    cluster.sql("DROP ROLE admin");
    assert_eq!(association(&cluster), "");
}

#[test]
fn an_administrator_who_was_somebody_before() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE boss NOLOGIN PASSWORD 'secret'");
    let output = cluster
        .sql_as("postgres", &format!("SELECT azure_ad_auth.set_admin('boss', '{SECOND_ADMIN}', 'user')"));
    let notice = "NOTICE:  the password of role \"boss\" was removed";
    assert!(output.success && output.stderr.contains(notice), "{}", output.stderr);
    assert_eq!(facts(&cluster, "boss"), ADMINISTRATOR);
    assert_eq!(facts(&cluster, "admin"), LINKED);
    admitted(&cluster, "boss", &token_of(SECOND_ADMIN));
}

#[test]
fn without_its_only_administrator_the_server_refuses_everyone() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin')");
    assert_eq!(facts(&cluster, "admin"), UNLINKED);
    assert_eq!(association(&cluster), "");
    let expected = Refusal {
        code: "no_admin",
        sqlstate: "28000",
        message: "Azure AD authentication is disabled: the server has no Azure AD administrator",
        hint: None,
        facts: &[],
    };
    let mark = cluster.log_mark();
    let mut client = cluster.client();
    client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
    match client.asked() {
        Asked::Nothing(outcome) => check_refusal(&cluster, mark, "ann", "", &outcome, &expected),
        asked => panic!("the token was asked for: {asked:?}"),
    }
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn administrators_of_two_tenants_are_none() {
    let (cluster, _provider) = scene("");
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    fails(
        &cluster,
        &format!("SELECT azure_ad_auth.create_principal('x', '{PERSON}', 'user', true)"),
        "the Azure AD administrators are of different tenants",
        "remove_admin('admin');",
    );
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('x', '{PERSON}')"));
    assert_eq!(association(&cluster), format!("aadauth,tenant_id={OTHER_TENANT}"));
}

#[test]
fn the_guard_keeps_the_servers_own_libraries() {
    let (cluster, _provider) = scene("session_preload_libraries = 'auto_explain'");
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
    // By a session whose own libraries are others.
    cluster.sql("ALTER ROLE postgres SET session_preload_libraries = 'auth_delay'");
    link(&cluster, "cem", PERSON, "user");
    assert_eq!(setting("cem"), guard);
    for role in ["ann", "ben"] {
        cluster.sql(&format!("SELECT azure_ad_auth.drop_principal('{role}')"));
    }
    assert_eq!(setting("ann"), "session_preload_libraries=auth_delay", "what was hers stays");
    assert_eq!(setting("ben"), "");
}

#[test]
fn memberships_of_other_grantors_become_one() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE boss SUPERUSER");
    cluster.sql("SET ROLE boss; GRANT azure_ad_user TO ann WITH ADMIN OPTION");
    assert_eq!(facts(&cluster, "ann"), LINKED, "a grant of what it has changes nothing");
    if cluster.workshop.installation.major >= 16 {
        cluster.sql("GRANT azure_ad_user TO ann GRANTED BY azure_ad_admin");
        assert_eq!(facts(&cluster, "ann"), LINKED);
    }
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
}

#[test]
fn membership_comes_and_goes_with_the_link_only() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    for (statement, role, hint) in [
        ("GRANT azure_ad_admin TO ann", "azure_ad_admin", "HINT:  To make it an administrator: SELECT"),
        ("GRANT azure_ad_user TO admin", "azure_ad_user", "HINT:  To make it a plain Azure AD user: SELECT"),
    ] {
        let message = format!("role \"{role}\" is not granted by GRANT");
        fails(&cluster, statement, &message, hint);
    }
    for statement in ["ALTER GROUP azure_ad_admin DROP USER admin", "REVOKE azure_ad_admin FROM admin"] {
        let message =
            "role \"admin\" is linked to a directory object and stays a member of role \"azure_ad_admin\"";
        let hint = "HINT:  To make it a plain Azure AD user: SELECT azure_ad_auth.remove_admin('admin'); or, to unlink it: SELECT \
                    azure_ad_auth.drop_principal('admin');";
        fails(&cluster, statement, message, hint);
    }
    assert_eq!(facts(&cluster, "ann"), LINKED);
    assert_eq!(facts(&cluster, "admin"), ADMINISTRATOR);
}

#[test]
fn a_member_of_a_linked_role_stays_linked() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "dbas", GROUP, "group");
    cluster.sql("GRANT dbas TO ann");
    let unlabel = "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL";
    for statement in ["SELECT azure_ad_auth.drop_principal('ann')", unlabel] {
        let message = "role \"ann\" cannot be unlinked while it is a member of role \"dbas\"";
        fails(&cluster, statement, message, "HINT:  REVOKE dbas FROM ann;");
    }
    assert!(labels(&cluster, "ann").contains(PERSON));
    admitted(&cluster, "ann", &token_of(PERSON));
    cluster.sql("REVOKE dbas FROM ann; SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
}

#[test]
fn a_link_by_a_function_is_one_complete_label() {
    let (cluster, _provider) = scene("");
    let internal = |role: &str| {
        format!(
            "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE {role} IS 'type=group,oid={GROUP},tenant_id={OTHER_TENANT}'"
        )
    };
    // One role with half of Azure's two labels, one with both.
    cluster.sql("CREATE ROLE ann LOGIN; CREATE ROLE ben LOGIN");
    cluster.sql(&format!(
        "{}; {}; SECURITY LABEL FOR pgaadauth ON ROLE ben IS 'aadauth'",
        internal("ann"),
        internal("ben")
    ));
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ben', '{PERSON}', 'user')"));
    for role in ["ann", "ben"] {
        let complete = format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}");
        assert_eq!(labels(&cluster, role), complete);
        admitted(&cluster, role, &token_of(PERSON));
    }
}

#[test]
fn the_view_shows_since_when_tokens_count() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "ben", PERSON, "user");
    let label = format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT},not_before=1700000000");
    cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{label}'"));
    let since = "SELECT role_name, extract(epoch FROM tokens_not_before)::bigint FROM azure_ad_auth.principals \
                 WHERE NOT is_admin ORDER BY role_name";
    assert_eq!(cluster.sql(since), "ann|1700000000\nben|");
}

#[test]
fn repair_completes_what_labels_say() {
    let (cluster, _provider) = scene("");
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "", "there is nothing to do");
    link(&cluster, "ann", PERSON, "user");
    tamper(
        &cluster,
        "DELETE FROM pg_auth_members WHERE member IN ('ann'::regrole, 'admin'::regrole); \
         DELETE FROM pg_db_role_setting WHERE setrole = 'ann'::regrole; \
         DELETE FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole; \
         UPDATE pg_authid SET rolpassword = 'md5' || md5('x') WHERE rolname = 'ann'",
    );
    let done = cluster.sql("SELECT azure_ad_auth.repair()");
    for step in [
        "granted \"azure_ad_user\" to role \"ann\"",
        "granted \"azure_ad_admin\" to role \"admin\"",
        "set the guard of role \"ann\"",
        "removed the password of role \"ann\"",
        "associated the server with tenant",
    ] {
        assert!(done.contains(step), "{step}: {done}");
    }
    assert_eq!(facts(&cluster, "ann"), LINKED);
    admitted(&cluster, "ann", &token_of(PERSON));
    // The extension goes and comes, and finds everything as it was.
    let all = || {
        cluster.sql(
            "SELECT string_agg(concat_ws(' ', objoid::regrole, provider, label), ',' ORDER BY objoid, provider) FROM pg_shseclabel",
        )
    };
    let before = all();
    cluster.sql("DROP EXTENSION azure_ad_auth; CREATE EXTENSION azure_ad_auth");
    assert_eq!(all(), before);
    assert_eq!(
        (facts(&cluster, "ann"), facts(&cluster, "admin")),
        (LINKED.to_owned(), ADMINISTRATOR.to_owned())
    );
    admitted(&cluster, "ann", &token_of(PERSON));
    let create = format!("SELECT azure_ad_auth.create_principal('ben', '{APPLICATION}', 'user')");
    let result = session(&cluster, "admin", ADMIN).query(&create);
    assert!(result.is_ok(), "{result:?}");
    // What is set for the server is nothing to repair.
    cluster.sql("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'");
    cluster.reload();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
}

#[test]
fn roles_of_these_names_are_adopted_or_refused() {
    let cluster = Cluster::new(&WORKSHOP, &Setup::default());
    cluster.start();
    let create = "CREATE EXTENSION azure_ad_auth";
    for (set_up, detail, undo) in [
        (
            "CREATE ROLE azure_ad_user LOGIN",
            "It can log in, has attributes, or has a password.",
            "DROP ROLE azure_ad_user",
        ),
        (
            "CREATE ROLE azure_ad_admin; ALTER ROLE azure_ad_admin SET work_mem = '1MB'",
            "It has settings of its own.",
            "DROP ROLE azure_ad_admin",
        ),
        ("CREATE ROLE azure_ad_admin PASSWORD 'x'", "has a password", "DROP ROLE azure_ad_admin"),
    ] {
        cluster.sql(set_up);
        fails(&cluster, create, "role \"azure_ad_", detail);
        cluster.sql(undo);
    }
    cluster.sql("CREATE ROLE azure_ad_user");
    fails(&cluster, "CREATE ROLE stranger IN ROLE azure_ad_user", "role \"stranger\" cannot be a member", "");
    cluster.sql("DROP ROLE azure_ad_user");
    // As from a dump: a label first, then the extension.
    cluster.sql("CREATE ROLE ann LOGIN PASSWORD 'x'; CREATE ROLE admin LOGIN");
    cluster.sql(&format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},tenant_id={TENANT}'"
    ));
    cluster.sql(&format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE admin IS 'aadauth,oid={ADMIN},admin,tenant_id={TENANT}'"
    ));
    cluster.sql("CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin");
    cluster.sql(create);
    assert_eq!(facts(&cluster, "ann"), LINKED);
    assert_eq!(facts(&cluster, "admin"), ADMINISTRATOR);
    assert_eq!(association(&cluster), format!("aadauth,tenant_id={TENANT}"));
    // The extension goes and comes; the links stay as they were.
    cluster.sql("DROP EXTENSION azure_ad_auth");
    assert_eq!(facts(&cluster, "ann"), LINKED);
    cluster.sql(create);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "2");
}

#[test]
fn only_a_superuser_creates_the_extension() {
    let cluster = Cluster::new(&WORKSHOP, &Setup::default());
    cluster.start();
    cluster.sql("CREATE ROLE local CREATEROLE; GRANT CREATE ON DATABASE postgres TO local");
    fails(
        &cluster,
        "SET ROLE local; CREATE EXTENSION azure_ad_auth",
        "permission denied to create extension \"azure_ad_auth\"",
        "HINT:  Must be superuser to create this extension.",
    );
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'azure%'"), "0");
}

/// Whoever owns the schema, or what is in it, could have calls with untyped literals go to functions of his own.
#[test]
fn the_extension_is_not_created_in_a_strangers_schema() {
    let cluster = Cluster::new(&WORKSHOP, &Setup::default());
    cluster.start();
    cluster.sql("CREATE ROLE local; GRANT CREATE ON DATABASE postgres TO local");
    let create = "CREATE EXTENSION azure_ad_auth";
    cluster.sql("CREATE SCHEMA azure_ad_auth AUTHORIZATION local");
    let message = "schema \"azure_ad_auth\" belongs to role \"local\", which is no superuser";
    fails(&cluster, create, message, "HINT:  See what is in it, then: DROP SCHEMA azure_ad_auth CASCADE;");
    cluster.sql("ALTER SCHEMA azure_ad_auth OWNER TO postgres; GRANT ALL ON SCHEMA azure_ad_auth TO local");
    let trap = "FUNCTION azure_ad_auth.set_admin(text, text) RETURNS void LANGUAGE sql AS ''";
    for (object, drop) in [
        (trap, "FUNCTION azure_ad_auth.set_admin(text, text)"),
        ("TABLE azure_ad_auth.secrets ()", "TABLE azure_ad_auth.secrets"),
        ("TYPE azure_ad_auth.kind AS ENUM ()", "TYPE azure_ad_auth.kind"),
        (
            "OPERATOR azure_ad_auth.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
            "OPERATOR azure_ad_auth.= (text, text)",
        ),
    ] {
        cluster.sql(&format!("SET ROLE local; CREATE {object}"));
        let message = "schema \"azure_ad_auth\" has objects of role \"local\", which is no superuser";
        fails(
            &cluster,
            create,
            message,
            "HINT:  See what is in it, then: DROP SCHEMA azure_ad_auth CASCADE;",
        );
        cluster.sql(&format!("DROP {drop}"));
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'azure%'"), "0");
    // What superusers have put there is theirs.
    cluster.sql("CREATE TABLE azure_ad_auth.notes ()");
    cluster.sql(create);
}

#[test]
fn every_object_is_described_and_closed() {
    let (cluster, _provider) = scene("");
    let undescribed = "SELECT count(*) FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid \
                       WHERE e.extname = 'azure_ad_auth' AND d.deptype = 'e' AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass) \
                       AND obj_description(d.objid, d.classid::regclass::name) IS NULL";
    assert_eq!(cluster.sql(undescribed), "0");
    // Open to everybody is only what says of oneself.
    let public = "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'azure_ad_auth'::regnamespace \
                  AND has_function_privilege('pg_read_all_settings', oid, 'EXECUTE') AND NOT pg_has_role('pg_read_all_settings', 'pg_monitor', 'USAGE')";
    assert_eq!(cluster.sql(public), "list_sessions session_claim session_claims");
    let names = cluster.sql(
        "SELECT string_agg(oid::regprocedure::text, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'azure_ad_auth'::regnamespace",
    );
    assert_eq!(
        names,
        "azure_ad_auth.check_configuration() azure_ad_auth.check_hba() azure_ad_auth.create_principal(text,uuid,text,boolean,boolean) \
         azure_ad_auth.drop_principal(text) azure_ad_auth.explain_token(text,text) \
         azure_ad_auth.link_or_update_principal(text,uuid,text,boolean,boolean) azure_ad_auth.list_key_status() azure_ad_auth.list_principals() azure_ad_auth.list_sessions() azure_ad_auth.list_signing_keys() \
         azure_ad_auth.list_stat() azure_ad_auth.list_stat_principals() \
         azure_ad_auth.refresh_keys() azure_ad_auth.remove_admin(text) azure_ad_auth.repair() azure_ad_auth.revoke_principal(uuid) \
         azure_ad_auth.revoke_tokens(text,timestamp with time zone) azure_ad_auth.session_claim(text) azure_ad_auth.session_claims() \
         azure_ad_auth.set_admin(text,uuid,text) azure_ad_auth.stat_reset() \
         azure_ad_auth.update_principal(text,uuid,text,boolean,boolean)"
    );
}

//! Creating the extension, and repair().

use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene};

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, tenant_label};
use crate::common::statements::{fails, link, tamper};

#[test]
fn repair_completes_what_labels_say() {
    let (cluster, _provider) = Scene::new().start();
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
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    admitted(&cluster, "ann", &token_of(PERSON));
    // The extension is dropped and created again, and nothing has changed.
    let all = || {
        cluster.sql(
            "SELECT string_agg(concat_ws(' ', objoid::regrole, provider, label), ',' ORDER BY objoid, provider) FROM pg_shseclabel",
        )
    };
    let before = all();
    cluster.sql("DROP EXTENSION azure_ad_auth; CREATE EXTENSION azure_ad_auth");
    assert_eq!(all(), before);
    assert_eq!(
        (RoleState::of(&cluster, "ann"), RoleState::of(&cluster, "admin")),
        (RoleState::linked(), RoleState::administrator())
    );
    admitted(&cluster, "ann", &token_of(PERSON));
    let create = format!("SELECT azure_ad_auth.create_principal('ben', '{APPLICATION}', 'user')");
    let result = cluster.session("admin", &token_of(ADMIN)).query(&create);
    assert!(result.is_ok(), "{result:?}");
    // Settings of the server are not repaired.
    cluster.sql("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'");
    cluster.reload();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
}

#[test]
fn roles_of_these_names_are_adopted_or_refused() {
    let cluster = Scene::new().create();
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
        fails(&cluster, create, "42710", "role \"azure_ad_", detail);
        cluster.sql(undo);
    }
    cluster.sql("CREATE ROLE azure_ad_user");
    fails(
        &cluster,
        "CREATE ROLE stranger IN ROLE azure_ad_user",
        "55000",
        "role \"stranger\" cannot be a member",
        "",
    );
    cluster.sql("DROP ROLE azure_ad_user");
    // As a dump is restored: first the labels, then the extension.
    cluster.sql("CREATE ROLE ann LOGIN PASSWORD 'x'; CREATE ROLE admin LOGIN");
    cluster.sql(&format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},tenant_id={TENANT}'"
    ));
    cluster.sql(&format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE admin IS 'aadauth,oid={ADMIN},admin,tenant_id={TENANT}'"
    ));
    cluster.sql("CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin");
    cluster.sql(create);
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::administrator());
    assert_eq!(tenant_label(&cluster), format!("aadauth,tenant_id={TENANT}"));
    // The extension is dropped and created again; the links stay.
    cluster.sql("DROP EXTENSION azure_ad_auth");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    cluster.sql(create);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "2");
}

/// As after restoring a role dump where the bootstrap superuser has another name. Before 16 a GRANT
/// leaves the row as it is.
#[test]
fn marker_roles_that_another_superuser_has_joined_are_adopted() {
    let cluster = Scene::new().create();
    cluster.start();
    cluster.sql("CREATE ROLE other SUPERUSER; CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin");
    cluster.sql("SET ROLE other; GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION");
    cluster.create_extension();
    link(&cluster, "ann", PERSON, "user");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0");
}

#[test]
fn only_a_superuser_creates_the_extension() {
    let cluster = Scene::new().create();
    cluster.start();
    cluster.sql("CREATE ROLE local CREATEROLE; GRANT CREATE ON DATABASE postgres TO local");
    fails(
        &cluster,
        "SET ROLE local; CREATE EXTENSION azure_ad_auth",
        "42501",
        "permission denied to create extension \"azure_ad_auth\"",
        "HINT:  Must be superuser to create this extension.",
    );
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'azure%'"), "0");
}

/// The owner of the schema, or of objects in it, could have calls with untyped literals resolve to
/// other functions.
#[test]
fn the_extension_is_not_created_in_a_strangers_schema() {
    let cluster = Scene::new().create();
    cluster.start();
    cluster.sql("CREATE ROLE local; GRANT CREATE ON DATABASE postgres TO local");
    let create = "CREATE EXTENSION azure_ad_auth";
    cluster.sql("CREATE SCHEMA azure_ad_auth AUTHORIZATION local");
    let message = "schema \"azure_ad_auth\" belongs to role \"local\", which is no superuser";
    fails(
        &cluster,
        create,
        "55000",
        message,
        "HINT:  See what is in it, then: DROP SCHEMA azure_ad_auth CASCADE;",
    );
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
            "55000",
            message,
            "HINT:  See what is in it, then: DROP SCHEMA azure_ad_auth CASCADE;",
        );
        cluster.sql(&format!("DROP {drop}"));
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'azure%'"), "0");
    // Objects of superusers are no obstacle.
    cluster.sql("CREATE TABLE azure_ad_auth.notes ()");
    cluster.sql(create);
}

#[test]
fn every_object_is_described_and_closed() {
    let (cluster, _provider) = Scene::new().start();
    let undescribed = "SELECT count(*) FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid \
                       WHERE e.extname = 'azure_ad_auth' AND d.deptype = 'e' AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass) \
                       AND obj_description(d.objid, d.classid::regclass::name) IS NULL";
    assert_eq!(cluster.sql(undescribed), "0");
    // Everyone may call only the functions about their own session.
    let public = "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'azure_ad_auth'::regnamespace \
                  AND has_function_privilege('pg_read_all_settings', oid, 'EXECUTE') AND NOT pg_has_role('pg_read_all_settings', 'pg_monitor', 'USAGE')";
    assert_eq!(cluster.sql(public), "list_sessions session_claim session_claims");
    let names = cluster.sql(
        "SELECT string_agg(oid::regprocedure::text, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'azure_ad_auth'::regnamespace",
    );
    assert_eq!(
        names,
        "azure_ad_auth.check_configuration() azure_ad_auth.check_hba() azure_ad_auth.create_principal(text,uuid,text,boolean,boolean) \
         azure_ad_auth.directory_lookup(text,text) azure_ad_auth.drop_principal(text) azure_ad_auth.explain_token(text,text) \
         azure_ad_auth.link_or_update_principal(text,uuid,text,boolean,boolean) azure_ad_auth.list_directory_features() \
         azure_ad_auth.list_directory_status() azure_ad_auth.list_key_status() azure_ad_auth.list_principals() azure_ad_auth.list_sessions() azure_ad_auth.list_signing_keys() \
         azure_ad_auth.list_stat() azure_ad_auth.list_stat_principals() \
         azure_ad_auth.refresh_directory() azure_ad_auth.refresh_keys() azure_ad_auth.remove_admin(text) azure_ad_auth.repair() azure_ad_auth.revoke_principal(uuid) \
         azure_ad_auth.revoke_tokens(text,timestamp with time zone) azure_ad_auth.session_claim(text) azure_ad_auth.session_claims() \
         azure_ad_auth.set_admin(text,uuid,text) azure_ad_auth.stat_reset() azure_ad_auth.sync_group_members(boolean) \
         azure_ad_auth.update_principal(text,uuid,text,boolean,boolean)"
    );
}

//! Which memberships and privileges the guard of a linked role rules out.

use testbed::client::AuthRequest;
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::guard::{refused_by_guard, restart_without_library};
use crate::common::statements::link;

#[test]
fn nobody_becomes_a_member_of_a_linked_role_without_being_linked() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE local LOGIN; CREATE ROLE boss SUPERUSER LOGIN; CREATE GROUP crowd");
    let refusals = [
        ("GRANT ann TO local", "local", "ann"),
        ("GRANT ann TO boss", "boss", "ann"),
        ("GRANT ann TO crowd", "crowd", "ann"),
        ("GRANT azure_ad_user TO local", "local", "azure_ad_user"),
        ("GRANT azure_ad_admin TO local", "local", "azure_ad_admin"),
        ("GRANT azure_ad_user TO boss", "boss", "azure_ad_user"),
        ("CREATE ROLE fresh IN ROLE ann", "fresh", "ann"),
        ("CREATE ROLE fresh IN GROUP crowd, ann", "fresh", "ann"),
        ("CREATE ROLE fresh IN ROLE azure_ad_user", "fresh", "azure_ad_user"),
        ("ALTER GROUP ann ADD USER local", "local", "ann"),
        // Of several members the one with the lowest oid is named.
        ("ALTER GROUP ann ADD USER crowd, boss", "boss", "ann"),
        ("DO $$ BEGIN EXECUTE 'GRANT ann TO local'; END $$", "local", "ann"),
    ];
    for (statement, member, role) in refusals {
        let output = cluster.sql_verbosely(statement);
        let expected = format!(
            "ERROR:  55000: role \"{member}\" cannot be a member of role \"{role}\" because it is not linked to a directory object"
        );
        assert!(output.stderr.contains(&expected), "{statement}: {}", output.stderr);
        let creates_in_azure_ad_user = statement.starts_with("CREATE ROLE") && role == "azure_ad_user";
        let hint = match role {
            _ if creates_in_azure_ad_user => "HINT:  Give the object id",
            _ if statement.starts_with("CREATE ROLE fresh IN") => "HINT:  Create it linked",
            "azure_ad_admin" => "HINT:  To make it an administrator",
            _ => "HINT:  Link it first",
        };
        assert!(output.stderr.contains(hint), "{}", output.stderr);
    }
    assert!(!cluster.sql_as("postgres", "CREATE ROLE fresh ROLE local; GRANT ann TO fresh").success);
    // The other way round: first the members, then the link.
    cluster.sql("CREATE ROLE leader LOGIN; GRANT leader TO local");
    let output =
        cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('leader', '{PERSON}')"));
    assert!(
        output.stderr.contains(
            "ERROR:  55000: role \"leader\" cannot be linked because role \"local\" is a member of it"
        ) && output.stderr.contains("HINT:  REVOKE leader FROM local;"),
        "{}",
        output.stderr
    );
    restart_without_library(&cluster, "");
    for role in ["local", "boss", "crowd"] {
        let mut client = cluster.client();
        client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Password, "{role} is not matched by the door's line");
    }
    refused_by_guard(&cluster, "ann", &[]);
}

#[test]
fn the_creator_of_a_role_is_a_member_of_it_from_16_on() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE dba LOGIN CREATEROLE");
    assert!(cluster.sql_as("postgres", "SET ROLE dba; CREATE ROLE person LOGIN").success);
    let create = format!("SELECT azure_ad_auth.create_principal('person', '{PERSON}', 'user')");
    if cluster.major() >= 16 {
        let output = cluster.sql_verbosely(&create);
        assert!(output.stderr.starts_with("ERROR:  55000: "), "{}", output.stderr);
        assert!(output.stderr.contains("because role \"dba\" is a member of it"), "{}", output.stderr);
        assert!(output.stderr.contains("HINT:  REVOKE person FROM dba"), "{}", output.stderr);
        cluster.sql("REVOKE person FROM dba");
    }
    cluster.sql(&create);
    restart_without_library(&cluster, "");
    refused_by_guard(&cluster, "person", &[]);
    let mut client = cluster.client();
    client.start(&[("user", "dba"), ("database", "postgres")]).expect("a connection");
    assert_eq!(
        client.auth_request(),
        AuthRequest::Password,
        "who made the role is not matched by the door's line"
    );
}

#[test]
fn a_linked_role_gains_nothing_to_step_around_its_guard_with() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE holder; CREATE ROLE wide");
    let privileged = ("42501", "cannot be a superuser, or have REPLICATION or BYPASSRLS");
    let changed = ("2BP01", "cannot be changed while roles are linked");
    let owned = ("2BP01", "DROP OWNED or REASSIGN OWNED while roles are linked");
    let mut refusals = vec![
        ("ALTER ROLE ann SUPERUSER", privileged),
        ("ALTER ROLE ann REPLICATION", privileged),
        ("ALTER USER ann BYPASSRLS", privileged),
        ("ALTER ROLE ann PASSWORD 'x'", ("55000", "cannot have a password")),
        ("ALTER ROLE azure_ad_user LOGIN", changed),
        ("ALTER ROLE azure_ad_admin SUPERUSER", changed),
        ("ALTER ROLE azure_ad_user SET work_mem = '1MB'", changed),
        ("REVOKE azure_ad_user FROM azure_ad_admin", changed),
        ("REVOKE ADMIN OPTION FOR azure_ad_user FROM azure_ad_admin", changed),
        ("DROP ROLE azure_ad_user", ("2BP01", "cannot be dropped while roles are linked")),
        ("DROP ROLE IF EXISTS nobody, azure_ad_admin", ("2BP01", "cannot be dropped while roles are linked")),
        ("ALTER ROLE azure_ad_admin RENAME TO x", ("2BP01", "cannot be renamed while roles are linked")),
        ("DROP OWNED BY azure_ad_admin", owned),
        ("REASSIGN OWNED BY azure_ad_user TO ann", owned),
        ("REVOKE azure_ad_admin FROM admin", ("55000", "stays a member of role")),
    ];
    let parameter = ("42501", "cannot have SET on parameter \"session_preload_libraries\"");
    refusals.extend([
        ("GRANT SET ON PARAMETER session_preload_libraries TO ann", parameter),
        ("GRANT SET ON PARAMETER session_preload_libraries TO PUBLIC", parameter),
        ("GRANT SET ON PARAMETER work_mem, session_preload_libraries TO azure_ad_user", parameter),
        ("CREATE SCHEMA hers GRANT SET ON PARAMETER session_preload_libraries TO ann", parameter),
        // The path on which libraries are found matters as much as their names.
        (
            "GRANT SET ON PARAMETER dynamic_library_path TO ann",
            ("42501", "cannot have SET on parameter \"dynamic_library_path\""),
        ),
        // A role with this privilege could keep libraries out of its own sessions.
        (
            "GRANT SET ON PARAMETER azure_ad_auth.guard TO ann",
            ("42501", "cannot have SET on parameter \"azure_ad_auth.guard\""),
        ),
    ]);
    cluster.sql("GRANT SET ON PARAMETER session_preload_libraries TO holder; GRANT wide TO ann");
    let through = "cannot be a member of role \"holder\", which is a superuser or has SET on parameter";
    refusals
        .extend([("GRANT holder TO ann", ("42501", through)), ("GRANT holder TO wide", ("42501", through))]);
    for (statement, (sqlstate, expected)) in refusals {
        let output = cluster.sql_verbosely(statement);
        let opening = format!("ERROR:  {sqlstate}: role \"");
        let as_expected = output.stderr.starts_with(&opening) && output.stderr.contains(expected);
        assert!(!output.success && as_expected, "{statement}: {}", output.stderr);
    }
    cluster.sql("CREATE ROLE able LOGIN; GRANT holder TO able");
    let output = cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('able', '{PERSON}')"));
    let as_expected = output.stderr.starts_with("ERROR:  42501: ") && output.stderr.contains(through);
    assert!(as_expected, "{}", output.stderr);
    for statement in [
        "ALTER ROLE ann CONNECTION LIMIT 5",
        "ALTER ROLE ann SET work_mem = '1MB'",
        "GRANT pg_monitor TO ann",
    ] {
        cluster.sql(statement);
    }
}

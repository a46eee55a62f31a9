//! ALTER EXTENSION azure_ad_auth UPDATE from each earlier version.

use std::fs;

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};

use crate::common::documents::root;
use crate::common::dumps::FACTS;
use crate::common::login::{token_of, valid_token};
use crate::common::statements::{create_linked_role, link, run};

/// Returns the versions that are upgraded from: those whose scripts are kept.
fn earlier() -> Vec<String> {
    let scripts = fs::read_dir(root().join("sql/released")).expect("a folder");
    let names = scripts.map(|script| script.expect("a file").file_name().into_string().expect("a name"));
    let versions = names
        .filter_map(|name| Some(name.strip_prefix("azure_ad_auth--")?.strip_suffix(".sql")?.to_owned()))
        .filter(|version| version != env!("CARGO_PKG_VERSION"));
    versions.collect()
}

/// Every object of the extension with all that CREATE EXTENSION and its scripts decide: definition,
/// owner, rights, first rights and description, without oids.
const OBJECTS: &str = "WITH member AS ( \
       SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS object \
       FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass \
       WHERE e.extname = 'azure_ad_auth' AND d.deptype = 'e'), \
     sorted AS ( \
       SELECT m.*, ARRAY(SELECT a::text FROM unnest(CASE WHEN m.classid = 'pg_proc'::regclass \
           THEN (SELECT proacl FROM pg_proc WHERE oid = m.objid) \
           ELSE (SELECT relacl FROM pg_class WHERE oid = m.objid) END) a ORDER BY 1) AS rights, \
         ARRAY(SELECT a::text FROM pg_init_privs i, unnest(i.initprivs) a \
           WHERE i.objoid = m.objid AND i.classoid = m.classid AND i.objsubid = 0 ORDER BY 1) AS first_rights \
       FROM member m) \
     SELECT object, rights, first_rights, obj_description(objid, classid::regclass::name), \
       CASE classid WHEN 'pg_proc'::regclass THEN pg_get_functiondef(objid) \
         WHEN 'pg_class'::regclass THEN pg_get_viewdef(objid) || (SELECT string_agg(concat_ws(' ', attname, \
           atttypid::regtype, attacl, col_description(attrelid, attnum)), '; ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = objid) END \
     FROM sorted ORDER BY object COLLATE \"C\"";

fn differences(upgraded: &str, fresh: &str) -> String {
    let only = |of: &str, other: &str, mark: &str| {
        let lines = of.lines().filter(|line| !other.lines().any(|found| found == *line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<Vec<_>>().concat()
    };
    only(upgraded, fresh, "upgraded:") + &only(fresh, upgraded, "fresh:   ")
}

fn version(cluster: &Cluster) -> String {
    cluster.sql("SELECT extversion FROM pg_extension WHERE extname = 'azure_ad_auth'")
}

#[test]
fn an_upgraded_extension_is_a_fresh_one() {
    let (cluster, _provider) = Scene::new().start();
    let current = version(&cluster);
    assert_eq!(current, env!("CARGO_PKG_VERSION"));
    let fresh = cluster.sql(OBJECTS);
    cluster.sql("DROP EXTENSION azure_ad_auth");
    let earlier = earlier();
    assert!(earlier.contains(&"0.1.0".to_owned()));
    for earlier in earlier {
        cluster.sql(&format!("CREATE EXTENSION azure_ad_auth VERSION '{earlier}'"));
        assert_ne!(cluster.sql(OBJECTS), fresh);
        // Until it is upgraded, its objects work with the library.
        link(&cluster, "ann", PERSON, "user");
        cluster.sql(&create_linked_role("team", GROUP));
        cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
        let views = "SELECT count(*) > 0 FROM azure_ad_auth.principals, azure_ad_auth.stat, azure_ad_auth.key_status, azure_ad_auth.check_configuration()";
        assert_eq!(cluster.sql(views), "t");
        // Rights that users have given, and objects of theirs that depend on the extension's.
        cluster.sql(
            "GRANT SELECT ON azure_ad_auth.stat, azure_ad_auth.principals TO team; \
             GRANT EXECUTE ON FUNCTION azure_ad_auth.list_principals() TO team; \
             CREATE VIEW mine AS SELECT * FROM azure_ad_auth.principals; \
             CREATE VIEW own AS SELECT * FROM azure_ad_auth.list_principals()",
        );
        let mut open = cluster.session("ann", &valid_token());
        let facts = cluster.sql(FACTS);
        cluster.sql("ALTER EXTENSION azure_ad_auth UPDATE");
        assert_eq!(version(&cluster), current);
        assert_eq!(cluster.sql(FACTS), facts, "links");
        assert_eq!(cluster.sql("SELECT has_table_privilege('team', 'azure_ad_auth.stat', 'SELECT')"), "t");
        assert_eq!(
            cluster.sql("SELECT count(*) FROM mine JOIN own USING (role_name, object_id, is_mfa)"),
            "3"
        );
        let states = "SET ROLE team; SELECT DISTINCT directory_state FROM azure_ad_auth.principals";
        assert!(cluster.sql(states).ends_with("\nunknown"));
        run(&mut open, "SELECT azure_ad_auth.session_claims()");
        admitted(&cluster, "ann", &valid_token());
        let mut admin = cluster.session("admin", &token_of(ADMIN));
        run(&mut admin, &format!("SELECT azure_ad_auth.create_principal('etl', '{APPLICATION}', 'service')"));
        cluster.sql(
            "DROP VIEW mine, own; REVOKE SELECT ON azure_ad_auth.stat, azure_ad_auth.principals FROM team; \
             REVOKE EXECUTE ON FUNCTION azure_ad_auth.list_principals() FROM team",
        );
        let upgraded = cluster.sql(OBJECTS);
        assert!(upgraded == fresh, "{earlier}:\n{}", differences(&upgraded, &fresh));
        cluster.sql(
            "SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals WHERE NOT is_admin",
        );
        cluster.sql("DROP EXTENSION azure_ad_auth; DROP ROLE ann, team, etl");
    }
}

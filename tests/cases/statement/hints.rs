//! A hint that contains a statement is run where it is given, and does what it promises.

use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::issuer::{APPLICATION, GROUP, OTHER_TENANT, PERSON};
use testbed::scene::{ADMIN, Scene, provider};

use crate::common::statements::SECOND_ADMIN;

/// What happens after a hint has been followed.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The statement that was refused succeeds.
    Repeat,
    /// The hint achieves in another way what the statement was for.
    Instead,
}

/// Returns the alternatives of a hint, each as its statements.
fn ways(hint: &str) -> Vec<String> {
    const WORDS: [&str; 8] =
        ["SELECT ", "REVOKE ", "GRANT ", "ALTER ROLE ", "SECURITY LABEL ", "SET ", "CREATE ", "DROP "];
    let statements = |way: &str| {
        let start = WORDS.iter().filter_map(|word| way.find(word)).min()?;
        let end = way.rfind(';').map_or(way.len(), |end| end + 1);
        way.get(start..end.max(start)).map(str::to_owned)
    };
    // The end of a statement before an alternative is cut off with it.
    hint.split("; or").filter_map(|way| statements(&format!("{way};"))).collect()
}

fn filled(statement: &str) -> String {
    let text = statement.replace("<object id>", SECOND_ADMIN).replace("<role name>", "admin");
    assert!(text.is_ascii() && !text.contains(['<', '>']) || text.contains("=>"), "left open: {statement}");
    text
}

/// Drops all roles but the administrator's.
fn clear(cluster: &Cluster) {
    let others = "SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolname !~ '^pg_' \
                  AND rolname NOT IN ('postgres', 'azure_ad_user', 'azure_ad_admin', 'admin')";
    let others = cluster.sql(others);
    if !others.is_empty() {
        cluster.sql(&format!("DROP OWNED BY {others} CASCADE; DROP ROLE {others}"));
    }
    cluster.sql("REVOKE ALL ON PARAMETER session_preload_libraries FROM PUBLIC");
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
}

/// Runs a statement repeatedly, following the hint of its error each time, until it succeeds.
fn follow(client: &mut RawClient, statement: &str, then: Then, which: usize) {
    for _ in 0..6 {
        let Err(fault) = client.query(statement) else { return };
        let hint = fault.hint.clone().unwrap_or_else(|| panic!("{statement}: no hint: {fault:?}"));
        let all = ways(&hint);
        let way = all.get(which).or_else(|| all.first());
        let way = way.unwrap_or_else(|| panic!("{statement}: no statement in: {hint}"));
        for part in filled(way).split_inclusive(';').filter(|part| !part.trim().trim_matches(';').is_empty())
        {
            let result = client.query(part);
            assert!(result.is_ok(), "{statement}: {hint}: {part}: {result:?}");
        }
        if then == Then::Instead {
            return;
        }
    }
    panic!("{statement}: following its hints leads nowhere");
}

/// Runs one case for each alternative of a hint: what exists, what is refused, and what follows
/// after the hint.
fn case(cluster: &Cluster, there: &str, statement: &str, then: Then) {
    let mut which = 0;
    loop {
        cluster.sql(there);
        let mut client = cluster.superuser();
        let fault = client.query(statement).expect_err(statement);
        let count = ways(fault.hint.as_deref().unwrap_or_default()).len();
        assert!(count > 0, "{statement}: no statement in the hint: {fault:?}");
        follow(&mut client, statement, then, which);
        drop(client);
        clear(cluster);
        which += 1;
        if which >= count {
            return;
        }
    }
}

#[test]
fn hints_of_refused_statements_are_run_where_they_are_given() {
    use Then::{Instead, Repeat};
    let (cluster, _provider) = Scene::new().start();
    let since_16 = cluster.major() >= 16;
    let link = |role: &str, object: &str| {
        format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', 'user')")
    };
    let ann = &link("ann", PERSON);
    let local = "CREATE ROLE local LOGIN";
    if since_16 {
        // The creator of a role is its member, and also a member by its own grant.
        let made = "CREATE ROLE dba CREATEROLE; SET ROLE dba; SET createrole_self_grant = 'set, inherit'; \
                    CREATE ROLE tool1 LOGIN";
        case(&cluster, made, &link("tool1", PERSON), Repeat);
        let granted = "CREATE ROLE \"the dba\" CREATEROLE; CREATE ROLE local; SET ROLE \"the dba\"; CREATE ROLE tool1; \
                       GRANT tool1 TO local";
        case(&cluster, granted, &link("tool1", PERSON), Repeat);
    }
    // A member by the grant of a role that stays a member.
    let granted = format!(
        "{ann}; {local}; CREATE ROLE tool1; GRANT tool1 TO ann WITH ADMIN OPTION; SET ROLE ann; GRANT tool1 TO local"
    );
    case(&cluster, &granted, &link("tool1", APPLICATION), Repeat);
    case(&cluster, &format!("{ann}; {local}"), "GRANT ann TO local", Repeat);
    case(&cluster, local, "GRANT azure_ad_user TO local", Repeat);
    case(&cluster, local, "GRANT azure_ad_admin TO local", Repeat);
    case(&cluster, ann, "CREATE ROLE fresh LOGIN IN ROLE ann", Instead);
    case(&cluster, "", "CREATE ROLE \"x y\" LOGIN IN ROLE azure_ad_user", Instead);
    case(&cluster, "", "CREATE ROLE fresh LOGIN IN ROLE azure_ad_user, azure_ad_admin", Instead);
    case(&cluster, "", "CREATE ROLE fresh LOGIN IN ROLE azure_ad_admin", Instead);
    let by_id = format!("CREATE ROLE x LOGIN PASSWORD '{PERSON}' IN ROLE azure_ad_user");
    case(&cluster, "", &by_id, Repeat);
    case(&cluster, local, &format!("SET aad_validate_oids_in_tenant = off; {by_id} ROLE local"), Repeat);
    case(&cluster, ann, "ALTER ROLE ann SUPERUSER", Repeat);
    case(&cluster, "CREATE ROLE boss SUPERUSER", &link("boss", PERSON), Repeat);
    // Administrators and their members.
    case(&cluster, ann, "GRANT admin TO ann", Instead);
    case(&cluster, ann, "ALTER GROUP admin ADD USER ann", Instead);
    case(&cluster, "", &format!("SET aad_validate_oids_in_tenant = off; {by_id}, admin"), Instead);
    let deputy = format!("{ann}; {}; GRANT deputy TO ann", link("deputy", SECOND_ADMIN));
    let promote = format!(
        "SELECT azure_ad_auth.update_principal('deputy', '{SECOND_ADMIN}', 'user', is_admin => true)"
    );
    case(&cluster, &deputy, &promote, Repeat);
    case(&cluster, ann, "GRANT azure_ad_admin TO ann", Repeat);
    case(&cluster, "", "GRANT azure_ad_user TO admin", Repeat);
    case(&cluster, "", "REVOKE azure_ad_admin FROM admin", Repeat);
    // Members of linked roles stay linked.
    let member = format!(
        "{ann}; SELECT azure_ad_auth.create_principal('dbas', '{GROUP}', 'group'); GRANT dbas TO ann"
    );
    for statement in [
        "SELECT azure_ad_auth.drop_principal('ann')",
        "REVOKE azure_ad_user FROM ann",
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL",
    ] {
        case(&cluster, &member, statement, Repeat);
    }
    // Functions.
    case(&cluster, ann, &link("ann", APPLICATION), Instead);
    case(&cluster, "", "SELECT azure_ad_auth.create_principal('ann')", Instead);
    case(&cluster, "", "SELECT azure_ad_auth.create_principal('o''neill', NULL, 'group', true)", Instead);
    case(&cluster, ann, "SELECT azure_ad_auth.update_principal('ann', is_mfa => true)", Instead);
    case(&cluster, ann, "SELECT azure_ad_auth.revoke_tokens('ann', now() + '1 day')", Instead);
}

#[test]
fn hints_about_who_could_lift_a_guard_are_run_where_they_are_given() {
    use Then::Repeat;
    let (cluster, _provider) = Scene::new().start();
    let ann = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let set = "SET ON PARAMETER session_preload_libraries";
    let holder =
        format!("{ann}; CREATE ROLE holder; GRANT {set} TO holder; CREATE ROLE team; GRANT team TO ann");
    for statement in [
        "GRANT holder TO ann",
        "GRANT holder TO team",
        "ALTER GROUP holder ADD USER team",
        "ALTER ROLE team SUPERUSER",
        "CREATE ROLE wheel SUPERUSER ROLE ann",
        "CREATE ROLE wheel SUPERUSER ROLE team",
        "CREATE ROLE wheel IN ROLE holder ADMIN team",
        &format!("GRANT {set} TO ann"),
        &format!("GRANT {set} TO team"),
    ] {
        case(&cluster, &holder, statement, Repeat);
    }
    let local = "CREATE ROLE local LOGIN";
    let link = format!("SELECT azure_ad_auth.create_principal('local', '{APPLICATION}', 'user')");
    for there in [
        format!("{holder}; {local}; GRANT postgres, holder TO local"),
        format!("{local}; GRANT {set} TO local"),
        format!("CREATE ROLE readers; {local} IN ROLE readers; GRANT {set} TO PUBLIC"),
        format!(
            "{holder}; CREATE ROLE dba CREATEROLE; GRANT holder TO dba WITH ADMIN OPTION; {local}; SET ROLE dba; \
                 GRANT holder TO local"
        ),
    ] {
        // Roles of superusers with dependent grants are not tested here.
        if there.contains("SET ROLE dba") && cluster.major() < 16 {
            continue;
        }
        // The last role that may set the parameter prevents linking it.
        let there = if there.contains("PUBLIC") {
            format!("SELECT azure_ad_auth.drop_principal('admin'); {there}")
        } else {
            there
        };
        case(&cluster, &there, &link, Repeat);
    }
    // A grant to PUBLIC includes linked roles, and there is nothing to revoke yet.
    let fault = cluster.superuser().query(&format!("GRANT {set} TO PUBLIC")).expect_err("granted");
    assert_eq!((fault.sqlstate.as_str(), fault.hint), ("42501", None));
    cluster.sql("CREATE ROLE wheel SUPERUSER");
    let fault = cluster.superuser().query("GRANT wheel TO azure_ad_user").expect_err("granted");
    assert_eq!((fault.sqlstate.as_str(), fault.hint), ("42501", None));
}

#[test]
fn hints_about_the_two_roles_are_run_where_they_are_given() {
    use Then::Repeat;
    let (cluster, _provider) = Scene::new().start();
    let set_admin = format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')");
    let nobody = "SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals";
    let follow_once = |there: &str, statement: &str| {
        cluster.sql(there);
        follow(&mut cluster.superuser(), statement, Repeat, 0);
    };
    follow_once("SELECT 1", "ALTER ROLE azure_ad_user RENAME TO other");
    // The name is used again, with a member that is not linked: revoked, or linked.
    for which in [0, 1] {
        cluster.sql("CREATE ROLE local LOGIN; GRANT other TO local");
        follow(&mut cluster.superuser(), "ALTER ROLE other RENAME TO azure_ad_user", Repeat, which);
        cluster.sql("DROP ROLE local; ALTER ROLE azure_ad_user RENAME TO other");
    }
    cluster.sql("ALTER ROLE other RENAME TO azure_ad_user");
    cluster.sql(&set_admin);
    // Marker roles that are used for something else.
    follow_once(
        &format!(
            "{nobody}; ALTER ROLE azure_ad_user LOGIN CREATEDB PASSWORD 'x' CONNECTION LIMIT 3 VALID UNTIL '2040-01-01'"
        ),
        &set_admin,
    );
    follow_once(
        &format!(
            "{nobody}; ALTER ROLE azure_ad_admin SET work_mem = '1MB'; \
             ALTER ROLE azure_ad_admin IN DATABASE postgres SET work_mem = '1MB'"
        ),
        &set_admin,
    );
    // One of them holds the revocations.
    let revoke = format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')");
    follow_once(&format!("{revoke}; {nobody}"), "DROP ROLE azure_ad_user");
    follow_once("SELECT 1", &revoke);
}

#[test]
fn hints_before_the_extension_is_there() {
    use Then::Repeat;
    let provider = provider();
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.sql("CREATE ROLE stranger; CREATE SCHEMA azure_ad_auth AUTHORIZATION stranger");
    assert!(cluster.superuser().query("CREATE EXTENSION azure_ad_auth").is_err());
    follow(&mut cluster.superuser(), "CREATE EXTENSION azure_ad_auth", Repeat, 0);
    cluster.sql("DROP EXTENSION azure_ad_auth; DROP ROLE azure_ad_user, azure_ad_admin; DROP SCHEMA IF EXISTS azure_ad_auth");
    cluster.sql("CREATE ROLE ann LOGIN");
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON}'");
    for which in [0, 1] {
        let hint = notice(&cluster, &format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL; {label}"));
        let ways = ways(&hint);
        cluster.sql(&ways[which]);
        let member = "SELECT pg_has_role('ann', 'azure_ad_user', 'MEMBER')";
        assert_eq!(cluster.sql(member), "t", "{hint}");
        if which == 0 {
            cluster.sql("REVOKE azure_ad_user FROM ann; DROP ROLE azure_ad_user");
        }
    }
}

/// Runs a statement that succeeds. Returns the hint of its last NOTICE.
fn notice(cluster: &Cluster, statement: &str) -> String {
    let output = cluster.sql_as("postgres", statement);
    assert!(output.success, "{statement}: {}", output.stderr);
    let hint = output.stderr.lines().rev().find_map(|line| line.strip_prefix("HINT:  "));
    hint.unwrap_or_else(|| panic!("{statement}: no hint: {}", output.stderr)).to_owned()
}

#[test]
fn hints_of_notices_are_run_where_they_are_given() {
    let (cluster, _provider) = Scene::new().start();
    let facts = "SELECT object_id, object_type, is_admin, is_mfa FROM azure_ad_auth.principals WHERE role_name = 'o''neill'";
    for terms in ["'user'", "'service', is_mfa => true", "'user', is_admin => true", "NULL"] {
        for end in
            ["REVOKE azure_ad_user FROM \"o'neill\"", "ALTER GROUP azure_ad_user DROP USER \"o'neill\""]
        {
            cluster.sql(&format!("SELECT azure_ad_auth.create_principal('o''neill', '{PERSON}', {terms})"));
            let before = cluster.sql(facts);
            let output = cluster.sql_as("postgres", end);
            let said =
                "NOTICE:  role \"o'neill\" is no longer linked to a directory object, and its sessions end";
            assert!(output.success && output.stderr.contains(said), "{end}: {}", output.stderr);
            assert_eq!(cluster.sql(facts), "");
            let hint = output.stderr.lines().find_map(|line| line.strip_prefix("HINT:  To link it again: "));
            cluster.sql(hint.expect("a hint"));
            assert_eq!(cluster.sql(facts), before);
            cluster.sql("DROP ROLE \"o'neill\"");
        }
    }
    cluster.sql("CREATE ROLE \"no login\"");
    let hint = notice(&cluster, &format!("SELECT azure_ad_auth.create_principal('no login', '{PERSON}')"));
    let advice = cluster.sql("SELECT what_to_do FROM azure_ad_auth.check_configuration() WHERE message ~ 'not permitted to log in'");
    assert_eq!(advice, format!("If it should be: {hint}"));
    cluster.sql(&hint);
    assert_eq!(cluster.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'no login'"), "t");
    let hint = notice(&cluster, "SELECT azure_ad_auth.remove_admin()");
    cluster.sql(&filled(&hint));
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "1");
    // Administrators of another tenant.
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    let create = format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)");
    follow(&mut cluster.superuser(), &create, Then::Repeat, 0);
    assert_eq!(cluster.sql("SELECT role_name FROM azure_ad_auth.principals WHERE is_admin"), "admin2");
}

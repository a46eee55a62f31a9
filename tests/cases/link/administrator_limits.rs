//! What an administrator may not link to another object it may not get at by a statement either, on
//! every version.

use std::thread;

use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::issuer::{APPLICATION, GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::login::token_of;
use crate::common::statements::{SECOND_ADMIN, link, run};

fn refused(client: &mut RawClient, statement: &str) {
    let fault = client.query(statement).expect_err(statement);
    assert_eq!(fault.sqlstate, "42501", "{statement}: {fault:?}");
}

/// Creates roles as an administrator: `ann` and `ben` are linked, `team` and `crew` are not.
fn made_by_an_administrator(cluster: &Cluster) -> RawClient {
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for (role, object) in [("ann", PERSON), ("ben", APPLICATION)] {
        run(&mut admin, &format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', 'user')"));
    }
    run(&mut admin, "CREATE ROLE team LOGIN");
    run(&mut admin, "CREATE ROLE crew LOGIN");
    admin
}

/// Returns statements by which a session would act as a role, have others act as it, or change what
/// its sessions do.
fn ways_to(role: &str, is_linked: bool, major: u32) -> Vec<String> {
    let mut ways = vec![
        "GRANT {} TO admin",
        "GRANT {} TO ben",
        "GRANT {} TO ben WITH ADMIN OPTION",
        "ALTER GROUP {} ADD USER ben",
        "DO $$ BEGIN EXECUTE 'GRANT {} TO CURRENT_USER'; END $$",
        "ALTER ROLE {} SET search_path = elsewhere",
        "ALTER ROLE {} IN DATABASE postgres SET search_path = elsewhere",
        "ALTER ROLE {} RESET ALL",
        "ALTER ROLE {} RENAME TO another",
    ];
    if is_linked {
        ways.extend([
            "SELECT azure_ad_auth.update_principal('{}', '44444444-aaaa-bbbb-cccc-000000000004')",
            "SECURITY LABEL FOR pgaadauth ON ROLE {} IS 'aadauth,oid=44444444-aaaa-bbbb-cccc-000000000004,type=user'",
        ]);
    } else {
        ways.extend([
            "CREATE ROLE fresh IN ROLE {}",
            "CREATE ROLE fresh IN GROUP {}",
            "ALTER ROLE {} PASSWORD 'known'",
            "ALTER ROLE {} LOGIN VALID UNTIL 'infinity'",
            "SELECT azure_ad_auth.create_principal('{}', '66666666-aaaa-bbbb-cccc-000000000006', 'user')",
            "SECURITY LABEL FOR pgaadauth ON ROLE {} IS 'aadauth,oid=66666666-aaaa-bbbb-cccc-000000000006,type=user'",
        ]);
    }
    if major >= 16 {
        ways.extend([
            "GRANT {} TO admin WITH INHERIT TRUE, SET FALSE",
            "GRANT {} TO ben WITH INHERIT FALSE, SET FALSE",
            "GRANT {} TO ben GRANTED BY azure_ad_admin",
        ]);
    }
    ways.into_iter().map(|way| way.replace("{}", role)).collect()
}

#[test]
fn an_administrator_does_not_reach_what_a_superuser_has_granted() {
    let (cluster, _provider) = Scene::new().start();
    let major = cluster.major();
    let mut admin = made_by_an_administrator(&cluster);
    // While these roles have nothing from others, administrators manage them.
    for (role, is_linked) in [("ann", true), ("team", false)] {
        for way in ways_to(role, is_linked, major) {
            run(&mut admin, "BEGIN");
            run(&mut admin, &way);
            run(&mut admin, "ROLLBACK");
        }
    }
    cluster.sql("CREATE ROLE finance; CREATE ROLE office IN ROLE finance; GRANT office TO ann, team");
    for (role, is_linked) in [("ann", true), ("team", false)] {
        for way in ways_to(role, is_linked, major) {
            refused(&mut admin, &way);
        }
        refused(&mut admin, &format!("SET ROLE {role}"));
    }
    refused(&mut admin, "GRANT crew, ann TO ben");
    // What gives nobody more privileges is allowed: unlinking, and statements that give no access.
    run(&mut admin, "ALTER ROLE ann CONNECTION LIMIT 5");
    run(&mut admin, "COMMENT ON ROLE ann IS 'accounts'");
    run(&mut admin, "SELECT azure_ad_auth.revoke_tokens('ann')");
    run(&mut admin, "SELECT azure_ad_auth.drop_principal('ann')");
    for way in ways_to("ann", false, major) {
        refused(&mut admin, &way);
    }
    // The same after SET ROLE: it is the role that logged in that counts.
    cluster.sql("CREATE ROLE helper CREATEROLE; GRANT helper TO admin");
    if major >= 16 {
        cluster.sql("GRANT team TO helper WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
    }
    run(&mut admin, "SET ROLE helper");
    refused(&mut admin, "GRANT team TO helper");
    refused(&mut admin, "ALTER ROLE team PASSWORD 'known'");
    run(&mut admin, "RESET ROLE");
    // Once the administrator has the privilege too, there is nothing to gain.
    if major >= 16 {
        cluster.sql("REVOKE team FROM helper");
    }
    cluster.sql("GRANT finance, office TO admin");
    for way in ways_to("team", false, major) {
        run(&mut admin, "BEGIN");
        run(&mut admin, &way);
        run(&mut admin, "ROLLBACK");
    }
    run(&mut admin, "DROP ROLE ann");
}

/// While the statement waits inside PostgreSQL, another session of the same administrator unlinks
/// the role. What a linked role may be given, an unlinked one may not.
#[test]
fn what_is_harmless_for_a_linked_role_is_judged_again_when_it_is_unlinked_meanwhile() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = made_by_an_administrator(&cluster);
    let mut second = cluster.session("admin", &token_of(ADMIN));
    cluster.sql("CREATE ROLE finance; GRANT finance TO ann");
    let mut holder = cluster.superuser();
    run(&mut holder, "BEGIN");
    run(&mut holder, "LOCK TABLE pg_authid IN SHARE MODE");
    thread::scope(|scope| {
        let answer = scope.spawn(|| second.query("ALTER ROLE ann PASSWORD 'known'"));
        let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted";
        assert!(eventually(|| cluster.sql(waiting) == "1"));
        run(&mut admin, "SELECT azure_ad_auth.drop_principal('ann')");
        run(&mut holder, "COMMIT");
        let fault = answer.join().expect("a thread").expect_err("a password");
        assert_eq!(fault.sqlstate, "42501", "{fault:?}");
        assert_eq!(fault.message, "permission denied to change role \"ann\"");
    });
    assert_eq!(cluster.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'ann'"), "t");
}

/// The rule does not apply to superusers, nor to other roles with CREATEROLE, for which
/// PostgreSQL's own rules hold.
#[test]
fn the_rule_is_for_administrators() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = made_by_an_administrator(&cluster);
    cluster.sql("CREATE ROLE finance; GRANT finance TO team");
    refused(&mut admin, "GRANT team TO admin");
    cluster.sql("GRANT team TO admin; REVOKE team FROM admin; ALTER ROLE team SET work_mem = '1MB'");
    cluster
        .sql("CREATE ROLE dba CREATEROLE; SET ROLE dba; CREATE ROLE his; RESET ROLE; GRANT finance TO his");
    assert!(cluster.sql_as("postgres", "SET ROLE dba; ALTER ROLE his PASSWORD 'x'").success);
}

#[test]
fn an_administrator_adds_no_row_between_the_two_roles() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let rows = "SELECT string_agg(grantor::regrole || ' ' || admin_option, ', ') FROM pg_auth_members \
                WHERE roleid = 'azure_ad_user'::regrole AND member = 'azure_ad_admin'::regrole";
    assert_eq!(cluster.sql(rows), "postgres true");
    let _ = admin.query("GRANT azure_ad_user TO azure_ad_admin");
    assert_eq!(cluster.sql(rows), "postgres true");
    if cluster.major() >= 16 {
        cluster.sql("GRANT azure_ad_user TO azure_ad_admin GRANTED BY azure_ad_admin");
        assert_eq!(cluster.sql(rows), "postgres true");
    }
}

/// Memberships that the former administrator granted to others stay.
#[test]
fn who_administers_no_more_loses_what_administrators_gave_him_and_is_told_of_the_rest() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = made_by_an_administrator(&cluster);
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('deputy', '{SECOND_ADMIN}', 'user', true)"));
    let mut deputy = cluster.session("deputy", &token_of(SECOND_ADMIN));
    for statement in [
        "GRANT ann TO deputy WITH ADMIN OPTION",
        "GRANT team TO deputy WITH ADMIN OPTION",
        "GRANT ann TO ben",
    ] {
        run(&mut deputy, statement);
    }
    run(&mut admin, "GRANT crew TO deputy");
    cluster.sql("CREATE ROLE own; GRANT own TO deputy");
    link_ours(&cluster);
    let held = |role: &str| {
        let held = "SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) FROM pg_auth_members \
                    WHERE member = 'r'::regrole";
        cluster.sql(&held.replace("'r'", &format!("'{role}'")))
    };
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.remove_admin('deputy')");
    assert_eq!(held("deputy"), "azure_ad_user group_of_theirs own", "{}", output.stderr);
    assert_eq!(held("ben"), "ann azure_ad_user", "{}", output.stderr);
    let taken = "NOTICE:  role \"deputy\" is no longer a member of roles that Azure AD administrators had granted it: ann, crew, team";
    assert!(output.stderr.contains(taken), "{}", output.stderr);
    let kept = "NOTICE:  role \"deputy\" is still a member of roles that Azure AD administrators manage: group_of_theirs";
    assert!(output.stderr.contains(kept), "{}", output.stderr);
    assert!(output.stderr.contains("HINT:  REVOKE group_of_theirs FROM deputy;"), "{}", output.stderr);
    // By every way to demote and to unlink.
    for end in [
        format!("SELECT azure_ad_auth.update_principal('deputy', '{SECOND_ADMIN}')"),
        "SELECT azure_ad_auth.drop_principal('deputy')".to_owned(),
        "REVOKE azure_ad_user FROM deputy".to_owned(),
        "SECURITY LABEL FOR pgaadauth ON ROLE deputy IS NULL".to_owned(),
        format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"),
    ] {
        cluster.sql("REVOKE group_of_theirs FROM deputy");
        let again = |function: &str| {
            format!("SELECT azure_ad_auth.{function}_principal('deputy', '{SECOND_ADMIN}', 'user', true)")
        };
        let linked = cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'deputy'");
        cluster.sql(&again(if linked == "1" { "update" } else { "create" }));
        let mut deputy = cluster.session("deputy", &token_of(SECOND_ADMIN));
        run(&mut deputy, "GRANT ann TO deputy WITH ADMIN OPTION");
        let output = cluster.sql_as("postgres", &end);
        assert!(output.success, "{end}: {}", output.stderr);
        assert!(!held("deputy").contains("ann"), "{end}: {}", output.stderr);
    }
}

/// Links a role as the superuser, and grants it to `deputy`.
fn link_ours(cluster: &Cluster) {
    link(cluster, "group_of_theirs", GROUP, "group");
    cluster.sql("GRANT group_of_theirs TO deputy");
}

#[test]
fn check_configuration_names_who_may_grant_a_linked_role() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = made_by_an_administrator(&cluster);
    let found = || {
        cluster.sql(
            "SELECT level || ': ' || message || ' ' || what_to_do FROM azure_ad_auth.check_configuration() \
             WHERE message ~ 'ADMIN'",
        )
    };
    run(&mut admin, "GRANT ann TO admin WITH ADMIN OPTION");
    assert_eq!(found(), "", "an administrator may anyway");
    run(&mut admin, "GRANT ann TO ben WITH ADMIN OPTION");
    let found = found();
    let expected = "warning: role \"ben\" has the ADMIN option on role \"ann\" and can grant it, but is not an Azure AD administrator";
    assert!(found.starts_with(expected), "{found}");
    let advice = found.rsplit_once("administrator ").expect("what to do").1;
    cluster.sql(advice);
    let left = "SELECT count(*) FROM azure_ad_auth.check_configuration() WHERE message ~ 'ADMIN'";
    assert_eq!(cluster.sql(left), "0");
    assert_eq!(cluster.sql("SELECT pg_has_role('ben', 'ann', 'MEMBER')"), "t");
}

//! Who may revoke tokens, and what keeps a revocation.

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v2, unix_now, user_v1};
use testbed::scene::{KEY, Scene};

use crate::common::login::{TERMINATED, end_of, token_of, valid_token, value};
use crate::common::revocation::{SKEW, fresh, issued, revoked};
use crate::common::server::NO_REAPER;
use crate::common::statements::{link, tamper};

#[test]
fn who_may_take_tokens_back() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    assert!(cluster.psql("admin", &admin, &create).success);
    for call in ["revoke_tokens('ann')", &format!("revoke_principal('{PERSON}')")] {
        let call = format!("SELECT azure_ad_auth.{call}");
        let output = cluster.psql("admin", &admin, &call);
        assert!(output.success, "{call}: {}", output.stderr);
        assert!(output.stderr.contains("NOTICE:  access tokens issued before "), "{}", output.stderr);
        assert!(output.stderr.contains("HINT:  Microsoft Entra may date a token back"), "{}", output.stderr);
        let output = cluster.psql("ann", &fresh(user_v1(unix_now())), &call);
        assert!(output.stderr.contains("permission denied for function"), "{}", output.stderr);
        // Not in a session with a password, whatever the role is a member of.
        let output = cluster.sql_as("postgres", &format!("SET SESSION AUTHORIZATION admin; {call}"));
        assert!(!output.success && output.stderr.contains("permission denied"), "{}", output.stderr);
    }
    // Nor the tokens of another administrator.
    let output = cluster.psql("admin", &admin, "SELECT azure_ad_auth.revoke_tokens('admin')");
    assert!(output.stderr.contains("permission denied to change the link of role"), "{}", output.stderr);
    for (call, error) in [
        ("revoke_tokens('ann', now() + interval '1 h')", "issued_before must not lie in the future"),
        ("revoke_tokens('ann', 'infinity')", "issued_before must be a point in time"),
        ("revoke_tokens('nobody')", "role \"nobody\" does not exist"),
        ("revoke_tokens(NULL)", "role_name must not be null"),
        ("revoke_tokens('ann', NULL)", "issued_before must not be null"),
        ("revoke_principal(NULL)", "object_id must not be null"),
        ("drop_principal(NULL)", "role_name must not be null"),
        ("revoke_tokens('postgres')", "role \"postgres\" is not linked to a directory object"),
    ] {
        let output = cluster.sql_as("postgres", &format!("SELECT azure_ad_auth.{call}"));
        assert!(output.stderr.contains(error), "{call}: {}", output.stderr);
    }
}

#[test]
fn what_is_revoked_is_dumped_and_only_superusers_write_it() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    let label = cluster.sql("SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole");
    assert!(label.starts_with(&format!("revoked,{PERSON}=")), "{label}");
    cluster.sql(&format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS '{label}'"));
    for wrong in ["managed", "revoked,x=1"] {
        let statement = format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS '{wrong}'");
        assert!(!cluster.sql_as("postgres", &statement).success, "{wrong}");
    }
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    let output =
        cluster.psql("admin", &admin, "SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL");
    assert!(!output.success, "an administrator wrote it");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0");
}

#[test]
fn another_administrator_is_not_an_administrators_to_put_out() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    // Linked by the client id, named by the object id.
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('robot', '{CLIENT}', 'service', true)"));
    let mut robot = cluster.session("robot", &KEY.token(&app_v2(unix_now())));
    assert_eq!(value(&mut robot, "SELECT 1"), "1");
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    for id in [CLIENT, APPLICATION] {
        let output = cluster.psql("admin", &admin, &format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        assert!(output.stderr.contains("permission denied"), "{id}: {}", output.stderr);
    }
    assert_eq!(value(&mut robot, "SELECT 1"), "1");
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{APPLICATION}')"));
    assert_eq!(end_of(&mut robot), TERMINATED);
}

#[test]
fn more_than_there_is_room_for_is_for_superusers() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    let revoke = |count: u32| {
        format!(
            "SELECT count(azure_ad_auth.revoke_principal(('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid)) FROM generate_series(1, {count}) n"
        )
    };
    assert!(cluster.psql("admin", &admin, &revoke(16)).success);
    let output = cluster.psql("admin", &admin, &revoke(17));
    let message = "must be superuser to revoke the tokens of more objects than there is room for";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let output = cluster.sql_as("postgres", &revoke(17));
    assert!(
        output.success && output.stderr.contains("NOTICE:  everybody's access tokens that are older"),
        "{}",
        output.stderr
    );
    let label = cluster.sql("SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole");
    assert!(label.starts_with("revoked,*="), "{label}");
}

#[test]
fn a_label_written_by_a_statement_is_heeded_too() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    link(&cluster, "ann", PERSON, "user");
    let mut ann = cluster.session("ann", &valid_token());
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.sql(&format!(
        "SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS 'revoked,{PERSON}={}'",
        unix_now()
    ));
    assert_eq!(end_of(&mut ann), TERMINATED);
    // A label that no function could have written admits no token.
    tamper(&cluster, "UPDATE pg_shseclabel SET label = 'revoked,x' WHERE objoid = 'azure_ad_user'::regrole");
    let mark = cluster.log_mark();
    assert!(matches!(cluster.login("ann", &fresh(user_v1(unix_now()))), Outcome::Refused(_)));
    cluster.await_log(mark, "refused code=internal role=ann");
}

#[test]
fn that_nobody_knows_whose_tokens_are_revoked_is_said_once() {
    let (cluster, _provider) = Scene::new().start();
    let roles = ["ann", "bob", "cid", "dan"];
    let mut sessions = roles.map(|role| {
        link(&cluster, role, PERSON, "user");
        let mut session = cluster.session(role, &valid_token());
        assert_eq!(value(&mut session, "SELECT 1"), "1");
        session
    });
    let label = |label: &str| {
        tamper(
            &cluster,
            &format!("UPDATE pg_shseclabel SET label = '{label}' WHERE objoid = 'azure_ad_user'::regrole"),
        );
    };
    cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS 'revoked'");
    let mark = cluster.log_mark();
    // A role has lost its link, which the reaper notices when it next looks at roles.
    let mut look = |place: usize| {
        let role = roles[place];
        tamper(&cluster, &format!("DELETE FROM pg_shseclabel WHERE objoid = '{role}'::regrole"));
        cluster.sql(&format!("CREATE ROLE looked_at_{role}"));
        assert_eq!(end_of(&mut sessions[place]), TERMINATED);
        cluster.await_log(mark, &format!("azure_ad_auth: ended reason=unlinked role={role} "));
        cluster.log_since(mark).matches("the label of azure_ad_user cannot be read").count()
    };
    label("revoked,x");
    assert_eq!((look(0), look(1)), (1, 1));
    label("revoked");
    assert_eq!(look(2), 1);
    label("revoked,x");
    assert_eq!(look(3), 2);
}

#[test]
fn nobody_is_told_that_sessions_end_where_nobody_ends_them() {
    let (cluster, _provider) = Scene::new().settings(NO_REAPER).start();
    link(&cluster, "ann", PERSON, "user");
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.revoke_tokens('ann')");
    assert!(
        output.stderr.contains("NOTICE:  sessions that came in with such a token do not end"),
        "{}",
        output.stderr
    );
    let level = "SELECT level FROM azure_ad_auth.check_configuration() WHERE topic = 'sessions'";
    assert_eq!(cluster.sql(level), "danger");
}

#[test]
fn what_is_revoked_stays_so_when_a_role_is_linked_anew() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    let token = KEY.token(&issued(user_v1(unix_now()), 60));
    for (role, id, kind) in [("ann", PERSON, "user"), ("readers", GROUP, "group")] {
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_tokens('{role}')"));
        let label = format!("aadauth,oid={id},type={kind},tenant_id={TENANT}");
        let create = format!("SELECT azure_ad_auth.create_principal('{role}', '{id}', '{kind}')");
        for act in [
            format!("SECURITY LABEL FOR pgaadauth ON ROLE {role} IS '{label}'"),
            format!("SECURITY LABEL FOR pgaadauth ON ROLE {role} IS 'aadauth,oid={id},type={kind}'"),
            format!("SELECT azure_ad_auth.update_principal('{role}', '{id}', '{kind}')"),
            format!("SELECT azure_ad_auth.drop_principal('{role}'); {create}"),
            format!("SECURITY LABEL FOR pgaadauth ON ROLE {role} IS NULL; {create}"),
            format!(
                "REVOKE azure_ad_user FROM {role}; SECURITY LABEL FOR pgaadauth ON ROLE {role} IS '{label}'"
            ),
        ] {
            let output = cluster.sql_as("postgres", &act);
            assert!(output.success && !output.stderr.contains("is not linked"), "{act}: {}", output.stderr);
            revoked(&cluster, role, &token);
        }
        // A superuser may do so deliberately.
        cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE {role} IS '{label},not_before=0'"));
        admitted(&cluster, role, &token);
    }
    // An administrator may not.
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    let create = format!("SELECT azure_ad_auth.create_principal('bob', '{PERSON}', 'user')");
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE bob IS 'aadauth,oid={PERSON},not_before=0'");
    for act in [create.as_str(), "SELECT azure_ad_auth.revoke_tokens('bob')", &label] {
        let output = cluster.psql("admin", &admin, act);
        assert!(output.success, "{act}: {}", output.stderr);
    }
    revoked(&cluster, "bob", &token);
    // An unlinked role has no label left that would link it.
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann'); SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'ann'"), "0");
    cluster.sql("ALTER ROLE ann PASSWORD 'x'; DROP ROLE ann");
}

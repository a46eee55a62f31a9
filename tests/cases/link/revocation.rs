//! Tokens that are taken back before they expire.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::admitted;
use testbed::issuer::*;

use crate::link::linking::token_of;
use crate::sessions::lifetime::{ENDED, end_of, enter, value};
use crate::{KEY, NO_REAPER, at_every_door, link, scene, scene_at, tamper};

/// Claims of a token that was issued so many seconds ago, or will be.
fn issued(claims: Value, seconds_ago: i64) -> Value {
    with(claims, "iat", json!(unix_now() - seconds_ago))
}

/// What revocations allow for.
pub(crate) const SKEW: &str = "azure_ad_auth.clock_skew = '1s'";

/// A token of after whatever has just been revoked.
pub(crate) fn fresh(claims: Value) -> String {
    thread::sleep(Duration::from_millis(2_500));
    KEY.token(&issued(claims, 0))
}

/// Expects a login to be refused because its token counts no longer.
pub(crate) fn revoked(cluster: &Cluster, role: &str, token: &str) {
    let mark = cluster.log_mark();
    let Outcome::Refused(error) = cluster.login(role, token) else { panic!("{role} was let in") };
    assert_eq!(error.sqlstate, "28P01");
    let (before, after) =
        ("access tokens issued before ", format!(" are no longer accepted for role \"{role}\""));
    assert!(error.message.starts_with(before) && error.message.ends_with(&after), "{}", error.message);
    cluster.await_log(mark, &format!("azure_ad_auth: refused code=token_revoked role={role} "));
}

#[test]
fn tokens_of_a_role_are_taken_back_and_its_sessions_end() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "bob", PERSON, "user");
        let (old, newer) =
            (KEY.token(&issued(user_v1(unix_now()), 600)), KEY.token(&issued(user_v1(unix_now()), 60)));
        let mut of_old = enter(&cluster, "ann", &issued(user_v1(unix_now()), 600));
        let mut of_newer = enter(&cluster, "ann", &issued(user_v1(unix_now()), 60));
        assert_eq!(value(&mut of_newer, "SELECT 1"), "1");
        let mut bob = enter(&cluster, "bob", &issued(user_v1(unix_now()), 600));
        // What is rolled back has never been.
        let mut undecided = cluster.superuser();
        for step in ["BEGIN", "SELECT azure_ad_auth.revoke_tokens('ann')", "ROLLBACK"] {
            assert!(undecided.query(step).is_ok(), "{step}");
        }
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut of_old, "SELECT 1"), "1");
        // A time: only what was issued before.
        let mark = cluster.log_mark();
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann', now() - interval '5 min')");
        assert_eq!(end_of(&mut of_old), ENDED);
        cluster.await_log(mark, "azure_ad_auth: ended reason=tokens_revoked role=ann");
        assert_eq!(value(&mut of_newer, "SELECT 1"), "1");
        revoked(&cluster, "ann", &old);
        admitted(&cluster, "ann", &newer);
        // Now; and nobody can take that back.
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert_eq!(end_of(&mut of_newer), ENDED);
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann', now() - interval '1 day')");
        revoked(&cluster, "ann", &newer);
        admitted(&cluster, "ann", &fresh(user_v1(unix_now())));
        assert_eq!(value(&mut bob, "SELECT 1"), "1");
        assert_eq!(
            cluster.sql("SELECT role_name FROM azure_ad_auth.principals WHERE tokens_not_before > now() - interval '1 min'"),
            "ann"
        );
    });
}

#[test]
fn a_person_is_out_everywhere() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "other_ann", PERSON, "user");
        link(&cluster, "readers", GROUP, "group");
        let somebody = "22222222-aaaa-bbbb-cccc-000000000088";
        let other = with(user_v1(unix_now()), "oid", json!(somebody));
        let mut own: Vec<RawClient> =
            ["ann", "other_ann", "readers"].map(|role| enter(&cluster, role, &user_v1(unix_now()))).into();
        let mut colleague = enter(&cluster, "readers", &other);
        // After a first statement, which is where the seal would have a say.
        for session in &mut own {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')")), "2");
        for session in &mut own {
            assert_eq!(end_of(session), ENDED);
        }
        for role in ["ann", "other_ann", "readers"] {
            revoked(&cluster, role, &KEY.token(&user_v1(unix_now())));
        }
        // Who is in the group too has nothing to do with it.
        assert_eq!(value(&mut colleague, "SELECT 1"), "1");
        admitted(&cluster, "readers", &KEY.token(&other));
        // Who is still linked, or still in the group, comes back with a new token.
        for role in ["ann", "readers"] {
            admitted(&cluster, role, &fresh(user_v1(unix_now())));
        }
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert!(matches!(cluster.login("ann", &fresh(user_v1(unix_now()))), Outcome::Refused(_)));
    });
}

#[test]
fn a_group_is_out_and_its_members_keep_what_is_their_own() {
    at_every_door(SKEW, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "readers", GROUP, "group");
        let token = KEY.token(&user_v1(unix_now()));
        let mut sessions = ["ann", "readers"].map(|role| enter(&cluster, role, &user_v1(unix_now())));
        for session in &mut sessions {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{GROUP}')")), "1");
        let [ann, reader] = &mut sessions;
        assert_eq!(end_of(reader), ENDED);
        revoked(&cluster, "readers", &token);
        assert_eq!(value(ann, "SELECT 1"), "1");
        admitted(&cluster, "ann", &token);
        // As long as it is.
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert_eq!(end_of(ann), ENDED);
        let Outcome::Refused(error) = cluster.login("ann", &fresh(user_v1(unix_now()))) else {
            panic!("let in without a link")
        };
        assert!(["28000", "28P01"].contains(&error.sqlstate.as_str()), "{error:?}");
    });
}

#[test]
fn an_application_is_out_by_either_of_its_ids() {
    let (cluster, _provider) = scene(SKEW);
    link(&cluster, "billing", APPLICATION, "service");
    for id in [APPLICATION, CLIENT] {
        let token = KEY.token(&issued(app_v2(unix_now()), 0));
        cluster.sql("SELECT pg_sleep(1.1)");
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        revoked(&cluster, "billing", &token);
        admitted(&cluster, "billing", &fresh(app_v2(unix_now())));
    }
}

/// A label without an object, as in a dump of Azure's, is completed by the one of its second provider.
#[test]
fn what_is_unlinked_stays_so_though_there_is_a_second_label() {
    let (cluster, _provider) = scene(SKEW);
    for (internal, own) in
        [(PERSON, "aadauth,mfa".to_owned()), (APPLICATION, format!("aadauth,oid={PERSON},type=user"))]
    {
        cluster.sql(&format!(
            "CREATE ROLE ann LOGIN; \
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'type=user,oid={internal},tenant_id={TENANT}'; \
             SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{own}'"
        ));
        let linked = "SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'ann'";
        assert_eq!(cluster.sql(linked), "1");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
        assert_eq!(cluster.sql(linked), "0", "{own}");
        // And linked anew it remembers.
        let label = "SELECT provider = 'pgaadauth-int' AND label LIKE 'not_before=%' FROM pg_shseclabel WHERE objoid = 'ann'::regrole";
        assert_eq!(cluster.sql(label), "t");
        cluster.sql("DROP ROLE ann");
    }
}

#[test]
fn who_may_take_tokens_back() {
    let (cluster, _provider) = scene(SKEW);
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
        // Not with a password, whatever the role is a member of.
        let output = cluster.sql_as("postgres", &format!("SET SESSION AUTHORIZATION admin; {call}"));
        assert!(!output.success && output.stderr.contains("permission denied"), "{}", output.stderr);
    }
    // Nor another administrator's.
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
fn a_standby_takes_tokens_back_too() {
    let (cluster, _provider) = scene(SKEW);
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = enter(&standby, "ann", &user_v1(unix_now()));
    let mut reader = enter(&standby, "readers", &user_v1(unix_now()));
    assert_eq!(value(&mut ann, "SELECT 1") + &value(&mut reader, "SELECT 1"), "11");
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
    assert_eq!(end_of(&mut ann), ENDED);
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    assert_eq!(end_of(&mut reader), ENDED);
    revoked(&standby, "readers", &KEY.token(&user_v1(unix_now())));
}

#[test]
fn a_session_without_a_statement_yet_is_caught_by_the_seal() {
    let (cluster, _provider) = scene_at(Door::Password, NO_REAPER);
    link(&cluster, "ann", PERSON, "user");
    let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
    // Behind everyone's back, so that nobody is told.
    let (label, seconds) = (format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}"), unix_now());
    tamper(
        &cluster,
        &format!(
            "UPDATE pg_shseclabel SET label = '{label},not_before={seconds}' WHERE objoid = 'ann'::regrole"
        ),
    );
    let said = end_of(&mut ann);
    assert!(said.starts_with("FATAL 28P01: access tokens issued before "), "{said}");
}

#[test]
fn what_is_revoked_is_dumped_and_only_superusers_write_it() {
    let (cluster, _provider) = scene(SKEW);
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
    let (cluster, _provider) = scene(SKEW);
    // Linked by the client id, named by the object id.
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('robot', '{CLIENT}', 'service', true)"));
    let mut robot = enter(&cluster, "robot", &app_v2(unix_now()));
    assert_eq!(value(&mut robot, "SELECT 1"), "1");
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    for id in [CLIENT, APPLICATION] {
        let output = cluster.psql("admin", &admin, &format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        assert!(output.stderr.contains("permission denied"), "{id}: {}", output.stderr);
    }
    assert_eq!(value(&mut robot, "SELECT 1"), "1");
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{APPLICATION}')"));
    assert_eq!(end_of(&mut robot), ENDED);
}

#[test]
fn more_than_there_is_room_for_is_for_superusers() {
    let (cluster, _provider) = scene(SKEW);
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
    let (cluster, _provider) = scene(SKEW);
    link(&cluster, "ann", PERSON, "user");
    let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.sql(&format!(
        "SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS 'revoked,{PERSON}={}'",
        unix_now()
    ));
    assert_eq!(end_of(&mut ann), ENDED);
    // One that nobody could have written lets nobody in.
    tamper(&cluster, "UPDATE pg_shseclabel SET label = 'revoked,x' WHERE objoid = 'azure_ad_user'::regrole");
    let mark = cluster.log_mark();
    assert!(matches!(cluster.login("ann", &fresh(user_v1(unix_now()))), Outcome::Refused(_)));
    cluster.await_log(mark, "refused code=internal role=ann");
}

#[test]
fn that_nobody_knows_whose_tokens_are_revoked_is_said_once() {
    let (cluster, _provider) = scene("");
    let roles = ["ann", "bob", "cid", "dan"];
    let mut sessions = roles.map(|role| {
        link(&cluster, role, PERSON, "user");
        let mut session = enter(&cluster, role, &user_v1(unix_now()));
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
    // A role has lost its link, which is found when the reaper looks at roles again.
    let mut look = |place: usize| {
        let role = roles[place];
        tamper(&cluster, &format!("DELETE FROM pg_shseclabel WHERE objoid = '{role}'::regrole"));
        cluster.sql(&format!("CREATE ROLE looked_at_{role}"));
        assert_eq!(end_of(&mut sessions[place]), ENDED);
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
    let (cluster, _provider) = scene(NO_REAPER);
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
    let (cluster, _provider) = scene(SKEW);
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
        // A superuser who means it.
        cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE {role} IS '{label},not_before=0'"));
        admitted(&cluster, role, &token);
    }
    // An administrator does not.
    let admin = token_of("66666666-aaaa-bbbb-cccc-000000000006");
    let create = format!("SELECT azure_ad_auth.create_principal('bob', '{PERSON}', 'user')");
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE bob IS 'aadauth,oid={PERSON},not_before=0'");
    for act in [create.as_str(), "SELECT azure_ad_auth.revoke_tokens('bob')", &label] {
        let output = cluster.psql("admin", &admin, act);
        assert!(output.success, "{act}: {}", output.stderr);
    }
    revoked(&cluster, "bob", &token);
    // Of an unlinked role nothing is left that would make it one of ours.
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann'); SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'ann'"), "0");
    cluster.sql("ALTER ROLE ann PASSWORD 'x'; DROP ROLE ann");
}

#[test]
fn a_revoked_group_lets_nobody_in_with_an_older_token() {
    let (cluster, _provider) = scene(SKEW);
    link(&cluster, "readers", GROUP, "group");
    link(&cluster, "ann", PERSON, "user");
    let token = KEY.token(&issued(user_v1(unix_now()), 60));
    let mut reader = enter(&cluster, "readers", &user_v1(unix_now()));
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    assert_eq!(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{GROUP}')")), "1");
    assert_eq!(end_of(&mut reader), ENDED);
    revoked(&cluster, "readers", &token);
    // The person's own role is the person's; and a group takes no place among those who are out everywhere.
    admitted(&cluster, "ann", &token);
    assert_eq!(
        cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole"),
        "0"
    );
}

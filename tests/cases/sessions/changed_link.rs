//! Terms of a link that change while sessions are open, and times and places that nobody may overdo.

use serde_json::json;
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::admitted;
use testbed::issuer::*;

use crate::link::linking::token_of;
use crate::link::revocation::{SKEW, revoked};
use crate::sessions::lifetime::{ENDED, end_of, enter, value};
use crate::{KEY, NO_REAPER, at_every_door, link, scene, scene_at, tamper};

const ADMIN: &str = "66666666-aaaa-bbbb-cccc-000000000006";

/// A second factor is asked for, or another kind of token: whoever came in without goes, whoever came in with stays.
#[test]
fn a_session_ends_when_its_role_asks_for_more_than_its_token_said() {
    at_every_door("", |_, cluster, _provider| {
        let one_factor = with(user_v1(unix_now()), "amr", json!(["pwd"]));
        let mfa_label =
            format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user,mfa'");
        let by_type =
            |kind: &str| format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', '{kind}')");
        let cases = [
            (
                format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', false, true)"),
                "mfa_required",
            ),
            (mfa_label, "mfa_required"),
            (by_type("service"), "wrong_kind"),
            (by_type("group"), "not_a_member"),
            (format!("SELECT azure_ad_auth.set_admin('ann', '{PERSON}', 'service')"), "wrong_kind"),
        ];
        for (act, code) in cases {
            link(&cluster, "ann", PERSON, "user");
            let mut ann = enter(&cluster, "ann", &one_factor);
            let mut second = enter(&cluster, "ann", &user_v1(unix_now()));
            assert_eq!(value(&mut ann, "SELECT 1") + &value(&mut second, "SELECT 1"), "11");
            // The same terms again, and what is rolled back, end nobody.
            cluster.sql(&by_type("user"));
            let mut undecided = cluster.superuser();
            for step in ["BEGIN", &act, "ROLLBACK"] {
                assert!(undecided.query(step).is_ok(), "{step}");
            }
            cluster.sql("SELECT pg_sleep(1.5)");
            assert_eq!(value(&mut ann, "SELECT 1"), "1", "{act} was rolled back");
            let mark = cluster.log_mark();
            cluster.sql(&act);
            assert_eq!(end_of(&mut ann), ENDED, "{act}");
            cluster.await_log(mark, "azure_ad_auth: ended reason=terms_changed role=ann ");
            if code == "mfa_required" {
                cluster.sql("SELECT pg_sleep(1.5)");
                assert_eq!(value(&mut second, "SELECT 1"), "1", "{act}");
            } else {
                assert_eq!(end_of(&mut second), ENDED, "{act}");
            }
            let mark = cluster.log_mark();
            assert!(matches!(cluster.login("ann", &KEY.token(&one_factor)), Outcome::Refused(_)));
            cluster.await_log(mark, &format!("azure_ad_auth: refused code={code} role=ann "));
            cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}'); DROP ROLE ann"));
        }
    });
}

/// A group's role, and an application's that is linked by its client id.
#[test]
fn looser_terms_and_other_words_for_the_same_end_nobody() {
    let (cluster, _provider) = scene("");
    link(&cluster, "readers", GROUP, "group");
    link(&cluster, "billing", CLIENT, "service");
    let mut reader = enter(&cluster, "readers", &user_v1(unix_now()));
    let mut billing = enter(&cluster, "billing", &app_v2(unix_now()));
    assert_eq!(value(&mut reader, "SELECT 1") + &value(&mut billing, "SELECT 1"), "11");
    for act in [
        format!("SELECT azure_ad_auth.update_principal('readers', '{GROUP}', 'group', false, true)"),
        format!("SELECT azure_ad_auth.update_principal('readers', '{GROUP}', 'group')"),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE billing IS 'aadauth,oid={CLIENT}'"),
    ] {
        cluster.sql(&act);
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut reader, "SELECT 1") + &value(&mut billing, "SELECT 1"), "11", "{act}");
    }
    cluster.sql(&format!(
        "SELECT azure_ad_auth.update_principal('billing', '{CLIENT}', 'service', false, true)"
    ));
    assert_eq!(end_of(&mut billing), ENDED);
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
}

#[test]
fn a_standby_ends_them_too() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = enter(&standby, "ann", &with(user_v1(unix_now()), "amr", json!(["pwd"])));
    assert_eq!(value(&mut ann, "SELECT pg_is_in_recovery()"), "t");
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', false, true)"));
    assert_eq!(end_of(&mut ann), ENDED);
    assert!(standby.log().contains("azure_ad_auth: ended reason=terms_changed role=ann"));
}

/// Between the decision and the first statement it is the seal that looks.
#[test]
fn a_session_without_a_statement_yet_meets_the_new_terms_at_the_seal() {
    let (cluster, _provider) = scene_at(Door::Password, NO_REAPER);
    link(&cluster, "ann", PERSON, "user");
    let mut ann = enter(&cluster, "ann", &with(user_v1(unix_now()), "amr", json!(["pwd"])));
    let label = format!("aadauth,oid={PERSON},type=user,mfa,tenant_id={TENANT}");
    tamper(&cluster, &format!("UPDATE pg_shseclabel SET label = '{label}' WHERE objoid = 'ann'::regrole"));
    assert_eq!(end_of(&mut ann), "FATAL 28P01: role \"ann\" requires multi-factor authentication");
    cluster.await_log(0, "azure_ad_auth: refused code=mfa_required role=ann door=seal");
}

/// The issuer's clock may be ahead by as much as is put up with.
#[test]
fn a_token_dated_ahead_is_taken_back_with_the_others() {
    at_every_door("azure_ad_auth.clock_skew = '60s'", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let ahead = |seconds: i64| with(user_v1(unix_now()), "iat", json!(unix_now() + seconds));
        let stolen = KEY.token(&ahead(40));
        let mut ann = enter(&cluster, "ann", &ahead(40));
        assert_eq!(value(&mut ann, "SELECT 1"), "1");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert_eq!(end_of(&mut ann), ENDED);
        revoked(&cluster, "ann", &stolen);
        // With a time of one's own, too: it is one of this server's clock.
        link(&cluster, "bob", PERSON, "user");
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('bob', now() - interval '10 s')");
        revoked(&cluster, "bob", &stolen);
        admitted(&cluster, "bob", &KEY.token(&ahead(58)));
    });
}

/// The last second that a time of PostgreSQL's can show without a doubt.
const LATEST: i64 = 253_402_300_799;

#[test]
fn no_time_in_a_label_keeps_a_view_from_being_read() {
    let (cluster, _provider) = scene(SKEW);
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "bob", PERSON, "user");
    let label = |time: i64| format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT},not_before={time}");
    for time in [i64::MAX, LATEST + 1] {
        let statement = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{}'", label(time));
        let output = cluster.sql_as("postgres", &statement);
        let detail = format!("\"{time}\" is not a valid value of \"not_before\".");
        assert!(output.stderr.contains(&detail), "{}", output.stderr);
    }
    cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE bob IS '{}'", label(LATEST)));
    // One that an older version has let through.
    tamper(
        &cluster,
        &format!("UPDATE pg_shseclabel SET label = '{}' WHERE objoid = 'ann'::regrole", label(i64::MAX)),
    );
    let rows = "SELECT string_agg(concat_ws(' ', role_name, extract(year FROM tokens_not_before AT TIME ZONE 'UTC')), ', ' ORDER BY role_name) \
                FROM azure_ad_auth.principals WHERE NOT is_admin";
    assert_eq!(cluster.sql(rows), "ann 9999, bob 9999");
    assert_eq!(
        cluster.sql(
            "SELECT count(*) FROM azure_ad_auth.check_configuration() WHERE topic = 'roles' AND level <> 'ok'"
        ),
        "0"
    );
    for role in ["ann", "bob"] {
        revoked(&cluster, role, &KEY.token(&user_v1(unix_now())));
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_tokens('{role}')"));
        cluster.sql(&format!("SELECT * FROM azure_ad_auth.explain_token('a.b.c', '{role}')"));
    }
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    // A superuser who means it puts it right.
    cluster.sql("SELECT azure_ad_auth.repair()");
    let again = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{}'", label(0));
    cluster.sql(&format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL; {again}"));
    admitted(&cluster, "ann", &KEY.token(&user_v1(unix_now())));
}

#[test]
fn no_time_in_a_token_keeps_a_view_from_being_read() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let claims = with(with(user_v1(unix_now()), "exp", json!(i64::MAX)), "iat", json!(i64::MIN));
    let mut ann = enter(&cluster, "ann", &claims);
    let years = "SELECT concat_ws(' ', extract(year FROM token_issued_at AT TIME ZONE 'UTC'), extract(year FROM token_expires_at AT TIME ZONE 'UTC')) \
                 FROM azure_ad_auth.sessions";
    assert_eq!(value(&mut ann, years), "1970 9999");
    assert_eq!(cluster.sql(years), "1970 9999");
}

fn invented(from: u32, to: u32) -> String {
    format!(
        "SELECT count(azure_ad_auth.revoke_principal(('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid)) \
         FROM generate_series({from}, {to}) n"
    )
}

fn label_of_user(cluster: &Cluster) -> String {
    cluster.sql("SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_user'::regrole AND provider = 'azure_ad_auth'")
}

/// An administrator can use up the places of ids that are linked to nothing and in no session, and no other.
#[test]
fn invented_ids_take_no_place_of_those_that_are_somebody() {
    let (cluster, _provider) = scene(SKEW);
    let admin = token_of(ADMIN);
    link(&cluster, "readers", GROUP, "group");
    let linked = |n: u32| format!("77777777-0000-0000-0000-{n:012}");
    for n in 1..=16 {
        let create = format!("SELECT azure_ad_auth.create_principal('role_{n}', '{}', 'user')", linked(n));
        assert!(cluster.psql("admin", &admin, &create).success);
    }
    assert!(cluster.psql("admin", &admin, &invented(1, 16)).success);
    let output = cluster.psql("admin", &admin, &invented(17, 17));
    assert!(output.stderr.contains("must be superuser to revoke"), "{}", output.stderr);
    // Somebody who came in by a group, and fifteen who are linked.
    let mut reader = enter(&cluster, "readers", &user_v1(unix_now()));
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    let ids = (1..=15).map(linked).chain([PERSON.to_owned()]);
    for id in ids {
        let output = cluster.psql("admin", &admin, &format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        assert!(output.success && !output.stderr.contains("everybody's"), "{id}: {}", output.stderr);
    }
    assert_eq!(end_of(&mut reader), ENDED);
    revoked(&cluster, "readers", &KEY.token(&user_v1(unix_now())));
    let label = label_of_user(&cluster);
    assert_eq!((label.matches("00000000-0000").count(), label.matches(',').count()), (16, 32), "{label}");
    // All of it is read at a login without anything in memory.
    cluster.stop("immediate");
    cluster.start();
    cluster.await_keys();
    revoked(&cluster, "readers", &KEY.token(&user_v1(unix_now())));
    // What is revoked stays so, though its id is linked only later.
    let id = "00000000-0000-0000-0000-000000000001";
    link(&cluster, "late", id, "user");
    revoked(&cluster, "late", &token_of(id));
    // For a superuser there is always a way, at a price that is said.
    let output = cluster.sql_as("postgres", &invented(17, 17));
    assert!(output.stderr.contains("NOTICE:  everybody's access tokens"), "{}", output.stderr);
    assert!(label_of_user(&cluster).starts_with("revoked,*="));
}

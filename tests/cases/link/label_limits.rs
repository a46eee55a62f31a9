//! Times and ids in labels that are far from ordinary.

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{GROUP, PERSON, TENANT, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::login::{TERMINATED, end_of, token_of, valid_token, value};
use crate::common::revocation::{SKEW, revoked};
use crate::common::statements::{link, tamper};
use serde_json::json;

/// The last second that every timestamp of PostgreSQL can show.
const LATEST: i64 = 253_402_300_799;

#[test]
fn no_time_in_a_label_keeps_a_view_from_being_read() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
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
    // A label that an older version accepted.
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
        revoked(&cluster, role, &valid_token());
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_tokens('{role}')"));
        cluster.sql(&format!("SELECT * FROM azure_ad_auth.explain_token('a.b.c', '{role}')"));
    }
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
    // A superuser can correct it.
    cluster.sql("SELECT azure_ad_auth.repair()");
    let again = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{}'", label(0));
    cluster.sql(&format!("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL; {again}"));
    admitted(&cluster, "ann", &valid_token());
}

#[test]
fn no_time_in_a_token_keeps_a_view_from_being_read() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let claims = with(with(user_v1(unix_now()), "exp", json!(i64::MAX)), "iat", json!(i64::MIN));
    let mut ann = cluster.session("ann", &KEY.token(&claims));
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

/// An administrator can use up only the places of ids that are not linked and have no session.
#[test]
fn invented_ids_take_no_place_of_those_that_are_somebody() {
    let (cluster, _provider) = Scene::new().settings(SKEW).start();
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
    // One session by a group, and fifteen linked roles.
    let mut reader = cluster.session("readers", &valid_token());
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    let ids = (1..=15).map(linked).chain([PERSON.to_owned()]);
    for id in ids {
        let output = cluster.psql("admin", &admin, &format!("SELECT azure_ad_auth.revoke_principal('{id}')"));
        assert!(output.success && !output.stderr.contains("everybody's"), "{id}: {}", output.stderr);
    }
    assert_eq!(end_of(&mut reader), TERMINATED);
    revoked(&cluster, "readers", &valid_token());
    let label = label_of_user(&cluster);
    assert_eq!((label.matches("00000000-0000").count(), label.matches(',').count()), (16, 32), "{label}");
    // At a login the whole label is read without memory allocation.
    cluster.stop("immediate");
    cluster.start();
    cluster.await_keys();
    revoked(&cluster, "readers", &valid_token());
    // A revocation holds even if its id is linked later.
    let id = "00000000-0000-0000-0000-000000000001";
    link(&cluster, "late", id, "user");
    revoked(&cluster, "late", &token_of(id));
    // A superuser can always revoke, and is told what is lost by it.
    let output = cluster.sql_as("postgres", &invented(17, 17));
    assert!(output.stderr.contains("NOTICE:  everybody's access tokens"), "{}", output.stderr);
    assert!(label_of_user(&cluster).starts_with("revoked,*="));
}

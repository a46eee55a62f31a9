//! What logins add to the statistics: each its outcome, once.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Behavior;
use testbed::issuer::{
    APPLICATION, GROUP, OTHER_TENANT, PERSON, Signer, app_v1, app_v2, unix_now, user_v1, with,
};
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::waits::eventually;

use crate::common::doors::at_every_door;
use crate::common::login::{UNVERIFIED, login_with_key, refusal_message, valid_token, value};
use crate::common::statements::{link, tamper};

/// Returns the statistics that are not zero, without times.
fn counted(cluster: &Cluster) -> String {
    cluster.sql(
        "SELECT string_agg(concat_ws(' ', metric, door, kind, code, value), ', ' ORDER BY metric, door, kind, code) \
         FROM azure_ad_auth.stat \
         WHERE value > 0 AND metric IN ('admitted', 'refused', 'key_waits', 'admission_time_count')",
    )
}

fn number(cluster: &Cluster, metric: &str) -> u64 {
    let query = format!("SELECT sum(value) FROM azure_ad_auth.stat WHERE metric = '{metric}'");
    cluster.sql(&query).parse().expect("a number")
}

fn of_role(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT admitted, refused, last_code, last_admitted > now() - interval '1 min', \
         last_refused > now() - interval '1 min' FROM azure_ad_auth.stat_principals WHERE role_name = '{role}'"
    ))
}

fn reset(cluster: &Cluster) {
    cluster.sql("SELECT azure_ad_auth.stat_reset()");
    assert_eq!(counted(cluster), "");
}

/// Creates a role of each kind.
fn with_roles(cluster: &Cluster) {
    for (role, object, kind) in
        [("ann", PERSON, "user"), ("billing", APPLICATION, "service"), ("dbas", GROUP, "group")]
    {
        link(cluster, role, object, kind);
    }
    cluster.sql("CREATE ROLE bob LOGIN PASSWORD 'b'");
}

fn admitted(door: Door, kind: &str) -> String {
    let door = door.name();
    format!("admission_time_count {door} 1, admitted {door} {kind} 1")
}

#[test]
fn each_login_adds_what_it_came_to_once() {
    at_every_door("", |door, cluster, _provider| {
        with_roles(&cluster);
        let now = unix_now();
        let token = |name: &str, value: Value| KEY.token(&with(user_v1(now), name, value));
        let refused = |code: &str| format!("refused {} {code} 1", door.name());
        let good = KEY.token(&user_v1(now));
        // A token that claims to be signed with the provider's key.
        let forged = Signer::new("key-1").token(&user_v1(now));
        let cases = [
            ("ann", good.clone(), admitted(door, "user")),
            ("billing", KEY.token(&app_v2(now)), admitted(door, "service")),
            ("dbas", good.clone(), admitted(door, "user")),
            ("dbas", token("groups", json!([PERSON])), refused("not_a_member")),
            ("ann", token("exp", json!(1_600_000_000)), refused("expired")),
            ("ann", token("oid", json!(APPLICATION)), refused("oid_mismatch")),
            ("ann", token("tid", json!(OTHER_TENANT)), refused("wrong_tenant")),
            ("ann", KEY.token(&app_v1(now)), refused("wrong_kind")),
            ("ann", "not-a-token".to_owned(), refused("invalid_format")),
            ("ann", forged, refused("bad_signature")),
            // Roles that are not linked, and names without a role.
            ("bob", "b".to_owned(), String::new()),
            ("bob", "wrong".to_owned(), String::new()),
            ("nobody", good.clone(), String::new()),
        ];
        for (role, token, expected) in cases {
            reset(&cluster);
            let outcome = cluster.login(role, &token);
            assert_eq!(counted(&cluster), expected, "{role}: {outcome:?}");
        }
        reset(&cluster);
        let outcome = cluster.plain_client().login(&[("user", "ann"), ("database", "postgres")], &good);
        assert!(matches!(outcome, Outcome::Refused(_)));
        assert_eq!(counted(&cluster), refused("tls_required"));
        // Clients that hang up and refusals by PostgreSQL are not counted.
        reset(&cluster);
        drop(cluster.at_the_prompt("ann"));
        cluster.sql("ALTER ROLE billing NOLOGIN");
        assert!(refusal_message(cluster.login("billing", &good)).ends_with("is not permitted to log in"));
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        assert!(eventually(|| cluster.sql(gone) == "1"));
        assert_eq!(counted(&cluster), "");
    });
}

#[test]
fn the_seal_counts_by_its_own_name_and_what_is_not_logged_counts_too() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.client();
        let token = valid_token();
        assert_eq!(client.login(&[("user", "ann"), ("database", "postgres")], &token), Outcome::Ready);
        // Directly in the catalog, so that only the seal can end the session.
        tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
        assert!(client.query("SELECT 1").is_err());
        let expected = format!("{}, refused seal not_linked 1", admitted(door, "user"));
        assert_eq!(counted(&cluster), expected);
        assert_eq!(of_role(&cluster, "ann"), "1|1|not_linked|t|t");
        cluster.sql("DROP ROLE ann");
        link(&cluster, "ann", PERSON, "user");
        // More refusals than one time window logs.
        let is_spared = || {
            reset(&cluster);
            let mark = cluster.log_mark();
            (0..70).for_each(|_| assert!(matches!(cluster.login("ann", "not-a-token"), Outcome::Refused(_))));
            assert_eq!(counted(&cluster), format!("refused {} invalid_format 70", door.name()));
            cluster.log_since(mark).matches("azure_ad_auth: refused code=invalid_format").count() < 70
        };
        assert!((0..5).any(|_| is_spared()), "the log was to be spared");
    });
}

#[test]
fn a_role_that_another_method_admits_is_counted_at_the_door_that_refuses_it() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let password =
        cluster.sql("CREATE ROLE bob PASSWORD 'b'; SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'");
    let password = password.lines().last().unwrap_or_default().to_owned();
    tamper(&cluster, &format!("UPDATE pg_authid SET rolpassword = '{password}' WHERE rolname = 'ann'"));
    cluster.change_hba("local all postgres trust\nhost all all 127.0.0.1/32 password\n");
    assert_eq!(
        refusal_message(cluster.login("ann", "b")),
        "role \"ann\" is an Azure AD role and can only log in with an access token"
    );
    assert_eq!(counted(&cluster), "refused password wrong_method 1");
    assert_eq!(of_role(&cluster, "ann"), "0|1|wrong_method||t");
}

#[test]
fn many_at_once_are_all_counted() {
    at_every_door("log_min_messages = log\nlog_statement = none", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let good = valid_token();
        let bad = KEY.token(&with(user_v1(unix_now()), "exp", json!(1_600_000_000)));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..100 {
                        let is_bad = number % 4 == 0;
                        let outcome = cluster.login("ann", if is_bad { &bad } else { &good });
                        assert_eq!(outcome == Outcome::Ready, !is_bad, "{outcome:?}");
                    }
                });
            }
        });
        let door = door.name();
        let expected =
            format!("admission_time_count {door} 600, admitted {door} user 600, refused {door} expired 200");
        assert_eq!(counted(&cluster), expected);
        assert_eq!(of_role(&cluster, "ann"), "600|200|expired|t|t");
        let buckets = "SELECT array_agg(value ORDER BY le) = array_agg(value ORDER BY value), max(value), \
                       (array_agg(le ORDER BY le))[1], (array_agg(le ORDER BY le DESC))[1], count(*) \
                       FROM azure_ad_auth.stat WHERE metric = 'admission_time_bucket' AND door = ";
        assert_eq!(cluster.sql(&format!("{buckets}'{door}'")), "t|600|5e-05|Infinity|8");
        let mean = number(&cluster, "admission_time_microseconds") / 600;
        assert!((10..100_000).contains(&mean), "{mean} µs");
    });
}

#[test]
fn waits_for_keys_are_counted_with_how_long_they_were() {
    at_every_door(
        "azure_ad_auth.unknown_key_wait = 2s\nazure_ad_auth.key_refresh_cooldown = 1s",
        |door, cluster, provider| {
            link(&cluster, "ann", PERSON, "user");
            assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
            assert_eq!(number(&cluster, "key_waits"), 0);
            reset(&cluster);
            provider.publish(vec![KEY.clone(), NEW_KEY.clone()]);
            thread::sleep(Duration::from_millis(1_500));
            assert_eq!(login_with_key(&cluster, &NEW_KEY), Outcome::Ready);
            let name = door.name();
            assert_eq!(
                counted(&cluster),
                format!("admission_time_count {name} 1, admitted {name} user 1, key_waits 1")
            );
            let (waited, took) =
                (number(&cluster, "key_wait_milliseconds"), number(&cluster, "admission_time_microseconds"));
            assert!(waited < 2_000 && took >= waited * 1_000, "{waited} ms in {took} µs");
            reset(&cluster);
            provider.behave(Behavior::Hang);
            thread::sleep(Duration::from_millis(1_500));
            assert_eq!(refusal_message(login_with_key(&cluster, &Signer::new("key-3"))), UNVERIFIED);
            assert_eq!(counted(&cluster), format!("key_waits 1, refused {name} unknown_key 1"));
            let waited = number(&cluster, "key_wait_milliseconds");
            assert!((1_900..20_000).contains(&waited), "{waited} ms");
        },
    );
}

#[test]
fn monitors_look_and_superusers_reset() {
    let (cluster, _provider) = Scene::new().settings("max_connections = 100").start();
    with_roles(&cluster);
    cluster.sql("CREATE ROLE metrics LOGIN PASSWORD 'm'; GRANT pg_monitor TO metrics");
    // The same rows as before the first login.
    let shape = "SELECT metric, count(*), count(door), count(kind), count(code), count(le) FROM azure_ad_auth.stat \
                 GROUP BY metric ORDER BY metric";
    let expected = "admission_time_bucket|24|24|0|0|24\nadmission_time_count|3|3|0|0|0\n\
                    admission_time_microseconds|3|3|0|0|0\nadmitted|6|6|6|0|0\n\
                    directory_cache_hits|1|0|0|0|0\ndirectory_requests|24|0|24|24|0\n\
                    directory_wait_milliseconds|2|0|2|0|0\ndirectory_waits|2|0|2|0|0\ngroup_sync|8|0|0|8|0\nkey_wait_milliseconds|1|0|0|0|0\n\
                    key_waits|1|0|0|0|0\nrefused|120|120|0|120|0";
    assert_eq!(cluster.sql(shape), expected);
    let began = "SELECT DISTINCT since BETWEEN pg_postmaster_start_time() - interval '2 s' AND now() FROM azure_ad_auth.stat";
    assert_eq!(cluster.sql(began), "t");
    let mut ann = cluster.session("ann", &valid_token());
    let session = |role: &str, password: &str| {
        let mut client = cluster.client();
        let outcome = client.login(&[("user", role), ("database", "postgres")], password);
        assert_eq!(outcome, Outcome::Ready);
        client
    };
    let (mut metrics, mut bob) = (session("metrics", "m"), session("bob", "b"));
    let sum = "SELECT sum(value) FROM azure_ad_auth.stat WHERE metric = 'admitted'";
    assert_eq!(value(&mut metrics, sum), "1");
    assert_eq!(value(&mut metrics, "SELECT role_name FROM azure_ad_auth.stat_principals"), "ann");
    let denied = |client: &mut RawClient, statement: &str| {
        let error = client.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}");
    };
    for client in [&mut ann, &mut bob, &mut metrics] {
        denied(client, "SELECT azure_ad_auth.stat_reset()");
    }
    for client in [&mut ann, &mut bob] {
        for what in ["stat", "stat_principals", "list_stat()", "list_stat_principals()"] {
            denied(client, &format!("SELECT * FROM azure_ad_auth.{what}"));
        }
    }
    let since = "SELECT extract(epoch FROM min(since))::bigint FROM azure_ad_auth.stat";
    let before: i64 = cluster.sql(since).parse().expect("a time");
    cluster.sql("SELECT pg_sleep(1.1)");
    reset(&cluster);
    assert_eq!(cluster.sql("SELECT sum(value), count(*) FROM azure_ad_auth.stat"), "0|195");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.stat_principals"), "0");
    assert!(cluster.sql(since).parse::<i64>().expect("a time") > before);
    let memory = "SELECT sum(allocated_size) <= 1024 * 1024, count(*) FROM pg_shmem_allocations WHERE name LIKE 'azure\\_ad\\_auth%'";
    assert_eq!(cluster.sql(memory), "t|12");
}

#[test]
fn a_role_is_known_by_what_it_is_and_not_by_its_name() {
    let (cluster, _provider) = Scene::new().start();
    with_roles(&cluster);
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    assert_eq!(of_role(&cluster, "ann"), "1|0||t|");
    cluster.sql("ALTER ROLE ann RENAME TO anna");
    let expired = KEY.token(&with(user_v1(unix_now()), "exp", json!(1_600_000_000)));
    assert!(matches!(cluster.login("anna", &expired), Outcome::Refused(_)));
    assert_eq!(of_role(&cluster, "anna"), "1|1|expired|t|t");
    // Roles that are not linked are not listed, however many logins are tried.
    for role in ["bob", "nobody", "azure_ad_user"] {
        assert!(matches!(cluster.login(role, &expired), Outcome::Refused(_)), "{role}");
    }
    let names = "SELECT string_agg(coalesce(role_name, 'gone'), ' ' ORDER BY role_name) FROM azure_ad_auth.stat_principals";
    assert_eq!(cluster.sql(names), "anna");
    cluster.sql("DROP ROLE anna");
    assert_eq!(cluster.sql(names), "gone");
    cluster.restart();
    assert_eq!(cluster.sql("SELECT sum(value) FROM azure_ad_auth.stat"), "0");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.stat_principals"), "0");
}

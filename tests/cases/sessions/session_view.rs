//! The view of sessions, and what a session knows of its token.

use testbed::client::Outcome;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, app_v2, unix_now, user_v1};
use testbed::scene::KEY;
use testbed::waits::eventually;

use crate::common::doors::at_every_door;
use crate::common::login::{session_count, valid_token, value};
use crate::common::statements::link;

#[test]
fn the_view_says_who_is_in() {
    at_every_door("", |door, cluster, _provider| {
        for (role, object, kind) in
            [("ann", PERSON, "user"), ("readers", GROUP, "group"), ("billing", APPLICATION, "service")]
        {
            link(&cluster, role, object, kind);
        }
        cluster.sql("CREATE ROLE metrics LOGIN PASSWORD 'm'; GRANT pg_monitor TO metrics");
        let now = unix_now();
        let mut ann = cluster.session("ann", &KEY.token(&user_v1(now)));
        let readers = cluster.session("readers", &KEY.token(&user_v1(now)));
        let billing = cluster.session("billing", &KEY.token(&app_v2(now)));
        let rows = "SELECT concat_ws(' ', role_name, object_id, tenant_id = (SELECT tenant_id FROM azure_ad_auth.principals LIMIT 1), kind, \
                      coalesce(via_group::text, '-'), client_app, coalesce(display_name, '-'), token_id, key_id, door, \
                      extract(epoch FROM token_issued_at)::bigint, extract(epoch FROM token_expires_at)::bigint, \
                      logged_in_at BETWEEN now() - interval '1 min' AND now() + interval '1 s', \
                      pid IN (SELECT pid FROM pg_stat_activity WHERE usename = role_name)) \
                    FROM azure_ad_auth.sessions ORDER BY role_name";
        let (from, user, app) = (now - 300, now + 3_600, now + 86_400);
        let door = door.name();
        let expected = [
            format!(
                "ann {PERSON} t user - {CLIENT} ann@contoso.example token-1 key-1 {door} {from} {user} t t"
            ),
            format!("billing {APPLICATION} t service - {CLIENT} - token-4 key-1 {door} {from} {app} t t"),
            format!(
                "readers {PERSON} t user {GROUP} {CLIENT} ann@contoso.example token-1 key-1 {door} {from} {user} t t"
            ),
        ];
        assert_eq!(cluster.sql(rows).lines().collect::<Vec<_>>(), expected);
        // Every role sees its own sessions, pg_monitor sees all.
        let own = "SELECT string_agg(role_name, ' ') FROM azure_ad_auth.sessions";
        assert_eq!(value(&mut ann, own), "ann");
        let mut metrics = cluster.client();
        let outcome = metrics.login(&[("user", "metrics"), ("database", "postgres")], "m");
        assert_eq!(outcome, Outcome::Ready);
        assert_eq!(value(&mut metrics, "SELECT count(*) FROM azure_ad_auth.sessions"), "3");
        drop((readers, billing));
        assert!(eventually(
            || cluster.sql("SELECT string_agg(role_name, ' ') FROM azure_ad_auth.sessions") == "ann"
        ));
        drop(ann);
        assert!(eventually(|| session_count(&cluster) == "0"));
        // A login that PostgreSQL refuses after it was admitted is not listed.
        cluster.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
        let outcome = cluster.login("ann", &KEY.token(&user_v1(now)));
        assert!(matches!(outcome, Outcome::Refused(error) if error.sqlstate == "42501"));
        assert!(eventually(|| session_count(&cluster) == "0"));
    });
}

#[test]
fn lines_of_the_log_join_with_all_others_of_the_session() {
    at_every_door("log_line_prefix = 'line=%c '", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mark = cluster.log_mark();
        let mut ann = cluster.session("ann", &valid_token());
        assert_eq!(value(&mut ann, "SELECT 1"), "1");
        assert!(matches!(cluster.login("ann", "no-token"), Outcome::Refused(_)));
        let place = testbed::expect::door_and_method(door);
        for (verdict, count) in [("accepted role=ann ", 1), ("refused code=invalid_format role=ann ", 1)] {
            let log = cluster.log_since(mark);
            let lines: Vec<_> = log
                .lines()
                .filter(|line| line.contains(&format!("azure_ad_auth: {verdict}{place} session=")))
                .collect();
            assert_eq!(lines.len(), count, "{log}");
            let id = lines[0].split("line=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
            assert!(lines[0].contains(&format!(" session={id} ")), "{}", lines[0]);
        }
    });
}

#[test]
fn a_session_knows_what_its_token_said() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE ROLE writers; GRANT writers TO ann");
        let mut ann = cluster.session("ann", &valid_token());
        for act in ["SELECT 1", "SET ROLE writers", "RESET ROLE", "SET SESSION AUTHORIZATION ann"] {
            assert!(ann.query(act).is_ok(), "{act}");
            for (claim, expected) in [
                ("oid", PERSON),
                ("upn", "ann@contoso.example"),
                ("groups", &format!("[\"{GROUP}\"]")),
                ("aio", ""),
                ("rh", ""),
                ("nothing", ""),
            ] {
                let query = format!("SELECT coalesce(azure_ad_auth.session_claim('{claim}'), '')");
                assert_eq!(value(&mut ann, &query), expected, "{claim} after {act}");
            }
        }
        let whole = "SELECT azure_ad_auth.session_claims() @> jsonb_build_object('oid', azure_ad_auth.session_claim('oid'), 'ver', '1.0') \
                       AND NOT azure_ad_auth.session_claims() ?| ARRAY['aio', 'rh']";
        assert_eq!(value(&mut ann, whole), "t");
        // The claims are those of the leader, also in parallel workers.
        let force = if cluster.major() < 16 { "force_parallel_mode" } else { "debug_parallel_query" };
        assert!(ann.query(&format!("SET {force} = on")).is_ok());
        assert_eq!(
            value(&mut ann, "SELECT count(*) FROM pg_class WHERE azure_ad_auth.session_claim('oid') IS NULL"),
            "0"
        );
        for act in ["DISCARD ALL", "SET work_mem = '64kB'"] {
            assert!(ann.query(act).is_ok(), "{act}");
            assert_eq!(value(&mut ann, "SELECT azure_ad_auth.session_claim('oid')"), PERSON, "after {act}");
        }
        // A query in a process that does not know the claims does not remove them.
        let peek = "CREATE FUNCTION pg_temp.peek() RETURNS SETOF text LANGUAGE plpgsql PARALLEL SAFE AS \
                    $$ BEGIN RETURN QUERY SELECT azure_ad_auth.session_claim('oid'); END $$";
        assert!(ann.query(peek).is_ok());
        assert_eq!(value(&mut ann, "SELECT pg_temp.peek()"), PERSON);
        let _ = ann.query(&format!("SET {force} = on"));
        let error = ann.query("SELECT pg_temp.peek()").expect_err("a worker answered");
        assert_eq!(error.message, "the claims of a session cannot be read in a parallel worker");
        // A session without a token has none.
        assert_eq!(
            cluster.sql(
                "SELECT azure_ad_auth.session_claims() IS NULL AND azure_ad_auth.session_claim('oid') IS NULL"
            ),
            "t"
        );
    });
}

//! Behind PgBouncer, which logs in once and lets many clients take turns.

use serde_json::json;
use trial::client::{Outcome, RawClient};
use trial::cluster::eventually;
use trial::issuer::*;
use trial::pooler::{LONGEST_TOKEN, Pooler};

use crate::sessions::{count, value};
use crate::{KEY, link, scene};

fn client(pooler: &Pooler, user: &str) -> RawClient {
    let mut client = pooler.client().expect("a connection");
    assert_eq!(
        client.login(&[("user", user), ("database", "postgres")], ""),
        Outcome::Ready,
        "{}",
        pooler.log()
    );
    client
}

/// Who PostgreSQL takes a client for.
const IDENTITY: &str = "SELECT concat_ws(' ', session_user, azure_ad_auth.session_claim('oid'), azure_ad_auth.session_claims() ->> 'uti')";

#[test]
fn a_poolers_clients_are_who_it_logged_in_as_for_as_long_as_its_token_counts() {
    let (cluster, _provider) =
        scene("azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = '1h'");
    link(&cluster, "ann", PERSON, "user");
    let claims = |uti: &str, expires_at: i64| {
        with(with(user_v1(unix_now()), "uti", json!(uti)), "exp", json!(expires_at))
    };
    let first = claims("first", unix_now());
    let pooler = Pooler::start(&cluster, "ann", &KEY.token_of_length(&first, LONGEST_TOKEN));
    // Whatever they call themselves.
    let mut clients = ["someone", "somebody"].map(|user| client(&pooler, user));
    for turn in ["SELECT 1", "DISCARD ALL", "SELECT 1"] {
        for client in &mut clients {
            assert!(client.query(turn).is_ok(), "{turn}");
            assert_eq!(value(client, IDENTITY), format!("ann {PERSON} first"), "after {turn}");
        }
    }
    let [one, other] = clients.each_mut().map(|client| value(client, "SELECT pg_backend_pid()"));
    assert_eq!(one, other);
    assert_eq!(cluster.sql("SELECT pid, token_id FROM azure_ad_auth.sessions"), format!("{one}|first"));
    // It ends, here in the middle of somebody's transaction, and nobody gets in with that token again.
    let [one, other] = &mut clients;
    assert!(one.query("BEGIN").is_ok());
    let mark = cluster.log_mark();
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.clock_skew = 0");
    cluster.set("azure_ad_auth.session_expiry_grace", "0");
    assert!(eventually(|| count(&cluster) == "0"));
    for client in [one, other] {
        assert_eq!(client.query("SELECT 1").expect_err("it went on").severity, "FATAL", "{}", pooler.log());
    }
    cluster.await_log(mark, "azure_ad_auth: ended reason=expired role=ann ");
    cluster.await_log(mark, "azure_ad_auth: refused code=expired role=ann ");
    assert!(pooler.log().contains("login failed: FATAL: the access token has expired"), "{}", pooler.log());
    // With another token it goes on, for everybody.
    pooler.renew(&KEY.token(&claims("second", unix_now() + 3_600)));
    let expected = format!("ann {PERSON} second");
    let answer = || client(&pooler, "someone").query(IDENTITY);
    assert!(eventually(|| answer() == Ok(vec![Some(expected.clone())])), "{}", pooler.log());
    assert_eq!(cluster.sql("SELECT token_id FROM azure_ad_auth.sessions"), "second");
}

//! Sessions of PgBouncer, which logs in once and serves many clients.

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::pooler::Pooler;
use testbed::scene::KEY;
use testbed::waits::eventually;

use crate::common::documents::shown_file;
use crate::common::doors::at_every_prompt;
use crate::common::login::{session_count, value};
use crate::common::statements::link;
use serde_json::json;

const ROLE: &str = "ann@contoso.example";

/// PgBouncer 1.17 to 1.25 truncates longer tokens.
const LONGEST_TOKEN: usize = 2_047;

/// Returns the configuration that the document shows, for this server, with one connection that is
/// reset after each transaction.
fn configuration(cluster: &Cluster, token: &str) -> String {
    let replace = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in the document");
        text.replace(from, to)
    };
    let shown = shown_file("docs/sessions.md", "pgbouncer.ini");
    let host = format!("host=127.0.0.1 port={} pool_size=1", cluster.port);
    let text = replace(shown, "host=db.example.com", &host);
    let text = replace(text, "eyJ0eXAi...", token);
    let ca_file = cluster.path("ca.pem");
    let text = replace(text, "/etc/ssl/certs/ca-certificates.crt", ca_file.to_str().expect("a path"));
    text + "server_reset_query = DISCARD ALL\nserver_reset_query_always = 1\n"
}

/// Connects a client under a user name.
fn client(pooler: &Pooler, name: &str) -> RawClient {
    let mut client = pooler.client().expect("a connection");
    assert_eq!(client.login(&[("user", name), ("database", "ann")], ""), Outcome::Ready, "{}", pooler.log());
    client
}

/// A query for the identity of a session.
const IDENTITY: &str = "SELECT concat_ws(' ', session_user, azure_ad_auth.session_claim('oid'), azure_ad_auth.session_claims() ->> 'uti')";

#[test]
fn a_poolers_clients_are_who_it_logged_in_as_for_as_long_as_its_token_counts() {
    let settings = "azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = '1h'";
    at_every_prompt(settings, |_, cluster, _provider| {
        link(&cluster, ROLE, PERSON, "user");
        let claims = |uti: &str, expires_at: i64| {
            with(with(user_v1(unix_now()), "uti", json!(uti)), "exp", json!(expires_at))
        };
        let first = claims("first", unix_now());
        let pooler = Pooler::start(&configuration(&cluster, &KEY.token_of_length(&first, LONGEST_TOKEN)));
        // Whatever user name they give.
        let mut clients = ["someone", "somebody"].map(|user| client(&pooler, user));
        for turn in ["SELECT 1", "DISCARD ALL", "SELECT 1"] {
            for client in &mut clients {
                assert!(client.query(turn).is_ok(), "{turn}");
                assert_eq!(value(client, IDENTITY), format!("{ROLE} {PERSON} first"), "after {turn}");
            }
        }
        let [one, other] = clients.each_mut().map(|client| value(client, "SELECT pg_backend_pid()"));
        assert_eq!(one, other);
        assert_eq!(cluster.sql("SELECT pid, token_id FROM azure_ad_auth.sessions"), format!("{one}|first"));
        // The session ends, here in the middle of a transaction, and the token is not accepted
        // again.
        let [one, other] = &mut clients;
        assert!(one.query("BEGIN").is_ok());
        let mark = cluster.log_mark();
        cluster.sql("ALTER SYSTEM SET azure_ad_auth.clock_skew = 0");
        cluster.set("azure_ad_auth.session_expiry_grace", "0");
        assert!(eventually(|| session_count(&cluster) == "0"));
        for client in [one, other] {
            assert_eq!(
                client.query("SELECT 1").expect_err("it went on").severity,
                "FATAL",
                "{}",
                pooler.log()
            );
        }
        cluster.await_log(mark, &format!("azure_ad_auth: ended reason=expired role={ROLE} "));
        cluster.await_log(mark, &format!("azure_ad_auth: refused code=expired role={ROLE} "));
        assert!(
            pooler.log().contains("login failed: FATAL: the access token has expired"),
            "{}",
            pooler.log()
        );
        // With another token all clients go on.
        pooler.reload(&configuration(&cluster, &KEY.token(&claims("second", unix_now() + 3_600))));
        let expected = format!("{ROLE} {PERSON} second");
        let answer = || client(&pooler, "someone").query(IDENTITY);
        assert!(eventually(|| answer() == Ok(vec![Some(expected.clone())])), "{}", pooler.log());
        assert_eq!(cluster.sql("SELECT token_id FROM azure_ad_auth.sessions"), "second");
    });
}

//! A warning to clients whose token is about to expire.

use testbed::client::{Outcome, RawClient, psql};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::lacks_token;
use testbed::scene::KEY;

use crate::common::doors::at_every_door_with_ann;
use crate::common::expiry::short_lived;

const MESSAGE: &str = "the access token of this login expires at ";

/// Logs in with a token and returns the client.
fn client(cluster: &Cluster, token: &str) -> RawClient {
    let mut client = cluster.client();
    assert_eq!(client.login(&[("user", "ann"), ("database", "postgres")], token), Outcome::Ready);
    client
}

/// Expects a login with a token that is valid for so many seconds to warn its client, with a
/// DETAIL.
fn warns(cluster: &Cluster, seconds: i64, detail: &str) {
    let token = KEY.token(&short_lived(seconds));
    let mark = cluster.log_mark();
    let client = client(cluster, &token);
    let [warning] = client.notices() else { panic!("{:?}", client.notices()) };
    assert_eq!((warning.severity.as_str(), warning.sqlstate.as_str()), ("WARNING", "01000"));
    assert!(warning.message.starts_with(MESSAGE), "{warning:?}");
    assert!(warning.detail.as_deref().unwrap_or_default().starts_with(detail), "{warning:?}");
    assert!(!cluster.log_since(mark).contains("WARNING:  the access token"), "the log gets none");
    lacks_token(cluster, &token);
}

fn warns_not(cluster: &Cluster, seconds: i64) {
    let client = client(cluster, &KEY.token(&short_lived(seconds)));
    assert_eq!(client.notices(), []);
}

#[test]
fn a_token_that_is_about_to_expire_is_worth_a_warning_where_the_setting_says_so() {
    at_every_door_with_ann("", |door, cluster, _provider| {
        warns_not(&cluster, 30);
        warns_not(&cluster, -10);
        cluster.set("azure_ad_auth.expiry_warning", "5min");
        warns(&cluster, 200, "This session does not end then, but the next login needs another token.");
        warns_not(&cluster, 600);
        cluster.set("azure_ad_auth.session_expiry", "terminate");
        warns(&cluster, 200, "This session ends at ");
        // A token that has expired within clock_skew is worth one, too.
        warns(&cluster, -10, "This session ends at ");
        if door != Door::OAuth {
            let connection =
                format!("host=localhost port={} user=ann dbname=postgres sslmode=require", cluster.port);
            let program = cluster.installation().program("psql");
            let output = psql(&program, &connection, Some(&KEY.token(&short_lived(200))), "SELECT 1");
            assert!(output.success && output.stderr.contains(&format!("WARNING:  {MESSAGE}")), "{output:?}");
        }
        // Roles that are not linked have no token.
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
        let mut client = cluster.client();
        assert_eq!(client.login(&[("user", "local"), ("database", "postgres")], "secret"), Outcome::Ready);
        assert_eq!(client.notices(), []);
    });
}

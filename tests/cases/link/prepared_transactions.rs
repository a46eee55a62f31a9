//! Revocations in a prepared transaction.

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::login::{TERMINATED, end_of, value};
use crate::common::revocation::{SKEW, fresh, revoked};
use crate::common::statements::link;
use serde_json::json;

const OTHER_PERSON: &str = "22222222-aaaa-bbbb-cccc-000000000088";

/// Revokes tokens in a transaction that is prepared and decided later.
fn prepare(cluster: &Cluster, call: &str) {
    let mut client = cluster.superuser();
    for step in ["BEGIN", &format!("SELECT azure_ad_auth.{call}"), "PREPARE TRANSACTION 'later'"] {
        assert!(client.query(step).is_ok(), "{step}");
    }
}

#[test]
fn tokens_count_until_what_takes_them_back_is_committed() {
    let (cluster, _provider) =
        Scene::new().settings(format!("{SKEW}\nmax_prepared_transactions = 1")).start();
    for (role, object, call) in [
        ("ann", PERSON, "revoke_tokens('ann')".to_owned()),
        ("bob", OTHER_PERSON, format!("revoke_principal('{OTHER_PERSON}')")),
    ] {
        link(&cluster, role, object, "user");
        let claims = with(user_v1(unix_now()), "oid", json!(object));
        let mut sessions = vec![cluster.session(role, &KEY.token(&claims))];
        for decision in ["ROLLBACK", "COMMIT"] {
            prepare(&cluster, &call);
            sessions.push(cluster.session(role, &KEY.token(&claims)));
            // Longer than it takes to end a session.
            cluster.sql("SELECT pg_sleep(2.5)");
            for session in &mut sessions {
                assert_eq!(value(session, "SELECT 1"), "1", "before {decision}: {call}");
            }
            cluster.sql(&format!("{decision} PREPARED 'later'"));
            if decision == "ROLLBACK" {
                cluster.sql("SELECT pg_sleep(2.5)");
                assert_eq!(value(&mut sessions[0], "SELECT 1"), "1", "{call}");
                admitted(&cluster, role, &KEY.token(&claims));
            }
        }
        for session in &mut sessions {
            assert_eq!(end_of(session), TERMINATED, "{call}");
        }
        revoked(&cluster, role, &KEY.token(&claims));
        admitted(&cluster, role, &fresh(with(user_v1(unix_now()), "oid", json!(object))));
    }
}

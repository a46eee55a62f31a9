//! Errors that PostgreSQL raises while a token is asked for or verified. At the pam and the oauth
//! door they are raised where no error may pass, and raised again by the hook: the client and the
//! log must get them unchanged.

use testbed::client::{AuthRequest, Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{admitted, lacks_token};
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::doors::{DEBUG_LOG, EVERY_DOOR, at_doors, at_every_door_with_ann, at_every_prompt};
use crate::common::login::valid_token;
use crate::common::statements::link;

/// An error as PostgreSQL words it.
#[derive(Debug, Clone, Copy)]
struct Expected {
    sqlstate: &'static str,
    message: &'static str,
}

const LOCK_TIMEOUT: Expected =
    Expected { sqlstate: "55P03", message: "canceling statement due to lock timeout" };
const WRONG_TYPE: Expected =
    Expected { sqlstate: "08P01", message: "expected password response, got message type 81" };
const WRONG_SASL_TYPE: Expected =
    Expected { sqlstate: "08P01", message: "expected SASL response, got message type 81" };
const WRONG_SIZE: Expected = Expected { sqlstate: "08P01", message: "invalid password packet size" };
const NO_PASSWORD: Expected = Expected { sqlstate: "28P01", message: "empty password returned by client" };

/// Expects that a login ends in an error of PostgreSQL, for the client and in the log, and that
/// nothing was raised out of turn.
fn check(cluster: &Cluster, mark: usize, outcome: &AuthRequest, expected: Expected) {
    let AuthRequest::Finished(Outcome::Refused(error)) = outcome else { panic!("{expected:?}: {outcome:?}") };
    let found = (error.severity.as_str(), error.sqlstate.as_str(), error.message.as_str());
    assert_eq!(found, ("FATAL", expected.sqlstate, expected.message));
    assert_eq!((&error.detail, &error.hint), (&None, &None), "{expected:?}");
    cluster.await_log(mark, &format!("FATAL:  {}", expected.message));
    let log = cluster.log_since(mark);
    assert!(!log.contains("errstart was not called"), "{expected:?}");
    assert!(!log.contains("azure_ad_auth: accepted"), "{expected:?}");
}

/// Returns a session in which a lock keeps all others from reading labels, until it is dropped.
fn session_with_labels_locked(cluster: &Cluster) -> RawClient {
    let mut session = cluster.superuser();
    for statement in ["SET lock_timeout = 0", "BEGIN", "LOCK TABLE pg_shseclabel IN ACCESS EXCLUSIVE MODE"] {
        session.query(statement).expect("the statement works");
    }
    session
}

#[test]
fn an_error_during_verification_reaches_the_client_unchanged() {
    at_every_door_with_ann("lock_timeout = 300ms", |_, cluster, _provider| {
        let token = valid_token();
        let mut client = cluster.at_the_prompt("ann");
        let lock = session_with_labels_locked(&cluster);
        let mark = cluster.log_mark();
        client.send_token(&token).expect("a connection");
        check(&cluster, mark, &client.auth_request(), LOCK_TIMEOUT);
        lock.disconnect();
        admitted(&cluster, "ann", &token);
        lacks_token(&cluster, &token);
    });
}

#[test]
fn an_error_before_the_prompt_reaches_the_client_unchanged() {
    // By OAUTHBEARER nothing is looked at before there is a token.
    at_every_prompt("lock_timeout = 300ms", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let lock = session_with_labels_locked(&cluster);
        let mark = cluster.log_mark();
        let mut client = cluster.client();
        client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
        check(&cluster, mark, &client.auth_request(), LOCK_TIMEOUT);
        lock.disconnect();
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn a_wrong_message_is_refused_in_the_words_of_postgresql() {
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, _provider) = Scene::new().door(door).settings(DEBUG_LOG).start();
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let with_nul = format!("{token}\0x\0");
        let cases: &[(u8, &[u8], Expected)] = match door {
            Door::Password => &[
                (b'Q', b"SELECT 1\0", WRONG_TYPE),
                (b'p', b"", WRONG_SIZE),
                (b'p', with_nul.as_bytes(), WRONG_SIZE),
            ],
            Door::Pam => &[
                (b'Q', b"SELECT 1\0", WRONG_TYPE),
                (b'p', b"", WRONG_SIZE),
                (b'p', with_nul.as_bytes(), WRONG_SIZE),
                (b'p', b"\0", NO_PASSWORD),
            ],
            Door::OAuth => &[(b'Q', b"SELECT 1\0", WRONG_SASL_TYPE)],
        };
        for (kind, body, expected) in cases {
            let mut client = cluster.at_the_prompt("ann");
            let mark = cluster.log_mark();
            client.send(*kind, body).expect("a connection");
            check(&cluster, mark, &client.auth_request(), *expected);
        }
        admitted(&cluster, "ann", &token);
        lacks_token(&cluster, &token);
    });
}

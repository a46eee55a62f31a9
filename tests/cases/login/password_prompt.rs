//! What a client can do while it is asked for its token: R8, R9, R11. By OAUTHBEARER that is after
//! the server's offer.

use testbed::client::{AuthRequest, Outcome, RawClient, psql};
use testbed::door::Door;
use testbed::expect::{Refusal, check_refusal, lacks_token, without_debug};
use testbed::issuer::{APPLICATION, PERSON};
use testbed::waits::eventually;

use crate::common::doors::{at_every_door, at_every_prompt};
use crate::common::login::valid_token;
use crate::common::statements::link;

const ANN: &str = "Azure AD authentication failed for role \"ann\"";

#[test]
fn r8_a_client_that_hangs_up_leaves_no_noise() {
    at_every_prompt("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mark = cluster.log_mark();
        // As psql does without a password, and as a client that disconnects.
        let connection =
            format!("host=localhost port={} user=ann dbname=postgres sslmode=require", cluster.port);
        let output = psql(&cluster.installation().program("psql"), &connection, None, "SELECT 1");
        assert!(output.stderr.contains("no password supplied"), "{}", output.stderr);
        drop(cluster.at_the_prompt("ann"));
        let gone = eventually(|| {
            cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == "1"
        });
        assert!(gone);
        let said = without_debug(&cluster.log_since(mark));
        let said: Vec<_> = said.lines().filter(|line| line.contains("ann@")).collect();
        // PostgreSQL itself logs that the connection was reset, and from 17 on that `trust` has
        // matched. No line says that a login failed.
        assert!(
            !said.iter().any(|line| line.contains("FATAL") || line.contains("azure_ad_auth:")),
            "{said:?}"
        );
    });
}

#[test]
fn r9_messages_that_are_no_password() {
    at_every_prompt("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let expect = |mut client: RawClient, message: &str| match client.auth_request() {
            AuthRequest::Finished(Outcome::Refused(error)) => {
                assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("08P01", message));
            }
            other => panic!("{other:?}"),
        };
        let mut client = cluster.at_the_prompt("ann");
        client.send(b'Q', b"SELECT 1\0").expect("a connection");
        expect(client, "expected password response, got message type 81");
        for body in [format!("{token}\0x\0"), format!("x\0{token}\0"), token.clone()] {
            let mut client = cluster.at_the_prompt("ann");
            client.send(b'p', body.as_bytes()).expect("a connection");
            expect(client, "invalid password packet size");
        }
        lacks_token(&cluster, &token);
    });
}

#[test]
fn r9_nothing_for_a_password() {
    at_every_prompt("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.at_the_prompt("ann");
        let mark = cluster.log_mark();
        client.send(b'p', b"").expect("a connection");
        match client.auth_request() {
            AuthRequest::Finished(Outcome::Refused(error)) => {
                let said = (error.severity.as_str(), error.sqlstate.as_str(), error.message.as_str());
                assert_eq!(said, ("FATAL", "08P01", "invalid password packet size"));
                assert_eq!((error.detail, error.hint), (None, None));
            }
            other => panic!("{other:?}"),
        }
        assert!(cluster.log_since(mark).contains("FATAL:  invalid password packet size"));
        let mut client = cluster.at_the_prompt("ann");
        let mark = cluster.log_mark();
        client.send(b'p', &[0]).expect("a connection");
        let AuthRequest::Finished(outcome) = client.auth_request() else { panic!("the server asks again") };
        if door == Door::Pam {
            // At that door PostgreSQL reads the message.
            let Outcome::Refused(error) = outcome else { panic!("{outcome:?}") };
            let said = (error.sqlstate.as_str(), error.message.as_str());
            return assert_eq!(said, ("28P01", "empty password returned by client"));
        }
        let message = "the access token has an invalid format (1 part instead of 3, 0 bytes)";
        check_refusal(
            &cluster,
            mark,
            "ann",
            "",
            &outcome,
            &Refusal::sqlstate_28p01("invalid_format", message, &["length=0"]),
        );
    });
}

#[test]
fn r9_a_message_nobody_would_send_is_not_even_read() {
    at_every_prompt("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.at_the_prompt("ann");
        assert_eq!(client.answer(&"A".repeat(200_000)), Outcome::HungUp);
    });
}

#[test]
fn a_password_sent_before_it_is_asked_for_counts_as_in_core() {
    at_every_prompt("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.client();
        client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
        client.send_password(&valid_token()).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Password);
        assert_eq!(client.auth_request(), AuthRequest::Finished(Outcome::Ready));
    });
}

#[test]
fn the_authentication_timeout_ends_a_prompt() {
    at_every_door("authentication_timeout = 1s", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        match cluster.at_the_prompt("ann").auth_request() {
            AuthRequest::Finished(Outcome::Refused(error)) => {
                assert_eq!(error.message, "canceling authentication due to timeout");
            }
            AuthRequest::Finished(Outcome::HungUp) => {}
            other => panic!("{other:?}"),
        }
    });
}

/// Returns the code and the reason for a name that now belongs to another role. By OAUTHBEARER the
/// role is looked up only when the token is there, so it is the link that does not match.
const fn other_role(door: Door) -> (&'static str, &'static str) {
    match door {
        Door::Password | Door::Pam => ("not_linked", "problem="),
        Door::OAuth => ("oid_mismatch", "expected="),
    }
}

#[test]
fn r11_a_rename_during_the_prompt() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "boss", APPLICATION, "user");
        let token = valid_token();
        let mut client = cluster.at_the_prompt("ann");
        // The token of `ann` would now count for the role `boss`.
        cluster.sql("ALTER ROLE ann RENAME TO ann_old; ALTER ROLE boss RENAME TO ann");
        let mark = cluster.log_mark();
        let outcome = client.answer(&token);
        let (code, fact) = other_role(door);
        check_refusal(&cluster, mark, "ann", &token, &outcome, &Refusal::sqlstate_28p01(code, ANN, &[fact]));
    });
}

#[test]
fn r11_a_role_dropped_and_created_again_during_the_prompt() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let mut client = cluster.at_the_prompt("ann");
        cluster.sql("DROP ROLE ann");
        link(&cluster, "ann", PERSON, "user");
        let mark = cluster.log_mark();
        let outcome = client.answer(&token);
        if door == Door::OAuth {
            // Nothing was known about the first role.
            return assert_eq!(outcome, Outcome::Ready);
        }
        check_refusal(
            &cluster,
            mark,
            "ann",
            &token,
            &outcome,
            &Refusal::sqlstate_28p01("not_linked", ANN, &["problem="]),
        );
        testbed::expect::admitted(&cluster, "ann", &token);
    });
}

#[test]
fn r11_what_was_checked_before_the_prompt_is_checked_again() {
    at_every_door("", |_, cluster, _provider| {
        let token = valid_token();
        let early = |code, message| Refusal::sqlstate_28000(code, message, &[]);
        let privileged = "role \"ann\" cannot use Azure AD authentication because it is a superuser, replication or BYPASSRLS role";
        let disabled = "Azure AD authentication is disabled: the server has no Azure AD administrator";
        let restore = "SELECT azure_ad_auth.set_admin('admin', '66666666-aaaa-bbbb-cccc-000000000006')";
        let super_off =
            "SET allow_system_table_mods = on; UPDATE pg_authid SET rolsuper = false WHERE rolname = 'ann'";
        let super_on =
            "SET allow_system_table_mods = on; UPDATE pg_authid SET rolsuper = true WHERE rolname = 'ann'";
        link(&cluster, "ann", PERSON, "user");
        for (during, expected, after) in [
            ("SELECT azure_ad_auth.remove_admin()", early("no_admin", disabled), restore),
            (super_on, early("privileged_role", privileged), super_off),
            (
                "SELECT azure_ad_auth.drop_principal('ann')",
                Refusal::sqlstate_28p01("not_linked", ANN, &[]),
                "SELECT 1",
            ),
        ] {
            let mut client = cluster.at_the_prompt("ann");
            cluster.sql(during);
            let mark = cluster.log_mark();
            let outcome = client.answer(&token);
            check_refusal(&cluster, mark, "ann", &token, &outcome, &expected);
            cluster.sql(after);
        }
        let mut client = {
            link(&cluster, "ann", PERSON, "user");
            cluster.at_the_prompt("ann")
        };
        cluster.sql("ALTER ROLE ann NOLOGIN");
        match client.answer(&token) {
            Outcome::Refused(error) => assert_eq!(error.message, "role \"ann\" is not permitted to log in"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_link_that_counts_is_the_one_at_the_end() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", APPLICATION, "user");
        let token = valid_token();
        let mut client = cluster.at_the_prompt("ann");
        cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user')"));
        assert_eq!(client.answer(&token), Outcome::Ready);
        let mut client = cluster.at_the_prompt("ann");
        cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')"));
        let mark = cluster.log_mark();
        let outcome = client.answer(&token);
        check_refusal(
            &cluster,
            mark,
            "ann",
            &token,
            &outcome,
            &Refusal::sqlstate_28p01("oid_mismatch", ANN, &[]),
        );
    });
}

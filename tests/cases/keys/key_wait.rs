//! Logins while keys are being fetched: they wait, within bounds, or are not affected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use testbed::client::{AuthRequest, Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::{Refusal, admitted, check_refusal, lacks_token, without_debug};
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{APPLICATION, PERSON, Signer, app_v1, b64, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::waits::eventually;

use crate::common::doors::at_every_door;
use crate::common::login::{UNVERIFIED, login_with_key, refusal_message, valid_token};
use crate::common::server::{key_waits, signal_worker};
use crate::common::statements::{link, tamper};
use serde_json::json;

/// Returns a client whose token was signed with a key that is being fetched. The provider hangs.
fn waiting_for_a_key(cluster: &Cluster, provider: &Provider, token: &str) -> RawClient {
    let before = provider.requests();
    let mut client = cluster.at_the_prompt("ann");
    client.send_token(token).expect("a connection");
    assert!(eventually(|| provider.requests() > before), "no fetch has begun");
    client
}

#[test]
fn a_wait_for_a_key_is_bounded_and_holds_up_nobody_else() {
    at_every_door("azure_ad_auth.unknown_key_wait = 4s", |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        provider.behave(Behavior::Hang);
        let token = NEW_KEY.token(&user_v1(unix_now()));
        let mark = cluster.log_mark();
        let mut waiting = waiting_for_a_key(&cluster, &provider, &token);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
        assert!(!cluster.log_since(mark).contains("refused code="), "the first one still waits");
        let AuthRequest::Finished(outcome) = waiting.auth_request() else { panic!("the server asks again") };
        let facts = &["key_id=key-2"];
        let expected =
            Refusal { code: "unknown_key", sqlstate: "28P01", message: UNVERIFIED, hint: None, facts };
        check_refusal(&cluster, mark, "ann", &token, &outcome, &expected);
        // The login did not wait for the end of the fetch, which would have left a line in the log.
        assert!(!cluster.log_since(mark).contains("fetching the signing keys failed"));
    });
}

#[test]
fn the_authentication_timeout_ends_a_wait_for_a_key() {
    at_every_door(
        "azure_ad_auth.unknown_key_wait = 30s\nauthentication_timeout = 2s",
        |_, cluster, provider| {
            link(&cluster, "ann", PERSON, "user");
            provider.behave(Behavior::Hang);
            let token = NEW_KEY.token(&user_v1(unix_now()));
            let mark = cluster.log_mark();
            match waiting_for_a_key(&cluster, &provider, &token).auth_request() {
                AuthRequest::Finished(Outcome::Refused(error)) => {
                    assert_eq!(error.message, "canceling authentication due to timeout");
                }
                AuthRequest::Finished(Outcome::HungUp) => {}
                other => panic!("{other:?}"),
            }
            cluster.await_log(mark, "FATAL:  canceling authentication due to timeout");
            assert!(
                !cluster.log_since(mark).contains("refused code="),
                "{}",
                without_debug(&cluster.log_since(mark))
            );
            lacks_token(&cluster, &token);
            assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
        },
    );
}

#[test]
fn the_server_stops_while_logins_wait() {
    at_every_door("azure_ad_auth.unknown_key_wait = 30s", |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        provider.behave(Behavior::Hang);
        let token = NEW_KEY.token(&user_v1(unix_now()));
        let mut waiting = waiting_for_a_key(&cluster, &provider, &token);
        let mut asked = cluster.at_the_prompt("ann");
        let mark = cluster.log_mark();
        cluster.stop("fast");
        let log = cluster.log_since(mark);
        assert!(log.contains("database system is shut down"), "{}", without_debug(&log));
        // Neither of them waited until its own limit.
        for line in ["terminated by signal", "refused code=", "fetching the signing keys failed"] {
            assert!(!log.contains(line), "{line}: {}", without_debug(&log));
        }
        for client in [&mut waiting, &mut asked] {
            assert!(!matches!(
                client.auth_request(),
                AuthRequest::Password | AuthRequest::Bearer | AuthRequest::Finished(Outcome::Ready)
            ));
        }
        lacks_token(&cluster, &token);
    });
}

#[test]
fn an_answer_that_never_ends_costs_no_login() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for (manners, said) in
        [(Behavior::Drip, "timeout: global"), (Behavior::EndlessHead, "response header is too big: ")]
    {
        provider.behave(manners.clone());
        let before = provider.requests();
        let output = thread::scope(|scope| {
            let refresh = scope.spawn(|| cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()"));
            assert!(eventually(|| provider.requests() > before));
            assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{manners:?}");
            refresh.join().expect("a thread")
        });
        assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{manners:?}");
        assert!(output.stderr.contains(said), "{manners:?}: {}", output.stderr);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{manners:?}");
    }
    provider.behave(Behavior::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

#[test]
fn entries_left_out_are_counted_and_cost_the_good_key_nothing() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let weak = with(NEW_KEY.jwk(), "n", json!(b64(&NEW_KEY.modulus()[128..])));
    let foreign = json!({"kty": "EC", "use": "sig", "kid": "key-3", "crv": "P-256", "x": "AA", "y": "AA"});
    let document = json!({"keys": [weak, KEY.jwk(), foreign]}).to_string();
    provider.behave(Behavior::Body(document));
    let mark = cluster.log_mark();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    // Two entries in each of the documents of both versions.
    let said = "1 signing keys are at hand; 4 entries of the key documents are not usable and were left out";
    cluster.await_log(mark, said);
    assert_eq!(cluster.sql("SELECT key_id FROM azure_ad_auth.signing_keys"), "key-1");
    admitted(&cluster, "ann", &valid_token());
}

#[test]
fn a_key_that_stays_is_there_at_every_moment_of_a_change() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_refresh_interval = 1s").start();
    link(&cluster, "ann", PERSON, "user");
    let stays = || Arc::clone(&KEY);
    // One set has two keys before the one that stays, the other has none, so that it changes its
    // place.
    let sets = [
        vec![Arc::new(Signer::new("key-0")), Arc::new(Signer::new("key-00")), stays()],
        vec![stays(), Arc::clone(&NEW_KEY)],
    ];
    let done = AtomicBool::new(false);
    let log_in = || {
        let mut outcomes = Vec::new();
        while !done.load(Ordering::SeqCst) || outcomes.len() < 40 {
            outcomes.push(login_with_key(&cluster, &KEY));
        }
        outcomes
    };
    let (counts, outcomes) = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(log_in)).collect();
        let publish = |set: &Vec<Arc<Signer>>| {
            provider.publish(set.clone());
            cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()").stdout
        };
        let counts: Vec<_> = sets.iter().cycle().take(40).map(publish).collect();
        done.store(true, Ordering::SeqCst);
        let outcomes = threads.into_iter().flat_map(|thread| thread.join().expect("a thread"));
        (counts, outcomes.collect::<Vec<_>>())
    });
    assert_eq!(counts, ["3", "2"].repeat(20));
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ready), "{}", without_debug(&cluster.log()));
}

#[test]
fn a_provider_that_asks_for_patience_is_left_alone() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_refresh_interval = 1s").start();
    link(&cluster, "ann", PERSON, "user");
    // If the provider does not ask for a pause, the schedule goes on.
    provider.behave(Behavior::Status(503, ""));
    let before = provider.requests();
    assert!(eventually(|| provider.requests() >= before + 3));
    let mark = cluster.log_mark();
    provider.behave(Behavior::Status(429, "retry-after: 3600\r\n"));
    cluster.await_log(mark, "answered with status 429");
    let before = provider.requests();
    provider.behave(Behavior::Good);
    // Neither an unknown key, nor a reload, nor a new worker causes a fetch.
    assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNVERIFIED);
    cluster.reload();
    signal_worker(&cluster, libc::SIGTERM);
    thread::sleep(Duration::from_secs(4));
    assert_eq!(provider.requests(), before);
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    // An administrator can fetch at once, and after a success the schedule goes on.
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert!(eventually(|| provider.requests() >= before + 6));
}

/// An unknown key is fetched only if the token would admit the role if its signature were valid.
#[test]
fn only_a_token_that_would_open_the_role_causes_a_fetch() {
    at_every_door("azure_ad_auth.key_refresh_cooldown = 1s", |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        let now = unix_now();
        let others = [
            ("another object's", with(user_v1(now), "oid", json!(APPLICATION)), ""),
            ("an application's", app_v1(now), ""),
            ("one without a second factor", with(user_v1(now), "amr", json!(["pwd"])), "mfa"),
            ("a revoked one", with(user_v1(now), "iat", json!(now - 3_000)), "revoke_tokens"),
            ("an object's that is out", with(user_v1(now), "iat", json!(now - 3_000)), "revoke_principal"),
            ("a privileged role's", user_v1(now), "superuser"),
            ("a role's without a link", user_v1(now), "unlinked"),
        ];
        let update = |mfa: bool| {
            let mfa = format!("is_mfa => {mfa}");
            cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', {mfa})"));
        };
        let privileged = |on: bool| {
            tamper(&cluster, &format!("UPDATE pg_authid SET rolsuper = {on} WHERE rolname = 'ann'"));
        };
        for (whose, claims, what) in &others {
            let token = NEW_KEY.token(claims);
            let mut client = cluster.at_the_prompt("ann");
            match *what {
                "mfa" => update(true),
                "revoke_tokens" => drop(cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')")),
                "revoke_principal" => {
                    drop(cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')")));
                }
                "superuser" => privileged(true),
                "unlinked" => {
                    tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'ann'::regrole");
                }
                _ => {}
            }
            let before = counts(&cluster, &provider);
            let mark = cluster.log_mark();
            client.send_token(&token).expect("a connection");
            assert!(matches!(client.auth_request(), AuthRequest::Finished(Outcome::Refused(_))), "{whose}");
            assert_eq!(
                counts(&cluster, &provider),
                before,
                "{whose}: {}",
                without_debug(&cluster.log_since(mark))
            );
            match *what {
                "mfa" => update(false),
                "superuser" => privileged(false),
                _ => {}
            }
        }
        // A token of the right object does.
        cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL; DROP ROLE ann");
        link(&cluster, "ann", PERSON, "user");
        provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
        let fetches = || cluster.sql("SELECT on_demand_fetches FROM azure_ad_auth.key_status");
        assert_eq!(fetches(), "0");
        admitted(&cluster, "ann", &NEW_KEY.token(&user_v1(unix_now())));
        assert_eq!(fetches(), "1");
    });
}

/// Returns how many requests the provider has received, and how often a login has waited.
fn counts(cluster: &Cluster, provider: &Provider) -> (usize, u64) {
    (provider.requests(), key_waits(cluster))
}

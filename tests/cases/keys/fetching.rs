//! Keys that are fetched over HTTPS, rotated, or missing.

use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use testbed::client::Outcome;
use testbed::expect::without_debug;
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{APPLICATION, CLIENT, KEY_ISSUER, OTHER_TENANT, PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::template::Template;
use testbed::waits::eventually;

use crate::common::doors::at_every_door;
use crate::common::login::{
    UNAVAILABLE, UNVERIFIED, login_with_key, message_or_ready, refusal_message, valid_token,
};
use crate::common::server::key_waits;
use crate::common::statements::link;
use serde_json::json;

#[test]
fn a_token_of_a_new_key_gets_in_at_first_try() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    let before = provider.requests();
    assert_eq!(login_with_key(&cluster, &NEW_KEY), Outcome::Ready);
    assert_eq!(provider.requests(), before + 2, "one fetch: the documents of both versions");
    // The old key is withdrawn. Its tokens are refused as soon as a fetch has succeeded without it.
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNVERIFIED);
    assert_eq!(login_with_key(&cluster, &NEW_KEY), Outcome::Ready);
}

#[test]
fn unknown_keys_cause_one_fetch_per_cooldown_and_tokens_that_could_not_pass_none() {
    let settings = format!("azure_ad_auth.allowed_clients = '{CLIENT}'");
    at_every_door(&settings, |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        let (before, now) = (provider.requests(), unix_now());
        for (claim, value) in [
            ("ver", json!("3.0")),
            ("tid", json!(OTHER_TENANT)),
            ("iss", json!("https://sts.windows.net/other/")),
            ("aud", json!("other")),
            ("nbf", json!(now + 3_600)),
            ("exp", json!(1)),
            ("appid", json!(APPLICATION)),
            ("scp", json!("")),
        ] {
            let token = NEW_KEY.token(&with(user_v1(now), claim, value));
            assert_eq!(refusal_message(cluster.login("ann", &token)), UNVERIFIED, "{claim}");
        }
        let fetched_since = |before| {
            let settled = || cluster.sql("SELECT fetching FROM azure_ad_auth.key_status") == "f";
            eventually(|| provider.requests() >= before + 2 && settled())
        };
        cluster.set("azure_ad_auth.required_permission", "other");
        assert!(fetched_since(before), "a reload fetches the documents of both versions");
        let before = provider.requests();
        assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNVERIFIED);
        assert_eq!((provider.requests(), key_waits(&cluster)), (before, 0));
        cluster.sql("ALTER SYSTEM RESET azure_ad_auth.required_permission");
        cluster.reload();
        assert!(fetched_since(before), "a reload fetches the documents of both versions");
        let before = provider.requests();
        for _ in 0..20 {
            assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNVERIFIED);
        }
        assert_eq!((provider.requests(), key_waits(&cluster)), (before + 2, 1), "the others did not wait");
    });
}

#[test]
fn a_short_cooldown_passes() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_refresh_cooldown = 1s").start();
    link(&cluster, "ann", PERSON, "user");
    assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNVERIFIED);
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert!(eventually(|| login_with_key(&cluster, &NEW_KEY) == Outcome::Ready));
}

#[test]
fn keys_are_fetched_on_schedule() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_refresh_interval = 1s").start();
    link(&cluster, "ann", PERSON, "user");
    let before = provider.requests();
    assert!(eventually(|| provider.requests() >= before + 6));
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert!(eventually(|| message_or_ready(&cluster) == UNVERIFIED), "the schedule drops an old key");
}

#[test]
fn logins_wait_for_the_first_fetch() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    // A few logins within the default wait, and many with a long wait at a slower provider.
    for (wait, slow, count) in [("2s", 1, 4), ("20s", 2, 40)] {
        cluster.set("azure_ad_auth.unknown_key_wait", wait);
        provider.behave(Behavior::Slow(Duration::from_secs(slow)));
        cluster.stop("fast");
        fs::remove_file(cluster.key_snapshot()).expect("a snapshot");
        cluster.start();
        let logins: Vec<_> = thread::scope(|scope| {
            let login = || login_with_key(&cluster, &KEY);
            let logins: Vec<_> = (0..count).map(|_| scope.spawn(login)).collect();
            logins.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for login in logins {
            assert_eq!(login.expect("a thread"), Outcome::Ready, "{wait}: {}", without_debug(&cluster.log()));
        }
        cluster.await_keys();
    }
    assert!(key_waits(&cluster) > 0, "somebody came before the keys");
}

#[test]
fn keys_from_a_file() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let file = cluster.folder().write("keys.json", json!({"keys": [NEW_KEY.jwk()]}).to_string());
    let before = provider.requests();
    cluster.set("azure_ad_auth.key_source", &file.display().to_string());
    assert!(eventually(|| login_with_key(&cluster, &NEW_KEY) == Outcome::Ready));
    assert_eq!(
        refusal_message(login_with_key(&cluster, &KEY)),
        UNVERIFIED,
        "keys of the old origin are gone"
    );
    assert_eq!(provider.requests(), before);
    assert_eq!(
        cluster.sql("SELECT key_id, issuer, source FROM azure_ad_auth.signing_keys"),
        format!("key-2|{KEY_ISSUER}|{}", file.display())
    );
    for (path, said) in [
        ("/nowhere/keys.json", "No such file"),
        ("/dev/zero", "not a regular file"),
        ("/etc", "not a regular file"),
        ("/etc/passwd", "the key document cannot be read: not JSON"),
    ] {
        let mark = cluster.log_mark();
        cluster.set("azure_ad_auth.key_source", path);
        cluster.await_log(mark, said);
        assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNAVAILABLE, "{path}");
    }
}

#[test]
fn one_url_in_place_of_both_documents_and_a_key_without_issuer() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    cluster.set("azure_ad_auth.key_source", &format!("{}/keys", provider.url()));
    assert!(eventually(|| login_with_key(&cluster, &NEW_KEY) == Outcome::Ready));
    assert_eq!(
        cluster.sql("SELECT key_id, coalesce(issuer, 'none') FROM azure_ad_auth.signing_keys"),
        "key-2|none"
    );
}

#[test]
fn another_tenants_keys_are_unusable_at_once() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mark = cluster.log_mark();
    cluster.set("azure_ad_auth.authority_url", "https://127.0.0.1:1");
    cluster.await_log(mark, "fetching the signing keys failed");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.signing_keys"), "0");
    // Another tenant of the same provider, which has the same keys.
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.authority_url");
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('chief', '{APPLICATION}')"));
    link(&cluster, "bob", PERSON, "user");
    let theirs = with(user_v1(unix_now()), "tid", json!(OTHER_TENANT));
    let theirs = with(theirs, "iss", json!(format!("https://sts.windows.net/{OTHER_TENANT}/")));
    let mut keys = || cluster.login("bob", &KEY.token(&theirs)) == Outcome::Ready;
    assert!(eventually(&mut keys), "{}", without_debug(&cluster.log()));
    let source = cluster.sql("SELECT source FROM azure_ad_auth.signing_keys");
    assert!(source.contains(OTHER_TENANT), "{source}");
    for role in ["ann", "bob"] {
        let outcome = cluster.login(role, &valid_token());
        assert_eq!(refusal_message(outcome), "the access token was issued by another tenant", "{role}");
    }
}

#[test]
fn a_login_in_flight_never_mixes_two_authorities() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mut at_the_prompt = [(); 2].map(|()| cluster.at_the_prompt("ann"));
    // Another provider, which has the old key and a new one.
    let other =
        Provider::start(&Template::shared().authority, vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)], 0);
    cluster.set("azure_ad_auth.authority_url", &other.url());
    assert!(eventually(|| cluster.sql("SELECT keys FROM azure_ad_auth.key_status") == "2"));
    // A login that began under the rules of one provider is not admitted by the keys of the other.
    for (client, key) in at_the_prompt.iter_mut().zip([&*KEY, &*NEW_KEY]) {
        assert_eq!(refusal_message(client.answer(&key.token(&user_v1(unix_now())))), UNAVAILABLE);
        assert_eq!(login_with_key(&cluster, key), Outcome::Ready);
    }
}

#[test]
fn the_views_are_for_monitoring() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE nobody LOGIN");
    for view in ["signing_keys", "key_status", "principals"] {
        let select = format!("SELECT count(*) FROM azure_ad_auth.{view}");
        assert_eq!(cluster.sql(&format!("SET ROLE watcher; {select}")).lines().last(), Some("1"));
        assert!(!cluster.sql_as("postgres", &format!("SET ROLE nobody; {select}")).success);
    }
    for function in ["refresh_keys()", "repair()", "remove_admin()"] {
        let call = format!("SET ROLE watcher; SELECT azure_ad_auth.{function}");
        assert!(cluster.sql_as("postgres", &call).stderr.contains("permission denied"), "{function}");
    }
    let expiry = cluster.sql("SELECT expires_at - fetched_at, fetched_at > now() - interval '1 hour' FROM azure_ad_auth.signing_keys");
    assert_eq!(expiry, "1 day|t");
}

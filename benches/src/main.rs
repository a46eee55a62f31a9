//! What a login costs: by `trust`, by a SCRAM-SHA-256 password and by a token, over the same TLS, taking turns in one run.
//!
//! Prints a table of medians, and the ratios the budgets are about. Machines are noisy; only what is taken in one run is
//! worth comparing.

#![allow(clippy::print_stdout, reason = "a report")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use trial::client::{Asked, Outcome, RawClient};
use trial::cluster::{Cluster, Setup, Workshop};
use trial::idp::Provider;
use trial::issuer::{PERSON, Signer, TENANT, unix_now, user_v1};

/// Logins of each kind.
const LOGINS: usize = 600;

/// The first ones warm caches that a server in use has warm.
const WARM_UP: usize = 24;

/// Linked roles on a large server.
const MANY: usize = 100_000;

/// Logins while keys are fetched.
const CROWD: usize = 8_000;

/// How many at a time.
const THREADS: usize = 4;

/// In which order the kinds come.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 2, 0], [1, 0, 2], [2, 0, 1], [2, 1, 0]];

const HBA: &str = "\
local all postgres trust
hostssl all trusted 127.0.0.1/32 trust
hostssl all secretive 127.0.0.1/32 scram-sha-256
hostssl all +azure_ad_user 127.0.0.1/32 trust
";

fn main() {
    let workshop = Arc::new(Workshop::new());
    let key = Arc::new(Signer::new("key-1"));
    let provider = Provider::start(&workshop.authority, vec![Arc::clone(&key)], 0);
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nlog_min_messages = warning\nlog_statement = none\nlog_connections = off\n",
        provider.url()
    );
    let cluster = Cluster::new(&workshop, &Setup { settings, hba: HBA.to_owned(), preload: None });
    cluster.start();
    cluster.found();
    cluster.await_keys();
    cluster.sql(
        "CREATE ROLE trusted LOGIN; CREATE ROLE secretive LOGIN PASSWORD 'correct horse battery staple'",
    );
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"));
    let token = key.token(&user_v1(unix_now()));

    let few = measure(&cluster, &token);
    report(&cluster, &few, token.len());
    multitude(&cluster);
    let many = measure(&cluster, &token);
    report_growth(&few, &many);
    report_refused(&cluster, &token);
}

/// Medians, in milliseconds, of logins by `trust`, by SCRAM and by a token.
fn measure(cluster: &Cluster, token: &str) -> [f64; 3] {
    let kinds: [&dyn Fn() -> Outcome; 3] = [
        &|| login(cluster, "trusted", ""),
        &|| scram_login(cluster, "secretive", "correct horse battery staple"),
        &|| login(cluster, "ann", token),
    ];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..LOGINS + WARM_UP {
        // A backend ends while the next one begins; so each kind comes after each other one as often.
        for place in ORDERS[round % ORDERS.len()] {
            let time = timed(kinds[place]);
            if round >= WARM_UP {
                times[place].push(time);
            }
        }
    }
    times.map(median)
}

/// As many linked roles as a large server has, written where a link is kept.
fn multitude(cluster: &Cluster) {
    cluster.sql(&format!(
        "DO $$ BEGIN FOR n IN 1..{MANY} LOOP EXECUTE 'CREATE ROLE r' || n || ' LOGIN'; \
         IF n % 1000 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    ));
    let oid = if cluster.workshop.installation.major < 16 { "" } else { "oid, " };
    let options = if oid.is_empty() { "" } else { ", true, true" };
    cluster.sql(&format!(
        "SET allow_system_table_mods = on; \
         INSERT INTO pg_auth_members SELECT {oid}'azure_ad_user'::regrole, oid, 10, false{options} \
           FROM pg_authid WHERE rolname ~ '^r[0-9]'; \
         INSERT INTO pg_shseclabel SELECT oid, 'pg_authid'::regclass, 'pgaadauth', \
           'aadauth,oid=' || gen_random_uuid() || ',type=user,tenant_id={TENANT}' FROM pg_authid WHERE rolname ~ '^r[0-9]'"
    ));
    cluster.sql("VACUUM ANALYZE");
}

/// Many logins while the keys are fetched every second: how many of them are refused.
fn report_refused(cluster: &Cluster, token: &str) {
    cluster.set("azure_ad_auth.key_refresh_interval", "1s");
    let each = CROWD / THREADS;
    let refused: usize = std::thread::scope(|scope| {
        let login = || (0..each).filter(|_| login(cluster, "ann", token) != Outcome::Ready).count();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(login)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    println!("\n{CROWD} logins while keys are fetched every second: {refused} refused");
}

/// The time until a client is ready for queries.
fn timed(login: impl FnOnce() -> Outcome) -> Duration {
    let begin = Instant::now();
    assert_eq!(login(), Outcome::Ready);
    begin.elapsed()
}

fn login(cluster: &Cluster, role: &str, password: &str) -> Outcome {
    cluster.client().login(&[("user", role), ("database", "postgres")], password)
}

/// RFC 5802, without channel binding.
fn scram_login(cluster: &Cluster, role: &str, password: &str) -> Outcome {
    let mut client = cluster.client();
    client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
    assert_eq!(client.asked(), Asked::Other(10), "SASL");
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    let first = scram.message().to_vec();
    let length = i32::try_from(first.len()).expect("a short message").to_be_bytes();
    send(&mut client, &[SCRAM_SHA_256.as_bytes(), &[0], &length, &first].concat());
    scram.update(&client.challenge(11)).expect("the server's first message");
    let last = scram.message().to_vec();
    send(&mut client, &last);
    scram.finish(&client.challenge(12)).expect("the server's signature");
    match client.asked() {
        Asked::Nothing(outcome) => outcome,
        asked => panic!("the server asks again: {asked:?}"),
    }
}

fn send(client: &mut RawClient, body: &[u8]) {
    client.send(b'p', body).expect("a connection");
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

fn report(cluster: &Cluster, medians: &[f64; 3], token_length: usize) {
    let [trust, scram, token] = *medians;
    println!(
        "\nPostgreSQL {}, {LOGINS} logins of each kind in turn, TLS on loopback, medians\n",
        cluster.workshop.installation.major
    );
    println!("| login by | ms | more than `trust`, ms | of SCRAM |");
    println!("| --- | --- | --- | --- |");
    for (name, time) in
        [("`trust`", trust), ("SCRAM-SHA-256", scram), (&format!("token of {token_length} bytes"), token)]
    {
        println!("| {name} | {time:.2} | {:+.2} | {:.2} |", time - trust, time / scram);
    }
    let verdict = |held: bool| if held { "held" } else { "MISSED" };
    println!("\nbudget: a token costs at most `trust` + 0.5 ms: {}", verdict(token <= trust + 0.5));
    println!("budget: a token costs less than SCRAM-SHA-256: {}", verdict(token < scram));
}

fn report_growth(few: &[f64; 3], many: &[f64; 3]) {
    let more = |[trust, _, token]: &[f64; 3]| token - trust;
    println!(
        "\nwith {MANY} linked roles more: `trust` {:.2} ms, token {:+.2} ms more; with 2 it was {:+.2}",
        many[0],
        more(many),
        more(few)
    );
}

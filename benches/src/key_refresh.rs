//! What a login costs, and whether one is lost, while something goes on with the keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testbed::client::Outcome;
use testbed::cluster::eventually;
use testbed::door::Door;
use testbed::idp::{Manners, Provider};
use testbed::issuer::{Signer, unix_now, user_v1};

use crate::logins::{Kind, Logins, median};

/// Logins of each kind in each weather.
const LOGINS: usize = 300;

/// By the door that every server has.
const TOKEN: Kind = Kind::Token(Door::Password);

/// Logins while keys are fetched.
const CROWD: usize = 8_000;

/// How many at a time.
const THREADS: usize = 4;

/// Medians of logins by `trust` and by a token in turn, in each weather: what a token costs more is ours.
pub(crate) fn report(logins: &Logins<'_>, provider: &Provider) {
    println!("\n{LOGINS} logins of each kind in turn, medians, while …\n");
    println!("| … | `trust`, ms | token, ms | more, ms |");
    println!("| --- | --- | --- | --- |");
    let cluster = logins.cluster;
    row(logins, "nothing goes on");
    cluster.set("azure_ad_auth.key_refresh_interval", "1s");
    row(logins, "keys are fetched every second");
    provider.behave(Manners::Hang);
    assert!(eventually(|| cluster.sql("SELECT fetching FROM azure_ad_auth.key_status") == "t"));
    row(logins, "a fetch hangs");
    provider.behave(Manners::Status(503, ""));
    assert!(eventually(|| cluster.sql("SELECT state FROM azure_ad_auth.key_status") == "failing"));
    row(logins, "fetching fails every second");
    provider.behave(Manners::Good);
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.key_refresh_interval");
    cluster.reload();
    in_a_storm(logins);
}

/// A client beside logs in with an unknown key, again and again.
fn in_a_storm(logins: &Logins<'_>) {
    let unknown = Signer::new("key-2").token(&user_v1(unix_now()));
    let storm = Logins { token: &unknown, ..*logins };
    let (done, before) = (AtomicBool::new(false), fetches(logins));
    let refused = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut refused = 0_u64;
            while !done.load(Ordering::SeqCst) {
                assert_ne!(storm.once(TOKEN), Outcome::Ready);
                refused += 1;
            }
            refused
        });
        row(logins, "one client storms with an unknown key");
        done.store(true, Ordering::SeqCst);
        attacker.join().expect("a thread")
    });
    println!("\nthe storm: {refused} refused, {} fetches", fetches(logins) - before);
}

fn fetches(logins: &Logins<'_>) -> u64 {
    logins.cluster.sql("SELECT fetches FROM azure_ad_auth.key_status").parse().expect("a number")
}

fn row(logins: &Logins<'_>, name: &str) {
    let (mut trust, mut token) = (Vec::new(), Vec::new());
    for _ in 0..LOGINS {
        trust.push(logins.timed(Kind::Trust));
        token.push(logins.timed(TOKEN));
    }
    let (trust, token) = (median(trust), median(token));
    println!("| {name} | {trust:.2} | {token:.2} | {:+.2} |", token - trust);
}

/// Many logins while the keys are fetched every second: how many of them are refused.
pub(crate) fn report_refused(logins: &Logins<'_>) {
    logins.cluster.set("azure_ad_auth.key_refresh_interval", "1s");
    let each = CROWD / THREADS;
    let refused: usize = thread::scope(|scope| {
        let login = || (0..each).filter(|_| logins.once(TOKEN) != Outcome::Ready).count();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(login)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    println!("\n{CROWD} logins while keys are fetched every second: {refused} refused");
}

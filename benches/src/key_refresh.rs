//! Measures what a login costs while keys are fetched, and whether any is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testbed::client::Outcome;
use testbed::door::Door;
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{Signer, unix_now, user_v1};
use testbed::waits::eventually;

use crate::logins::{Kind, Logins, median};

/// Logins of each kind in each situation.
const LOGINS: usize = 300;

/// A login by the door that every server has.
const TOKEN: Kind = Kind::Token(Door::Password);

/// Logins while keys are fetched.
const MANY_LOGINS: usize = 8_000;

/// Clients at a time.
const THREADS: usize = 4;

/// Prints the medians of logins by `trust` and by a token, in turn, in each situation. The
/// difference is the cost of this library.
pub(crate) fn report(logins: &Logins<'_>, provider: &Provider) {
    println!("\n{LOGINS} logins of each kind in turn, medians, while …\n");
    println!("| … | `trust`, ms | token, ms | more, ms |");
    println!("| --- | --- | --- | --- |");
    let cluster = logins.cluster;
    row(logins, "nothing goes on");
    cluster.set("azure_ad_auth.key_refresh_interval", "1s");
    row(logins, "keys are fetched every second");
    provider.behave(Behavior::Hang);
    assert!(eventually(|| cluster.sql("SELECT fetching FROM azure_ad_auth.key_status") == "t"));
    row(logins, "a fetch hangs");
    provider.behave(Behavior::Status(503, ""));
    assert!(eventually(|| cluster.sql("SELECT state FROM azure_ad_auth.key_status") == "failing"));
    row(logins, "fetching fails every second");
    provider.behave(Behavior::Good);
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.key_refresh_interval");
    cluster.reload();
    under_attack(logins);
}

/// Measures logins while another client logs in again and again with a token of an unknown key.
fn under_attack(logins: &Logins<'_>) {
    let unknown = Signer::new("key-2").token(&user_v1(unix_now()));
    let attack = Logins { token: &unknown, ..*logins };
    let (done, before) = (AtomicBool::new(false), fetches(logins));
    let refused = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut refused = 0_u64;
            while !done.load(Ordering::SeqCst) {
                assert_ne!(attack.once(TOKEN), Outcome::Ready);
                refused += 1;
            }
            refused
        });
        row(logins, "another client tries tokens of an unknown key");
        done.store(true, Ordering::SeqCst);
        attacker.join().expect("a thread")
    });
    println!("\nthe other client: {refused} refused, {} fetches", fetches(logins) - before);
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

/// Prints how many of many logins are refused while the keys are fetched every second.
pub(crate) fn report_refused(logins: &Logins<'_>) {
    logins.cluster.set("azure_ad_auth.key_refresh_interval", "1s");
    let each = MANY_LOGINS / THREADS;
    let refused: usize = thread::scope(|scope| {
        let login = || (0..each).filter(|_| logins.once(TOKEN) != Outcome::Ready).count();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(login)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    println!("\n{MANY_LOGINS} logins while keys are fetched every second: {refused} refused");
}

//! What logins cost more: because the directory is on, and because it was asked about groups.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::Kind;
use testbed::issuer::{unix_now, user_v1, with};
use testbed::scene::KEY;

use super::{GROUP_ROLE, OTHER_GROUP_ROLE, PERSON_ROLE, verdict};
use crate::cost::order;
use crate::decision::total;

/// Logins of each kind.
const LOGINS: usize = 600;

/// The first ones warm caches that a server in use has warm.
const WARM_UP: usize = 24;

/// How much longer an admission may take because the directory is on, in microseconds.
const ON_BUDGET: f64 = 5.0;

/// How much longer an admission may take because the token does not list the group, in
/// microseconds.
const OVERAGE_BUDGET: f64 = 10.0;

/// Logins of one person at once.
const AT_ONCE: usize = 500;

/// A kind of login, and where its time is read.
struct Way<'s> {
    cluster: &'s Cluster,
    reader: RawClient,
    role: &'static str,
    token: &'s str,
    times: Vec<f64>,
}

impl<'s> Way<'s> {
    fn new(cluster: &'s Cluster, role: &'static str, token: &'s str) -> Self {
        Self { cluster, reader: cluster.superuser(), role, token, times: Vec::new() }
    }

    /// Logs in. Returns how many microseconds the server took from the token's arrival to the
    /// decision.
    fn timed(&mut self) -> f64 {
        let before = total(&mut self.reader);
        assert_eq!(self.cluster.login(self.role, self.token), Outcome::Ready);
        f64::from(u32::try_from(total(&mut self.reader) - before).expect("a short time"))
    }
}

/// Returns a token that says that there are too many groups to list.
pub(super) fn overage_token() -> String {
    KEY.token(&with(with(user_v1(unix_now()), "groups", Value::Null), "hasgroups", json!(true)))
}

/// Compares logins in turn, as the servers' own statistics have them.
pub(super) fn report(off: &Cluster, on: &Cluster) {
    let (listed, overage) = (KEY.token(&user_v1(unix_now())), overage_token());
    let mut ways = [
        Way::new(off, PERSON_ROLE, &listed),
        Way::new(on, PERSON_ROLE, &listed),
        Way::new(on, GROUP_ROLE, &listed),
        Way::new(on, GROUP_ROLE, &overage),
    ];
    for round in 0..LOGINS + WARM_UP {
        for place in order(ways.len(), round) {
            let time = ways[place].timed();
            if round >= WARM_UP {
                ways[place].times.push(time);
            }
        }
    }
    let [off, on, listed, overage] = ways.map(|way| way.times);
    println!(
        "\nfrom a token's arrival to the decision, medians of {LOGINS} logins of each kind in turn, µs\n"
    );
    println!("| directory | role of | token | µs |");
    println!("| --- | --- | --- | --- |");
    for (what, times) in [
        ("off | a user | any", &off),
        ("on | a user | any", &on),
        ("on | a group | lists the group", &listed),
        ("on | a group | too many groups; the answer is cached", &overage),
    ] {
        println!("| {what} | {:.0} |", median(times.clone()));
    }
    println!();
    for (what, budget, more) in [
        ("with the directory on, an admission", ON_BUDGET, difference(&off, &on)),
        ("a token that does not list the group", OVERAGE_BUDGET, difference(&listed, &overage)),
    ] {
        println!("budget: {what} takes at most {budget} µs longer: {}, {more:+.0}", verdict(more <= budget));
    }
}

/// Returns by how much the second takes longer: the median of the differences.
fn difference(first: &[f64], second: &[f64]) -> f64 {
    median(first.iter().zip(second).map(|(first, second)| second - first).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Logs one person in many times at once, by a membership that was not asked about yet.
pub(super) fn report_storm(cluster: &Cluster, provider: &Provider) {
    let directory = provider.directory();
    directory.forget_requests();
    let token = overage_token();
    let begin = Barrier::new(AT_ONCE);
    let login = || {
        begin.wait();
        let since = Instant::now();
        let is_in = cluster.login(OTHER_GROUP_ROLE, &token) == Outcome::Ready;
        (is_in, since.elapsed())
    };
    let since = Instant::now();
    let logins: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(login)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    let (whole, longest) = (since.elapsed(), logins.iter().map(|(_, time)| *time).max());
    let admitted = logins.iter().filter(|(is_in, _)| *is_in).count();
    let asked = directory.questions(Kind::Membership);
    println!(
        "\n{AT_ONCE} logins of one person at once whose tokens do not list the group: {admitted} admitted in {:.1} s, \
         the longest login {:.1} s",
        whole.as_secs_f64(),
        longest.unwrap_or_default().as_secs_f64()
    );
    let is_held = admitted == AT_ONCE && asked == 1;
    println!("budget: they are one request: {}, {asked}", verdict(is_held));
}

//! Measures what one login costs, one at a time.

use testbed::door::Door;

use crate::logins::{Kind, Logins, Spread};
use crate::roles::{FEW, MANY};

/// Logins of each kind.
const LOGINS: usize = 600;

/// The first ones warm caches that a server in use has warm.
const WARM_UP: usize = 24;

/// How long logins of each kind took.
pub(crate) struct Medians(pub(crate) Vec<(Kind, Spread)>);

impl Medians {
    /// Measures logins of each kind, in turn.
    pub(crate) fn measure(logins: &Logins<'_>) -> Self {
        let kinds = Kind::all(logins.cluster.installation());
        let mut times = vec![Vec::new(); kinds.len()];
        for round in 0..LOGINS + WARM_UP {
            // A backend ends while the next one begins; so each kind comes after each other one as
            // often.
            for place in order(kinds.len(), round) {
                let time = logins.timed(kinds[place]);
                if round >= WARM_UP {
                    times[place].push(time);
                }
            }
        }
        Self(kinds.into_iter().zip(times.into_iter().map(Spread::of)).collect())
    }

    fn of(&self, kind: Kind) -> f64 {
        self.0.iter().find(|(other, _)| *other == kind).map_or(0.0, |(_, spread)| spread.median)
    }

    /// Returns by how many milliseconds a login with a token at the password door takes longer than
    /// one by `trust`.
    fn more(&self) -> f64 {
        self.of(Kind::Token(Door::Password)) - self.of(Kind::Trust)
    }
}

/// Returns one of all orders of so many things. Counting rounds up goes through all orders in turn.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    let mut left: Vec<_> = (0..count).collect();
    let mut number = round;
    let mut order = Vec::with_capacity(count);
    while !left.is_empty() {
        order.push(left.remove(number % left.len()));
        number /= left.len() + 1;
    }
    order
}

pub(crate) fn report(logins: &Logins<'_>, medians: &Medians) {
    let (trust, scram) = (medians.of(Kind::Trust), medians.of(Kind::Scram));
    println!(
        "\nPostgreSQL {}, {LOGINS} logins of each kind in turn, TLS on loopback, a token of {} bytes, medians\n",
        logins.cluster.installation().major,
        logins.token.len()
    );
    println!("| login by | ms | more than `trust`, ms | of SCRAM |");
    println!("| --- | --- | --- | --- |");
    for (kind, Spread { median: time, .. }) in &medians.0 {
        println!("| {} | {time:.2} | {:+.2} | {:.2} |", kind.name(), time - trust, time / scram);
    }
    println!();
    let verdict = |held: bool| if held { "held" } else { "MISSED" };
    for (kind, Spread { median: time, .. }) in
        medians.0.iter().filter(|(kind, _)| matches!(kind, Kind::Token(_)))
    {
        println!(
            "budget: a {} costs at most `trust` + 0.5 ms: {}",
            kind.name(),
            verdict(*time <= trust + 0.5)
        );
        println!("budget: a {} costs less than SCRAM-SHA-256: {}", kind.name(), verdict(*time < scram));
    }
}

pub(crate) fn report_growth(few: &Medians, many: &Medians) {
    println!(
        "\nwith {MANY} linked roles: `trust` {:.2} ms, token {:+.2} ms more; with {FEW} it was {:+.2}",
        many.of(Kind::Trust),
        many.more(),
        few.more()
    );
    println!(
        "budget: there, too, a token costs at most `trust` + 0.5 ms: {}",
        if many.more() <= 0.5 { "held" } else { "MISSED" }
    );
}

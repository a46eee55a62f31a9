//! What one login costs, one at a time.

use crate::logins::{KINDS, Logins, median};
use crate::roles::{FEW, MANY};

/// Logins of each kind.
const LOGINS: usize = 600;

/// The first ones warm caches that a server in use has warm.
const WARM_UP: usize = 24;

/// In which order the kinds come.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 2, 0], [1, 0, 2], [2, 0, 1], [2, 1, 0]];

/// Medians, in milliseconds, of logins by `trust`, by SCRAM and by a token.
pub(crate) fn measure(logins: &Logins<'_>) -> [f64; 3] {
    let mut times = [const { Vec::new() }; 3];
    for round in 0..LOGINS + WARM_UP {
        // A backend ends while the next one begins; so each kind comes after each other one as often.
        for place in ORDERS[round % ORDERS.len()] {
            let time = logins.timed(KINDS[place]);
            if round >= WARM_UP {
                times[place].push(time);
            }
        }
    }
    times.map(median)
}

pub(crate) fn report(logins: &Logins<'_>, medians: &[f64; 3]) {
    let [trust, scram, token] = *medians;
    println!(
        "\nPostgreSQL {}, {LOGINS} logins of each kind in turn, TLS on loopback, medians\n",
        logins.cluster.workshop.installation.major
    );
    println!("| login by | ms | more than `trust`, ms | of SCRAM |");
    println!("| --- | --- | --- | --- |");
    let named = format!("token of {} bytes", logins.token.len());
    for (name, time) in [("`trust`", trust), ("SCRAM-SHA-256", scram), (&named, token)] {
        println!("| {name} | {time:.2} | {:+.2} | {:.2} |", time - trust, time / scram);
    }
    let verdict = |held: bool| if held { "held" } else { "MISSED" };
    println!("\nbudget: a token costs at most `trust` + 0.5 ms: {}", verdict(token <= trust + 0.5));
    println!("budget: a token costs less than SCRAM-SHA-256: {}", verdict(token < scram));
}

pub(crate) fn report_growth(few: &[f64; 3], many: &[f64; 3]) {
    let more = |[trust, _, token]: &[f64; 3]| token - trust;
    println!(
        "\nwith {MANY} linked roles: `trust` {:.2} ms, token {:+.2} ms more; with {FEW} it was {:+.2}",
        many[0],
        more(many),
        more(few)
    );
}

//! Measures how many logins a second there are, by so many clients at a time. Clients and server
//! share the machine.

use std::thread;
use std::time::Instant;

use testbed::client::Outcome;

use crate::logins::{Kind, Logins};

/// Clients at a time.
pub(crate) const CLIENTS: [usize; 3] = [1, 8, 32];

/// Logins of each kind by each number of clients.
const LOGINS: usize = 640;

/// Logins per second of each kind, by each number of [`CLIENTS`].
pub(crate) type Rates = Vec<(Kind, Vec<f64>)>;

pub(crate) fn report(logins: &Logins<'_>, roles: usize) -> Rates {
    println!("\nlogins per second with {roles} linked roles, {LOGINS} each\n");
    let kinds = Kind::all(logins.cluster.installation());
    let row = |first: &str, cells: Vec<String>| println!("| {first} | {} |", cells.join(" | "));
    row("clients", kinds.iter().map(|kind| kind.name().to_owned()).collect());
    row("---", kinds.iter().map(|_| "---".to_owned()).collect());
    let mut all: Rates = kinds.iter().map(|kind| (*kind, Vec::new())).collect();
    for clients in CLIENTS {
        let mut cells = Vec::new();
        for (kind, rates) in &mut all {
            let rate = rate(logins, *kind, clients);
            rates.push(rate);
            cells.push(format!("{rate:.0}"));
        }
        row(&clients.to_string(), cells);
    }
    all
}

fn rate(logins: &Logins<'_>, kind: Kind, clients: usize) -> f64 {
    let each = LOGINS / clients;
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| (0..each).for_each(|_| assert_eq!(logins.once(kind), Outcome::Ready)));
        }
    });
    let count = u32::try_from(each * clients).expect("a small number");
    f64::from(count) / begin.elapsed().as_secs_f64()
}

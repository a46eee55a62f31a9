//! Measures how many logins a second there are, by so many clients at a time. Clients and server
//! share the machine.

use std::thread;
use std::time::Instant;

use testbed::client::Outcome;

use crate::logins::{Kind, Logins};

/// Clients at a time.
const CLIENTS: [usize; 3] = [1, 8, 32];

/// Logins of each kind by each number of clients.
const LOGINS: usize = 640;

pub(crate) fn report(logins: &Logins<'_>, roles: usize) {
    println!("\nlogins per second with {roles} linked roles, {LOGINS} each\n");
    let kinds = Kind::all(logins.cluster.installation());
    let row = |first: &str, cells: Vec<String>| println!("| {first} | {} |", cells.join(" | "));
    row("clients", kinds.iter().map(|kind| kind.name().to_owned()).collect());
    row("---", kinds.iter().map(|_| "---".to_owned()).collect());
    for clients in CLIENTS {
        let rates = kinds.iter().map(|kind| format!("{:.0}", rate(logins, *kind, clients)));
        row(&clients.to_string(), rates.collect());
    }
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

//! Statements that wait for a lock.

use std::thread;

use testbed::client::{Answer, RawClient};
use testbed::cluster::Cluster;
use testbed::waits::eventually;

/// Runs a statement that has to wait for a lock. `release` is called once it waits. Returns what
/// the statement comes to.
pub(crate) fn waits_until(
    cluster: &Cluster,
    mut waiting: RawClient,
    statement: &str,
    release: impl FnOnce(),
) -> Answer {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| waiting.query(statement));
        let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        assert!(eventually(|| cluster.sql(blocked) == "1"), "{statement} does not wait");
        release();
        waiter.join().expect("a thread")
    })
}

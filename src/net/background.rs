//! Work beside a worker's main loop: in a thread that calls nothing of PostgreSQL and leaves its
//! result in a mailbox.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::pg::signals::with_signals_blocked;

/// Most threads at a time. A thread that was given up lives on until what it waits for is over,
/// such as a read from a disk that does not answer.
const MAX_THREADS: usize = 4;

/// The result of a thread.
pub(crate) struct Delivery<T> {
    /// The number that the thread was started with.
    pub(crate) run: u64,
    /// The value that the work returned; none if it panicked.
    pub(crate) result: Option<T>,
}

/// A place for results, which threads fill and the main loop empties. There are no more of them
/// than threads were started.
pub(crate) struct Mailbox<T> {
    deliveries: Arc<Mutex<VecDeque<Delivery<T>>>>,
    /// The end that becomes readable when a result is there.
    wake_fd: UnixStream,
    /// The end that threads write a byte to.
    notify_fd: UnixStream,
}

impl<T: Send + 'static> Mailbox<T> {
    pub(crate) fn new() -> io::Result<Self> {
        let (wake_fd, notify_fd) = UnixStream::pair()?;
        wake_fd.set_nonblocking(true)?;
        notify_fd.set_nonblocking(true)?;
        Ok(Self { deliveries: Arc::default(), wake_fd, notify_fd })
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// Too many threads have not come to an end, or the system starts none.
    pub(crate) fn start(&self, run: u64, work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        // Each thread holds a reference to the place for its result, and so does the mailbox.
        if Arc::strong_count(&self.deliveries) > MAX_THREADS {
            return Err(io::Error::other("earlier fetches have not come to an end"));
        }
        let (place, mut notify_fd) = (Arc::clone(&self.deliveries), self.notify_fd.try_clone()?);
        let thread = move || {
            // Without this, a panic in the work would leave no result, and all who wait for one
            // would wait in vain.
            let result = catch_unwind(AssertUnwindSafe(work)).ok();
            place.lock().push_back(Delivery { run, result });
            // If the pipe is full, the main loop has been woken already.
            let _ = notify_fd.write(&[1]);
        };
        with_signals_blocked(|| std::thread::Builder::new().spawn(thread)).map(drop)
    }

    /// Takes the oldest of the results that are there. Called until there is none, because one
    /// byte may wake for several.
    pub(crate) fn take(&mut self) -> Option<Delivery<T>> {
        let _ = self.wake_fd.read(&mut [0; 16]);
        self.deliveries.lock().pop_front()
    }

    /// Returns the file descriptor that becomes readable when a result is there.
    pub(crate) fn wake_fd(&self) -> RawFd {
        self.wake_fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken<T: Send + 'static>(mailbox: &mut Mailbox<T>) -> Delivery<T> {
        let delivery = (0..1_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            mailbox.take()
        });
        delivery.expect("a result")
    }

    #[test]
    fn fetches_that_never_end_do_not_pile_up() {
        let mut mailbox = Mailbox::new().expect("a pair of sockets");
        let mut stuck: Vec<_> = (0..MAX_THREADS).map(|_| Arc::clone(&mailbox.deliveries)).collect();
        let fault = mailbox.start(1, || "one").expect_err("one too many");
        assert_eq!(fault.to_string(), "earlier fetches have not come to an end");
        stuck.pop();
        mailbox.start(2, || "two").expect("a thread");
        let delivery = taken(&mut mailbox);
        assert_eq!((delivery.run, delivery.result), (2, Some("two")));
    }

    #[test]
    fn results_that_come_together_are_taken_one_by_one() {
        let mut mailbox = Mailbox::new().expect("a pair of sockets");
        (1..=3).for_each(|run| mailbox.start(run, move || run).expect("a thread"));
        let mut results: Vec<_> = (0..3).map(|_| taken(&mut mailbox).result).collect();
        results.sort_unstable();
        assert_eq!(results, [Some(1), Some(2), Some(3)]);
        assert!(mailbox.take().is_none());
    }

    #[test]
    fn a_thread_that_panics_leaves_no_result_and_says_so() {
        let mut mailbox = Mailbox::<()>::new().expect("a pair of sockets");
        mailbox.start(1, || panic!("a fault")).expect("a thread");
        let delivery = taken(&mut mailbox);
        assert_eq!((delivery.run, delivery.result), (1, None));
    }
}

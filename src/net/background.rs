//! Work beside a worker's main loop: in a thread that calls nothing of PostgreSQL and leaves its
//! result in a mailbox.

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

/// A place for one result, which threads fill and the main loop empties.
pub(crate) struct Mailbox<T> {
    delivery: Arc<Mutex<Option<Delivery<T>>>>,
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
        Ok(Self { delivery: Arc::default(), wake_fd, notify_fd })
    }

    /// Starts a thread. Of two results the one with the higher number is kept.
    ///
    /// # Errors
    /// Too many threads have not come to an end, or the system starts none.
    pub(crate) fn start(&self, run: u64, work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        // Each thread holds a reference to the place for its result, and so does the mailbox.
        if Arc::strong_count(&self.delivery) > MAX_THREADS {
            return Err(io::Error::other("earlier fetches have not come to an end"));
        }
        let (place, mut notify_fd) = (Arc::clone(&self.delivery), self.notify_fd.try_clone()?);
        let thread = move || {
            // Without this, a panic in the work would leave no result, and all who wait for one
            // would wait in vain.
            let result = catch_unwind(AssertUnwindSafe(work)).ok();
            put(&place, Delivery { run, result });
            // If the pipe is full, the main loop has been woken already.
            let _ = notify_fd.write(&[1]);
        };
        with_signals_blocked(|| std::thread::Builder::new().spawn(thread)).map(drop)
    }

    /// Returns the result that is there, and empties the mailbox.
    pub(crate) fn take(&mut self) -> Option<Delivery<T>> {
        let _ = self.wake_fd.read(&mut [0; 16]);
        self.delivery.lock().take()
    }

    /// Returns the file descriptor that becomes readable when a result is there.
    pub(crate) fn wake_fd(&self) -> RawFd {
        self.wake_fd.as_raw_fd()
    }
}

/// Leaves a result to be taken, unless that of a later thread is there already.
fn put<T>(place: &Mutex<Option<Delivery<T>>>, delivery: Delivery<T>) {
    let mut place = place.lock();
    if place.as_ref().is_none_or(|there| there.run <= delivery.run) {
        *place = Some(delivery);
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
        let mut stuck: Vec<_> = (0..MAX_THREADS).map(|_| Arc::clone(&mailbox.delivery)).collect();
        let fault = mailbox.start(1, || "one").expect_err("one too many");
        assert_eq!(fault.to_string(), "earlier fetches have not come to an end");
        stuck.pop();
        mailbox.start(2, || "two").expect("a thread");
        let delivery = taken(&mut mailbox);
        assert_eq!((delivery.run, delivery.result), (2, Some("two")));
    }

    #[test]
    fn a_thread_that_panics_leaves_no_result_and_says_so() {
        let mut mailbox = Mailbox::<()>::new().expect("a pair of sockets");
        mailbox.start(1, || panic!("a fault")).expect("a thread");
        let delivery = taken(&mut mailbox);
        assert_eq!((delivery.run, delivery.result), (1, None));
    }
}

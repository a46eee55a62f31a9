//! A fetch beside the worker's main loop: a thread that calls nothing of PostgreSQL, and the place where it leaves what it
//! has brought.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::keys::fetch::{FetchFault, Fetched, fetch};
use crate::settings::KeyOrigin;

/// Most fetches at a time. One that was given up lives on until what it waits for is over, such as a disk that is gone.
const MAX_FETCHES: usize = 4;

/// What a fetch brought.
pub(crate) struct Outcome {
    /// Which fetch: one that was overtaken by new settings counts for nothing.
    pub(crate) run: u64,
    pub(crate) fetched: Result<Fetched, FetchFault>,
}

/// What is handed from a fetching thread to the main one.
pub(crate) struct Handover {
    outcome: Arc<Mutex<Option<Outcome>>>,
    /// A byte in it: a fetch has ended. The thread writes, the main loop waits for it.
    bell: UnixStream,
    rope: UnixStream,
}

impl Handover {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        Ok(Self { outcome: Arc::default(), bell, rope })
    }

    /// Starts a fetch.
    pub(crate) fn start(&self, run: u64, origin: KeyOrigin) -> io::Result<()> {
        // Each of them holds the place where it will leave its outcome; we do, too.
        if Arc::strong_count(&self.outcome) > MAX_FETCHES {
            return Err(io::Error::other("earlier fetches have not come to an end"));
        }
        let (place, mut rope) = (Arc::clone(&self.outcome), self.rope.try_clone()?);
        let work = move || {
            // A fault of ours or of a library must not leave everyone waiting for an outcome.
            let fetched = catch_unwind(AssertUnwindSafe(|| fetch(&origin)))
                .unwrap_or_else(|_| Err(FetchFault::from("a fault while fetching".to_owned())));
            put(&place, Outcome { run, fetched });
            // A full pipe means the bell has rung already.
            let _ = rope.write(&[1]);
        };
        without_signals(|| std::thread::Builder::new().spawn(work)).map(drop)
    }

    /// What a fetch that has ended brought.
    pub(crate) fn take(&mut self) -> Option<Outcome> {
        let _ = self.bell.read(&mut [0; 16]);
        self.outcome.lock().take()
    }

    /// What is readable when a fetch has ended.
    pub(crate) fn bell(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

/// Leaves an outcome to be taken, unless that of a later fetch is there already.
fn put(place: &Mutex<Option<Outcome>>, outcome: Outcome) {
    let mut place = place.lock();
    if place.as_ref().is_none_or(|there| there.run <= outcome.run) {
        *place = Some(outcome);
    }
}

/// Runs something with all signals blocked; a thread started by it keeps them blocked, so that the server's handlers run
/// in the main thread only.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn without_signals<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised before they are used, and this thread gets its own back.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) =
            (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = run();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use entra::KeySource;

    use super::*;

    #[test]
    fn fetches_that_never_end_do_not_pile_up() {
        let mut handover = Handover::new().expect("a pair of sockets");
        let origin = || KeyOrigin {
            source: KeySource::File("/nowhere".to_owned()),
            ca_file: None,
            proxy: None,
            fingerprint: String::new(),
        };
        let mut stuck: Vec<_> = (0..MAX_FETCHES).map(|_| Arc::clone(&handover.outcome)).collect();
        let fault = handover.start(1, origin()).expect_err("one too many");
        assert_eq!(fault.to_string(), "earlier fetches have not come to an end");
        stuck.pop();
        handover.start(2, origin()).expect("a thread");
        let outcome = (0..1_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            handover.take()
        });
        assert_eq!(outcome.expect("an outcome").run, 2);
    }
}

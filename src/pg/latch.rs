//! Latches: how a process sleeps until another one wakes it.

use std::os::fd::RawFd;
use std::time::Duration;

use pgrx::prelude::*;

use crate::pg::shmem::Shareable;

/// The latch of a process, for others to wake it; or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latch(*mut pg_sys::Latch);

#[expect(unsafe_code, reason = "a promise about a type")]
// SAFETY: the pointer leads into shared memory, which every process has at the same address.
unsafe impl Shareable for Latch {}

impl Latch {
    pub(crate) const NONE: Self = Self(std::ptr::null_mut());

    /// Returns the latch of this process.
    #[expect(unsafe_code, reason = "reads the state of the process")]
    pub(crate) fn own() -> Self {
        // SAFETY: the process has its entry in shared memory from InitProcess() until its end.
        Self(unsafe { &raw mut (*pg_sys::MyProc).procLatch })
    }

    /// Wakes the process, if there is one. If it has just ended, another process that was given its
    /// entry is woken once in vain.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn wake(self) {
        if self != Self::NONE {
            // SAFETY: a latch in shared memory, where it stays.
            unsafe { pg_sys::SetLatch(self.0) }
        }
    }
}

/// Sleeps until this process is woken, the time is up, or the file descriptor is readable. Ends the
/// process if the postmaster has died.
#[expect(unsafe_code, reason = "pgrx waits for a latch only")]
pub(crate) fn sleep(longest: Duration, wake_fd: Option<RawFd>) {
    let readable = if wake_fd.is_some() { pg_sys::WL_SOCKET_READABLE } else { 0 };
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH | readable;
    // SAFETY: the latch is this process's own. The descriptor is open, or there is none and none is
    // waited for.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events.cast_signed(),
            wake_fd.unwrap_or(-1),
            i64::try_from(longest.as_millis()).unwrap_or(i64::MAX),
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pg_sys::check_for_interrupts!();
    }
}

//! A condition variable in shared memory: processes wait until another one has changed something.

use std::ffi::CStr;
use std::mem::size_of;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use pgrx::prelude::*;

use crate::pg::shmem::{self, Piece};

/// A condition variable. It has a lock of its own; what is waited for lies elsewhere.
pub(crate) struct Condition {
    name: &'static CStr,
    /// Null until shared memory is there. Set in the postmaster, inherited by every process.
    address: AtomicPtr<pg_sys::ConditionVariable>,
}

impl Condition {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Requests the memory. In the postmaster only, while it loads its libraries.
    pub(crate) fn request(&'static self) {
        shmem::register(self);
    }

    fn variable(&self) -> *mut pg_sys::ConditionVariable {
        let variable = self.address.load(Ordering::Relaxed);
        if variable.is_null() { shmem::absent() } else { variable }
    }

    /// Wakes all processes that wait.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn broadcast(&self) {
        // SAFETY: initialised in shared memory.
        unsafe { pg_sys::ConditionVariableBroadcast(self.variable()) }
    }

    /// Waits until `seen` returns true, which is asked again after each broadcast. Returns false if
    /// the deadline has passed before.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn wait_until(&self, deadline: Instant, seen: impl Fn() -> bool) -> bool {
        let variable = self.variable();
        // SAFETY: initialised in shared memory. Interrupts are served while asleep, so that
        // timeouts and shutdown are not held up; an error on the way takes this process off the
        // list of those that wait, as any error does (AbortTransaction, ProcKill).
        unsafe { pg_sys::ConditionVariablePrepareToSleep(variable) };
        let seen = loop {
            if seen() {
                break true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            let millis = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
            // SAFETY: as above.
            unsafe { pg_sys::ConditionVariableTimedSleep(variable, millis, pg_sys::PG_WAIT_EXTENSION) };
        };
        // SAFETY: as above.
        unsafe { pg_sys::ConditionVariableCancelSleep() };
        seen
    }
}

impl Piece for Condition {
    fn request(&self) {
        shmem::request_bytes(size_of::<pg_sys::ConditionVariable>());
    }

    #[expect(unsafe_code, reason = "a condition variable is initialised where it lies")]
    fn create(&self) {
        let variable = shmem::take_bytes(self.name, size_of::<pg_sys::ConditionVariable>());
        // SAFETY: memory of this size and alignment, which no other process uses yet.
        unsafe { pg_sys::ConditionVariableInit(variable) };
        self.address.store(variable, Ordering::Relaxed);
    }
}

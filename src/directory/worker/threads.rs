//! The threads in which looks are made and questions are asked, as the main loop sees them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use entra::Uuid;

use crate::directory::batch::Limit;
use crate::directory::memory::slots::{self, Lane};

/// A thread that has not come to an end so long after its time is given up.
const GRACE: Duration = Duration::from_mins(1);

/// The main loop's end of a thread, which asks no more when this is dropped.
pub(super) struct Leash(Limit);

impl Leash {
    pub(super) fn new(longest: Duration) -> Self {
        let deadline = Instant::now() + longest;
        Self(Limit { deadline, is_given_up: Arc::default() })
    }

    /// Returns what the thread keeps to.
    pub(super) fn limit(&self) -> Limit {
        self.0.clone()
    }

    /// Returns whether the thread has long been due.
    pub(super) fn is_lost(&self) -> bool {
        Instant::now() >= self.0.deadline + GRACE
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.is_given_up.store(true, Ordering::Relaxed);
    }
}

/// A look that is being made.
pub(super) struct Looking {
    pub(super) run: u64,
    pub(super) leash: Leash,
    pub(super) administrators: Vec<Uuid>,
}

/// Questions that are being asked: those of one lane that were due, all together.
pub(super) struct Asking {
    pub(super) run: u64,
    pub(super) lane: Lane,
    pub(super) leash: Leash,
    pub(super) asked: Vec<slots::Asked>,
}

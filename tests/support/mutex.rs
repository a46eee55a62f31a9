//! Mutexes that stay usable when a test has panicked with one locked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whatever has become of other threads.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Signals, which the server's handlers expect in the main thread.

/// Runs something with all signals blocked. A thread started by it keeps them blocked, so that the
/// server's handlers run in the main thread only.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn with_signals_blocked<T>(run: impl FnOnce() -> T) -> T {
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

#[expect(unsafe_code, reason = "pgrx wraps this function, and a handler must be the function itself")]
unsafe extern "C-unwind" {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
    fn die(signal: i32);
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
    fn die(signal: i32, info: *const pgrx::pg_sys::pg_signal_info);
}

/// Has SIGTERM end this process at its next interrupt check, as it ends a session: also while it
/// waits for a lock. For workers that run statements.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn end_by_sigterm() {
    // SAFETY: the server's own handler, in the form in which it installs handlers.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
        pgrx::pg_sys::pqsignal(libc::SIGTERM, Some(die));
        #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
        pgrx::pg_sys::pqsignal_be(libc::SIGTERM, Some(die));
    }
}

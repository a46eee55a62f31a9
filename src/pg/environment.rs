//! The environment of this process, which is the postmaster's.

/// Removes variables, so that no library finds them. Called before the process has another thread.
#[expect(unsafe_code, reason = "changes the environment")]
pub(crate) fn remove(names: &[&str]) {
    for name in names {
        // SAFETY: there is no other thread yet.
        unsafe { std::env::remove_var(name) };
    }
}

/// Keeps Rust backtraces out of PostgreSQL's error reports, where they would reach the client as
/// DETAIL.
///
/// They are captured when the postmaster's environment has RUST_BACKTRACE. The standard library
/// looks once per process and remembers the answer; so it is made to look here, with the variable
/// that takes precedence set for just as long.
pub(crate) fn silence_backtraces() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(VARIABLE);
    #[expect(unsafe_code, clippy::disallowed_methods, reason = "the environment is changed and put back")]
    // SAFETY: called while a library is loaded, in a process with one thread.
    unsafe {
        std::env::set_var(VARIABLE, "0");
        drop(std::backtrace::Backtrace::capture());
        match before {
            Some(value) => std::env::set_var(VARIABLE, value),
            None => std::env::remove_var(VARIABLE),
        }
    }
}

//! This process of the server, and how it and others end.

use std::ffi::c_void;

use pgrx::prelude::*;

/// Returns how many processes with an entry in shared memory there can be, background processes
/// among them. Known when shared memory is requested.
#[expect(unsafe_code, reason = "reads a value of the server")]
pub(crate) fn max_backends() -> usize {
    // SAFETY: a plain value, fixed at start before memory is requested.
    usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0)
}

/// Returns the number of this process, from 0 to [`max_backends`] - 1. No other process that lives
/// has it.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn number() -> Option<usize> {
    // SAFETY: set before a client is authenticated.
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    let number = unsafe { pg_sys::MyBackendId } - 1;
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    // SAFETY: as above.
    let number = unsafe { pg_sys::MyProcNumber };
    usize::try_from(number).ok()
}

/// Returns the role that core authenticated, whatever SET ROLE or SET SESSION AUTHORIZATION have
/// made of it since; `InvalidOid` until core has looked the name up.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn authenticated_role() -> pg_sys::Oid {
    // SAFETY: set by InitProcess() in every process that runs statements, and valid until its end.
    unsafe { (*pg_sys::MyProc).roleId }
}

/// Returns whether this process is a parallel worker.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn is_parallel_worker() -> bool {
    // SAFETY: a plain value of the process, set at its start.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// Has a function called when this process ends, while it still has shared memory.
#[expect(unsafe_code, reason = "registers an exit callback")]
pub(crate) fn before_exit(act: fn()) {
    // SAFETY: a guarded function, and an argument that it knows.
    unsafe { pg_sys::before_shmem_exit(Some(run), pg_sys::Datum::from(act as *mut c_void)) }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn run(_code: i32, act: pg_sys::Datum) {
    // SAFETY: before_exit() has passed a function of this type.
    let act = unsafe { std::mem::transmute::<*mut c_void, fn()>(act.cast_mut_ptr()) };
    act();
}

/// Has this process end without the destructors of C libraries, which a thread that still runs
/// might trip over. Called first in a process: exit callbacks that are registered later run
/// earlier.
#[expect(unsafe_code, reason = "registers an exit callback")]
pub(crate) fn end_without_destructors() {
    // SAFETY: a guarded function that needs no argument.
    unsafe { pg_sys::on_proc_exit(Some(end), pg_sys::Datum::from(0)) }
}

/// Has the operating system write no memory of this process into a core dump, and show it to no
/// other process of the same user. Linux does both ("`PR_SET_DUMPABLE`" in prctl(2)); elsewhere
/// there is the limit for core dumps.
#[expect(unsafe_code, reason = "std has no wrapper for this")]
pub(crate) fn keep_memory_private() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: changes a flag of this process and reads no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the structure lives until the call has returned.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The last exit callback.
#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn end(code: i32, _argument: pg_sys::Datum) {
    // SAFETY: shared memory has been left, which is what exit callbacks are for; the rest is the
    // kernel's.
    unsafe { libc::_exit(code) }
}

/// Asks a backend to end as pg_terminate_backend() does: with all processes it has started. The
/// caller knows that the process is still that backend.
#[expect(unsafe_code, reason = "sends a signal")]
pub(crate) fn terminate(backend: i32) {
    // Zero and one would be this process's own group, and every process.
    if backend > 1 {
        // SAFETY: SIGTERM to the process group that a backend of this server leads.
        unsafe { libc::kill(-backend, libc::SIGTERM) };
    }
}

/// Returns whether this process serves a client: it is no background worker, parallel worker or
/// other process of the server.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn has_client() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { !pg_sys::MyProcPort.is_null() }
}

/// Returns the database that the process has selected; `InvalidOid` if it has selected none.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn database() -> pg_sys::Oid {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::MyDatabaseId }
}

/// Returns what `%c` in log_line_prefix is in this process (log_status_format, elog.c): when it
/// started, and its number.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn log_line_id() -> String {
    // SAFETY: a plain value, set when the process began.
    format!("{:x}.{:x}", unsafe { pg_sys::MyStartTime }, std::process::id())
}

/// Ends the process without a message, as core does when a client hangs up during authentication.
#[expect(unsafe_code, reason = "ends the process")]
pub(crate) fn end_quietly() -> ! {
    // SAFETY: runs the server's own exit callbacks and does not come back.
    unsafe { pg_sys::proc_exit(0) };
    #[allow(unreachable_code, reason = "the bindings of some versions know that it does not come back")]
    {
        unreachable!("proc_exit() does not come back")
    }
}

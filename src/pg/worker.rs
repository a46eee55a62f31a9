//! Background workers: how they are registered, started, woken and ended.
//!
//! The postmaster starts a worker once the server is consistent, so on a standby too, and again a
//! second after it has ended. It starts every worker by the same function,
//! [`azure_ad_auth_worker_main`], and tells it the row of the table that `lib.rs` registers. After
//! SIGHUP a worker reads its settings. After SIGTERM it leaves with exit code 1, which asks for
//! another one; exit code 0 would mean "never again", and the postmaster starts none while it is
//! itself shutting down. A worker whose postmaster has died ends at once.
//!
//! A worker of the table may instead be one that another process starts when there is work for it,
//! by [`start`]. It ends when that is done, with exit code 0.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::prelude::*;

use crate::pg::{latch, library, signals};

/// The postmaster starts a worker again so long after it has ended.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A row of the table of workers.
pub(crate) struct Worker {
    /// Its name, as pg_stat_activity and the log show it.
    pub(crate) name: &'static str,
    pub(crate) connection: Connection,
    /// The postmaster starts it with the server and again when it has ended. Otherwise [`start`]
    /// does, once.
    pub(crate) is_resident: bool,
    /// Does its work. Returns once SIGTERM has come, when it cannot work, or when its work is done.
    pub(crate) run: fn(),
}

/// What of the catalogs a worker can use. All are connected as the bootstrap superuser.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connection {
    /// Nothing.
    None,
    /// It is connected to no database, and so reads what a login may read.
    Shared,
    /// It is connected to the database that this returns when the worker starts, and may run
    /// statements.
    Database(fn() -> String),
}

/// The work of a worker, for [`run`].
pub(crate) trait Task {
    /// Does what is due. Called at the start, and whenever the worker has been woken or has slept
    /// long enough. Returns how long it may sleep.
    fn work(&mut self) -> Duration;

    /// Reads the configuration files again. Called after SIGHUP.
    fn reload(&mut self);

    /// Returns a file descriptor that wakes the worker when it becomes readable.
    fn wake_fd(&self) -> Option<RawFd> {
        None
    }
}

thread_local! {
    /// The table. Set in the postmaster, inherited by every process.
    static WORKERS: Cell<&'static [Worker]> = const { Cell::new(&[]) };
}

/// Registers the workers. In the postmaster only, while it loads its libraries.
pub(crate) fn register(workers: &'static [Worker]) {
    WORKERS.set(workers);
    for (row, worker) in workers.iter().enumerate().filter(|(_, worker)| worker.is_resident) {
        builder(row, worker)
            .set_restart_time(Some(RESTART_DELAY))
            // Set after everything else: access to catalogs would have it wait for the end of
            // recovery.
            .set_start_time(BgWorkerStartTime::ConsistentState)
            .load();
    }
}

/// Has the postmaster start the worker of this name, which is not resident, once recovery is over.
/// Returns false if no slot is free (`max_worker_processes`).
pub(crate) fn start(name: &str) -> bool {
    let mut rows = WORKERS.get().iter().enumerate();
    let Some((row, worker)) = rows.find(|(_, worker)| worker.name == name) else { return false };
    let worker = builder(row, worker).set_restart_time(None);
    worker.set_start_time(BgWorkerStartTime::RecoveryFinished).load_dynamic().is_ok()
}

fn builder(row: usize, worker: &Worker) -> BackgroundWorkerBuilder {
    let builder = BackgroundWorkerBuilder::new(worker.name)
        .set_type(worker.name)
        .set_library("azure_ad_auth")
        .set_function("azure_ad_auth_worker_main")
        .set_argument(Some(pg_sys::Datum::from(row)))
        .enable_shmem_access(None);
    match worker.connection {
        Connection::None => builder,
        Connection::Shared | Connection::Database(_) => builder.enable_spi_access(),
    }
}

/// Starts a worker. The postmaster looks this function up by its name, which therefore stays the
/// same in every version, in the file that has the library's name now. If that is not the file that
/// the postmaster has loaded itself, the worker of the loaded one goes on. Ends the process.
#[pg_guard]
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by the postmaster by name")]
pub extern "C-unwind" fn azure_ad_auth_worker_main(row: pg_sys::Datum) {
    if let Some(main) = library::worker_main_of_another_file() {
        return library::hand_over(main, row);
    }
    let worker = WORKERS.get().get(row.value());
    if let Some(worker) = worker {
        if matches!(worker.connection, Connection::Database(_)) {
            signals::end_by_sigterm();
            BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
        } else {
            BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
        }
        match worker.connection {
            Connection::None => {}
            Connection::Shared => BackgroundWorker::connect_worker_to_spi(None, None),
            Connection::Database(name) => BackgroundWorker::connect_worker_to_spi(Some(&name()), None),
        }
        (worker.run)();
    }
    let code = i32::from(worker.is_none_or(|worker| worker.is_resident));
    // SAFETY: runs the exit callbacks and does not come back. If this function returned, the exit
    // code would be 0 (bgworker.c), and the postmaster would start no resident worker again.
    unsafe { pg_sys::proc_exit(code) }
}

/// Works until SIGTERM has come.
pub(crate) fn run(task: &mut impl Task) {
    loop {
        let idle_for = task.work();
        latch::sleep(idle_for, task.wake_fd());
        if BackgroundWorker::sigterm_received() {
            return;
        }
        if BackgroundWorker::sighup_received() {
            task.reload();
        }
    }
}

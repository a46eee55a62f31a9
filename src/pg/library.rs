//! Whether the postmaster loaded this library, without which it does not work, and whether it was
//! this very file.
//!
//! A package upgrade replaces the file under a running server. Sessions that load it under the name
//! it was loaded by go on with the library of the postmaster (internal_load_library, dfmgr.c).
//! Under another name they load the new file beside it, which has none of its state, and says so.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::fs;
use std::os::unix::fs::MetadataExt;

use pgrx::prelude::*;

use crate::pg::error::{Fault, Result};

/// Under this name the library that the postmaster loaded leaves a mark for other copies of itself
/// (find_rendezvous_variable, dfmgr.c): the address of its workers' main function, a
/// [`WorkerMain`].
///
/// Another version of the library reads the mark and calls that function. So if the type behind the
/// mark ever changes, or what its argument means, the mark's NAME must change with it, and
/// [`status`] must know the earlier name, too.
const MARK: &CStr = c"azure_ad_auth";

/// The main function of the background workers. Its argument is the row of the table of workers in
/// the version of the library that it belongs to.
pub(crate) type WorkerMain = extern "C-unwind" fn(pg_sys::Datum);

thread_local! {
    /// Set in the postmaster, inherited by every process.
    static THIS_FILE: Cell<bool> = const { Cell::new(false) };
    /// Which file it was then. Set with it.
    static LOADED: Cell<Option<FileId>> = const { Cell::new(None) };
}

/// The device and the number of a file.
type FileId = (u64, u64);

/// How the library was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preloaded {
    /// The postmaster loaded this file.
    ThisFile,
    /// The postmaster loaded a file that this one has since replaced.
    AnotherFile,
    /// The postmaster did not load it.
    No,
}

/// Leaves the mark. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn mark(worker_main: WorkerMain) {
    THIS_FILE.set(true);
    LOADED.set(file_id());
    // SAFETY: a constant C string; the variable is never freed.
    unsafe { *pg_sys::find_rendezvous_variable(MARK.as_ptr()) = worker_main as *mut c_void }
}

/// Hands over to the library that the postmaster loaded, whose file was replaced under the running
/// server.
#[expect(ffi_unwind_calls, reason = "a worker's main function catches what unwinds")]
pub(crate) fn hand_over(main: WorkerMain, argument: pg_sys::Datum) {
    main(argument);
}

/// Returns the workers' main function in the library that the postmaster loaded, if that is not
/// this one. The postmaster names a worker's library by name; a worker it starts after the file was
/// replaced finds itself in the new one.
#[expect(unsafe_code, reason = "calls across two versions of this library")]
pub(crate) fn worker_main_of_another_file() -> Option<WorkerMain> {
    if status() != Preloaded::AnotherFile {
        return None;
    }
    // SAFETY: under this name every version leaves the address of a function of this type, in a
    // library that is never unloaded.
    unsafe {
        let mark = *pg_sys::find_rendezvous_variable(MARK.as_ptr());
        (!mark.is_null()).then(|| std::mem::transmute::<*mut c_void, WorkerMain>(mark))
    }
}

/// Returns whether the postmaster loaded this file. Calls no function of the server, so it may be
/// called in any program.
pub(crate) fn is_this_file() -> bool {
    THIS_FILE.get()
}

/// Returns the path of this library's file, as the dynamic linker was given it: the one that
/// PostgreSQL found along `dynamic_library_path`. libpam, given the same text, gets the same
/// library, even after the file has been replaced.
pub(crate) fn path() -> Option<String> {
    path_at(path as fn() -> Option<String> as *const c_void)
}

/// Returns the path of the library, or program, in whose code an address lies.
#[expect(unsafe_code, reason = "asks the dynamic linker")]
pub(crate) fn path_at(address: *const c_void) -> Option<String> {
    // SAFETY: any address, and a structure to fill; the name in it lives as long as the library,
    // and PostgreSQL unloads none.
    unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        let is_found = libc::dladdr(address, &raw mut found) != 0 && !found.dli_fname.is_null();
        is_found.then(|| CStr::from_ptr(found.dli_fname).to_string_lossy().into_owned())
    }
}

fn file_id() -> Option<FileId> {
    let found = fs::metadata(path()?).ok()?;
    Some((found.dev(), found.ino()))
}

/// Returns whether another file is now where the postmaster loaded this one from: a restart would
/// load that.
pub(crate) fn is_replaced() -> bool {
    LOADED.get().is_some_and(|loaded| file_id() != Some(loaded))
}

/// Returns whether no file is there any more: the server would not start again.
pub(crate) fn is_gone() -> bool {
    LOADED.get().is_some() && file_id().is_none()
}

/// Returns how the library was loaded.
#[expect(unsafe_code, reason = "reads a mark that the postmaster has left")]
pub(crate) fn status() -> Preloaded {
    // SAFETY: a constant C string; the variable is never freed.
    let marked = unsafe { !(*pg_sys::find_rendezvous_variable(MARK.as_ptr())).is_null() };
    match (THIS_FILE.get(), marked) {
        (true, _) => Preloaded::ThisFile,
        (false, true) => Preloaded::AnotherFile,
        (false, false) => Preloaded::No,
    }
}

/// Returns whether the server runs for pg_upgrade.
#[expect(unsafe_code, reason = "reads a flag of the server")]
pub(crate) fn upgrading() -> bool {
    // SAFETY: a plain value, set at start.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Requires that the postmaster loaded this file: hooks, label providers and shared memory are
/// those of the file that it loaded.
///
/// # Errors
/// Says what an administrator has to do.
pub(crate) fn require() -> Result<()> {
    match status() {
        // There is no shared memory then, and no client logs in.
        Preloaded::ThisFile if upgrading() => {
            Err(Fault::prerequisite("azure_ad_auth does nothing while the server is being upgraded"))
        }
        Preloaded::ThisFile => Ok(()),
        Preloaded::AnotherFile => {
            Err(Fault::prerequisite("the azure_ad_auth library was replaced after the server started")
                .hint("Restart the server."))
        }
        Preloaded::No => Err(absent().hint(
            "Add azure_ad_auth to shared_preload_libraries in postgresql.conf and restart the server.",
        )),
    }
}

/// Requires that a server that pg_upgrade has started preloads the library: it brings the label
/// providers that the roles to be restored have labels of. pg_upgrade loads every library before it
/// begins, and with `--check` does nothing else; so this error comes before anything is changed.
///
/// # Errors
/// Says what has to be done to the new server.
pub(crate) fn require_for_upgrade() -> Result<()> {
    if !upgrading() || status() != Preloaded::No {
        return Ok(());
    }
    Err(absent()
        .detail("Without it the labels of Azure AD roles cannot be restored.")
        .hint("Add azure_ad_auth to shared_preload_libraries in postgresql.conf of the new server, and run pg_upgrade again."))
}

fn absent() -> Fault {
    Fault::prerequisite("azure_ad_auth must be loaded via shared_preload_libraries")
}

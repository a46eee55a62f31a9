//! The server's table of processes.

use pgrx::prelude::*;

use crate::pg::process;

/// Sends every process whose role `is_wanted` what pg_terminate_backend() sends, however it was let
/// in. A process of this backend's own acts on it when it next can, after its commit.
#[expect(unsafe_code, reason = "walks the server's table of processes")]
pub(crate) fn terminate(is_wanted: impl Fn(pg_sys::Oid) -> bool) {
    // SAFETY: the table is in shared memory and of fixed size. It is read without a lock, as
    // pg_stat_activity's is: a process that comes meanwhile meets the seal. One that has gone
    // leaves its number and its role behind before 17 (ProcKill, proc.c), and the number may be
    // another's by now: the server's list of those that live decides. A process on that list leads
    // a group, in which whatever it has started is.
    unsafe {
        let table = &*pg_sys::ProcGlobal;
        for n in 0..table.allProcCount as usize {
            let entry = table.allProcs.add(n);
            let pid = (*entry).pid;
            let is_of_role = || is_wanted(std::ptr::read_volatile(&raw const (*entry).roleId));
            // The role is checked again, because the entry may belong to another process by now.
            if pid != 0 && is_of_role() && pg_sys::BackendPidGetProc(pid) == entry && is_of_role() {
                process::terminate(pid);
            }
        }
    }
}

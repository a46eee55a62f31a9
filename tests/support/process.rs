//! Processes: whose they are, and the signals that they are sent.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::scratch::server_ids;

/// Has a command run as the user that the server runs as.
pub fn run_as_server(command: &mut Command) {
    if let Some((user, group)) = server_ids() {
        command.uid(user).gid(group);
    }
}

/// Sends a signal. Returns false if there is no such process any more.
pub fn signal(pid: i32, number: i32) -> bool {
    #[expect(unsafe_code, reason = "std has no signals")]
    // SAFETY: a process that a test has started, or one of its server's.
    unsafe {
        libc::kill(pid, number) == 0
    }
}

//! Processes: whose they are, and the signals that they are sent.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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

/// Returns the path of a program of the system, which may be in a folder that only root's path has.
pub fn system_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut programs = folders.map(|folder| folder.join(name));
    programs
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: install the package that has it"))
}

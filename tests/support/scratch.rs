//! Folders that the server's user may use and that are removed when dropped.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::run_as_server;

/// PostgreSQL does not run as root. If the tests do, its servers run as this user.
const SERVER_USER: &str = "postgres";

/// Returns the user and group ids of the server's user, if the tests run as root.
pub fn server_ids() -> Option<(u32, u32)> {
    static IDS: LazyLock<Option<(u32, u32)>> = LazyLock::new(|| {
        #[expect(unsafe_code, reason = "std does not know the user id")]
        // SAFETY: has no preconditions.
        let root = unsafe { libc::geteuid() } == 0;
        root.then(|| (id("-u"), id("-g")))
    });
    *IDS
}

fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, SERVER_USER]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("as root, a user \"postgres\" is needed")
}

/// A new folder, removed with everything in it when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a folder. Its path is short enough for a socket within.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aada-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its permissions");
        give_to_server(&path);
        Self { path }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the server's user can read.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).expect("a scratch file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
        give_to_server(&path);
        path
    }
}

/// Makes the server's user the owner of a path.
pub fn give_to_server(path: &Path) {
    if let Some((user, group)) = server_ids() {
        chown(path, Some(user), Some(group)).expect("chown");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Starts a process of the server's user that leads a process group and has one of these ids, which
/// have become free lately. Root can ask the kernel to go on numbering there; an ordinary user
/// starts processes until one has such an id.
pub fn process_with_id(wanted: &[u32]) -> Child {
    for next in wanted.iter().cycle().take(100_000) {
        let _ = fs::write("/proc/sys/kernel/ns_last_pid", (next - 1).to_string());
        let mut sleep = Command::new("sleep");
        sleep.arg("600").process_group(0);
        run_as_server(&mut sleep);
        let mut child = sleep.spawn().expect("sleep");
        if wanted.contains(&child.id()) {
            return child;
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("no process was given one of the numbers {wanted:?}");
}

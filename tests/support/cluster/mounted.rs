//! Starts at which the server sees a folder where there is none.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::Cluster;
use crate::installation::succeed;
use crate::scratch::server_ids;

/// Puts an empty file system over a folder, makes a path within it, shows another folder there, and
/// runs a command.
const SHOW: &str = "mount -t tmpfs -o mode=755 none \"$1\" && mkdir -p \"$2\" && mount --bind \"$3\" \"$2\" && \
                    shift 3 && exec \"$@\"";

impl Cluster {
    /// Starts the server so that it, and nobody else, sees `folder` at the path `at`. That path is
    /// in `base`, a folder in which the server sees nothing else.
    pub fn start_seeing(&self, folder: &Path, base: &str, at: &str) {
        let owner = fs::metadata(self.data()).expect("a data directory");
        let mut command = Command::new("sudo");
        command.arg("unshare");
        if server_ids().is_some() {
            command = Command::new("unshare");
        }
        command.args(["--mount", "sh", "-c", SHOW, "sh", base, at]).arg(folder);
        command.args(["setpriv", "--clear-groups"]);
        command.args([format!("--reuid={}", owner.uid()), format!("--regid={}", owner.gid())]);
        command.args(["env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"]);
        command.arg(self.installation().program("pg_ctl")).arg("-D").arg(self.data());
        command.args(["start", "-w", "-t", "60", "-s", "-l"]).arg(self.log_path()).current_dir("/");
        succeed(&mut command);
    }
}

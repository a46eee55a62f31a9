//! What the process that asks the directory takes.

use std::fs;
use std::time::Duration;

use testbed::cluster::Cluster;

/// The unit of times in `/proc/…/stat`, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The directory worker, by its process.
pub(super) struct Worker(String);

impl Worker {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self(cluster.sql("SELECT worker_pid FROM azure_ad_auth.directory_status"))
    }

    /// Returns how long it has been on a core, all its threads included.
    pub(super) fn on_core(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).expect("the worker");
        // utime and stime are the 14th and the 15th field (proc(5)). The second field ends with the
        // only parenthesis.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        TICK * fields.skip(11).take(2).map(|field| field.parse::<u32>().expect("ticks")).sum()
    }

    /// Returns the greatest size that it has had in memory, in MiB, without the pages of the
    /// server's shared memory that it has touched: those are there once for all processes.
    pub(super) fn own_peak(&self) -> f64 {
        self.size("VmHWM:") - self.size("RssShmem:")
    }

    fn size(&self, name: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the worker");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
        let kibibytes: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        f64::from(kibibytes) / 1_024.0
    }
}

//! What the processes that ask the directory, and act on its answers, take.

use std::fs;
use std::time::Duration;

use testbed::cluster::Cluster;

/// The unit of times in `/proc/…/stat`, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A worker, by its process.
pub(super) struct Worker(String);

impl Worker {
    /// Returns the directory worker.
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self(cluster.sql("SELECT worker_pid FROM azure_ad_auth.directory_status"))
    }

    /// Returns another process by its id.
    pub(super) fn by_id(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// Returns how long it has been on a core, all its threads included.
    pub(super) fn on_core(&self) -> Duration {
        self.time().expect("the worker")
    }

    fn time(&self) -> Option<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // utime and stime are the 14th and the 15th field (proc(5)). The second field ends with the
        // only parenthesis.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        Some(TICK * fields.skip(11).take(2).map(|field| field.parse::<u32>().expect("ticks")).sum())
    }

    /// Returns the greatest size that it has had in memory, in MiB, without the pages of the
    /// server's shared memory that it has touched: those are there once for all processes.
    pub(super) fn own_peak(&self) -> f64 {
        self.peak().expect("the worker")
    }

    fn peak(&self) -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let size = |name: &str| -> Option<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
            Some(f64::from(kibibytes) / 1_024.0)
        };
        Some(size("VmHWM:")? - size("RssShmem:")?)
    }

    /// Returns both of a process that may have ended meanwhile.
    pub(super) fn seen(&self) -> Option<(Duration, f64)> {
        Some((self.time()?, self.peak()?))
    }
}

//! The processes of a server, modules to load into it, and starts after which its caches are cold.

use std::fs;
use std::process::Command;

use testbed::client::PsqlOutput;
use testbed::cluster::Cluster;
use testbed::process::signal;

/// Leaves room for the key worker only, so that no process ends sessions but their own.
pub(crate) const NO_REAPER: &str = "max_worker_processes = 2";

/// The title of the key worker.
pub(crate) const WORKER: &str = "azure_ad_auth key refresh";

/// Returns the id of a process of the server whose title contains a text.
pub(crate) fn process(cluster: &Cluster, title: &str) -> Option<i32> {
    let postmaster = cluster.pid();
    fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        (parent == postmaster && String::from_utf8_lossy(&command).contains(title)).then_some(pid)
    })
}

/// Sends a signal to the key worker.
pub(crate) fn signal_worker(cluster: &Cluster, number: i32) {
    signal(process(cluster, WORKER).expect("a worker"), number);
}

/// Returns how often logins have waited for keys.
pub(crate) fn key_waits(cluster: &Cluster) -> u64 {
    let waits = cluster.sql("SELECT value FROM azure_ad_auth.stat WHERE metric = 'key_waits'");
    waits.parse().expect("a number")
}

/// Compiles the neighbour, a library with an authentication hook of its own. Returns its path.
pub(crate) fn neighbour(cluster: &Cluster) -> String {
    module(cluster, "neighbour", "neighbour")
}

/// Compiles a module of the tests under a name. Returns its path.
pub(crate) fn module(cluster: &Cluster, source: &str, name: &str) -> String {
    let target = cluster.path(&format!("{name}.so"));
    let source = format!("{}/modules/{source}.c", env!("CARGO_MANIFEST_DIR"));
    let headers = cluster.installation().pg_config("--includedir-server");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&target).arg("-I").arg(headers).arg(source);
    let output = cc.arg(format!("-DNAME={name}")).output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.to_string_lossy().into_owned()
}

/// How a server is started anew.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Restart {
    Clean,
    AfterCrash,
    WithoutCacheFile,
    AfterCrashWithoutCacheFile,
}

/// Stops and starts a server, so that the caches of its processes are cold.
pub(crate) fn restart(cluster: &Cluster, how: Restart) {
    let crash = matches!(how, Restart::AfterCrash | Restart::AfterCrashWithoutCacheFile);
    cluster.stop(if crash { "immediate" } else { "fast" });
    if matches!(how, Restart::WithoutCacheFile | Restart::AfterCrashWithoutCacheFile) {
        let _ = fs::remove_file(cluster.data().join("global/pg_internal.init"));
    }
    cluster.start();
}

/// Runs a script by psql, which stops at the first error.
pub(crate) fn run_script(cluster: &Cluster, script: &str) -> PsqlOutput {
    let file = cluster.folder().write("dump.sql", script);
    let mut psql = cluster.installation().command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-f"])
        .arg(file)
        .env("PGHOST", cluster.folder().path())
        .env("PGPORT", cluster.port.to_string());
    let output = psql.output().expect("psql");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    PsqlOutput {
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

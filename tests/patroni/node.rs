//! A node: Patroni, and the server that it runs.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use testbed::client::psql_with;
use testbed::installation::Installation;
use testbed::mutex::lock;
use testbed::port::free_port;
use testbed::process::run_as_server;
use testbed::scratch::Folder;

use crate::rest::{self, Reply};

/// A node of the cluster. Ended when dropped.
pub(crate) struct Node {
    pub(crate) name: String,
    /// The port of the server.
    pub(crate) port: u16,
    /// The port of Patroni.
    pub(crate) rest: u16,
    folder: Folder,
    installation: Installation,
    patroni: Mutex<Option<Child>>,
}

impl Node {
    /// Makes a node without starting it.
    pub(crate) fn new(name: &str, installation: &Installation) -> Self {
        Self {
            name: name.to_owned(),
            port: free_port(),
            rest: free_port(),
            folder: Folder::new(name),
            installation: installation.clone(),
            patroni: Mutex::new(None),
        }
    }

    /// Returns the path of a file in the node's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes Patroni's configuration. JSON is YAML, too.
    pub(crate) fn configure(&self, configuration: &Value) {
        self.folder.write("patroni.yml", configuration.to_string());
    }

    /// Starts Patroni, which starts the server: the program that the environment variable
    /// `PATRONI` names, or else the one on the path.
    pub(crate) fn start(&self) {
        let mut command = Command::new(std::env::var("PATRONI").unwrap_or_else(|_| "patroni".to_owned()));
        run_as_server(&mut command);
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let errors = log.try_clone().expect("a log");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.current_dir(self.folder.path()).arg(self.path("patroni.yml"));
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let child = command.spawn().expect("Patroni is missing: set PATRONI");
        *lock(&self.patroni) = Some(child);
    }

    /// Kills Patroni and the postmaster, as a machine that fails ends them: nobody cleans up.
    pub(crate) fn kill(&self) {
        self.kill_patroni();
        let pid_file = fs::read_to_string(self.path("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid_file.lines().next() {
            let _ = self.installation.command("pg_ctl").args(["kill", "KILL", pid]).output();
        }
    }

    fn kill_patroni(&self) {
        if let Some(mut patroni) = lock(&self.patroni).take() {
            let _ = patroni.kill();
            let _ = patroni.wait();
        }
    }

    /// Sends Patroni a request. Returns none if it does not answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Option<Reply> {
        rest::ask(self.rest, method, path, body).ok()
    }

    /// Sends Patroni a request that must succeed.
    pub(crate) fn order(&self, method: &str, path: &str, body: &Value) {
        let reply = self.ask(method, path, body).expect("an answer of Patroni");
        assert!((200..300).contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.body);
    }

    /// Runs SQL as the superuser over the socket. Returns what it printed; none if it failed.
    pub(crate) fn try_sql(&self, database: &str, command: &str) -> Option<String> {
        let folder = self.folder.path().display();
        let connection = format!("host={folder} port={} dbname={database} user=postgres", self.port);
        let psql = self.installation.program("psql");
        let output = psql_with(&psql, &["-A", "-t"], &connection, None, command);
        output.success.then_some(output.stdout)
    }

    /// Does the same where it must succeed.
    pub(crate) fn sql(&self, database: &str, command: &str) -> String {
        self.try_sql(database, command).unwrap_or_else(|| panic!("{command}\n{}", self.log_tail()))
    }

    /// Returns whether its server takes writes.
    pub(crate) fn leads(&self) -> bool {
        self.try_sql("postgres", "SELECT pg_is_in_recovery()").as_deref() == Some("f")
    }

    /// Returns the log of Patroni and the server.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Returns the end of the log.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill_patroni();
        // A postmaster that is killed would leave its shared memory behind.
        let mut stop = self.installation.command("pg_ctl");
        let _ = stop.args(["stop", "-m", "immediate", "-D"]).arg(self.path("data")).output();
    }
}

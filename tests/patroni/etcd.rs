//! etcd, in which Patroni keeps who leads and the configuration.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use testbed::port::free_port;
use testbed::process::run_as_server;
use testbed::scratch::Folder;

/// A running etcd of one member. Ended when dropped.
pub(crate) struct Etcd {
    process: Child,
    /// The port for clients.
    pub(crate) port: u16,
    _folder: Folder,
}

impl Etcd {
    /// Starts the program that the environment variable `ETCD` names, or else the one on the path.
    pub(crate) fn start() -> Self {
        let program = std::env::var("ETCD").unwrap_or_else(|_| "etcd".to_owned());
        let folder = Folder::new("etcd");
        let port = free_port();
        let (client, peer) =
            (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
        let mut command = Command::new(program);
        run_as_server(&mut command);
        command.env_clear().current_dir("/").arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--name", "one", "--initial-cluster", &format!("one={peer}")]);
        // Nothing here outlives the run, so nothing has to reach the disk.
        command.arg("--unsafe-no-fsync");
        let log = File::create(folder.path().join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().expect("etcd is missing: apt-get install etcd-server, or set ETCD");
        Self { process, port, _folder: folder }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

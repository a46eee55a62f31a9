//! PgBouncer, through which clients share connections to a server.

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};

use crate::client::RawClient;
use crate::port::free_port;
use crate::process::{run_as_server, signal, system_program};
use crate::scratch::Folder;
use crate::waits::eventually;

/// A running PgBouncer. Ended when dropped.
pub struct Pooler {
    process: Child,
    folder: Folder,
    port: u16,
}

impl Pooler {
    /// Starts one with a configuration, which ends in its section `[pgbouncer]`.
    pub fn start(configuration: &str) -> Self {
        Self::start_by(Command::new(system_program("pgbouncer")), configuration)
    }

    /// Starts one by a command.
    pub fn start_by(mut command: Command, configuration: &str) -> Self {
        let (folder, port) = (Folder::new("pooler"), free_port());
        write(&folder, port, configuration);
        run_as_server(&mut command);
        command.env_clear().current_dir("/").arg("-q").arg(folder.path().join("pgbouncer.ini"));
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbouncer");
        let pooler = Self { process, folder, port };
        assert!(eventually(|| pooler.client().is_ok()), "PgBouncer does not start:\n{}", pooler.log());
        pooler
    }

    /// Has it read another configuration.
    pub fn reload(&self, configuration: &str) {
        write(&self.folder, self.port, configuration);
        let pid = i32::try_from(self.process.id()).expect("a process id");
        signal(pid, libc::SIGHUP);
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Connects a client to it.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn client(&self) -> io::Result<RawClient> {
        RawClient::tcp(self.port, None)
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a configuration by which every client is served unless it says otherwise, and none waits
/// for long.
fn write(folder: &Folder, port: u16, configuration: &str) {
    let log = folder.path().join("log");
    let everybody = if configuration.contains("auth_type") { "" } else { "auth_type = any\n" };
    let configuration = format!(
        "{configuration}\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n{everybody}logfile = {}\n\
         server_login_retry = 1\nquery_wait_timeout = 3\n",
        log.display()
    );
    folder.write("pgbouncer.ini", configuration);
}

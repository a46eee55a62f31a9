//! PgBouncer in front of a server: clients take turns at one connection, which logs in with a token.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::RawClient;
use crate::cluster::{Cluster, eventually, free_port};
use crate::scratch::{Folder, server_ids};

/// The longest password that PgBouncer passes on from 1.17 on.
pub const LONGEST_TOKEN: usize = 2_047;

/// A running PgBouncer. Ended when dropped.
pub struct Pooler {
    process: Child,
    folder: Folder,
    port: u16,
    role: String,
    server: u16,
}

impl Pooler {
    /// Starts one that logs in as a role with a token.
    pub fn start(cluster: &Cluster, role: &str, token: &str) -> Self {
        let folder = Folder::new("pooler");
        folder.write("ca.pem", cluster.workshop.authority.pem());
        let port = free_port();
        write(&folder, port, cluster.port, role, token);
        let mut command = Command::new(program());
        if let Some((user, group)) = server_ids() {
            command.uid(user).gid(group);
        }
        command.env_clear().current_dir("/").arg("-q").arg(folder.path().join("pgbouncer.ini"));
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbouncer");
        let pooler = Self { process, folder, port, role: role.to_owned(), server: cluster.port };
        assert!(eventually(|| pooler.client().is_ok()), "PgBouncer does not start:\n{}", pooler.log());
        pooler
    }

    /// Gives it another token to log in with.
    pub fn renew(&self, token: &str) {
        write(&self.folder, self.port, self.server, &self.role, token);
        let pid = i32::try_from(self.process.id()).expect("a process id");
        #[expect(unsafe_code, reason = "std has no signals")]
        // SAFETY: our own child, not waited for yet.
        unsafe {
            libc::kill(pid, libc::SIGHUP);
        }
    }

    /// A client of it.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn client(&self) -> io::Result<RawClient> {
        RawClient::tcp(self.port, None)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where it is, which is not on everybody's path: `make test` installs it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut programs = folders.map(|folder| folder.join("pgbouncer"));
    programs.find(|program| Path::is_file(program)).expect("pgbouncer is missing: apt-get install pgbouncer")
}

/// What docs/sessions.md shows, for a test: anybody may come, and what a session leaves behind is taken away after each transaction.
fn write(folder: &Folder, port: u16, server: u16, role: &str, token: &str) {
    let place = folder.path().display();
    let configuration = format!(
        "[databases]\n\
         postgres = host=127.0.0.1 port={server} user={role} password={token} pool_size=1\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\nserver_reset_query = DISCARD ALL\nserver_reset_query_always = 1\n\
         server_tls_sslmode = verify-full\nserver_tls_ca_file = {place}/ca.pem\n\
         server_login_retry = 1\nquery_wait_timeout = 3\nlogfile = {place}/log\nverbose = 0\n"
    );
    folder.write("pgbouncer.ini", configuration);
}

//! Scratch servers: made from a template, started on a free port of 127.0.0.1, stopped and removed when dropped.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;

use crate::ca::Authority;
use crate::client::{Outcome, PsqlOutput, RawClient, psql, psql_with};
use crate::door::Door;
use crate::idp::Provider;
use crate::issuer::{AUDIENCE, TENANT};
use crate::pam::{self, Service};
use crate::scratch::{Folder, server_ids};

/// The programs of one PostgreSQL.
#[derive(Debug, Clone)]
pub struct Installation {
    bin: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Installation {
    /// The one that the environment variable `PG_CONFIG` names, or that is on the path.
    pub fn chosen() -> Self {
        Self::of(&std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned()))
    }

    /// The one to upgrade from: that of the environment variable `OLD_PG_CONFIG`, or the chosen one itself.
    pub fn old() -> Self {
        std::env::var("OLD_PG_CONFIG").map_or_else(|_| Self::chosen(), |pg_config| Self::of(&pg_config))
    }

    /// The one that a pg_config is of.
    pub fn of(pg_config: &str) -> Self {
        let ask = |what: &str| {
            let output = Command::new(pg_config).arg(what).output();
            let output = output.unwrap_or_else(|fault| panic!("{pg_config}: {fault}; set PG_CONFIG"));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let version = ask("--version");
        let digits: String =
            version.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        Self { bin: ask("--bindir").into(), major: digits.parse().expect("a version") }
    }

    /// The folder of its programs.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// What pg_config says.
    pub fn pg_config(&self, what: &str) -> String {
        let output = succeed(self.command("pg_config").arg(what));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A command for a program of the server, run as the user the server runs as.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        if let Some((user, group)) = server_ids() {
            command.uid(user).gid(group);
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command
    }
}

/// Runs a command to its end.
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What all servers of a run share: programs, certificates, an initialised data directory to copy.
pub struct Workshop {
    /// The programs.
    pub installation: Installation,
    /// Who signs all certificates.
    pub authority: Authority,
    folder: Folder,
    ready: Mutex<bool>,
}

impl Workshop {
    /// For the chosen installation.
    pub fn new() -> Self {
        Self::of(Installation::chosen())
    }

    /// For an installation.
    pub fn of(installation: Installation) -> Self {
        let folder = Folder::new("workshop");
        let authority = Authority::new("Trial authority");
        folder.write("ca.pem", authority.pem());
        Self { installation, authority, folder, ready: Mutex::new(false) }
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A data directory with nothing in it but what initdb puts there.
    fn template(&self) -> PathBuf {
        let path = self.folder.path().join("template");
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !*ready {
            let mut initdb = self.installation.command("initdb");
            initdb.arg("-D").arg(&path);
            succeed(initdb.args([
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "-A",
                "trust",
                "--no-sync",
                "--wal-segsize=1",
            ]));
            *ready = true;
        }
        path
    }
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

/// A scratch server.
pub struct Cluster {
    /// What it was made from.
    pub workshop: Arc<Workshop>,
    /// How Azure AD roles get in.
    pub door: Door,
    /// The service of the PAM door.
    service: Option<Service>,
    folder: Folder,
    /// Where it listens.
    pub port: u16,
    tls: Arc<ClientConfig>,
}

/// How a cluster is set up before its first start.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Further lines of postgresql.conf.
    pub settings: String,
    /// pg_hba.conf; empty: that of the door.
    pub hba: String,
    /// shared_preload_libraries; none: azure_ad_auth.
    pub preload: Option<String>,
}

impl Cluster {
    /// Makes one as [`Cluster::at`] does, with the first door.
    pub fn new(workshop: &Arc<Workshop>, setup: &Setup) -> Self {
        Self::at(Door::Password, workshop, setup)
    }

    /// Makes one with a door, TLS, the library preloaded, and the tenant and audience of the tests. Does not start it.
    pub fn at(door: Door, workshop: &Arc<Workshop>, setup: &Setup) -> Self {
        let folder = Folder::new("cluster");
        let data = folder.path().join("data");
        let mut copy = Command::new("cp");
        if let Some((user, group)) = server_ids() {
            copy.uid(user).gid(group);
        }
        succeed(copy.arg("-a").arg("--reflink=auto").arg(workshop.template()).arg(&data));
        let identity = workshop.authority.identity();
        folder.write("server.pem", identity.certificate_pem);
        folder.write("server.key", identity.key_pem);
        folder.write("ca.pem", workshop.authority.pem());
        let cluster = Self {
            workshop: Arc::clone(workshop),
            door,
            service: (door == Door::Pam).then(|| Service::new(&pam::lines(&workshop.installation))),
            folder,
            port: free_port(),
            tls: workshop.authority.client(),
        };
        cluster.configure(setup);
        cluster
    }

    /// Makes one as [`Cluster::running_at`] does, with the first door.
    pub fn running(workshop: &Arc<Workshop>, provider: &Provider, settings: &str) -> Self {
        Self::running_at(
            Door::Password,
            workshop,
            provider,
            Setup { settings: settings.to_owned(), ..Setup::default() },
        )
    }

    /// Makes one that fetches its keys from `provider`, starts it, creates the extension and sets an administrator.
    pub fn running_at(door: Door, workshop: &Arc<Workshop>, provider: &Provider, setup: Setup) -> Self {
        let settings = format!("azure_ad_auth.authority_url = '{}'\n{}", provider.url(), setup.settings);
        let cluster = Self::at(door, workshop, &Setup { settings, ..setup });
        cluster.start();
        cluster.found();
        cluster.await_keys();
        cluster
    }

    /// Waits until the keys have been fetched.
    pub fn await_keys(&self) {
        let there = eventually(|| self.sql("SELECT count(*) FROM azure_ad_auth.signing_keys") != "0");
        assert!(there, "no keys:\n{}", self.log_tail());
    }

    /// Creates the extension and the administrator.
    pub fn found(&self) {
        self.sql("CREATE EXTENSION azure_ad_auth");
        self.sql("SELECT azure_ad_auth.set_admin('admin', '66666666-aaaa-bbbb-cccc-000000000006')");
    }

    /// Writes the configuration files anew.
    pub fn configure(&self, setup: &Setup) {
        let folder = self.folder.path().display();
        let preload = setup.preload.as_deref().unwrap_or("azure_ad_auth");
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n\
             ssl = on\nssl_cert_file = '{folder}/server.pem'\nssl_key_file = '{folder}/server.key'\n\
             fsync = off\nmax_connections = 60\nshared_buffers = 16MB\nlog_connections = on\n\
             log_line_prefix = '%m [%p] %q%u@%d '\nlog_min_messages = debug1\nlog_statement = all\n\
             shared_preload_libraries = '{preload}'\n\
             azure_ad_auth.tenant_id = '{TENANT}'\nazure_ad_auth.audience = '{AUDIENCE}'\n\
             azure_ad_auth.ca_file = '{folder}/ca.pem'\n{door}\n{more}\n",
            port = self.port,
            door = self.door.settings(),
            more = setup.settings
        );
        self.write_data_file("postgresql.conf", &settings);
        let hba = if setup.hba.is_empty() { Door::hba(&self.clause()) } else { setup.hba.clone() };
        self.write_data_file("pg_hba.conf", &hba);
    }

    /// The service of the PAM door.
    pub const fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// How the lines of its door end in pg_hba.conf.
    pub fn clause(&self) -> String {
        self.door.clause(self.service.as_ref().map_or("none", Service::name))
    }

    /// Replaces pg_hba.conf, and has the server read it if it runs.
    pub fn change_hba(&self, content: &str) {
        self.write_data_file("pg_hba.conf", content);
        if self.data().join("postmaster.pid").exists() {
            self.reload();
        }
    }

    fn write_data_file(&self, name: &str, content: &str) {
        self.folder.write(&format!("data/{name}"), content);
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file in which the keys outlive the server.
    pub fn key_snapshot(&self) -> PathBuf {
        self.data().join("azure_ad_auth.keys")
    }

    /// Where its Unix-domain socket and other files lie.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Output {
        let mut pg_ctl = self.workshop.installation.command("pg_ctl");
        // A postmaster whose environment asks for backtraces: none may reach a client.
        pg_ctl.env("RUST_BACKTRACE", "1").arg("-D").arg(self.data()).args(arguments).output().expect("pg_ctl")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it.
    pub fn start(&self) {
        assert!(self.try_start(&[]), "the server does not start:\n{}", self.log_tail());
    }

    /// Starts it with further arguments of the postmaster. False: it does not start.
    pub fn try_start(&self, arguments: &[&str]) -> bool {
        let log = self.log_path();
        let mut all = vec!["start", "-w", "-t", "60", "-s", "-l", log.to_str().expect("a path")];
        let options = arguments.join(" ");
        if !options.is_empty() {
            all.extend(["-o", &options]);
        }
        self.pg_ctl(&all).status.success()
    }

    /// Stops it, if it runs.
    pub fn stop(&self, mode: &str) {
        let _ = self.pg_ctl(&["stop", "-w", "-s", "-m", mode]);
    }

    /// Stops and starts it.
    pub fn restart(&self) {
        self.stop("fast");
        self.start();
    }

    /// Has it read its configuration again, and waits until new sessions see it.
    pub fn reload(&self) {
        self.sql("SELECT pg_reload_conf()");
        self.sql("SELECT pg_sleep(0.2)");
    }

    /// Sets a parameter by ALTER SYSTEM and reloads.
    pub fn set(&self, parameter: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {parameter} = '{value}'"));
        self.reload();
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).expect("a running server");
        text.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }

    /// Runs SQL as the superuser over the socket.
    pub fn sql(&self, command: &str) -> String {
        let output = self.sql_as("postgres", command);
        assert!(output.success, "{command}: {}", output.stderr);
        output.stdout
    }

    /// Runs SQL over the socket as a role that is let in without a token.
    pub fn sql_as(&self, role: &str, command: &str) -> PsqlOutput {
        self.sql_with(&["-A", "-t"], role, command)
    }

    /// The same with options of psql's.
    pub fn sql_with(&self, options: &[&str], role: &str, command: &str) -> PsqlOutput {
        let folder = self.folder.path().display();
        let connection = format!("host={folder} port={} dbname=postgres user={role}", self.port);
        psql_with(&self.workshop.installation.program("psql"), options, &connection, None, command)
    }

    /// Runs SQL as the superuser over the socket; errors are shown with their SQLSTATE.
    pub fn sql_verbosely(&self, command: &str) -> PsqlOutput {
        let folder = self.folder.path().display();
        let connection = format!("host={folder} port={} dbname=postgres user=postgres", self.port);
        let options = ["-A", "-t", "-v", "VERBOSITY=verbose"];
        psql_with(&self.workshop.installation.program("psql"), &options, &connection, None, command)
    }

    /// Runs SQL by psql over TLS, with a token for a password.
    pub fn psql(&self, role: &str, token: &str, command: &str) -> PsqlOutput {
        let role = role.replace('\\', "\\\\").replace('\'', "\\'");
        let connection = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=postgres user='{role}' sslmode=verify-full \
             sslrootcert={}",
            self.port,
            self.workshop.ca_file().display()
        );
        psql(&self.workshop.installation.program("psql"), &connection, Some(token), command)
    }

    /// A raw client over TLS.
    pub fn client(&self) -> RawClient {
        RawClient::tcp(self.port, Some(Arc::clone(&self.tls))).expect("a connection with TLS")
    }

    /// A raw client without TLS.
    pub fn plain_client(&self) -> RawClient {
        RawClient::tcp(self.port, None).expect("a connection")
    }

    /// A raw client over the socket.
    pub fn socket_client(&self) -> RawClient {
        RawClient::unix(self.folder.path(), self.port).expect("a connection")
    }

    /// A session of the superuser, over the socket.
    pub fn superuser(&self) -> RawClient {
        let mut client = self.socket_client();
        assert_eq!(client.login(&[("user", "postgres"), ("database", "postgres")], ""), Outcome::Ready);
        client
    }

    /// Logs in over TLS with the raw client.
    pub fn login(&self, role: &str, token: &str) -> Outcome {
        self.client().login(&[("user", role), ("database", "postgres")], token)
    }

    /// Everything in the log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The log from a length on.
    pub fn log_since(&self, mark: usize) -> String {
        self.log().get(mark..).unwrap_or_default().to_owned()
    }

    /// The length of the log.
    pub fn log_mark(&self) -> usize {
        self.log().len()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("DEBUG:")).collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }

    /// Waits until the log from `mark` on has a text.
    pub fn await_log(&self, mark: usize, text: &str) {
        let there = eventually(|| self.log_since(mark).contains(text));
        assert!(there, "the log never said {text:?}:\n{}", self.log_tail());
    }

    /// A streaming standby of this server, not yet started.
    pub fn standby(&self) -> Self {
        let folder = Folder::new("standby");
        let mut backup = self.workshop.installation.command("pg_basebackup");
        backup.arg("-D").arg(folder.path().join("data")).arg("-h").arg(self.folder.path());
        succeed(backup.args(["-p", &self.port.to_string(), "-U", "postgres", "-X", "stream", "--no-sync"]));
        for name in ["server.pem", "server.key", "ca.pem"] {
            folder.write(name, fs::read(self.path(name)).expect("a file of the primary"));
        }
        let standby = Self {
            workshop: Arc::clone(&self.workshop),
            door: self.door,
            // The primary's.
            service: None,
            folder,
            port: free_port(),
            tls: Arc::clone(&self.tls),
        };
        let own = standby.folder.path().display().to_string();
        let settings = fs::read_to_string(self.data().join("postgresql.conf")).expect("postgresql.conf");
        let settings = settings
            .replace(&self.folder.path().display().to_string(), &own)
            .replace(&format!("port = {}\n", self.port), &format!("port = {}\n", standby.port));
        let primary = format!(
            "primary_conninfo = 'host={} port={} user=postgres'",
            self.folder.path().display(),
            self.port
        );
        standby.write_data_file("postgresql.conf", &format!("{settings}{primary}\n"));
        standby.write_data_file("standby.signal", "");
        standby
    }

    /// The file the server loads as azure_ad_auth.
    pub fn sql_library(&self) -> PathBuf {
        PathBuf::from(self.workshop.installation.pg_config("--pkglibdir")).join("azure_ad_auth.so")
    }

    /// The path of a file beside the data directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

/// Whether something becomes true within a minute.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..1_200 {
        if condition() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    false
}

/// A port nobody listens on, and that nobody is given until this process has been round: neither one of our own tests, nor a
/// client, whose ports Linux takes from 32768 on.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes that run at the same time begin in different places.
        let place = std::process::id().wrapping_mul(997).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + place % COUNT).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

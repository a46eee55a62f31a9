//! Scratch servers: made from a template, started on a free port of 127.0.0.1, and stopped and
//! removed when dropped.

mod configuration;
mod connections;
mod log;
mod mounted;
mod standby;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::door::Door;
use crate::installation::{Installation, succeed};
use crate::pam::{self, Service};
use crate::port::free_port;
use crate::process::run_as_server;
use crate::scratch::Folder;
use crate::template::Template;

pub use configuration::{Configuration, SECRET_FILE};

/// A scratch server.
pub struct Cluster {
    /// The template that it was made from.
    pub template: Arc<Template>,
    /// The door by which Azure AD roles log in.
    pub door: Door,
    /// The service of the PAM door.
    service: Option<Service>,
    folder: Folder,
    /// The port on which it listens.
    pub port: u16,
    tls: Arc<ClientConfig>,
}

impl Cluster {
    /// Makes a server with a door, TLS, the library preloaded, and the tenant and audience of the
    /// tests. Does not start it.
    pub(crate) fn create(door: Door, template: &Arc<Template>, configuration: &Configuration) -> Self {
        let folder = Folder::new("cluster");
        let data = folder.path().join("data");
        let mut copy = Command::new("cp");
        run_as_server(&mut copy);
        succeed(copy.arg("-a").arg("--reflink=auto").arg(template.data()).arg(&data));
        let identity = template.authority.identity();
        folder.write("server.pem", identity.certificate_pem);
        folder.write("server.key", identity.key_pem);
        folder.write("ca.pem", template.authority.pem());
        let cluster = Self {
            template: Arc::clone(template),
            door,
            service: (door == Door::Pam).then(|| Service::new(&pam::lines(&template.installation))),
            folder,
            port: free_port(),
            tls: template.authority.client(),
        };
        cluster.configure(configuration);
        cluster
    }

    /// Returns the installation that it runs.
    pub fn installation(&self) -> &Installation {
        &self.template.installation
    }

    /// Returns the major version of PostgreSQL that it runs.
    pub fn major(&self) -> u32 {
        self.installation().major
    }

    /// Returns the service of the PAM door.
    pub const fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// Returns the folder with its socket, its certificates, its log and the data directory.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the path of a file in that folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Returns the path of the file in which keys outlive the server.
    pub fn key_snapshot(&self) -> PathBuf {
        self.data().join("azure_ad_auth.keys")
    }

    /// Returns the path of the file in which it outlives the server who is known to be out.
    pub fn directory_snapshot(&self) -> PathBuf {
        self.data().join("azure_ad_auth.directory")
    }

    /// Returns the path of the file that the server loads as azure_ad_auth.
    pub fn sql_library(&self) -> PathBuf {
        PathBuf::from(self.installation().pg_config("--pkglibdir")).join("azure_ad_auth.so")
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Output {
        let mut pg_ctl = self.installation().command("pg_ctl");
        // The postmaster's environment asks for backtraces, none of which may reach a client.
        pg_ctl.env("RUST_BACKTRACE", "1").arg("-D").arg(self.data()).args(arguments).output().expect("pg_ctl")
    }

    /// Starts the server.
    pub fn start(&self) {
        assert!(self.try_start(&[]), "the server does not start:\n{}", self.log_tail());
    }

    /// Starts the server with further arguments of the postmaster. Returns whether it started.
    pub fn try_start(&self, arguments: &[&str]) -> bool {
        let log = self.log_path();
        let mut all = vec!["start", "-w", "-t", "60", "-s", "-l", log.to_str().expect("a path")];
        let options = arguments.join(" ");
        if !options.is_empty() {
            all.extend(["-o", &options]);
        }
        self.pg_ctl(&all).status.success()
    }

    /// Stops the server, if it runs.
    pub fn stop(&self, mode: &str) {
        let _ = self.pg_ctl(&["stop", "-w", "-s", "-m", mode]);
    }

    /// Stops and starts the server.
    pub fn restart(&self) {
        self.stop("fast");
        self.start();
    }

    /// Returns the process id of the postmaster.
    pub fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).expect("a running server");
        text.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

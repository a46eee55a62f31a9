//! The configuration files of a server.

use super::Cluster;
use crate::door::Door;
use crate::installation::Installation;
use crate::issuer::{AUDIENCE, TENANT};

/// The file of the directory's secret, in the folder of the server.
pub const SECRET_FILE: &str = "secret";

/// How the configuration of a server differs from that of the others.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    settings: String,
    hba: Option<String>,
    preload: Option<String>,
    /// What the file of the directory's secret holds.
    secret: Option<&'static str>,
}

impl Configuration {
    /// Returns a configuration with nothing special about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds lines to postgresql.conf.
    pub fn settings(mut self, lines: impl AsRef<str>) -> Self {
        self.settings.push_str(lines.as_ref());
        self.settings.push('\n');
        self
    }

    /// Puts a line before those that were added to postgresql.conf.
    pub(crate) fn preceded_by(self, line: &str) -> Self {
        Self { settings: format!("{line}\n{}", self.settings), ..self }
    }

    /// Replaces pg_hba.conf, which otherwise is the door's.
    pub fn hba(self, content: impl Into<String>) -> Self {
        Self { hba: Some(content.into()), ..self }
    }

    /// Writes a secret to the file that the directory's settings name.
    pub(crate) fn secret(self, secret: &'static str) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Replaces shared_preload_libraries, which otherwise is `azure_ad_auth`.
    pub fn preload(self, libraries: impl Into<String>) -> Self {
        Self { preload: Some(libraries.into()), ..self }
    }
}

impl Cluster {
    /// Writes postgresql.conf and pg_hba.conf.
    pub fn configure(&self, configuration: &Configuration) {
        let folder = self.folder.path().display();
        let preload = configuration.preload.as_deref().unwrap_or("azure_ad_auth");
        let secret = configuration.secret.map_or_else(String::new, |secret| {
            let path = self.folder.write(SECRET_FILE, secret);
            format!("azure_ad_auth.directory_secret_file = '{}'", path.display())
        });
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n\
             ssl = on\nssl_cert_file = '{folder}/server.pem'\nssl_key_file = '{folder}/server.key'\n\
             fsync = off\nmax_connections = 60\nshared_buffers = 16MB\nlog_connections = on\n\
             log_line_prefix = '%m [%p] %q%u@%d '\nlog_min_messages = debug1\nlog_statement = all\n\
             shared_preload_libraries = '{preload}'\n\
             azure_ad_auth.tenant_id = '{TENANT}'\nazure_ad_auth.audience = '{AUDIENCE}'\n\
             azure_ad_auth.ca_file = '{folder}/ca.pem'\n{installation}\n{door}\n{secret}\n{more}\n",
            port = self.port,
            installation = Installation::settings(),
            door = self.door.settings(),
            more = configuration.settings
        );
        self.write_data_file("postgresql.conf", &settings);
        let hba = configuration.hba.clone().unwrap_or_else(|| Door::hba(&self.clause()));
        self.write_data_file("pg_hba.conf", &hba);
    }

    /// Returns how the lines of its door end in pg_hba.conf: the method and its options.
    pub fn clause(&self) -> String {
        self.door.clause(self.service().map_or("none", crate::pam::Service::name))
    }

    /// Replaces pg_hba.conf, and has the server read it if it runs.
    pub fn change_hba(&self, content: &str) {
        self.write_data_file("pg_hba.conf", content);
        if self.data().join("postmaster.pid").exists() {
            self.reload();
        }
    }

    pub(super) fn write_data_file(&self, name: &str, content: &str) {
        self.folder.write(&format!("data/{name}"), content);
    }

    /// Has the server read its configuration again, and waits until new sessions see it. Files
    /// that the server cannot read leave its old configuration as it is; the wait ends then, too.
    pub fn reload(&self) {
        let before = self.sql("SELECT pg_conf_load_time() FROM pg_reload_conf()");
        let loaded = format!("SELECT pg_conf_load_time() > '{before}'");
        for _ in 0..20 {
            self.sql("SELECT pg_sleep(0.2)");
            if self.sql(&loaded) == "t" {
                return;
            }
        }
    }

    /// Sets a parameter by ALTER SYSTEM and reloads.
    pub fn set(&self, parameter: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {parameter} = '{value}'"));
        self.reload();
    }
}

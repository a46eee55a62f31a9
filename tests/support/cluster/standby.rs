//! Streaming standbys.

use std::fs;
use std::sync::Arc;

use super::{Cluster, SECRET_FILE};
use crate::installation::succeed;
use crate::port::free_port;
use crate::scratch::Folder;

impl Cluster {
    /// Makes a streaming standby of this server. Does not start it.
    pub fn standby(&self) -> Self {
        let folder = Folder::new("standby");
        let mut backup = self.installation().command("pg_basebackup");
        backup.arg("-D").arg(folder.path().join("data")).arg("-h").arg(self.folder.path());
        succeed(backup.args(["-p", &self.port.to_string(), "-U", "postgres", "-X", "stream", "--no-sync"]));
        for name in ["server.pem", "server.key", "ca.pem"] {
            folder.write(name, fs::read(self.path(name)).expect("a file of the primary"));
        }
        if let Ok(secret) = fs::read(self.path(SECRET_FILE)) {
            folder.write(SECRET_FILE, secret);
        }
        let standby = Self {
            template: Arc::clone(&self.template),
            door: self.door,
            // It uses the service of the primary.
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
}

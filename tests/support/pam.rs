//! Services of PAM: files in /etc/pam.d, which only root may write.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::installation::Installation;
use crate::scratch::server_ids;

/// A service with a name of its own. Its file is removed when dropped.
#[derive(Debug)]
pub struct Service {
    name: String,
}

impl Service {
    /// Writes the file of a service.
    pub fn new(content: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let service = Self { name: format!("azure_ad_auth-test-{}-{number}", std::process::id()) };
        write(&service.path(), content).expect("a file in /etc/pam.d");
        service
    }

    /// Returns its name, as the option `pamservice` in pg_hba.conf takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of its file.
    pub fn path(&self) -> PathBuf {
        Path::new("/etc/pam.d").join(&self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let path = self.path();
        let _ = if server_ids().is_some() {
            fs::remove_file(path)
        } else {
            Command::new("sudo").arg("rm").arg(path).status().map(drop)
        };
    }
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    if server_ids().is_some() {
        return fs::write(path, content);
    }
    let mut tee =
        Command::new("sudo").arg("tee").arg(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    tee.stdin.take().expect("a pipe").write_all(content.as_bytes())?;
    if tee.wait()?.success() { Ok(()) } else { Err(io::Error::other("sudo tee")) }
}

/// Returns the two lines that make the library of an installation the module of a service.
pub fn lines(installation: &Installation) -> String {
    lines_of(&format!("{}/azure_ad_auth.so", installation.pg_config("--pkglibdir")))
}

/// Does the same with any module.
pub fn lines_of(module: &str) -> String {
    format!("auth required {module}\naccount required {module}\n")
}

//! Files of /etc/pam.d, which is the machine's: their names are ours alone, and they are gone afterwards.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::scratch::server_ids;

/// A PAM service, removed when dropped.
#[derive(Debug)]
pub struct Service {
    name: String,
}

impl Service {
    /// Writes its file, as root or by sudo.
    pub fn new(content: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let service = Self { name: format!("aada-{}-{number}", std::process::id()) };
        let mut tee = as_root("tee")
            .arg(service.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("tee");
        tee.stdin.take().expect("its input").write_all(content.as_bytes()).expect("a PAM file");
        assert!(tee.wait().expect("tee").success(), "{} cannot be written", service.path().display());
        service
    }

    /// What `pamservice` names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/etc/pam.d").join(&self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = as_root("rm").arg("-f").arg(self.path()).status();
    }
}

fn as_root(program: &str) -> Command {
    if server_ids().is_some() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

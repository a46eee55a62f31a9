//! The programs of one PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::run_as_server;

/// The programs of one PostgreSQL.
#[derive(Debug, Clone)]
pub struct Installation {
    bin: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Installation {
    /// Returns the installation that the environment variable `PG_CONFIG` names, or else the one on
    /// the path.
    pub fn chosen() -> Self {
        Self::of(&std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned()))
    }

    /// Returns the installations to upgrade from: those that the environment variable
    /// `OLD_PG_CONFIGS` names, or else the chosen one. The library is installed in each.
    pub fn old() -> Vec<Self> {
        let named = std::env::var("OLD_PG_CONFIGS").unwrap_or_default();
        let old: Vec<_> = named.split_whitespace().map(Self::of).collect();
        if old.is_empty() { vec![Self::chosen()] } else { old }
    }

    /// Returns the lines of `SERVER_SETTINGS`, which each server of the tests has in
    /// postgresql.conf: where the library is, if it is not in the folders of the server.
    pub(crate) fn settings() -> String {
        std::env::var("SERVER_SETTINGS").unwrap_or_default()
    }

    /// Returns the installation that a pg_config program belongs to.
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

    /// Returns the folder of its programs.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// Returns the path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Runs its pg_config with an option and returns the answer.
    pub fn pg_config(&self, what: &str) -> String {
        let output = succeed(self.command("pg_config").arg(what));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns a command that runs a program of the server as the user that the server runs as.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        run_as_server(&mut command);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command
    }
}

/// Runs a command to its end.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

//! psql.

use std::path::Path;
use std::process::Command;

/// What psql printed.
#[derive(Debug, Clone)]
pub struct PsqlOutput {
    /// Whether it exited with status 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs psql with a connection string, an optional password, and a command. It prints values only.
pub fn psql(program: &Path, connection: &str, password: Option<&str>, command: &str) -> PsqlOutput {
    psql_with(program, &["-A", "-t"], connection, password, command)
}

/// Runs psql as [`psql`] does, with other options.
pub fn psql_with(
    program: &Path,
    options: &[&str],
    connection: &str,
    password: Option<&str>,
    command: &str,
) -> PsqlOutput {
    let mut psql = Command::new(program);
    psql.args(["-X", "-w", "-v", "ON_ERROR_STOP=1", "-c", command])
        .args(options)
        .arg(connection)
        .env_remove("PGPASSWORD")
        .env("PGCONNECT_TIMEOUT", "60");
    if let Some(password) = password {
        psql.env("PGPASSWORD", password);
    }
    let output = psql.output().expect("psql");
    PsqlOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

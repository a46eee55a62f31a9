//! A client's program while it runs, and the servers it is sent to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use testbed::cluster::Cluster;

/// A program that plays scenarios. It is told one at a time, by a line, and answers with a line.
pub(crate) struct Player {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Player {
    /// Starts a program that connects to the first of some servers that lets it in.
    pub(crate) fn start(mut command: Command, servers: &[&Cluster]) -> Self {
        let hosts = vec!["localhost"; servers.len()].join(",");
        let ports: Vec<_> = servers.iter().map(|cluster| cluster.port.to_string()).collect();
        let ca = servers.first().expect("a server").path("ca.pem");
        command
            .env("PGHOST", hosts)
            .env("PGPORT", ports.join(","))
            .env("PGDATABASE", "postgres")
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", ca);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, input, output }
    }

    /// Has it play a scenario.
    ///
    /// # Errors
    /// What the user of the client reads.
    pub(crate) fn play(&mut self, scenario: &[&str]) -> Result<String, String> {
        let line = scenario.join("\t") + "\n";
        let input = self.input.as_mut().expect("a pipe");
        input.write_all(line.as_bytes()).expect("a client that reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("a line");
        match answer.trim().split_once('\t') {
            Some(("ok", said)) => Ok(said.to_owned()),
            Some(("error", said)) => Err(said.trim().to_owned()),
            _ => panic!("{scenario:?}: the program has said {answer:?}"),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

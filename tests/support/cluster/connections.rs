//! Connections to a server: by psql and by the raw client.

use std::sync::Arc;

use super::Cluster;
use crate::client::{Outcome, PsqlOutput, RawClient, psql, psql_with};
use crate::waits::eventually;

impl Cluster {
    /// Runs SQL as the superuser over the socket and returns what it printed.
    pub fn sql(&self, command: &str) -> String {
        let output = self.sql_as("postgres", command);
        assert!(output.success, "{command}: {}", output.stderr);
        output.stdout
    }

    /// Runs SQL over the socket as a role that gets in without a token.
    pub fn sql_as(&self, role: &str, command: &str) -> PsqlOutput {
        self.sql_with(&["-A", "-t"], role, command)
    }

    /// Does the same with options of psql.
    pub fn sql_with(&self, options: &[&str], role: &str, command: &str) -> PsqlOutput {
        let folder = self.folder.path().display();
        let connection = format!("host={folder} port={} dbname=postgres user={role}", self.port);
        psql_with(&self.installation().program("psql"), options, &connection, None, command)
    }

    /// Runs SQL as the superuser over the socket. Errors are printed with their SQLSTATE.
    pub fn sql_verbosely(&self, command: &str) -> PsqlOutput {
        self.sql_with(&["-A", "-t", "-v", "VERBOSITY=verbose"], "postgres", command)
    }

    /// Runs SQL by psql over TLS, with a token as the password.
    pub fn psql(&self, role: &str, token: &str, command: &str) -> PsqlOutput {
        let role = role.replace('\\', "\\\\").replace('\'', "\\'");
        let connection = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=postgres user='{role}' sslmode=verify-full \
             sslrootcert={}",
            self.port,
            self.template.ca_file().display()
        );
        psql(&self.installation().program("psql"), &connection, Some(token), command)
    }

    /// Connects a raw client over TLS.
    pub fn client(&self) -> RawClient {
        RawClient::tcp(self.port, Some(Arc::clone(&self.tls))).expect("a connection with TLS")
    }

    /// Connects a raw client without TLS.
    pub fn plain_client(&self) -> RawClient {
        RawClient::tcp(self.port, None).expect("a connection")
    }

    /// Connects a raw client over the socket.
    pub fn socket_client(&self) -> RawClient {
        RawClient::unix(self.folder.path(), self.port).expect("a connection")
    }

    /// Logs in over TLS with a token or a password, and returns what came of it.
    pub fn login(&self, role: &str, secret: &str) -> Outcome {
        self.client().login(&[("user", role), ("database", "postgres")], secret)
    }

    /// Logs in over TLS with a token or a password, and returns the session.
    pub fn session(&self, role: &str, secret: &str) -> RawClient {
        self.session_with(&[("user", role), ("database", "postgres")], secret)
    }

    /// Does the same with other startup parameters.
    pub fn session_with(&self, parameters: &[(&str, impl AsRef<[u8]>)], secret: &str) -> RawClient {
        let mut client = self.client();
        let outcome = client.login(parameters, secret);
        assert_eq!(outcome, Outcome::Ready, "{}", self.log_tail());
        client
    }

    /// Logs in over the socket as the superuser, and returns the session.
    pub fn superuser(&self) -> RawClient {
        let mut client = self.socket_client();
        assert_eq!(client.login(&[("user", "postgres"), ("database", "postgres")], ""), Outcome::Ready);
        client
    }

    /// Returns a session of the superuser that has the rights of a role, by SET SESSION
    /// AUTHORIZATION.
    pub fn acting_as(&self, role: &str) -> RawClient {
        let mut client = self.superuser();
        assert!(client.query(&format!("SET SESSION AUTHORIZATION {role}")).is_ok());
        client
    }

    /// Begins a login and returns the client once it has been asked for its token.
    pub fn at_the_prompt(&self, role: &str) -> RawClient {
        let mut client = self.client();
        client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.auth_request(), self.door.auth_request());
        client
    }

    /// Creates the extension and the administrator `admin`. The directory is not asked about it.
    pub fn create_extension(&self) {
        self.sql("CREATE EXTENSION azure_ad_auth");
        self.sql(&format!(
            "SET aad_validate_oids_in_tenant = off; SELECT azure_ad_auth.set_admin('admin', '{}')",
            crate::scene::ADMIN
        ));
    }

    /// Waits until the server has fetched keys.
    pub fn await_keys(&self) {
        let has_keys = eventually(|| self.sql("SELECT count(*) FROM azure_ad_auth.signing_keys") != "0");
        assert!(has_keys, "no keys:\n{}", self.log_tail());
    }

    /// Waits until the directory has been looked at.
    pub fn await_directory(&self) {
        let looked = "SELECT last_success IS NOT NULL FROM azure_ad_auth.directory_status";
        assert!(eventually(|| self.sql(looked) == "t"), "no look:\n{}", self.log_tail());
    }
}

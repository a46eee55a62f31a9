//! Logins by each way to connect that are refused before the token is asked for.

use testbed::client::{AuthRequest, psql};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, check_log, check_refusal};

use super::login::valid_token;

/// How a client connects.
#[derive(Clone, Copy)]
pub(crate) enum Route {
    Tls,
    Plain,
    Socket,
}

/// Begins a login by the raw client and by psql, and expects it to be refused before the token is
/// asked for. By OAUTHBEARER the token comes first, so a valid one is sent.
pub(crate) fn refused_before_prompt(cluster: &Cluster, route: Route, role: &str, expected: &Refusal<'_>) {
    let mut client = match route {
        Route::Tls => cluster.client(),
        Route::Plain => cluster.plain_client(),
        Route::Socket => cluster.socket_client(),
    };
    let mark = cluster.log_mark();
    let parameters = [("user", role), ("database", "postgres")];
    if cluster.door == Door::OAuth {
        let token = valid_token();
        let outcome = client.login(&parameters, &token);
        return check_refusal(cluster, mark, role, &token, &outcome, expected);
    }
    client.start(&parameters).expect("a connection");
    match client.auth_request() {
        AuthRequest::Finished(outcome) => check_refusal(cluster, mark, role, "", &outcome, expected),
        asked => panic!("the token was asked for: {asked:?}"),
    }
    let host = match route {
        Route::Tls => "localhost sslmode=require".to_owned(),
        Route::Plain => "127.0.0.1 sslmode=disable".to_owned(),
        Route::Socket => cluster.folder().path().display().to_string(),
    };
    let connection = format!("host={host} port={} dbname=postgres user={role}", cluster.port);
    let mark = cluster.log_mark();
    let output = psql(&cluster.installation().program("psql"), &connection, None, "SELECT 1");
    assert!(!output.success && output.stdout.is_empty(), "psql was let in as {role}");
    assert!(output.stderr.contains(&format!("FATAL:  {}\n", expected.message)), "{}", output.stderr);
    check_log(cluster, mark, role, "", expected);
}

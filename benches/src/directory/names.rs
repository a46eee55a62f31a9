//! What a name in a statement costs more than an id.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::idp::directory::Kind;
use testbed::idp::{Provider, Request};
use testbed::issuer::{unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY};

use super::verdict;
use crate::logins::median;

/// Statements of each kind.
const STATEMENTS: usize = 200;

/// The first ones warm caches and open connections.
const WARM_UP: usize = 10;

/// How much longer than the provider a name may take, in milliseconds.
const BUDGET: f64 = 2.0;

/// Links as many roles by name as by id, in turn.
pub(super) fn report(cluster: &Cluster, provider: &Provider) {
    let directory = provider.directory();
    let token = KEY.token(&with(user_v1(unix_now()), "oid", json!(ADMIN)));
    let mut admin = cluster.session("admin", &token);
    admin.query("SET aad_validate_oids_in_tenant = off").expect("a setting");
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    for number in 0..STATEMENTS + WARM_UP {
        let name = format!("user{number}@contoso.example");
        let id = format!("22222222-aaaa-bbbb-cccc-1{number:011}");
        directory.add_user(&id, &name);
        let by_name = timed(&mut admin, &format!("CREATE ROLE \"{name}\" LOGIN IN ROLE azure_ad_user"));
        let by_id = timed(
            &mut admin,
            &format!("CREATE ROLE byid{number} LOGIN PASSWORD '{id}' IN ROLE azure_ad_user"),
        );
        if number >= WARM_UP {
            names.push(by_name);
            ids.push(by_id);
        }
    }
    let request = directory.last(Kind::Batch).expect("a question");
    let (name, id, own) = (median(names), median(ids), median(latencies(provider, cluster, &request)));
    println!("\n{STATEMENTS} roles created by name and as many by id in turn, medians, ms\n");
    println!("| CREATE ROLE with an id | with a name | the provider alone |");
    println!("| --- | --- | --- |");
    println!("| {id:.2} | {name:.2} | {own:.2} |");
    let more = name - id - own;
    println!(
        "\nbudget: a name takes at most {BUDGET} ms longer than the provider: {}, {more:.2}",
        verdict(more <= BUDGET)
    );
}

fn timed(admin: &mut RawClient, statement: &str) -> Duration {
    let since = Instant::now();
    admin.query(statement).expect("a role");
    since.elapsed()
}

/// Sends the same request as the server did again and again over one connection. Returns how long
/// each took.
fn latencies(provider: &Provider, cluster: &Cluster, request: &Request) -> Vec<Duration> {
    let connection = TcpStream::connect(("127.0.0.1", provider.port())).expect("the provider");
    connection.set_nodelay(true).expect("an option");
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(cluster.template.authority.client(), name).expect("a client");
    let mut stream = StreamOwned::new(session, connection);
    let bytes = [request.head.as_bytes(), request.body.as_bytes()].concat();
    let mut exchange = || {
        let since = Instant::now();
        stream.write_all(&bytes).and_then(|()| stream.flush()).expect("a connection");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("a length")];
        stream.read_exact(&mut body).expect("an answer");
        since.elapsed()
    };
    (0..STATEMENTS + WARM_UP).map(|_| exchange()).skip(WARM_UP).collect()
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

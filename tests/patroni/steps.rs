//! The steps: what an administrator does to a cluster, and what happens to it.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::client::{Outcome, RawClient};
use testbed::idp::Behavior;
use testbed::issuer::PERSON;
use testbed::template::Template;
use testbed::waits::patiently;

use crate::clients::{expired_token, token};
use crate::node::Node;
use crate::team::Team;

/// The object id of the person who is unlinked.
const LEAVER: &str = "22222222-aaaa-bbbb-cccc-000000000077";

/// Tells when a server was started.
const STARTED: &str = "SELECT pg_postmaster_start_time()";

/// Hands the lead to a replica.
pub(crate) fn switchover(team: &Team) {
    let (leader, replicas) = (team.leader(), team.replicas());
    let order = json!({ "leader": leader.name, "candidate": replicas[0].name });
    leader.order("POST", "/switchover", &order);
    assert!(team.settles(), "after the switchover:\n{}", team.logs());
    assert_eq!(team.leader().name, replicas[0].name);
}

/// Kills the leader and its Patroni, waits for another leader, and starts the killed node again,
/// which pg_rewind makes a replica. A token logs in to that, too.
pub(crate) fn kill_the_leader(team: &Team) {
    let old = team.leader();
    let others = team.replicas();
    let mark = old.log().len();
    old.kill();
    let is_led = || others.iter().any(|node| node.leads());
    assert!(patiently(is_led), "nobody takes over:\n{}", team.logs());
    old.start();
    let is_rewound = || old.log().get(mark..).is_some_and(|log| log.contains("pg_rewind exit code=0"));
    assert!(patiently(is_rewound), "pg_rewind did not run:\n{}", team.logs());
    assert!(team.settles(), "after the failover:\n{}", team.logs());
    for database in &team.databases {
        session(old, "ann", &token(PERSON), database);
    }
}

/// Makes a replica anew while no keys can be fetched, and has a token log in to it meanwhile.
pub(crate) fn reinitialise(team: &Team) {
    team.provider.behave(Behavior::Hang);
    let replicas = team.replicas();
    let node = replicas[0];
    let before = node.sql("postgres", STARTED);
    node.order("POST", "/reinitialize", &json!({ "force": true }));
    let is_new = || node.try_sql("postgres", STARTED).is_some_and(|now| now != before);
    assert!(patiently(is_new), "{} does not come back:\n{}", node.name, node.log_tail());
    assert!(team.settles(), "after the reinit:\n{}", team.logs());
    // pg_basebackup has copied the leader's snapshot of the keys.
    for database in &team.databases {
        session(node, "ann", &token(PERSON), database);
    }
    let fetched = node.sql("postgres", "SELECT fetches - failures FROM azure_ad_auth.key_status");
    assert_eq!(fetched, "0", "{} has fetched keys that no endpoint gives", node.name);
    team.provider.behave(Behavior::Good);
}

/// Changes a setting in the shared configuration, waits until every node has it, and logs in with a
/// token that only this setting lets in.
pub(crate) fn edit_configuration(team: &Team) {
    let change = json!({ "postgresql": { "parameters": { "azure_ad_auth.clock_skew": "5min" } } });
    team.leader().order("PATCH", "/config", &change);
    for node in &team.nodes {
        let has_it = || node.try_sql("postgres", "SHOW azure_ad_auth.clock_skew").as_deref() == Some("5min");
        assert!(patiently(has_it), "{} does not have the setting:\n{}", node.name, node.log_tail());
        for database in &team.databases {
            session(node, "ann", &expired_token(PERSON, 120), database);
        }
    }
}

/// Restarts the replicas one by one, and the leader last.
pub(crate) fn rolling_restart(team: &Team) {
    let leader = team.leader();
    for node in team.replicas().into_iter().chain([leader]) {
        let before = node.sql("postgres", STARTED);
        node.order("POST", "/restart", &Value::Null);
        assert!(team.settles(), "after the restart of {}:\n{}", node.name, team.logs());
        assert_ne!(node.sql("postgres", STARTED), before, "{} was not restarted", node.name);
    }
}

/// Unlinks a role on the leader, and waits until its sessions on the replicas have ended.
pub(crate) fn unlink(team: &Team) {
    let (leader, replicas) = (team.leader(), team.replicas());
    leader.sql("postgres", &format!("SELECT azure_ad_auth.create_principal('leaver', '{LEAVER}', 'user')"));
    let linked = "SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'leaver'";
    let mut sessions = Vec::new();
    for node in replicas {
        let is_there = || node.try_sql("postgres", linked).as_deref() == Some("1");
        assert!(patiently(is_there), "the link does not arrive:\n{}", team.logs());
        let databases = team.databases.iter();
        sessions.extend(databases.map(|database| session(node, "leaver", &token(LEAVER), database)));
    }
    let begin = Instant::now();
    leader.sql("postgres", "SELECT azure_ad_auth.drop_principal('leaver')");
    for client in &mut sessions {
        let error = client.last_error().map(|error| error.sqlstate);
        assert_eq!(error.as_deref(), Some("57P01"), "the session goes on:\n{}", team.logs());
    }
    println!(
        "unlinked on the leader: the last of {} sessions on replicas ended after {:.2} s",
        sessions.len(),
        begin.elapsed().as_secs_f64()
    );
}

/// Has every node refuse a token, at every door. Returns how many refusals that makes.
pub(crate) fn refuse(team: &Team) -> usize {
    let pairs =
        team.nodes.iter().flat_map(|node| team.databases.iter().map(move |database| (node, database)));
    pairs
        .map(|(node, database)| {
            let outcome = log_in(node, "ann", &expired_token(PERSON, 3_600), database).1;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}\n{}", node.log_tail());
        })
        .count()
}

/// Logs in to a node by a token, and returns the session.
fn session(node: &Node, role: &str, token: &str, database: &str) -> RawClient {
    let (client, outcome) = log_in(node, role, token, database);
    assert_eq!(outcome, Outcome::Ready, "{}", node.log_tail());
    client
}

fn log_in(node: &Node, role: &str, token: &str, database: &str) -> (RawClient, Outcome) {
    let tls = Template::shared().authority.client();
    let mut client = RawClient::tcp(node.port, Some(tls)).expect("a connection");
    let outcome = client.login(&[("user", role), ("database", database)], token);
    (client, outcome)
}

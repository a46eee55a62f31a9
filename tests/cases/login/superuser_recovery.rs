//! A superuser gets in while the labels cannot be read, and repairs them.

use std::fs;

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::login::valid_token;
use crate::common::statements::{link, tamper};

/// Starts a server whose superuser `boss` logs in by `peer` or by a password.
fn scene_with_boss() -> (Cluster, Provider) {
    let hba = "local all postgres trust\nlocal all,replication boss peer map=anyone\n\
               host all +azure_ad_user 127.0.0.1/32 trust\nhost all,replication all 127.0.0.1/32 password\n";
    let settings = "authentication_timeout = 10s".to_owned();
    let (cluster, provider) = Scene::new().hba(hba).settings(settings).start();
    fs::write(cluster.data().join("pg_ident.conf"), "anyone /^.*$ boss\n").expect("pg_ident.conf");
    cluster.reload();
    cluster.sql("CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    (cluster, provider)
}

/// Logs in as the superuser by every way to connect. Returns the last session.
fn as_boss(cluster: &Cluster) -> RawClient {
    for kind in ["off", "database", "true"] {
        let parameters = [("user", "boss"), ("database", "postgres"), ("replication", kind)];
        let mark = cluster.log_mark();
        let outcome = cluster.client().login(&parameters, "secret");
        assert_eq!(
            outcome,
            Outcome::Ready,
            "by password, {kind}: {}",
            without_debug(&cluster.log_since(mark))
        );
        let outcome = cluster.socket_client().login(&parameters, "");
        assert_eq!(outcome, Outcome::Ready, "by peer, {kind}: {}", without_debug(&cluster.log_since(mark)));
    }
    let mut client = cluster.socket_client();
    assert_eq!(client.login(&[("user", "boss"), ("database", "postgres")], ""), Outcome::Ready);
    client
}

fn one(text: &str) -> Vec<Option<String>> {
    vec![Some(text.to_owned())]
}

#[test]
fn a_superuser_gets_in_while_the_labels_are_locked() {
    let (cluster, _provider) = scene_with_boss();
    let mut locking = cluster.superuser();
    let pid = locking.query("SELECT pg_backend_pid()").expect("a number").remove(0).expect("a number");
    assert_eq!(locking.query("BEGIN"), Ok(vec![]));
    assert_eq!(locking.query("LOCK TABLE pg_shseclabel IN ACCESS EXCLUSIVE MODE"), Ok(vec![]));
    let mut boss = as_boss(&cluster);
    assert_eq!(boss.query("SELECT session_user"), Ok(one("boss")));
    assert_eq!(boss.query_extended("SELECT 1"), Ok(one("1")));
    assert_eq!(boss.query(&format!("SELECT pg_terminate_backend({pid}, 60000)")), Ok(one("t")));
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
}

#[test]
fn a_superuser_gets_in_and_mends_the_labels_index() {
    let (cluster, _provider) = scene_with_boss();
    let file = cluster.sql("SELECT pg_relation_filepath('pg_shseclabel_object_index')");
    let token = valid_token();
    cluster.stop("fast");
    let path = cluster.data().join(file);
    let length = fs::metadata(&path).expect("the index").len();
    fs::write(&path, vec![0xff; usize::try_from(length).expect("a length")]).expect("the index");
    cluster.start();
    // The first session of a server reads the catalogs without indexes, the next ones with them.
    let mut boss = as_boss(&cluster);
    let mark = cluster.log_mark();
    assert!(
        matches!(cluster.login("ann", &token), Outcome::Refused(_)),
        "{}",
        without_debug(&cluster.log_since(mark))
    );
    assert_eq!(boss.query("REINDEX INDEX pg_shseclabel_object_index"), Ok(vec![]));
    assert_eq!(cluster.login("ann", &token), Outcome::Ready);
}

/// The label is not read, but memberships are: a role that they make an Azure AD role is one still.
#[test]
fn a_superuser_who_is_linked_is_still_refused() {
    let (cluster, _provider) = scene_with_boss();
    tamper(
        &cluster,
        "UPDATE pg_authid SET rolsuper = true, \
        rolpassword = (SELECT rolpassword FROM pg_authid WHERE rolname = 'boss') WHERE rolname = 'ann'",
    );
    cluster.change_hba("local all postgres trust\nhost all all 127.0.0.1/32 password\n");
    match cluster.login("ann", "secret") {
        Outcome::Refused(error) => {
            assert_eq!(
                error.message,
                "role \"ann\" is an Azure AD role and can only log in with an access token"
            );
        }
        other => panic!("{other:?}"),
    }
}

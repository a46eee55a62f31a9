//! Memberships that are granted and revoked while a client is at the prompt: the session has those
//! that exist when it begins.

use testbed::client::{AuthRequest, Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::doors::at_every_door;
use crate::common::login::valid_token;
use crate::common::statements::link;

/// Returns the kinds of membership: as a member, by its privileges, by SET ROLE. On 15 the last
/// cannot be queried separately.
fn kinds(cluster: &Cluster) -> &'static [&'static str] {
    if cluster.major() < 16 { &["MEMBER", "USAGE"] } else { &["MEMBER", "USAGE", "SET"] }
}

fn value(text: &str) -> Vec<Option<String>> {
    vec![Some(text.to_owned())]
}

/// Expects a session to have no part in `finance`.
fn has_none_of_it(cluster: &Cluster, client: &mut RawClient) {
    // First the query whose answer 15 caches, before any other.
    let error = client.query("SET ROLE finance").expect_err("the revoked role was set");
    assert_eq!(error.sqlstate, "42501", "{}", error.message);
    for kind in kinds(cluster) {
        let question = format!("SELECT pg_has_role('finance', '{kind}')");
        assert_eq!(client.query(&question), Ok(value("f")), "{kind}");
    }
}

#[test]
fn a_membership_revoked_at_the_prompt_is_gone() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE ROLE finance");
        let token = valid_token();
        for way in ["finance", "team"] {
            // Directly, and through another role.
            cluster.sql(
                "DROP ROLE IF EXISTS team; CREATE ROLE team; GRANT team TO ann; GRANT finance TO ann, team",
            );
            if way == "team" {
                cluster.sql("REVOKE finance FROM ann");
            }
            let mut client = cluster.at_the_prompt("ann");
            let holder = if way == "team" { "team" } else { "ann, team" };
            cluster.sql(&format!("REVOKE finance FROM {holder}"));
            client.send_token(&token).expect("a connection");
            assert_eq!(client.auth_request(), AuthRequest::Finished(Outcome::Ready), "{door:?}");
            has_none_of_it(&cluster, &mut client);
        }
    });
}

#[test]
fn a_setting_of_the_role_does_not_bring_back_what_was_revoked() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE ROLE finance; GRANT finance TO ann; ALTER ROLE ann SET role = 'finance'");
        let mut client = cluster.at_the_prompt("ann");
        cluster.sql("REVOKE finance FROM ann");
        client.send_token(&valid_token()).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Finished(Outcome::Ready));
        assert_eq!(client.query("SELECT current_user"), Ok(value("ann")));
    });
}

#[test]
fn a_membership_granted_at_the_prompt_is_there() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE ROLE finance");
        let mut client = cluster.at_the_prompt("ann");
        cluster.sql("GRANT finance TO ann");
        client.send_token(&valid_token()).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Finished(Outcome::Ready));
        for kind in kinds(&cluster) {
            assert_eq!(
                client.query(&format!("SELECT pg_has_role('finance', '{kind}')")),
                Ok(value("t")),
                "{kind}"
            );
        }
        assert_eq!(client.query("SET ROLE finance"), Ok(vec![]));
    });
}

/// PostgreSQL's own password prompts are pauses too, and its lines of pg_hba.conf depend on groups.
#[test]
fn a_local_role_gets_no_more_than_it_has_either() {
    let hba = "local all postgres trust\nhost all +finance 127.0.0.1/32 password\nhost all +azure_ad_user 127.0.0.1/32 trust\n";
    let (cluster, _provider) = Scene::new().hba(hba).start();
    cluster.sql("CREATE ROLE finance; CREATE ROLE local LOGIN PASSWORD 'secret'; GRANT finance TO local");
    let mut client = cluster.at_the_prompt("local");
    cluster.sql("REVOKE finance FROM local");
    assert_eq!(client.answer("secret"), Outcome::Ready);
    has_none_of_it(&cluster, &mut client);
}

//! What is no evidence that somebody has left: open sessions go on, and logins are admitted.

use serde_json::Value;
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::{Refusal, admitted, refused, without_debug};
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::directory::{await_status, look, status, with_ann_and_readers};
use crate::common::login::{TERMINATED, end_of, valid_token, value};

/// Starts a server with a session of ann's, whom a look has seen.
fn with_a_session() -> (Cluster, Provider, RawClient) {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let session = cluster.session("ann", &valid_token());
    look(&cluster, 1);
    (cluster, provider, session)
}

/// Expects ann's session to go on, and her logins to be admitted.
fn goes_on(cluster: &Cluster, session: &mut RawClient) {
    assert_eq!(value(session, "SELECT 1"), "1");
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
    assert_eq!(status(cluster, "ended"), "0");
}

fn state_of_ann(cluster: &Cluster) -> String {
    cluster.sql("SELECT directory_state FROM azure_ad_auth.principals WHERE role_name = 'ann'")
}

const LACKS: &str = "SELECT available, permission, problem FROM azure_ad_auth.directory_features WHERE feature = \
                     'account states'";

#[test]
fn a_state_that_is_null_or_missing_is_unknown_and_the_view_names_the_permission() {
    let (cluster, provider, mut session) = with_a_session();
    let directory = provider.directory();
    for trouble in
        [Trouble::Lacks("accountEnabled"), Trouble::Says("accountEnabled", Value::Null), Trouble::Nulls]
    {
        let mark = cluster.log_mark();
        directory.fail(Place::Graph, trouble.clone());
        look(&cluster, 4);
        goes_on(&cluster, &mut session);
        let lacks = "f|User.Read.All|not readable: the properties are null";
        assert_eq!(cluster.sql(LACKS), lacks, "{trouble:?}");
        let log = without_debug(&cluster.log_since(mark));
        assert_eq!(log.matches("directory: account states cannot be read: ").count(), 1, "{log}");
        assert!(log.contains("the application lacks User.Read.All"), "{log}");
        directory.recover(Place::Graph);
        look(&cluster, 1);
        assert_eq!(cluster.sql(LACKS), "t|User.Read.All|");
        assert_eq!(state_of_ann(&cluster), "active");
    }
}

#[test]
fn a_withdrawn_consent_and_a_wrong_answer_end_nothing() {
    let (cluster, provider, mut session) = with_a_session();
    let directory = provider.directory();
    for trouble in [
        Trouble::Empty,
        Trouble::SomebodyElse,
        Trouble::Refuse(403, "Authorization_RequestDenied"),
        Trouble::Refuse(404, "Request_ResourceNotFound"),
        Trouble::Refuse(400, "Request_BadRequest"),
    ] {
        directory.fail(Place::Graph, trouble.clone());
        for _ in 0..4 {
            let _ = cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
        }
        goes_on(&cluster, &mut session);
        directory.recover(Place::Graph);
        look(&cluster, 1);
    }
    assert!(!cluster.log().contains("azure_ad_auth: ended "));
}

#[test]
fn one_look_without_an_id_ends_nothing_and_three_do() {
    let (cluster, provider, mut session) = with_a_session();
    let directory = provider.directory();
    directory.fail_times(1, Place::Only(Kind::GetByIds), Trouble::Hide(vec![PERSON.to_owned()]));
    look(&cluster, 3);
    goes_on(&cluster, &mut session);
    let mark = cluster.log_mark();
    directory.purge(PERSON);
    assert_eq!(end_of(&mut session), TERMINATED);
    cluster.await_log(mark, "azure_ad_auth: ended reason=account_deleted role=ann ");
    let message = "the account that the access token was issued to no longer exists";
    let deleted = Refusal::sqlstate_28p01("account_deleted", message, &[]);
    refused(&cluster, "ann", &valid_token(), &deleted);
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"), "1", "the role stays");
    // A replica that lagged for long.
    directory.add_user(PERSON, "ann@contoso.example");
    await_status(&cluster, "ended", "0");
    admitted(&cluster, "ann", &valid_token());
}

//! A service that is busy, or that rejects what the server shows: what it demands is kept, what it
//! does not say is the server's own to choose, and nobody hangs for it.

use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::credential::{await_attempts, await_error};
use crate::common::directory::{await_status, overage_token, refresh, status, with_ann_and_readers};
use crate::common::statements::fails;

const LOOK: &str = "SELECT azure_ad_auth.refresh_directory()";
const NO_LOOKS: &str = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_wait = 30s";

/// What `Retry-After` may be: rubbish, or not there.
const UNSAID: [Option<&str>; 4] = [None, Some("soon"), Some("-1"), Some("1.5e3")];

fn throttle(provider: &Provider, retry_after: Option<&str>) {
    provider.directory().fail(Place::Graph, Trouble::Throttle(retry_after.map(str::to_owned)));
}

#[test]
fn where_the_service_does_not_say_how_long_the_server_chooses() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    let directory = provider.directory();
    for retry_after in UNSAID {
        throttle(&provider, retry_after);
        fails(&cluster, LOOK, "58030", "the directory could not be looked at", "status 429");
        // Much earlier than the interval says, and it looks again by itself.
        let pause = "throttled_until IS NULL, next_attempt < now() + interval '10 min'";
        assert_eq!(status(&cluster, pause), "t|t", "{retry_after:?}");
        let asked = directory.requests(Kind::GetByIds);
        assert!(eventually(|| directory.requests(Kind::GetByIds) > asked), "{retry_after:?}");
        directory.recover(Place::Graph);
        assert_eq!(refresh(&cluster), "3", "{retry_after:?}");
    }
}

#[test]
fn a_service_that_is_busy_is_an_error_of_statements_and_a_refusal_of_logins() {
    let unavailable = Refusal {
        code: "directory_unavailable",
        sqlstate: "57P03",
        message: "group membership cannot be verified at the moment; try again later",
        hint: None,
        facts: &["problem="],
    };
    let settings = format!("{NO_LOOKS}\nazure_ad_auth.directory_wait = 60s");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let create = "CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user";
    // What the service says in the end stays in force, so that comes last.
    for retry_after in UNSAID.into_iter().chain([Some("120")]) {
        throttle(&provider, retry_after);
        // The wait is longer than the test's patience with what hangs.
        fails(&cluster, create, "58000", "the directory", "");
        refused(&cluster, "readers", &overage_token(), &unavailable);
    }
    assert_eq!(status(&cluster, "throttled_until > now() + interval '1 min'"), "t");
    let asked = directory.requests(Kind::Batch);
    let pause = "DETAIL:  Microsoft Graph demands a pause of ";
    fails(&cluster, create, "58000", "the directory cannot be asked at the moment", pause);
    assert_eq!(directory.requests(Kind::Batch), asked);
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ann@%'"), "0");
    // An administrator insists, and then all is as before.
    directory.recover(Place::Graph);
    let _ = cluster.sql_verbosely(LOOK);
    assert_eq!(refresh(&cluster), "3");
    cluster.sql(create);
    admitted(&cluster, "readers", &overage_token());
}

#[test]
fn tokens_that_graph_rejects_are_not_fetched_in_a_loop() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    await_status(&cluster, "state", "fresh");
    directory.forget_requests();
    directory.fail(Place::Graph, Trouble::Refuse(401, "InvalidAuthenticationToken"));
    await_error(&cluster, "401");
    await_attempts(&cluster, 4);
    // The first one was there; one more is fetched, and then none for a while.
    assert_eq!(directory.requests(Kind::Token), 1);
    assert_eq!(directory.requests(Kind::GetByIds), 2);
    directory.recover(Place::Graph);
    assert_eq!(refresh(&cluster), "3");
}

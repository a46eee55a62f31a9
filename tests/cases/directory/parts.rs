//! Lists that come in pages, and batches: what breaks off or lacks something is no answer.

use serde_json::json;
use testbed::cluster::Cluster;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, GROUP, PERSON, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene, provider};

use crate::common::directory::{
    DIRECTORY_WORKER, await_status, overage_token, refresh, status, with_ann_and_readers,
};
use crate::common::login::{end_of, value};
use crate::common::server::process;
use crate::common::statements::fails;

const LOOK: &str = "SELECT azure_ad_auth.refresh_directory()";
const NO_LOOKS: &str = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = 10s";

fn fails_to_look(cluster: &Cluster, said: &str) {
    fails(cluster, LOOK, "58030", "the directory could not be looked at", said);
}

#[test]
fn a_list_that_leads_elsewhere_or_in_circles_or_breaks_off_changes_nothing() {
    let (elsewhere, settings) = (provider(), "azure_ad_auth.directory_refresh_interval = 1h");
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    assert_eq!(refresh(&cluster), "3");
    let worker = process(&cluster, DIRECTORY_WORKER);
    directory.disable(PERSON);
    let address = |root: String| Trouble::NextLink(format!("{root}/v1.0/users?$skiptoken=x"));
    let at_host = |host: &str| address(provider.url().replace("127.0.0.1", host));
    for trouble in [
        address(elsewhere.url()),
        at_host("localhost"),
        at_host("127.0.0.1@evil.example"),
        address(provider.url().replace("https", "http")),
        address(format!("{}0", provider.url())),
        address(String::new()),
    ] {
        directory.fail(Place::Only(Kind::GetByIds), trouble.clone());
        directory.forget_requests();
        let output = cluster.sql_verbosely(LOOK);
        assert!(output.stderr.contains("ERROR:  58030: "), "{trouble:?}: {}", output.stderr);
        assert!(directory.requests(Kind::GetByIds) > 0, "{trouble:?}");
        assert_eq!(
            (status(&cluster, "ended").as_str(), directory.requests(Kind::Lookup)),
            ("0", 0),
            "{trouble:?}"
        );
    }
    assert!(elsewhere.directory().arrived().is_empty(), "no other host is asked");
    // A list that goes on as it should, page by page.
    directory.page_length(Some(1));
    directory.add_member(GROUP, PERSON);
    directory.add_member(GROUP, ADMIN);
    let members = format!("{}/v1.0/groups/{GROUP}/members?$top=1&$select=id,accountEnabled", provider.url());
    directory.fail(Place::Only(Kind::GetByIds), Trouble::NextLink(members));
    for trouble in [Trouble::CircularPages, Trouble::PageFails(0), Trouble::PageFails(2)] {
        directory.fail(Place::Only(Kind::Members), trouble.clone());
        directory.forget_requests();
        fails_to_look(&cluster, "DETAIL:  ");
        assert_eq!(status(&cluster, "ended"), "0", "{trouble:?}");
        assert!((1..10).contains(&directory.requests(Kind::Members)), "{trouble:?}");
    }
    // An empty page is none the worse.
    directory.fail(Place::Only(Kind::Members), Trouble::EmptyFirstPage);
    assert_eq!(refresh(&cluster), "3");
    assert_eq!(status(&cluster, "ended"), "1");
    assert_eq!(process(&cluster, DIRECTORY_WORKER), worker);
}

#[test]
fn a_name_whose_list_goes_on_is_not_taken_for_unique() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    let directory = provider.directory();
    let create = "SELECT azure_ad_auth.create_principal('Readers')";
    for trouble in [
        Trouble::NextLink("https://elsewhere.example/v1.0/groups".to_owned()),
        Trouble::CircularPages,
        Trouble::EmptyFirstPage,
    ] {
        directory.fail(Place::Graph, trouble.clone());
        fails(&cluster, create, "58000", "the directory did not answer", "");
    }
    directory.recover(Place::Graph);
    cluster.sql(create);
}

#[test]
fn an_item_that_is_throttled_missing_or_twice_there_is_no_answer() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(NO_LOOKS));
    let directory = provider.directory();
    directory.add_user(APPLICATION, "ben@contoso.example");
    directory.add_member(GROUP, PERSON);
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN; CREATE ROLE \"ben@contoso.example\" LOGIN");
    let grant = "GRANT azure_ad_user TO \"ann@contoso.example\", \"ben@contoso.example\"";
    for (place, trouble) in [
        (Place::Only(Kind::Lookup), Trouble::Throttle(Some("0".to_owned()))),
        (Place::Only(Kind::Lookup), Trouble::Refuse(503, "serviceNotAvailable")),
        (Place::Only(Kind::Batch), Trouble::LosesItem),
        (Place::Only(Kind::Batch), Trouble::RepeatsItem),
    ] {
        directory.fail_times(1, place, trouble.clone());
        fails(&cluster, grant, "58000", "the directory did not answer", "");
        assert_eq!(
            cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name LIKE '%@%'"),
            "0"
        );
        directory.recover(place);
    }
    for trouble in [Trouble::LosesItem, Trouble::RepeatsItem] {
        directory.fail(Place::Only(Kind::Batch), trouble.clone());
        let mark = cluster.log_mark();
        cluster.login("readers", &overage_token());
        cluster.await_log(mark, "refused code=directory_unavailable role=readers");
        directory.recover(Place::Only(Kind::Batch));
    }
    // The answers come in another order than the questions.
    cluster.sql(grant);
    let linked = "SELECT string_agg(role_name || '=' || object_id, ' ' ORDER BY role_name) FROM azure_ad_auth.principals WHERE role_name LIKE '%@%'";
    assert_eq!(
        cluster.sql(linked),
        format!("ann@contoso.example={PERSON} ben@contoso.example={APPLICATION}")
    );
}

#[test]
fn of_two_memberships_only_the_one_that_was_answered_ends() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    directory.add_user(APPLICATION, "ben@contoso.example");
    let token = |id: &str| {
        let claims = with(user_v1(unix_now() - 660), "groups", json!([GROUP]));
        KEY.token(&with(claims, "oid", json!(id)))
    };
    // Without this, an earlier batch asks for it.
    directory.show_session_times_in_get_by_ids(true);
    for (place, trouble) in [
        (Place::Only(Kind::Membership), Trouble::Throttle(Some("0".to_owned()))),
        (Place::Only(Kind::Batch), Trouble::LosesItem),
    ] {
        directory.add_member(GROUP, PERSON);
        directory.add_member(GROUP, APPLICATION);
        await_status(&cluster, "ended", "0");
        cluster.set("azure_ad_auth.directory_refresh_interval", "0");
        let mut sessions = [PERSON, APPLICATION].map(|id| cluster.session("readers", &token(id)));
        refresh(&cluster);
        directory.remove_member(GROUP, PERSON);
        directory.remove_member(GROUP, APPLICATION);
        // The questions are put in the order of the ids.
        for _ in 0..3 {
            directory.fail_times(1, place, trouble.clone());
            let _ = cluster.sql_verbosely(LOOK);
            directory.recover(place);
        }
        let [ann, ben] = &mut sessions;
        end_of(ben);
        assert_eq!(value(ann, "SELECT 1"), "1", "{trouble:?}");
        assert_eq!(status(&cluster, "ended"), "1");
        cluster.set("azure_ad_auth.directory_refresh_interval", "1s");
        end_of(ann);
    }
}

//! What directory_lookup() shows.

use testbed::cluster::Cluster;
use testbed::idp::directory::{Kind, Object, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};

use crate::common::directory::with_directory;
use crate::common::login::token_of;
use crate::common::statements::{denied, fails};

const GUEST: &str = "77777777-aaaa-bbbb-cccc-000000000077";
const REGISTRATION: &str = "88888888-aaaa-bbbb-cccc-000000000008";
const NEWS: &str = "99999999-aaaa-bbbb-cccc-000000000009";

fn scene() -> Scene {
    Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = 2s")
}

fn rows(cluster: &Cluster, arguments: &str) -> String {
    cluster.sql(&format!(
        "SELECT * FROM azure_ad_auth.directory_lookup({arguments}) ORDER BY object_id, object_type"
    ))
}

#[test]
fn everything_that_a_text_could_mean_is_shown_and_nothing_is_linked() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add(Object::user(PERSON, "ann@contoso.example").disabled());
    directory.add(Object::guest(GUEST, "ann@contoso.example"));
    directory.add_group(GROUP, "Readers");
    directory.add(Object::group(NEWS, "readers").not_security_enabled());
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    directory.add(Object::application(REGISTRATION, CLIENT, "billing"));
    let guest = "ann_contoso.example#EXT#@contoso.onmicrosoft.com";
    for (arguments, expected) in [
        (
            "'ANN@contoso.example'".to_owned(),
            format!(
                "{PERSON}|user|ann@contoso.example|f|by user principal name\n\
                 {GUEST}|user|{guest}|t|guest, by mail address"
            ),
        ),
        (
            "'Readers'".to_owned(),
            format!(
                "{GROUP}|group|Readers||by display name\n\
                 {NEWS}|group|readers||not security-enabled: cannot be linked"
            ),
        ),
        (format!("'{CLIENT}'"), format!("{APPLICATION}|service|billing|t|by client id")),
        (
            format!("'{REGISTRATION}'"),
            format!(
                "{REGISTRATION}||billing||app registration: its id is in no access token; use that of its service principal"
            ),
        ),
        (format!("'{PERSON}'"), format!("{PERSON}|user|ann@contoso.example|f|by object id")),
        (
            "'ann'".to_owned(),
            format!("{PERSON}|user|ann@contoso.example|f|by display name, which does not name a user"),
        ),
        ("'Readers', 'service'".to_owned(), String::new()),
        (
            "'Readers', object_type => 'Group'".to_owned(),
            format!(
                "{GROUP}|group|Readers||by display name\n\
                 {NEWS}|group|readers||not security-enabled: cannot be linked"
            ),
        ),
        ("'nobody'".to_owned(), String::new()),
    ] {
        assert_eq!(rows(&cluster, &arguments), expected, "{arguments}");
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1");
    // In a transaction that can write nothing, and on a standby, whose own worker asks.
    assert_ne!(
        cluster.sql("BEGIN READ ONLY; SELECT count(*) FROM azure_ad_auth.directory_lookup('Readers')"),
        ""
    );
    let standby = cluster.standby();
    standby.start();
    standby.await_directory();
    assert_eq!(rows(&standby, "'billing'"), format!("{APPLICATION}|service|billing|t|by display name"));
}

#[test]
fn administrators_and_superusers_look_things_up() {
    let (cluster, provider) = with_directory(scene());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user");
    let lookup = "SELECT name FROM azure_ad_auth.directory_lookup('Readers')";
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    assert_eq!(admin.query(lookup), Ok(vec![Some("Readers".to_owned())]));
    directory.forget_requests();
    let mut ann = cluster.session("ann@contoso.example", &token_of(PERSON));
    denied(&mut ann, lookup, "permission denied for function directory_lookup", "");
    // A session as an administrator that no token let in.
    let message = "permission denied to administer Azure AD roles";
    denied(&mut cluster.acting_as("admin"), lookup, message, "did not log in with an access token");
    assert_eq!(directory.requests(Kind::Batch), 0);
}

#[test]
fn what_cannot_be_looked_up_is_an_error() {
    let (cluster, provider) = with_directory(scene());
    let call = |arguments: &str| format!("SELECT * FROM azure_ad_auth.directory_lookup({arguments})");
    let none = "no object of the directory can have this name";
    provider.directory().forget_requests();
    for (arguments, sqlstate, message, more) in [
        ("NULL", "22004", "name must not be null", ""),
        ("''", "22023", none, "it is empty"),
        ("E'a\\nb'", "22023", none, "it has a control character"),
        ("repeat('x', 257)", "22023", none, "it has more than 256 characters"),
        ("repeat('x', 100000000)", "22023", none, "it has more than 256 characters"),
        ("'x', 'device'", "22023", "invalid object type \"device\"", ""),
    ] {
        fails(&cluster, &call(arguments), sqlstate, message, more);
    }
    assert_eq!(provider.directory().requests(Kind::Batch), 0);
    provider.directory().withdraw("GroupMember.Read.All");
    provider.directory().revoke_tokens();
    fails(
        &cluster,
        &call("'x'"),
        "42501",
        "the directory may not be asked for \"x\"",
        "GroupMember.Read.All",
    );
    provider.directory().fail(Place::Graph, Trouble::Hang);
    fails(&cluster, &call("'x'"), "58000", "the directory did not answer", "");
    cluster.set("azure_ad_auth.directory", "off");
    assert!(testbed::waits::eventually(|| {
        cluster.sql_verbosely(&call("'x'")).stderr.contains("ERROR:  55000: the directory is not set up")
    }));
}

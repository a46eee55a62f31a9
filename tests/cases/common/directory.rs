//! What the server knows about the directory.

use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::idp::directory::Kind;
use testbed::issuer::{GROUP, PERSON, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene, provider};
use testbed::waits::eventually;

use super::doors::{DEBUG_LOG, EVERY_DOOR, at_doors};
use super::statements::link;

/// The title of the directory worker.
pub(crate) const DIRECTORY_WORKER: &str = "azure_ad_auth directory";

/// Starts a server that asks the directory of its provider, in which the administrator is.
pub(crate) fn with_directory(scene: Scene) -> (Cluster, Provider) {
    let provider = provider();
    provider.directory().add_user(ADMIN, "admin@contoso.example");
    let cluster = scene.directory(&provider).start_with(&provider);
    cluster.await_directory();
    (cluster, provider)
}

/// The group that [`GROUP`] has as a member.
pub(crate) const NESTED: &str = "55555555-aaaa-bbbb-cccc-000000000055";

/// Runs a case at every door, each with a server of its own that asks the directory and in which
/// `ann` and `readers` are linked. The directory has both, and ann is not in the group. No secret
/// is in the log at its finest level.
pub(crate) fn at_every_door_with_directory(settings: &str, case: impl Fn(Door, &Cluster, &Provider)) {
    at_doors(&EVERY_DOOR, |door| {
        let scene = Scene::new().door(door).settings(DEBUG_LOG).settings(settings);
        let (cluster, provider) = with_ann_and_readers(scene);
        case(door, &cluster, &provider);
        lacks_secrets(&cluster, &provider);
    });
}

/// Starts a server that asks the directory, in which `ann` and `readers` are linked. The directory
/// has both, and ann is not in the group.
pub(crate) fn with_ann_and_readers(scene: Scene) -> (Cluster, Provider) {
    let (cluster, provider) = with_directory(scene);
    provider.directory().add_user(PERSON, "ann@contoso.example");
    provider.directory().add_group(GROUP, "Readers");
    provider.directory().add_group(NESTED, "Nested");
    provider.directory().add_member(GROUP, NESTED);
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    (cluster, provider)
}

/// Expects no secret, assertion or token of the server's own in its log.
pub(crate) fn lacks_secrets(cluster: &Cluster, provider: &Provider) {
    let log = cluster.log();
    let secrets = provider.directory().secrets();
    assert!(!secrets.is_empty() && !secrets.iter().any(|secret| log.contains(secret.as_str())));
    assert_eq!(provider.directory().misplaced_secrets(), [""; 0]);
}

/// Returns the claims of a person with too many groups to list.
pub(crate) fn overage_claims() -> Value {
    with(with(user_v1(unix_now()), "groups", Value::Null), "hasgroups", json!(true))
}

/// Returns a token of that person.
pub(crate) fn overage_token() -> String {
    KEY.token(&overage_claims())
}

/// Returns a token of a person that was issued at a time: `iat` is five minutes earlier.
pub(crate) fn token_of_time(issued: i64) -> String {
    KEY.token(&with(user_v1(unix_now()), "iat", json!(issued - 300)))
}

/// Waits until the revocation of a person's sessions at a time has been noticed.
pub(crate) fn await_revocation(cluster: &Cluster, mark: usize, at: i64) {
    let time = cluster.sql(&format!("SELECT to_char(to_timestamp({at}) AT TIME ZONE 'GMT', 'HH24:MI:SS')"));
    let opening = format!("directory: the sign-in sessions of {PERSON} from before ");
    assert!(eventually(|| {
        let log = cluster.log_since(mark);
        log.lines().any(|line| line.contains(&opening) && line.contains(&time))
    }));
}

/// Waits until looks have been made that began after this call: so many.
pub(crate) fn look(cluster: &Cluster, times: usize) {
    for _ in 0..times {
        refresh(cluster);
    }
}

/// Returns a column of the view directory_status.
pub(crate) fn status(cluster: &Cluster, column: &str) -> String {
    cluster.sql(&format!("SELECT {column} FROM azure_ad_auth.directory_status"))
}

/// Has the server look at everybody. Returns how many objects there were.
pub(crate) fn refresh(cluster: &Cluster) -> String {
    cluster.sql("SELECT azure_ad_auth.refresh_directory()")
}

/// Waits until a column of the view directory_status has a value.
pub(crate) fn await_status(cluster: &Cluster, column: &str, value: &str) {
    let mut last = String::new();
    let reached = eventually(|| {
        last = status(cluster, column);
        last == value
    });
    assert!(reached, "{column}: {last}, not {value}");
}

/// Returns how many questions and batches have arrived at the provider.
pub(crate) fn questions(provider: &Provider) -> usize {
    let directory = provider.directory();
    directory.questions(Kind::Lookup) + directory.requests(Kind::Batch)
}

//! What the server knows about the directory.

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::Kind;
use testbed::scene::{ADMIN, Scene, provider};
use testbed::waits::eventually;

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

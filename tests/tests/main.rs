//! Logins against scratch servers, with real clients over real TLS.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod admissions;
mod refusals;

use std::sync::{Arc, LazyLock};

use trial::cluster::{Cluster, Workshop};
use trial::idp::Provider;
use trial::issuer::Signer;

/// One for all tests of a run; removed when the process ends.
static WORKSHOP: LazyLock<Arc<Workshop>> = LazyLock::new(|| {
    #[expect(unsafe_code, reason = "statics are not dropped")]
    // SAFETY: registers a function that touches nothing but the file system.
    unsafe {
        libc::atexit(remove_workshop);
    }
    Arc::new(Workshop::new())
});

/// The provider's key, made once: making one takes a while.
static KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-1")));

extern "C" fn remove_workshop() {
    let folder = WORKSHOP.ca_file();
    if let Some(folder) = folder.parent() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A server with the extension, an administrator, and a provider that publishes [`KEY`].
fn scene(settings: &str) -> (Cluster, Provider) {
    let provider = Provider::start(&WORKSHOP.authority, vec![Arc::clone(&KEY)], 0);
    let cluster = Cluster::running(&WORKSHOP, &provider, settings);
    (cluster, provider)
}

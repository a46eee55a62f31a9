//! The builder of a test's server and identity provider.

use std::sync::{Arc, LazyLock};

use crate::cluster::{Cluster, Configuration};
use crate::door::Door;
use crate::idp::Provider;
use crate::idp::directory::{SERVER_CLIENT, SERVER_SECRET};
use crate::issuer::Signer;
use crate::template::Template;

/// The key that providers publish at first. All tests share it, because making one takes a while.
pub static KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-1")));
/// A key that providers do not publish at first.
pub static NEW_KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-2")));

/// The object id of the administrator `admin`.
pub const ADMIN: &str = "66666666-aaaa-bbbb-cccc-000000000006";

/// Starts an identity provider that publishes [`KEY`].
pub fn provider() -> Provider {
    Provider::start(&Template::shared().authority, vec![Arc::clone(&KEY)], 0)
}

/// A server to be made, and how it differs from the others.
///
/// Without further calls it has the password door, its pg_hba.conf, and azure_ad_auth preloaded.
pub struct Scene {
    template: Arc<Template>,
    door: Door,
    configuration: Configuration,
}

impl Scene {
    /// Begins a scene from the template that all tests share.
    #[expect(clippy::new_without_default, reason = "a scene is always begun by name")]
    pub fn new() -> Self {
        Self::from_template(Template::shared())
    }

    /// Begins a scene from another template.
    pub fn from_template(template: &Arc<Template>) -> Self {
        Self { template: Arc::clone(template), door: Door::Password, configuration: Configuration::new() }
    }

    /// Sets the door by which Azure AD roles log in.
    pub fn door(self, door: Door) -> Self {
        Self { door, ..self }
    }

    /// Adds lines to postgresql.conf.
    pub fn settings(self, lines: impl AsRef<str>) -> Self {
        Self { configuration: self.configuration.settings(lines), ..self }
    }

    /// Replaces pg_hba.conf.
    pub fn hba(self, content: impl Into<String>) -> Self {
        Self { configuration: self.configuration.hba(content), ..self }
    }

    /// Replaces shared_preload_libraries.
    pub fn preload(self, libraries: impl Into<String>) -> Self {
        Self { configuration: self.configuration.preload(libraries), ..self }
    }

    /// Has the server fetch its keys from `provider`, unless its settings say otherwise.
    pub fn keys_from(self, provider: &Provider) -> Self {
        let authority_url = format!("azure_ad_auth.authority_url = '{}'", provider.url());
        Self { configuration: self.configuration.preceded_by(&authority_url), ..self }
    }

    /// Has the server ask the directory of `provider`, by the secret of its application. It looks
    /// at linked objects once a second, unless its settings say otherwise.
    pub fn directory(self, provider: &Provider) -> Self {
        let lines = format!(
            "azure_ad_auth.directory = 'client_secret'\nazure_ad_auth.directory_client_id = '{SERVER_CLIENT}'\n\
             azure_ad_auth.directory_url = '{}'\nazure_ad_auth.directory_refresh_interval = 1s",
            provider.url()
        );
        Self { configuration: self.configuration.preceded_by(&lines).secret(SERVER_SECRET), ..self }
    }

    /// Makes the server without starting it. It fetches keys only if its settings name a provider.
    pub fn create(self) -> Cluster {
        Cluster::create(self.door, &self.template, &self.configuration)
    }

    /// Makes and starts a server that fetches its keys from `provider`, creates the extension and
    /// the administrator, and waits for the keys.
    pub fn start_with(self, provider: &Provider) -> Cluster {
        let cluster = self.keys_from(provider).create();
        cluster.start();
        cluster.create_extension();
        cluster.await_keys();
        cluster
    }

    /// Does the same with a provider of the server's own, which publishes [`KEY`].
    pub fn start(self) -> (Cluster, Provider) {
        let provider = Provider::start(&self.template.authority, vec![Arc::clone(&KEY)], 0);
        let cluster = self.start_with(&provider);
        (cluster, provider)
    }
}

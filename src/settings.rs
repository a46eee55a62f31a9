//! Every setting, handed out as plain values.
//!
//! Settings come from configuration files and ALTER SYSTEM only. A value that does not parse fails closed: at reload it is
//! refused and the old one stays; at server start it stands, and until it is mended every Azure AD login is refused as
//! `not_configured`, because the default PostgreSQL would put in its place may mean "anyone".

mod ca_file;
mod define;
mod files;
mod single_server;
pub(crate) mod unknown;

use std::time::Duration;

use entra::{KeySource, Misconfigured, Policy, RawPolicy, Timing};

pub(crate) use crate::settings::ca_file::anchors_in;
pub(crate) use crate::settings::single_server::NAME_FOR_SESSIONS;
pub(crate) use crate::settings::single_server::validates_object_ids;

/// What all names begin with.
pub(crate) const PREFIX: &str = "azure_ad_auth";

/// Describes what is wrong with a setting, by its full name.
pub(crate) fn described(fault: &Misconfigured) -> String {
    format!("{PREFIX}.{fault}")
}

/// Defines every setting. In the postmaster only, while it loads its libraries.
pub(crate) fn define() {
    define::define();
    single_server::define();
}

/// Reads the configuration files again, in a background worker: pgrx's handler only takes note of the signal.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn reload() {
    // SAFETY: in a main loop, outside of any transaction, as every process of the server does it.
    unsafe { pgrx::pg_sys::ProcessConfigFile(pgrx::pg_sys::GucContext::PGC_SIGHUP) }
}

/// Whether a name, without the prefix, is one of ours.
pub(crate) fn is_known(name: &str) -> bool {
    define::is_known(name)
}

/// What is wrong with a value that is written for one of our settings, as far as it is ours to say: PostgreSQL knows of those
/// that are not text.
pub(crate) fn problem_of(name: &str, value: &str) -> Option<String> {
    define::problem_of(name, value)
}

/// What a login is judged by.
pub(crate) struct Rules {
    /// Which tokens are accepted.
    pub(crate) policy: Policy,
    /// Whose keys verify them.
    pub(crate) origin: KeyOrigin,
}

/// What a login is judged by.
///
/// # Errors
/// The first setting that is missing or does not parse.
pub(crate) fn rules() -> Result<Rules, Misconfigured> {
    Ok(Rules { policy: policy()?, origin: key_origin()? })
}

fn policy() -> Result<Policy, Misconfigured> {
    if let Some(setting) = define::fault_at_start() {
        return Err(Misconfigured {
            setting,
            problem: "had a value at server start that is not valid".into(),
        });
    }
    Policy::parse(&RawPolicy {
        tenant_id: &define::TENANT_ID.text(),
        audience: &define::AUDIENCE.text(),
        cloud: define::CLOUD.get().into(),
        issuers: &define::ISSUERS.text(),
        allowed_clients: &define::ALLOWED_CLIENTS.text(),
        required_permission: &define::REQUIRED_PERMISSION.text(),
        clock_skew: i64::from(define::CLOCK_SKEW.get()),
    })
}

/// The tenant, if one is set and parses.
pub(crate) fn tenant() -> Option<entra::Uuid> {
    entra::parse_tenant(&define::TENANT_ID.text()).ok().flatten()
}

/// Whether a login without TLS or a Unix-domain socket is refused before the token is asked for.
pub(crate) fn require_tls() -> bool {
    define::REQUIRE_TLS.get()
}

/// How long a login may wait for a fetch.
pub(crate) fn unknown_key_wait() -> Duration {
    Duration::from_millis(define::UNKNOWN_KEY_WAIT.get().unsigned_abs().into())
}

/// Leeway for a clock that differs from the issuer's, in seconds.
pub(crate) fn clock_skew() -> i64 {
    i64::from(define::CLOCK_SKEW.get())
}

/// How many seconds after its token's a session ends; none: it stays.
pub(crate) fn session_expiry() -> Option<i64> {
    let grace = i64::from(define::SESSION_EXPIRY_GRACE.get());
    define::SESSION_EXPIRY.get().terminates().then_some(grace)
}

/// When keys are fetched and how long they are used.
pub(crate) fn timing() -> Timing {
    let millis = |seconds: i32| u64::from(seconds.unsigned_abs()) * 1_000;
    Timing {
        refresh_interval: millis(define::KEY_REFRESH_INTERVAL.get()),
        max_age: millis(define::KEY_MAX_AGE.get()),
        cooldown: millis(define::KEY_REFRESH_COOLDOWN.get()),
        wait: define::UNKNOWN_KEY_WAIT.get().unsigned_abs().into(),
    }
}

/// Where the keys come from, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOrigin {
    /// The documents.
    pub(crate) source: KeySource,
    /// Extra trust anchors, a PEM file.
    pub(crate) ca_file: Option<String>,
    /// A proxy for our own requests.
    pub(crate) proxy: Option<String>,
    /// All that decides whose keys these are, as one text: keys fetched under another text are not ours.
    pub(crate) fingerprint: String,
}

/// Where the keys come from.
///
/// # Errors
/// The first setting that is missing or does not parse.
pub(crate) fn key_origin() -> Result<KeyOrigin, Misconfigured> {
    let wrong = |setting| move |problem| Misconfigured { setting, problem };
    let (tenant_id, cloud) = (define::TENANT_ID.text(), define::CLOUD.get().into());
    let tenant = entra::parse_tenant(&tenant_id).map_err(wrong("tenant_id"))?;
    let tenant = tenant.ok_or_else(|| wrong("tenant_id")("is not set".to_owned()))?;
    let (authority, key_source) = (define::AUTHORITY_URL.text(), define::KEY_SOURCE.text());
    define::check_authority(&authority).map_err(wrong("authority_url"))?;
    define::check_source(&key_source).map_err(wrong("key_source"))?;
    let source = KeySource::choose(&key_source, &authority, cloud, tenant).map_err(wrong("key_source"))?;
    let (ca_file, proxy) = (define::CA_FILE.text(), define::HTTPS_PROXY.text());
    define::check_path(&ca_file).map_err(wrong("ca_file"))?;
    define::check_proxy(&proxy).map_err(wrong("https_proxy"))?;
    let fingerprint = [tenant.to_string(), format!("{source:?}"), ca_file.clone()].join("\n");
    let set = |text: String| (!text.is_empty()).then_some(text);
    Ok(KeyOrigin { source, ca_file: set(ca_file), proxy: set(proxy), fingerprint })
}

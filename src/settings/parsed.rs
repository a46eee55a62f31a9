//! What the settings mean together: parsed when one changes, and kept. A login parses nothing; it
//! inherits this from the postmaster.

use std::cell::RefCell;
use std::rc::Rc;

use entra::{KeySource, Misconfigured, Policy, RawPolicy, Uuid};

use crate::pg::guc;
use crate::settings::checks;
use crate::settings::define::{self, Values};
use crate::settings::directory::{self, DirectorySettings};
use crate::settings::row::{Stake, bad_at_start};

/// The settings that decide about a login.
pub(crate) struct Rules {
    /// Which tokens are accepted.
    pub(crate) policy: Rc<Policy>,
    /// Whose keys verify them.
    pub(crate) origin: Rc<KeyOrigin>,
}

/// Where the keys come from, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOrigin {
    /// The documents.
    pub(crate) source: KeySource,
    /// Extra trust anchors, a PEM file.
    pub(crate) ca_file: Option<String>,
    /// A proxy for the requests that this library makes.
    pub(crate) proxy: Option<String>,
    /// Everything that decides where the keys come from, as one text. Keys that were fetched under
    /// another text are not used.
    pub(crate) fingerprint: String,
}

/// The parsed values, or the first setting that is missing or does not parse.
struct Parsed {
    tenant: Option<Uuid>,
    policy: Result<Rc<Policy>, Misconfigured>,
    origin: Result<Rc<KeyOrigin>, Misconfigured>,
    directory: Result<Option<Rc<DirectorySettings>>, Vec<Misconfigured>>,
}

thread_local! {
    /// None: not parsed yet since a value has changed.
    static PARSED: RefCell<Option<Parsed>> = const { RefCell::new(None) };
}

/// Parses the values. Called whenever one has changed. A parallel worker is given all values one by
/// one and seldom needs them: it parses them when it does.
pub(super) fn parse(values: &Values) {
    let parsed = (!guc::is_parallel_worker_starting()).then(|| Parsed::of(values));
    PARSED.set(parsed);
}

fn parsed<T>(read: impl FnOnce(&Parsed) -> T) -> T {
    PARSED.with_borrow_mut(|parsed| read(parsed.get_or_insert_with(|| define::values(Parsed::of))))
}

/// Returns what decides about a login.
///
/// # Errors
/// The first setting that is missing or does not parse, or had a bad value at server start.
pub(crate) fn rules() -> Result<Rules, Misconfigured> {
    if let Some(setting) = bad_at_start(Stake::Logins) {
        return Err(was_bad_at_start(setting));
    }
    parsed(|parsed| Ok(Rules { policy: parsed.policy.clone()?, origin: parsed.origin.clone()? }))
}

/// Returns where the keys come from.
///
/// # Errors
/// The first setting that is missing or does not parse.
pub(crate) fn key_origin() -> Result<KeyOrigin, Misconfigured> {
    parsed(|parsed| parsed.origin.as_deref().cloned().map_err(Clone::clone))
}

/// Returns the tenant, if one is set and parses.
pub(crate) fn tenant() -> Option<Uuid> {
    parsed(|parsed| parsed.tenant)
}

/// Returns how the directory is asked; none while it is off.
///
/// # Errors
/// Everything that is missing or does not parse, at least one.
pub(super) fn directory() -> Result<Option<Rc<DirectorySettings>>, Vec<Misconfigured>> {
    parsed(|parsed| parsed.directory.clone())
}

impl Parsed {
    fn of(values: &Values) -> Self {
        Self {
            tenant: entra::parse_tenant(&values.tenant_id).ok().flatten(),
            policy: policy(values).map(Rc::new),
            origin: origin(values).map(Rc::new),
            directory: directory::parse(values).map(|directory| directory.map(Rc::new)),
        }
    }
}

fn policy(values: &Values) -> Result<Policy, Misconfigured> {
    Policy::parse(&RawPolicy {
        tenant_id: &values.tenant_id,
        audience: &values.audience,
        cloud: values.cloud.into(),
        issuers: &values.issuers,
        allowed_clients: &values.allowed_clients,
        required_permission: &values.required_permission,
        clock_skew: values.clock_skew.into(),
    })
}

fn origin(values: &Values) -> Result<KeyOrigin, Misconfigured> {
    let tenant = entra::parse_tenant(&values.tenant_id).map_err(wrong("tenant_id"))?;
    let tenant = tenant.ok_or_else(|| wrong("tenant_id")("is not set".to_owned()))?;
    let (authority, key_source) = (&values.authority_url, &values.key_source);
    checks::authority(authority).map_err(wrong("authority_url"))?;
    checks::key_source(key_source).map_err(wrong("key_source"))?;
    let source =
        KeySource::choose(key_source, authority, values.cloud.into(), tenant).map_err(wrong("key_source"))?;
    let (ca_file, proxy) = (&values.ca_file, &values.https_proxy);
    checks::path(ca_file).map_err(wrong("ca_file"))?;
    checks::proxy(proxy).map_err(wrong("https_proxy"))?;
    let fingerprint = [tenant.to_string(), format!("{source:?}"), ca_file.clone()].join("\n");
    let set = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(KeyOrigin { source, ca_file: set(ca_file), proxy: set(proxy), fingerprint })
}

/// Says that a setting has its default because its value at server start was not valid.
pub(super) fn was_bad_at_start(setting: &'static str) -> Misconfigured {
    wrong(setting)("had a value at server start that is not valid".to_owned())
}

fn wrong(setting: &'static str) -> impl FnOnce(String) -> Misconfigured {
    move |problem| Misconfigured { setting, problem }
}

#[cfg(test)]
mod tests {
    use super::Parsed;
    use crate::settings::define::Values;

    const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";

    fn values() -> Values {
        Values { tenant_id: TENANT.to_owned(), audience: "api://db".to_owned(), ..Values::default() }
    }

    /// Returns the settings that keep tokens, and keys, from being accepted.
    fn faults(values: &Values) -> [Option<&'static str>; 2] {
        let parsed = Parsed::of(values);
        [parsed.policy.err(), parsed.origin.err()].map(|fault| fault.map(|fault| fault.setting))
    }

    #[test]
    fn the_setting_at_fault_is_named() {
        assert_eq!(faults(&Values::default()), [Some("tenant_id"); 2]);
        assert_eq!(faults(&values()), [None; 2]);
        assert_eq!(faults(&Values { audience: "a,,b".to_owned(), ..values() }), [Some("audience"), None]);
        assert_eq!(faults(&Values { ca_file: "ca.pem".to_owned(), ..values() }), [None, Some("ca_file")]);
        assert_eq!(
            Parsed::of(&Values { audience: String::new(), ..values() }).tenant,
            entra::parse_uuid(TENANT)
        );
    }

    #[test]
    fn keys_of_another_origin_have_another_fingerprint() {
        let fingerprint =
            |values: &Values| Parsed::of(values).origin.map(|origin| origin.fingerprint.clone());
        let usual = fingerprint(&values());
        assert_eq!(fingerprint(&Values { https_proxy: "http://proxy:3128".to_owned(), ..values() }), usual);
        for other in [
            Values { ca_file: "/etc/ca.pem".to_owned(), ..values() },
            Values { key_source: "/etc/keys.json".to_owned(), ..values() },
            Values { authority_url: "https://login.example".to_owned(), ..values() },
        ] {
            let other = fingerprint(&other);
            assert!(other.is_ok() && other != usual);
        }
    }
}

//! How the directory is asked: what the settings of the directory, and those that it shares with
//! the signing keys, mean together.
//!
//! Whatever is missing or contradicts makes the directory unavailable, and nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use entra::directory::hosts;
use entra::directory::identity::{ARC_URL, METADATA_URL};
use entra::{Cloud, Millis, Misconfigured, Uuid};

use crate::settings::checks;
use crate::settings::choices::{GroupLookup, Proof};
use crate::settings::define::{Values, values};
use crate::settings::parsed::{self, was_bad_at_start};
use crate::settings::row::{Stake, bad_at_start};

/// How the directory is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectorySettings {
    /// How the server proves who it is.
    pub(crate) credential: Credential,
    /// The tenant.
    pub(crate) tenant: Uuid,
    /// Where tokens are issued to applications.
    pub(crate) token_url: String,
    /// The root of Graph, without a slash at its end.
    pub(crate) graph: String,
    /// The audience that a federated token must have.
    pub(crate) federated_audience: &'static str,
    /// Extra trust anchors, a PEM file.
    pub(crate) ca_file: Option<String>,
    /// A proxy for requests that leave the machine.
    pub(crate) proxy: Option<String>,
    /// A number that changes with the credential, the tenant, the cloud and the addresses. What was
    /// learnt under another one does not count, and a token that was issued under it is dropped.
    pub(crate) fingerprint: u64,
}

/// How the server proves to Entra who it is. Files are given by their absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Credential {
    /// By a secret that the application shares with Entra.
    ClientSecret { client_id: Uuid, file: String },
    /// By a certificate and its key, which may be in one file.
    Certificate { client_id: Uuid, certificate: String, key: String },
    /// By the token of another issuer that the application trusts.
    FederatedToken { client_id: Uuid, file: String },
    /// As the identity of a virtual machine; none: the system-assigned one.
    ManagedIdentity { client_id: Option<Uuid>, url: String },
    /// As the identity of a machine that is connected to Azure Arc.
    Arc { client_id: Option<Uuid>, url: String },
}

/// Returns how the directory is asked; none while it is off.
///
/// # Errors
/// The first of [`directory_problems`].
pub(crate) fn directory() -> Result<Option<Rc<DirectorySettings>>, Misconfigured> {
    let faults = match (parsed::directory(), bad()) {
        (Ok(settings), None) => return Ok(settings),
        (_, Some(setting)) => return Err(was_bad_at_start(setting)),
        (Err(faults), None) => faults,
    };
    faults.into_iter().next().map_or(Ok(None), Err)
}

/// Returns all that is missing, does not parse or contradicts, so that the directory cannot be
/// asked. Nothing is wrong while it is off.
pub(crate) fn directory_problems() -> Vec<Misconfigured> {
    let faults = parsed::directory().err().unwrap_or_default();
    bad().map(was_bad_at_start).into_iter().chain(faults).collect()
}

/// Returns a setting with a bad value from server start that counts: the one that says whether the
/// directory is asked, or, if it is, any other of it.
fn bad() -> Option<&'static str> {
    let setting = bad_at_start(Stake::Directory)?;
    (setting == "directory" || directory_mode() != "off").then_some(setting)
}

/// Returns the value of the setting `directory`.
pub(crate) fn directory_mode() -> &'static str {
    match values(|values| values.directory) {
        Proof::Off => "off",
        Proof::ClientSecret => "client_secret",
        Proof::Certificate => "certificate",
        Proof::FederatedToken => "federated_token",
        Proof::ManagedIdentity => "managed_identity",
        Proof::Arc => "arc",
    }
}

/// Returns the time between two looks at everybody; 0: none is made by itself.
pub(crate) fn directory_refresh_interval() -> Millis {
    values(|values| millis(values.directory_refresh_interval))
}

/// Returns how long a statement waits.
pub(crate) fn directory_wait() -> Duration {
    Duration::from_millis(values(|values| values.directory_wait).unsigned_abs().into())
}

/// Returns when a login asks about a membership.
pub(crate) fn group_lookup() -> GroupLookup {
    values(|values| values.group_lookup)
}

/// Returns how long a login waits.
pub(crate) fn group_lookup_wait() -> Duration {
    Duration::from_millis(values(|values| values.group_lookup_wait).unsigned_abs().into())
}

/// Returns how long a yes counts.
pub(crate) fn group_lookup_cache() -> Millis {
    values(|values| millis(values.group_lookup_cache))
}

/// Returns whether members of linked groups get roles.
pub(crate) fn group_sync() -> bool {
    values(|values| values.group_sync)
}

/// Returns the time between two rounds of the synchronisation of groups.
pub(crate) fn group_sync_interval() -> Millis {
    values(|values| millis(values.group_sync_interval))
}

/// Returns the database that the synchronisation of groups connects to.
pub(crate) fn group_sync_database() -> String {
    values(|values| values.group_sync_database.clone())
}

fn millis(seconds: i32) -> Millis {
    Millis::from(seconds.unsigned_abs()) * 1_000
}

/// Reads what the settings of the directory mean; none while it is off.
///
/// # Errors
/// All that is missing, does not parse or contradicts.
pub(super) fn parse(values: &Values) -> Result<Option<DirectorySettings>, Vec<Misconfigured>> {
    if values.directory == Proof::Off {
        return Ok(None);
    }
    let mut faults = Faults::default();
    let credential = credential(values, &mut faults);
    let cloud = Cloud::from(values.cloud);
    let tenant = faults.required("tenant_id", entra::parse_tenant(&values.tenant_id));
    let authority = faults.get("authority_url", entra::parse_authority(&values.authority_url));
    let graph = faults.get("directory_url", hosts::parse_directory_url(&values.directory_url));
    faults.get("ca_file", checks::path(&values.ca_file));
    faults.get("https_proxy", checks::proxy(&values.https_proxy));
    faults.get("group_sync_database", checks::database(&values.group_sync_database));
    let (true, Some(credential), Some(tenant)) = (faults.0.is_empty(), credential, tenant) else {
        return Err(faults.0);
    };
    let token_url = hosts::token_url(authority.flatten().unwrap_or_else(|| cloud.login_url()), tenant);
    let graph = graph.flatten().unwrap_or_else(|| cloud.graph_url()).to_owned();
    let mut fingerprint = DefaultHasher::new();
    (&credential, tenant, &token_url, &graph).hash(&mut fingerprint);
    Ok(Some(DirectorySettings {
        credential,
        tenant,
        token_url,
        graph,
        federated_audience: cloud.federated_audience(),
        ca_file: set(&values.ca_file),
        proxy: set(&values.https_proxy),
        fingerprint: fingerprint.finish(),
    }))
}

fn credential(values: &Values, faults: &mut Faults) -> Option<Credential> {
    refuse_unused(values, faults);
    let id = values.directory_client_id.as_str();
    let client_id = checks::client_id(id).map(|()| entra::parse_uuid(id));
    let endpoint = |faults: &mut Faults, usual: &str| {
        let url =
            faults.get("directory_identity_url", hosts::parse_identity_url(&values.directory_identity_url));
        url.map(|url| url.unwrap_or(usual).to_owned())
    };
    match values.directory {
        Proof::Off => None,
        Proof::ManagedIdentity => {
            let client_id = faults.get("directory_client_id", client_id);
            let url = endpoint(faults, METADATA_URL);
            Some(Credential::ManagedIdentity { client_id: client_id?, url: url? })
        }
        Proof::Arc => {
            let client_id = faults.get("directory_client_id", client_id);
            let url = endpoint(faults, ARC_URL);
            Some(Credential::Arc { client_id: client_id?, url: url? })
        }
        Proof::ClientSecret => {
            let client_id = faults.required("directory_client_id", client_id);
            let file = faults.file("directory_secret_file", &values.directory_secret_file);
            Some(Credential::ClientSecret { client_id: client_id?, file: file? })
        }
        Proof::FederatedToken => {
            let client_id = faults.required("directory_client_id", client_id);
            let file = faults.file("directory_token_file", &values.directory_token_file);
            Some(Credential::FederatedToken { client_id: client_id?, file: file? })
        }
        Proof::Certificate => {
            let client_id = faults.required("directory_client_id", client_id);
            let certificate = faults.file("directory_certificate_file", &values.directory_certificate_file);
            let key = match values.directory_key_file.as_str() {
                "" => certificate.clone(),
                key => faults.file("directory_key_file", key),
            };
            Some(Credential::Certificate { client_id: client_id?, certificate: certificate?, key: key? })
        }
    }
}

/// Refuses settings of a credential other than the one that `directory` names: an administrator
/// who sets them expects that they are used.
fn refuse_unused(values: &Values, faults: &mut Faults) {
    let is_near = matches!(values.directory, Proof::ManagedIdentity | Proof::Arc);
    for (setting, value, is_used) in [
        ("directory_secret_file", &values.directory_secret_file, values.directory == Proof::ClientSecret),
        (
            "directory_certificate_file",
            &values.directory_certificate_file,
            values.directory == Proof::Certificate,
        ),
        ("directory_key_file", &values.directory_key_file, values.directory == Proof::Certificate),
        ("directory_token_file", &values.directory_token_file, values.directory == Proof::FederatedToken),
        ("directory_identity_url", &values.directory_identity_url, is_near),
    ] {
        if !value.is_empty() && !is_used {
            let problem = "is set, but is not for the credential that azure_ad_auth.directory names";
            faults.0.push(Misconfigured { setting, problem: problem.to_owned() });
        }
    }
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What is wrong, setting by setting.
#[derive(Default)]
struct Faults(Vec<Misconfigured>);

impl Faults {
    /// Returns what was parsed; none if it was not, which is noted.
    fn get<T>(&mut self, setting: &'static str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|problem| self.0.push(Misconfigured { setting, problem })).ok()
    }

    /// The same for a setting that must not be empty.
    fn required<T>(&mut self, setting: &'static str, parsed: Result<Option<T>, String>) -> Option<T> {
        self.get(setting, parsed.and_then(|value| value.ok_or_else(|| "is not set".to_owned())))
    }

    /// Returns the path of a file that is needed.
    fn file(&mut self, setting: &'static str, path: &str) -> Option<String> {
        self.required(setting, checks::path(path).map(|()| set(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-aaaa-bbbb-cccc-000000000001";

    fn values(directory: Proof) -> Values {
        Values { directory, tenant_id: ID.to_owned(), ..Values::default() }
    }

    fn secret() -> Values {
        Values {
            directory_client_id: ID.to_owned(),
            directory_secret_file: "/etc/secret".to_owned(),
            ..values(Proof::ClientSecret)
        }
    }

    fn parsed(values: &Values) -> DirectorySettings {
        parse(values).expect("no fault").expect("the directory is on")
    }

    fn faults(values: &Values) -> Vec<&'static str> {
        parse(values).err().unwrap_or_default().iter().map(|fault| fault.setting).collect()
    }

    #[test]
    fn while_it_is_off_nothing_is_wrong() {
        let values = Values { directory_url: "?".to_owned(), ..Values::default() };
        assert_eq!(parse(&values), Ok(None));
    }

    #[test]
    fn each_credential_says_all_that_it_lacks() {
        assert_eq!(faults(&values(Proof::ClientSecret)), ["directory_client_id", "directory_secret_file"]);
        assert_eq!(
            faults(&values(Proof::Certificate)),
            ["directory_client_id", "directory_certificate_file"]
        );
        assert_eq!(faults(&values(Proof::FederatedToken)), ["directory_client_id", "directory_token_file"]);
        assert_eq!(faults(&values(Proof::ManagedIdentity)), [""; 0]);
        assert_eq!(faults(&Values { tenant_id: String::new(), ..values(Proof::Arc) }), ["tenant_id"]);
        let wrong = |change: fn(&mut Values)| {
            let mut values = secret();
            change(&mut values);
            faults(&values)
        };
        assert_eq!(wrong(|values| values.directory_client_id = "x".to_owned()), ["directory_client_id"]);
        assert_eq!(wrong(|values| values.directory_secret_file = "x".to_owned()), ["directory_secret_file"]);
        assert_eq!(wrong(|values| values.directory_url = "http://g".to_owned()), ["directory_url"]);
        assert_eq!(wrong(|values| values.https_proxy = "x y".to_owned()), ["https_proxy"]);
        assert_eq!(wrong(|values| values.directory_token_file = "/t".to_owned()), ["directory_token_file"]);
        assert_eq!(
            wrong(|values| values.directory_identity_url = "http://127.0.0.1".to_owned()),
            ["directory_identity_url"]
        );
    }

    #[test]
    fn the_key_may_be_in_the_file_of_the_certificate() {
        let mut values = Values {
            directory_client_id: ID.to_owned(),
            directory_certificate_file: "/c.pem".to_owned(),
            ..values(Proof::Certificate)
        };
        let key = |values: &Values| match parsed(values).credential {
            Credential::Certificate { key, .. } => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(&values), "/c.pem");
        values.directory_key_file = "/k.pem".to_owned();
        assert_eq!(key(&values), "/k.pem");
    }

    #[test]
    fn addresses_are_those_of_the_cloud_or_of_the_settings() {
        let usual = parsed(&secret());
        assert_eq!(usual.graph, "https://graph.microsoft.com");
        assert_eq!(usual.token_url, format!("https://login.microsoftonline.com/{ID}/oauth2/v2.0/token"));
        let other = parsed(&Values {
            authority_url: "https://login.example/".to_owned(),
            directory_url: "https://graph.example".to_owned(),
            ..secret()
        });
        assert_eq!(other.graph, "https://graph.example");
        assert_eq!(other.token_url, format!("https://login.example/{ID}/oauth2/v2.0/token"));
        match parsed(&values(Proof::Arc)).credential {
            Credential::Arc { url, .. } => assert_eq!(url, "http://127.0.0.1:40342"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_credential_tenant_cloud_or_address_has_another_fingerprint() {
        let usual = parsed(&secret()).fingerprint;
        assert_eq!(parsed(&Values { https_proxy: "http://p:1".to_owned(), ..secret() }).fingerprint, usual);
        let other_id = "22222222-aaaa-bbbb-cccc-000000000002".to_owned();
        for other in [
            Values { tenant_id: other_id.clone(), ..secret() },
            Values { directory_client_id: other_id, ..secret() },
            Values { directory_secret_file: "/etc/other".to_owned(), ..secret() },
            Values { cloud: crate::settings::choices::Cloud::UsGov, ..secret() },
            Values { directory_url: "https://graph.example".to_owned(), ..secret() },
            Values { authority_url: "https://login.example".to_owned(), ..secret() },
        ] {
            assert_ne!(parsed(&other).fingerprint, usual);
        }
    }
}

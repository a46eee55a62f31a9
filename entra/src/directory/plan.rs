//! What the settings of the directory say together: by which credential and where it is asked.

use std::fmt;

use uuid::Uuid;

use super::hosts::{parse_directory_url, parse_identity_url, token_url};
use super::identity::{ARC_URL, METADATA_URL};
use crate::authority::{Cloud, parse_authority};
use crate::ids::parse_uuid;
use crate::limits::MAX_SETTING_BYTES;

/// The settings as they are written.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each field is named like its setting")]
pub struct RawPlan<'s> {
    pub directory: &'s str,
    pub directory_client_id: &'s str,
    pub directory_secret_file: &'s str,
    pub directory_certificate_file: &'s str,
    pub directory_key_file: &'s str,
    pub directory_token_file: &'s str,
    pub directory_url: &'s str,
    pub directory_identity_url: &'s str,
    pub authority_url: &'s str,
    pub cloud: Cloud,
    pub tenant_id: Uuid,
}

/// How the server proves to Entra who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// By the secret in a file.
    ClientSecret {
        /// The application.
        client_id: Uuid,
        /// The file with the secret.
        file: String,
    },
    /// By a certificate.
    Certificate {
        /// The application.
        client_id: Uuid,
        /// The PEM file with the certificate.
        certificate: String,
        /// The PEM file with the private key; often the same.
        key: String,
    },
    /// By a token that another issuer has put into a file.
    FederatedToken {
        /// The application.
        client_id: Uuid,
        /// The file with the token.
        file: String,
    },
    /// By the identity of an Azure machine.
    ManagedIdentity {
        /// A user-assigned identity; none: the machine's own.
        client_id: Option<Uuid>,
        /// The root of the identity endpoint.
        url: String,
    },
    /// By the identity of a machine that is connected to Azure Arc.
    Arc {
        /// A user-assigned identity; none: the machine's own.
        client_id: Option<Uuid>,
        /// The root of the identity endpoint.
        url: String,
    },
}

/// By which credential and where the directory is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The credential.
    pub credential: Credential,
    /// The root of Microsoft Graph, without a slash at the end.
    pub root: String,
    /// The address that issues tokens for applications; not used by the machine's identities.
    pub token_url: String,
    /// The tenant.
    pub tenant: Uuid,
}

/// What is wrong with a setting. The directory cannot be asked then; nothing else follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFault {
    /// The setting, without the prefix of this library.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "azure_ad_auth.{} {}", self.setting, self.problem)
    }
}

/// The values of the setting `directory`.
const MODES: [&str; 6] =
    ["off", "client_secret", "certificate", "federated_token", "managed_identity", "arc"];

/// Reads the settings; none if the directory is off. A file that the chosen credential does not use
/// is not looked at, so that one credential can be prepared while another is in use.
///
/// # Errors
/// Everything that is missing or wrong.
pub fn parse(raw: &RawPlan<'_>) -> Result<Option<Plan>, Vec<PlanFault>> {
    if raw.directory == "off" {
        return Ok(None);
    }
    let mut faults = Vec::new();
    let credential = credential(raw, &mut faults);
    let root = note("directory_url", parse_directory_url(raw.directory_url), &mut faults);
    let authority = note("authority_url", parse_authority(raw.authority_url), &mut faults);
    match credential {
        Some(credential) if faults.is_empty() => Ok(Some(Plan {
            credential,
            root: root.unwrap_or_else(|| raw.cloud.graph_url()).to_owned(),
            token_url: token_url(authority.unwrap_or_else(|| raw.cloud.login_url()), raw.tenant_id),
            tenant: raw.tenant_id,
        })),
        _ => Err(faults),
    }
}

fn credential(raw: &RawPlan<'_>, faults: &mut Vec<PlanFault>) -> Option<Credential> {
    let any_client_id = |faults: &mut Vec<_>| match raw.directory_client_id.trim() {
        "" => None,
        text => note("directory_client_id", uuid(text).map(Some), faults),
    };
    match raw.directory {
        "client_secret" => {
            let client_id = client_id(raw, faults);
            let file = file("directory_secret_file", raw.directory_secret_file, faults);
            Some(Credential::ClientSecret { client_id: client_id?, file: file? })
        }
        "certificate" => {
            let client_id = client_id(raw, faults);
            let certificate = file("directory_certificate_file", raw.directory_certificate_file, faults);
            let key = match raw.directory_key_file.trim() {
                "" => certificate.clone(),
                path => file("directory_key_file", path, faults),
            };
            Some(Credential::Certificate { client_id: client_id?, certificate: certificate?, key: key? })
        }
        "federated_token" => {
            let client_id = client_id(raw, faults);
            let file = file("directory_token_file", raw.directory_token_file, faults);
            Some(Credential::FederatedToken { client_id: client_id?, file: file? })
        }
        mode @ ("managed_identity" | "arc") => {
            let client_id = any_client_id(faults);
            let url = parse_identity_url(raw.directory_identity_url);
            let url = note("directory_identity_url", url, faults).map(str::to_owned);
            Some(if mode == "arc" {
                Credential::Arc { client_id, url: url.unwrap_or_else(|| ARC_URL.to_owned()) }
            } else {
                Credential::ManagedIdentity { client_id, url: url.unwrap_or_else(|| METADATA_URL.to_owned()) }
            })
        }
        _ => fail("directory", &format!("must be one of {}", MODES.join(", ")), faults),
    }
}

/// Returns a value, or notes what is wrong with it.
fn note<T>(
    setting: &'static str,
    value: Result<Option<T>, String>,
    faults: &mut Vec<PlanFault>,
) -> Option<T> {
    value.unwrap_or_else(|problem| fail(setting, &problem, faults))
}

fn fail<T>(setting: &'static str, problem: &str, faults: &mut Vec<PlanFault>) -> Option<T> {
    faults.push(PlanFault { setting, problem: problem.to_owned() });
    None
}

fn uuid(text: &str) -> Result<Uuid, String> {
    parse_uuid(text).ok_or_else(|| "is not a uuid".to_owned())
}

fn client_id(raw: &RawPlan<'_>, faults: &mut Vec<PlanFault>) -> Option<Uuid> {
    match raw.directory_client_id.trim() {
        "" => fail("directory_client_id", "is not set", faults),
        text => note("directory_client_id", uuid(text).map(Some), faults),
    }
}

/// Reads the path of a file. What the file is, the worker sees at each use.
fn file(setting: &'static str, path: &str, faults: &mut Vec<PlanFault>) -> Option<String> {
    match path.trim() {
        "" => fail(setting, "is not set", faults),
        path if !path.starts_with('/') => fail(setting, "is not an absolute path", faults),
        path if path.len() > MAX_SETTING_BYTES => fail(setting, "is too long", faults),
        path => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests;

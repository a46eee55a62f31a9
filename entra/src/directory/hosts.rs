//! Addresses of Microsoft Graph, of the token endpoint and of a machine's identity endpoint.

use http::Uri;
use uuid::Uuid;

use crate::authority::{Cloud, parse_authority};
use crate::limits;

/// The version of Graph that every request names. `beta` changes without notice.
pub const VERSION: &str = "/v1.0";

/// The address of the metadata service of Azure's virtual machines.
const METADATA_HOST: &str = "169.254.169.254";

impl Cloud {
    /// The root of Microsoft Graph ("National cloud deployments", Microsoft). The DoD cloud shares
    /// the login host of US Government and has a root of its own, which a setting must name.
    #[must_use]
    pub const fn graph_url(self) -> &'static str {
        match self {
            Self::Public => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The audience that a federated token must name ("Workload identity federation", Microsoft).
    #[must_use]
    pub const fn federated_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGov => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

/// Reads the setting that replaces the root of Graph; none when it is empty. No slash at the end.
///
/// # Errors
/// What is wrong with it.
pub fn parse_directory_url(text: &str) -> Result<Option<&str>, String> {
    match parse_authority(text)? {
        Some(root) if !is_root(root) => Err("must name a host, without a path".to_owned()),
        root => Ok(root),
    }
}

/// Reads the setting that replaces the root of the machine's identity endpoint; none when it is
/// empty. This is the only address that is asked without TLS, so it must be on this machine.
///
/// # Errors
/// What is wrong with it.
pub fn parse_identity_url(text: &str) -> Result<Option<&str>, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let fault = "must be http:// with a loopback address or 169.254.169.254, without a path";
    let uri: Uri = text.parse().map_err(|_| fault.to_owned())?;
    let host = uri.host().unwrap_or_default();
    let is_near = matches!(host, "127.0.0.1" | "[::1]" | "localhost" | METADATA_HOST);
    let is_plain = uri.scheme_str() == Some("http") && !text.contains('@') && is_root(text);
    (text.len() <= limits::MAX_SETTING_BYTES && is_plain && is_near)
        .then_some(Some(text))
        .ok_or_else(|| fault.to_owned())
}

/// Whether an address has a scheme and a host, and nothing after them.
fn is_root(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains(['/', '?', '#']))
}

/// Returns the address that issues tokens for applications of a tenant ("OAuth 2.0 client
/// credentials flow", Microsoft). `authority`: the login host, without a slash at the end.
#[must_use]
pub fn token_url(authority: &str, tenant: Uuid) -> String {
    format!("{authority}/{}/oauth2/v2.0/token", tenant.hyphenated())
}

/// Returns the scope that stands for all application permissions at a root of Graph.
#[must_use]
pub fn scope(root: &str) -> String {
    format!("{root}/.default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_no_path_and_is_https() {
        assert_eq!(parse_directory_url(" "), Ok(None));
        for good in ["https://dod-graph.microsoft.us", "https://dod-graph.microsoft.us/", "https://h:8443"] {
            assert_eq!(parse_directory_url(good), Ok(Some(good.trim_end_matches('/'))), "{good}");
        }
        for bad in
            ["graph", "http://graph.example", "https://h/v1.0", "https://h?x", "https://u@h", "https://"]
        {
            assert!(parse_directory_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identity_endpoint_is_on_this_machine() {
        assert_eq!(parse_identity_url(""), Ok(None));
        for good in
            ["http://169.254.169.254", "http://127.0.0.1:40342", "http://[::1]:8", "http://localhost:1/"]
        {
            assert_eq!(parse_identity_url(good), Ok(Some(good.trim_end_matches('/'))), "{good}");
        }
        for bad in [
            "https://127.0.0.1",
            "http://10.0.0.1",
            "http://169.254.169.254.example",
            "http://127.0.0.1/metadata",
            "http://127.0.0.1@evil.example",
            "http://evil.example#127.0.0.1",
            "169.254.169.254",
        ] {
            assert!(parse_identity_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_documentation() {
        let tenant = Uuid::try_parse("11111111-aaaa-bbbb-cccc-000000000001").expect("a uuid");
        assert_eq!(
            token_url(Cloud::Public.login_url(), tenant),
            "https://login.microsoftonline.com/11111111-aaaa-bbbb-cccc-000000000001/oauth2/v2.0/token"
        );
        assert_eq!(scope(Cloud::UsGov.graph_url()), "https://graph.microsoft.us/.default");
    }
}

//! The hosts and issuers of a tenant: clouds, issuers, key documents.
//!
//! Hosts and issuers are those of "National clouds" and "Access tokens" (Microsoft). Global and US
//! Government share the version 1.0 issuer, so the issuer alone does not name the cloud: keys come
//! from the configured host only.

use http::Uri;
use uuid::Uuid;

use crate::limits;

/// The national cloud that a tenant belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The global service.
    Public,
    /// US Government.
    UsGov,
    /// Operated by 21Vianet.
    China,
}

/// The placeholder for the tenant in issuers and templates.
pub(crate) const TENANT_PLACEHOLDER: &str = "{tenantid}";

impl Cloud {
    /// Returns the address where tokens are issued and keys are published.
    #[must_use]
    pub const fn login_url(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGov => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// Returns the issuer templates of version 1.0 and version 2.0 tokens.
    pub(crate) const fn issuers(self) -> [&'static str; 2] {
        match self {
            Self::Public => {
                ["https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.com/{tenantid}/v2.0"]
            }
            Self::UsGov => {
                ["https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.us/{tenantid}/v2.0"]
            }
            Self::China => [
                "https://sts.chinacloudapi.cn/{tenantid}/",
                "https://login.partner.microsoftonline.cn/{tenantid}/v2.0",
            ],
        }
    }
}

/// Returns the version of the tokens of a cloud's own issuer, for any tenant; none if the issuer is
/// not a cloud's.
pub(crate) fn version_of_issuer(issuer: &str) -> Option<&'static str> {
    let is_of = |template: &str| {
        template
            .split_once(TENANT_PLACEHOLDER)
            .and_then(|(before, after)| issuer.strip_prefix(before)?.strip_suffix(after))
            .is_some_and(|tenant| !tenant.contains('/'))
    };
    [Cloud::Public, Cloud::UsGov, Cloud::China].into_iter().find_map(|cloud| {
        let [first, second] = cloud.issuers();
        if is_of(first) { Some("1.0") } else { is_of(second).then_some("2.0") }
    })
}

/// Replaces `{tenantid}` by the tenant, in lower case as Entra writes it.
pub(crate) fn fill_tenant(template: &str, tenant: Uuid) -> String {
    template.replace(TENANT_PLACEHOLDER, &tenant.hyphenated().to_string())
}

/// The source of the signing keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Key documents that are fetched and joined.
    Urls(Vec<String>),
    /// A file, given by its absolute path, for servers that cannot reach the internet.
    File(String),
}

impl KeySource {
    /// Returns the configured source, or else the tenant's version 2.0 and 1.0 documents at
    /// `authority` or the cloud's host.
    ///
    /// Version 1.0 tokens should be verified by the version 1.0 document and 2.0 by 2.0 ("Access
    /// tokens", Microsoft). The documents share their keys, and only 2.0 names each key's issuer.
    ///
    /// # Errors
    /// The reason why `key_source` or `authority` is not valid.
    pub fn choose(key_source: &str, authority: &str, cloud: Cloud, tenant: Uuid) -> Result<Self, String> {
        if let Some(source) = parse_key_source(key_source)? {
            return Ok(source);
        }
        let base = parse_authority(authority)?.unwrap_or_else(|| cloud.login_url());
        let documents = ["discovery/v2.0/keys", "discovery/keys"];
        Ok(Self::Urls(documents.map(|path| format!("{base}/{}/{path}", tenant.hyphenated())).into()))
    }
}

/// Reads the setting that replaces the key documents; none if it is empty.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_key_source(text: &str) -> Result<Option<KeySource>, String> {
    let text = text.trim();
    if text.is_empty() {
        Ok(None)
    } else if text.starts_with('/') {
        Ok(Some(KeySource::File(text.to_owned())))
    } else {
        check_url(text).map(|()| Some(KeySource::Urls(vec![text.to_owned()])))
    }
}

/// Reads the setting that replaces the login host, without a slash at the end; none if it is empty.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_authority(text: &str) -> Result<Option<&str>, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    check_url(text)?;
    if text.contains(['?', '#']) {
        return Err("has a query or fragment".to_owned());
    }
    Ok(Some(text))
}

/// Checks that a text is an https address, or a plain http address of this machine.
fn check_url(text: &str) -> Result<(), String> {
    if text.len() > limits::MAX_SETTING_BYTES {
        return Err("is too long".to_owned());
    }
    let url: Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
    let authority = url.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user name in it".to_owned());
    }
    match url.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback(authority.host()) => Ok(()),
        Some("http") => Err("is plain http, which is accepted for loopback addresses only".to_owned()),
        _ => Err("is not an https URL".to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in [
            "https://login.microsoftonline.com",
            "https://127.0.0.1:8443/x/y",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/keys",
            "http://localhost/keys",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://login.microsoftonline.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "https://user@login.microsoftonline.com",
            "http://127.0.0.1@evil.example/",
            "ftp://127.0.0.1/keys",
            "login.microsoftonline.com",
            "https://",
            "https:///keys",
            "",
            "https://a b",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn issuers_of_the_clouds_and_their_versions() {
        for (issuer, version) in [
            ("https://sts.windows.net/t/", Some("1.0")),
            ("https://sts.chinacloudapi.cn/t/", Some("1.0")),
            ("https://login.microsoftonline.com/t/v2.0", Some("2.0")),
            ("https://login.microsoftonline.us/t/v2.0", Some("2.0")),
            ("https://login.partner.microsoftonline.cn/t/v2.0", Some("2.0")),
            ("https://login.microsoftonline.com/t/", None),
            ("https://sts.windows.net/t/v2.0", None),
            ("https://sts.windows.net/t/x/", None),
            ("https://sts.example/t/", None),
            ("", None),
        ] {
            assert_eq!(version_of_issuer(issuer), version, "{issuer}");
        }
    }

    #[test]
    fn the_tenants_documents() {
        let tenant = crate::parse_uuid("AAAAAAAA-0000-0000-0000-000000000001").unwrap();
        let at = |source: &str, authority: &str, cloud| KeySource::choose(source, authority, cloud, tenant);
        let urls = |host: &str| {
            let base = format!("{host}/aaaaaaaa-0000-0000-0000-000000000001/discovery");
            Ok(KeySource::Urls(vec![format!("{base}/v2.0/keys"), format!("{base}/keys")]))
        };
        assert_eq!(at("", "", Cloud::Public), urls("https://login.microsoftonline.com"));
        assert_eq!(at("", "", Cloud::UsGov), urls("https://login.microsoftonline.us"));
        assert_eq!(at("", "", Cloud::China), urls("https://login.partner.microsoftonline.cn"));
        assert_eq!(at("", " https://sts.example/adfs/ ", Cloud::China), urls("https://sts.example/adfs"));
        assert_eq!(at("/etc/keys.json", "", Cloud::Public), Ok(KeySource::File("/etc/keys.json".into())));
        assert_eq!(
            at("https://x.example/k?appid=1", "", Cloud::Public),
            Ok(KeySource::Urls(vec!["https://x.example/k?appid=1".into()]))
        );
        assert!(at("keys.json", "", Cloud::Public).is_err());
        assert!(at("", "https://x.example/?a=b", Cloud::Public).is_err());
    }
}

//! Which tokens this server accepts. A [`Policy`] that exists is complete.

use std::fmt;

use http::Uri;
use uuid::Uuid;

use crate::authority::{Cloud, TENANT_PLACEHOLDER, fill_tenant};
use crate::ids::parse_uuid;
use crate::limits;
use crate::shown::Untrusted;

/// How the address of an application begins that Entra suggests: `api://<client id>`.
const API: &str = "api://";

/// How a scope ends that stands for all permissions.
const DEFAULT_SCOPE: &str = "/.default";

/// The resources that all of Azure's own databases share, in its clouds.
const SHARED: [&str; 3] = [
    "https://ossrdbms-aad.database.windows.net",
    "https://ossrdbms-aad.database.usgovcloudapi.net",
    "https://ossrdbms-aad.database.chinacloudapi.cn",
];

/// The settings a policy is made of, as they were written.
#[derive(Debug, Clone)]
pub struct RawPolicy<'s> {
    /// The tenant's uuid.
    pub tenant_id: &'s str,
    /// Accepted `aud` values, separated by commas.
    pub audience: &'s str,
    /// Decides the issuers, unless they are named.
    pub cloud: Cloud,
    /// Accepted issuers, separated by commas; empty: the cloud's.
    pub issuers: &'s str,
    /// Client applications that may be used, separated by commas; empty: any.
    pub allowed_clients: &'s str,
    /// A scope or app role the token must carry; empty: none.
    pub required_permission: &'s str,
    /// Leeway on `nbf`, `iat` and `exp`, in seconds.
    pub clock_skew: i64,
}

/// A setting without which, or as which stands, no token can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    /// The setting's name, without the extension's prefix.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Shows the setting by its full name.
impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "azure_ad_auth.{} {}", self.setting, self.problem)
    }
}

/// Which tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    tenant: Uuid,
    audiences: Vec<String>,
    issuers: Vec<String>,
    clients: Vec<Uuid>,
    permission: Option<String>,
    clock_skew: i64,
}

impl Policy {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first setting that is missing or does not parse.
    pub fn parse(raw: &RawPolicy<'_>) -> Result<Self, Misconfigured> {
        let wrong = |setting| move |problem| Misconfigured { setting, problem };
        let required = |setting| move || Misconfigured { setting, problem: "is not set".to_owned() };
        let tenant =
            parse_tenant(raw.tenant_id).map_err(wrong("tenant_id"))?.ok_or_else(required("tenant_id"))?;
        let audiences = parse_list(raw.audience).map_err(wrong("audience"))?;
        if audiences.is_empty() {
            return Err(required("audience")());
        }
        let issuers = parse_issuers(raw.issuers, Some(tenant)).map_err(wrong("issuers"))?;
        let issuers =
            if issuers.is_empty() { raw.cloud.issuers().map(str::to_owned).into() } else { issuers };
        if !(0..=limits::MAX_CLOCK_SKEW_SECONDS).contains(&raw.clock_skew) {
            return Err(wrong("clock_skew")("is out of range".to_owned()));
        }
        Ok(Self {
            tenant,
            audiences,
            issuers: issuers.iter().map(|issuer| fill_tenant(issuer, tenant)).collect(),
            clients: parse_clients(raw.allowed_clients).map_err(wrong("allowed_clients"))?,
            permission: parse_permission(raw.required_permission).map_err(wrong("required_permission"))?,
            clock_skew: raw.clock_skew,
        })
    }

    /// The tenant whose tokens are accepted.
    #[must_use]
    pub const fn tenant(&self) -> Uuid {
        self.tenant
    }

    /// The accepted audiences, as written.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Empty: any.
    pub(crate) fn clients(&self) -> &[Uuid] {
        &self.clients
    }

    pub(crate) fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Leeway on `nbf`, `iat` and `exp`, in seconds.
    #[must_use]
    pub const fn clock_skew(&self) -> i64 {
        self.clock_skew
    }

    pub(crate) fn required_permission(&self) -> Option<&str> {
        self.permission.as_deref()
    }

    /// Entra writes `aud` with or without a slash at the end, depending on how it was asked for. A client id is an id, in
    /// whatever case it is written, also in the address that Entra makes of it.
    pub(crate) fn accepts_audience(&self, audience: &str) -> bool {
        let audience = without_slash(audience);
        self.audiences.iter().map(|accepted| without_slash(accepted)).any(|accepted| {
            accepted == audience || client_id(accepted).is_some_and(|id| client_id(audience) == Some(id))
        })
    }

    /// What is written in settings that parse, and yet fits no token: each setting, with what is wrong.
    #[must_use]
    pub fn doubts(&self) -> Vec<Misconfigured> {
        let audiences =
            self.audiences.iter().filter_map(|item| Some(("audience", item, never_an_audience(item)?)));
        let permission = self
            .permission
            .iter()
            .filter_map(|item| Some(("required_permission", item, never_a_permission(item)?)));
        let doubt = |(setting, item, why): (_, &String, &str)| Misconfigured {
            setting,
            problem: format!("has an item that no token carries, {}: {why}", Untrusted::new(item)),
        };
        audiences.chain(permission).map(doubt).collect()
    }

    pub(crate) fn accepts_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|accepted| accepted == issuer)
    }

    /// Whether a key with this issuer, fixed or with `{tenantid}` in it, can have signed a token that is accepted.
    #[must_use]
    pub fn accepts_issuer_template(&self, template: &str) -> bool {
        self.accepts_issuer(&fill_tenant(template, self.tenant))
    }

    pub(crate) fn accepts_client(&self, client: Option<Uuid>) -> bool {
        self.clients.is_empty() || client.is_some_and(|client| self.clients.contains(&client))
    }
}

fn without_slash(audience: &str) -> &str {
    audience.strip_suffix('/').unwrap_or(audience)
}

/// What the client id in an audience is, and whether it stands alone or in the address that Entra suggests, `api://<client id>`.
fn client_id(audience: &str) -> Option<(bool, Uuid)> {
    let bare = audience.strip_prefix(API);
    Some((bare.is_some(), parse_uuid(bare.unwrap_or(audience))?))
}

/// Characters that are in no address of a resource and in no name of a permission, but around them in files and in shells.
const QUOTING: [char; 9] = ['"', '\'', '`', ';', '<', '>', '\\', '{', '}'];

/// Why a text can be the `aud` of no token.
fn never_an_audience(text: &str) -> Option<&'static str> {
    if text.contains(QUOTING) {
        Some("neither quotes nor ; nor brackets are part of a resource")
    } else if without_slash(text).ends_with(DEFAULT_SCOPE) {
        Some("/.default is part of a scope, and the resource is what stands before it")
    } else if has_capital_scheme(text) {
        Some("its scheme is written in small letters in tokens")
    } else if SHARED.iter().any(|shared| is_miswritten(without_slash(text), shared)) {
        Some("it is written in small letters in tokens")
    } else {
        None
    }
}

/// Why a text can be neither in the `scp` nor in the `roles` of a token.
fn never_a_permission(text: &str) -> Option<&'static str> {
    if text.contains(['"', '\'', '`', ';', '<', '>', '\\']) {
        Some("neither quotes nor ; are part of a permission")
    } else if text.contains("://") || text.ends_with(DEFAULT_SCOPE) {
        Some("tokens have the name of the permission alone, without the resource before it")
    } else {
        None
    }
}

fn has_capital_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.contains(|c: char| c.is_ascii_uppercase()))
}

fn is_miswritten(text: &str, name: &str) -> bool {
    text != name && text.eq_ignore_ascii_case(name)
}

/// Reads the tenant; none when empty.
///
/// # Errors
/// What is wrong with it.
pub fn parse_tenant(text: &str) -> Result<Option<Uuid>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse_uuid(text).map(Some).ok_or_else(|| "is not a uuid".to_owned())
}

/// Reads a list separated by commas; blanks around an item do not count.
///
/// # Errors
/// What is wrong with it.
pub fn parse_list(text: &str) -> Result<Vec<String>, String> {
    if text.len() > limits::MAX_SETTING_BYTES {
        return Err("is too long".to_owned());
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|item| match item.trim() {
            "" => Err("has an empty item".to_owned()),
            item if item.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                Err("has an item with a blank or control character in it".to_owned())
            }
            item => Ok(item.to_owned()),
        })
        .collect()
}

/// Reads issuers: https URLs that name the tenant, or `{tenantid}` in its place.
///
/// Without a tenant, as while only one setting is being checked, any uuid will do.
///
/// # Errors
/// What is wrong with it.
pub fn parse_issuers(text: &str, tenant: Option<Uuid>) -> Result<Vec<String>, String> {
    let names_tenant = |issuer: &str| match tenant {
        Some(tenant) => issuer.contains(&tenant.hyphenated().to_string()),
        None => issuer.split(['/', '?', '=', '&']).any(|segment| parse_uuid(segment).is_some()),
    };
    let issuers = parse_list(text)?;
    for issuer in &issuers {
        if issuer.len() > limits::MAX_ISSUER_BYTES {
            return Err("has an item that is too long".to_owned());
        }
        // The braces of the placeholder are not allowed in a URL.
        let url: Uri = issuer
            .replace(TENANT_PLACEHOLDER, "tenantid")
            .parse()
            .map_err(|_| "has an item that is not a URL".to_owned())?;
        if url.scheme_str() != Some("https") || url.authority().is_none() {
            return Err("has an item that is not an https URL".to_owned());
        }
        if !issuer.contains(TENANT_PLACEHOLDER) && !names_tenant(issuer) {
            return Err(format!("has an item that names neither the tenant nor {TENANT_PLACEHOLDER}"));
        }
    }
    Ok(issuers)
}

/// Reads client ids.
///
/// # Errors
/// What is wrong with it.
pub fn parse_clients(text: &str) -> Result<Vec<Uuid>, String> {
    parse_list(text)?
        .iter()
        .map(|item| parse_uuid(item).ok_or_else(|| "has an item that is not a uuid".to_owned()))
        .collect()
}

/// Reads the permission; none when empty. Scopes are separated by blanks, so none has one.
///
/// # Errors
/// What is wrong with it.
pub fn parse_permission(text: &str) -> Result<Option<String>, String> {
    match parse_list(text)?.as_slice() {
        [] => Ok(None),
        [permission] => Ok(Some(permission.clone())),
        _ => Err("names more than one permission".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";

    fn raw() -> RawPolicy<'static> {
        RawPolicy {
            tenant_id: TENANT,
            audience: "api://db, 22222222-aaaa-bbbb-cccc-000000000002",
            cloud: Cloud::Public,
            issuers: "",
            allowed_clients: "",
            required_permission: "",
            clock_skew: 60,
        }
    }

    fn fault(raw: &RawPolicy<'_>) -> Option<&'static str> {
        Policy::parse(raw).err().map(|fault| fault.setting)
    }

    #[test]
    fn settings_that_parse() {
        let policy = Policy::parse(&raw()).unwrap();
        assert_eq!(policy.audiences(), ["api://db", "22222222-aaaa-bbbb-cccc-000000000002"]);
        assert_eq!(
            policy.issuers(),
            [
                format!("https://sts.windows.net/{TENANT}/"),
                format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            ]
        );
        assert!(policy.accepts_client(None));
    }

    #[test]
    fn one_setting_missing_or_wrong() {
        let cases: &[(RawPolicy<'_>, &str)] = &[
            (RawPolicy { tenant_id: "", ..raw() }, "tenant_id"),
            (RawPolicy { tenant_id: "contoso.com", ..raw() }, "tenant_id"),
            (RawPolicy { tenant_id: "common", ..raw() }, "tenant_id"),
            (RawPolicy { audience: "", ..raw() }, "audience"),
            (RawPolicy { audience: " , ", ..raw() }, "audience"),
            (RawPolicy { audience: "a,,b", ..raw() }, "audience"),
            (RawPolicy { audience: "a b", ..raw() }, "audience"),
            (RawPolicy { issuers: "https://sts.example/", ..raw() }, "issuers"),
            (RawPolicy { issuers: "http://sts.example/{tenantid}/", ..raw() }, "issuers"),
            (RawPolicy { issuers: "https://sts.example/{tenantid}/,", ..raw() }, "issuers"),
            (RawPolicy { issuers: "https://x/22222222-aaaa-bbbb-cccc-000000000002/", ..raw() }, "issuers"),
            (RawPolicy { allowed_clients: "any", ..raw() }, "allowed_clients"),
            (RawPolicy { allowed_clients: ",", ..raw() }, "allowed_clients"),
            (RawPolicy { required_permission: "a,b", ..raw() }, "required_permission"),
            (RawPolicy { required_permission: "a b", ..raw() }, "required_permission"),
            (RawPolicy { clock_skew: 301, ..raw() }, "clock_skew"),
            (RawPolicy { clock_skew: -1, ..raw() }, "clock_skew"),
        ];
        for (raw, setting) in cases {
            assert_eq!(fault(raw), Some(*setting), "{raw:?}");
        }
    }

    #[test]
    fn issuers_of_ones_own() {
        let issuers = format!("https://sts.example/{{tenantid}}/, https://other.example/{TENANT}/v2.0");
        let policy = Policy::parse(&RawPolicy { issuers: &issuers, ..raw() }).unwrap();
        assert!(policy.accepts_issuer(&format!("https://sts.example/{TENANT}/")));
        assert!(policy.accepts_issuer(&format!("https://other.example/{TENANT}/v2.0")));
        assert!(!policy.accepts_issuer(&format!("https://sts.windows.net/{TENANT}/")));
        assert!(!policy.accepts_issuer("https://sts.example/{tenantid}/"));
    }

    #[test]
    fn a_slash_at_the_end_of_an_audience_makes_no_difference() {
        let policy = Policy::parse(&RawPolicy { audience: "https://a.example/,api://b", ..raw() }).unwrap();
        for good in ["https://a.example", "https://a.example/", "api://b", "api://b/"] {
            assert!(policy.accepts_audience(good), "{good}");
        }
        for bad in ["https://a.example//", "API://b", "api://b ", "", "/"] {
            assert!(!policy.accepts_audience(bad), "{bad}");
        }
    }

    #[test]
    fn a_client_id_is_an_id_in_either_case() {
        let (small, capital) =
            ("7abcdef7-aaaa-bbbb-cccc-000000000007", "7ABCDEF7-AAAA-BBBB-CCCC-000000000007");
        let api = |id| format!("api://{id}");
        for (written, carried) in [(small, capital), (capital, small), (capital, capital)] {
            let bare = Policy::parse(&RawPolicy { audience: written, ..raw() }).unwrap();
            assert!(bare.accepts_audience(carried) && bare.accepts_audience(&format!("{carried}/")));
            assert!(!bare.accepts_audience(&api(carried)), "another name of it");
            let address = Policy::parse(&RawPolicy { audience: &api(written), ..raw() }).unwrap();
            assert!(address.accepts_audience(&api(carried)) && !address.accepts_audience(carried));
            assert!(bare.doubts().is_empty() && address.doubts().is_empty());
        }
        let policy = Policy::parse(&RawPolicy { audience: capital, ..raw() }).unwrap();
        for other in
            ["7abcdef7-aaaa-bbbb-cccc-000000000008", "7abcdef7aaaabbbbcccc000000000007", "API://x", ""]
        {
            assert!(!policy.accepts_audience(other), "{other}");
        }
    }

    #[test]
    fn what_no_token_carries_is_pointed_out() {
        let doubts = |audience: &str, permission: &str| {
            let raw = RawPolicy { audience, required_permission: permission, ..raw() };
            let doubts = Policy::parse(&raw).unwrap().doubts();
            doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for good in [
            "api://db/a.b",
            "https://a.example/",
            "https://ossrdbms-aad.database.windows.net/",
            "api://MixedCase",
            "spn:22222222-aaaa-bbbb-cccc-000000000002",
        ] {
            assert_eq!(doubts(good, "Db.Connect-All_1"), "", "{good}");
        }
        for (bad, why) in [
            ("api://db/.default", "/.default is part of a scope"),
            ("22222222-aaaa-bbbb-cccc-000000000002/.default", "/.default is part of a scope"),
            ("'api://db'", "neither quotes"),
            ("\"api://db\"", "neither quotes"),
            ("api://db;", "neither quotes"),
            ("{22222222-aaaa-bbbb-cccc-000000000002}", "brackets"),
            ("API://db", "its scheme is written in small letters"),
            ("https://OSSRDBMS-aad.database.windows.net", "it is written in small letters"),
        ] {
            for all in [bad.to_owned(), format!("api://good, {bad}")] {
                let doubts = doubts(&all, "");
                assert!(
                    doubts.starts_with("azure_ad_auth.audience has an item that no token carries, "),
                    "{all}: {doubts}"
                );
                assert!(doubts.contains(why) && !doubts.contains('\n'), "{all}: {doubts}");
            }
        }
        for (bad, why) in [
            ("api://db/access", "without the resource"),
            ("db/.default", "without the resource"),
            ("'access'", "neither quotes"),
            ("access;", "neither quotes"),
        ] {
            let doubts = doubts("api://db", bad);
            assert!(
                doubts.starts_with("azure_ad_auth.required_permission has an item") && doubts.contains(why),
                "{doubts}"
            );
        }
    }

    #[test]
    fn the_tenant_may_be_written_in_either_case() {
        let upper = TENANT.to_uppercase();
        let policy = Policy::parse(&RawPolicy { tenant_id: &upper, ..raw() }).unwrap();
        assert!(policy.accepts_issuer(&format!("https://sts.windows.net/{TENANT}/")));
    }
}

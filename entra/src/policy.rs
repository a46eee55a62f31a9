//! The tokens that this server accepts. A [`Policy`] that exists is complete.

mod audience;
mod narrowed;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use uuid::Uuid;

use crate::authority::{Cloud, fill_tenant};
use crate::limits;
use crate::untrusted::Untrusted;
use audience::{doubt_of_audience, doubt_of_permission, is_same};

pub(crate) use audience::API;
pub use narrowed::{LineFault, LineOptions};
pub use parse::{parse_clients, parse_issuers, parse_list, parse_permission, parse_tenant};

/// The settings that make a policy, as they were written.
#[derive(Debug, Clone)]
pub struct RawPolicy<'s> {
    /// The tenant's uuid.
    pub tenant_id: &'s str,
    /// Accepted `aud` values, separated by commas.
    pub audience: &'s str,
    /// The cloud, which decides the issuers unless `issuers` names them.
    pub cloud: Cloud,
    /// Accepted issuers, separated by commas; empty: the cloud's.
    pub issuers: &'s str,
    /// Allowed client applications, separated by commas; empty: any.
    pub allowed_clients: &'s str,
    /// A scope or app role that the token must carry; empty: none.
    pub required_permission: &'s str,
    /// Leeway on `nbf`, `iat` and `exp`, in seconds.
    pub clock_skew: i64,
}

impl<'s> RawPolicy<'s> {
    /// Returns the settings of a server that sets only these two: the others have their defaults.
    #[must_use]
    pub const fn for_tenant(tenant_id: &'s str, audience: &'s str) -> Self {
        Self {
            tenant_id,
            audience,
            cloud: Cloud::Public,
            issuers: "",
            allowed_clients: "",
            required_permission: "",
            clock_skew: 60,
        }
    }
}

/// A setting that is missing or wrong, so that no token can be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    /// The setting's name, without the extension's prefix.
    pub setting: &'static str,
    /// The reason why the setting is not valid, in words that follow its name.
    pub problem: String,
}

/// Shows the setting by its full name.
impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "azure_ad_auth.{} {}", self.setting, self.problem)
    }
}

/// The tokens that are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    tenant: Uuid,
    audiences: Vec<String>,
    issuers: Vec<String>,
    clients: Vec<Uuid>,
    permissions: Vec<String>,
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
            permissions: parse_permission(raw.required_permission)
                .map_err(wrong("required_permission"))?
                .into_iter()
                .collect(),
            clock_skew: raw.clock_skew,
        })
    }

    /// Returns the tenant whose tokens are accepted.
    #[must_use]
    pub const fn tenant(&self) -> Uuid {
        self.tenant
    }

    /// Returns the accepted audiences, as written.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Returns the allowed client applications; empty: any.
    pub(crate) fn clients(&self) -> &[Uuid] {
        &self.clients
    }

    /// Returns the accepted issuers, with the tenant filled in.
    pub(crate) fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Returns the leeway on `nbf`, `iat` and `exp`, in seconds.
    #[must_use]
    pub const fn clock_skew(&self) -> i64 {
        self.clock_skew
    }

    /// Returns the scopes or app roles of which a token must carry each.
    pub(crate) fn required_permissions(&self) -> &[String] {
        &self.permissions
    }

    /// Returns whether a token with this `aud` is accepted.
    pub(crate) fn accepts_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|accepted| is_same(accepted, audience))
    }

    /// Returns whether a token with this `iss` is accepted. The comparison is exact.
    pub(crate) fn accepts_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|accepted| accepted == issuer)
    }

    /// Returns whether a key with this issuer, fixed or with `{tenantid}` in it, can have signed a
    /// token that is accepted.
    #[must_use]
    pub fn accepts_issuer_template(&self, template: &str) -> bool {
        self.accepts_issuer(&fill_tenant(template, self.tenant))
    }

    /// Returns whether a token that this client application acquired is accepted.
    pub(crate) fn accepts_client(&self, client: Option<Uuid>) -> bool {
        self.clients.is_empty() || client.is_some_and(|client| self.clients.contains(&client))
    }

    /// Returns the settings that parse and yet fit no token, each with the reason.
    #[must_use]
    pub fn doubts(&self) -> Vec<Misconfigured> {
        let audiences =
            self.audiences.iter().filter_map(|item| Some(("audience", item, doubt_of_audience(item)?)));
        let permission = self
            .permissions
            .iter()
            .filter_map(|item| Some(("required_permission", item, doubt_of_permission(item)?)));
        let doubt = |(setting, item, why): (_, &String, &str)| Misconfigured {
            setting,
            problem: format!("has an item that no token carries, {}: {why}", Untrusted::new(item)),
        };
        audiences.chain(permission).map(doubt).collect()
    }
}

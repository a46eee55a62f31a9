//! The issuer and scope that an `oauth` line of pg_hba.conf tells clients: where to acquire a
//! token, and for which resource.
//!
//! A client that follows a line which does not fit the policy gets tokens that are refused, or
//! sends its user to sign in at a foreign server. So such a line accepts no login and is reported.

use crate::policy::{API, Policy};

/// The paths that clients append to an issuer to find its documents (OpenID Connect Discovery 1.0,
/// section 4; RFC 8414, section 3). A line may name the issuer or either document.
const DISCOVERY: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

impl Policy {
    /// Returns whether tokens of the issuer that a line names would be accepted.
    #[must_use]
    pub fn fits_advertised_issuer(&self, issuer: &str) -> bool {
        let bare = DISCOVERY.iter().find_map(|suffix| issuer.strip_suffix(suffix)).unwrap_or(issuer);
        self.accepts_issuer(bare)
    }

    /// Returns whether a token acquired with the scope that a line names can be for an accepted
    /// audience.
    ///
    /// Scopes are separated by blanks. Each of Entra's is the resource, a slash and a permission,
    /// or `/.default` for all permissions. A version 2.0 token names the resource by its client id,
    /// so `api://<client id>/...` leads to that audience as well.
    #[must_use]
    pub fn fits_advertised_scope(&self, scope: &str) -> bool {
        let resources =
            scope.split(' ').filter_map(|item| item.rsplit_once('/')).map(|(resource, _)| resource);
        resources.into_iter().any(|resource| {
            self.accepts_audience(resource)
                || resource.strip_prefix(API).is_some_and(|client_id| self.accepts_audience(client_id))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, RawPolicy};

    const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";

    fn policy(audience: &str) -> Policy {
        Policy::parse(&RawPolicy::for_tenant(TENANT, audience)).expect("a policy")
    }

    #[test]
    fn an_issuer_fits_if_its_tokens_are_accepted() {
        let policy = policy("api://postgres");
        let v2 = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
        for fitting in [
            v2.clone(),
            format!("{v2}/.well-known/openid-configuration"),
            format!("{v2}/.well-known/oauth-authorization-server"),
            format!("https://sts.windows.net/{TENANT}/"),
        ] {
            assert!(policy.fits_advertised_issuer(&fitting), "{fitting}");
        }
        for foreign in [
            String::new(),
            format!("{v2}/"),
            v2.replace("https", "http"),
            v2.replace("0001", "0002"),
            format!("{v2}/.well-known/openid-configuration/"),
            "https://login.microsoftonline.com/common/v2.0".to_owned(),
            format!("https://login.example/{TENANT}/v2.0"),
        ] {
            assert!(!policy.fits_advertised_issuer(&foreign), "{foreign}");
        }
    }

    #[test]
    fn a_scope_fits_if_it_names_an_accepted_resource() {
        let client = "77777777-aaaa-bbbb-cccc-000000000007";
        for (audience, scope) in [
            ("api://postgres", "api://postgres/access"),
            ("api://postgres", "openid offline_access api://postgres/.default"),
            (client, &format!("{client}/.default")),
            (client, &format!("api://{client}/access")),
            (
                "https://ossrdbms-aad.database.windows.net",
                "https://ossrdbms-aad.database.windows.net/.default",
            ),
            (
                "https://ossrdbms-aad.database.windows.net",
                "https://ossrdbms-aad.database.windows.net//.default",
            ),
        ] {
            assert!(policy(audience).fits_advertised_scope(scope), "{audience}: {scope}");
        }
        for scope in
            ["", "openid", "access", "api://other/access", "api://postgres", "api://postgresql/access"]
        {
            assert!(!policy("api://postgres").fits_advertised_scope(scope), "{scope}");
        }
    }
}

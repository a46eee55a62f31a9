//! What is wrong with an `oauth` line: whether this library judges the tokens it asks clients for.

use entra::Policy;

use super::line::Rule;
use super::verdict::Finding;

/// As a validator is named.
const LIBRARY: &str = "azure_ad_auth";

/// The findings, where the library is preloaded. `libraries`: the setting `oauth_validator_libraries`.
pub(super) fn findings(rule: &Rule, libraries: &str, policy: &Result<Policy, String>) -> Vec<Finding> {
    let mut findings: Vec<_> =
        [validator(rule, libraries), identity(rule)].into_iter().flatten().map(Finding::warning).collect();
    match policy {
        Ok(policy) => findings.extend(advertised(rule, policy).map(Finding::warning)),
        Err(fault) => findings.push(Finding::warning(format!(
            "every login is refused as not_configured, because {fault}: mend that setting"
        ))),
    }
    findings
}

fn is_ours(library: &str) -> bool {
    let file = library.trim().trim_matches('"').rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".so").unwrap_or(file) == LIBRARY
}

fn validator(rule: &Rule, libraries: &str) -> Option<String> {
    let refused = "and linked roles are refused";
    match rule.option("validator") {
        Some(other) if !is_ours(other) => Some(format!(
            "the validator {other} judges the tokens, not azure_ad_auth, {refused}: write validator=azure_ad_auth"
        )),
        _ if !libraries.split(',').any(is_ours) => Some(format!(
            "another validator judges the tokens, not azure_ad_auth, {refused}: add azure_ad_auth to \
             oauth_validator_libraries"
        )),
        _ => None,
    }
}

fn identity(rule: &Rule) -> Option<String> {
    let delegated = rule.option("delegate_ident_mapping").is_some_and(|value| ["1", "true"].contains(&value));
    (!delegated && rule.option("map").is_none()).then(|| {
        "it admits nobody, because identities are object ids and never names of roles: write delegate_ident_mapping=1, \
         or map= with a map from object ids to roles"
            .to_owned()
    })
}

/// What clients are told that does not fit.
fn advertised<'a>(rule: &'a Rule, policy: &Policy) -> impl Iterator<Item = String> + use<'a> {
    let value = |name| rule.option(name).unwrap_or_default();
    let (issuer, scope) = (value("issuer"), value("scope"));
    let issuer = (!policy.fits_advertised_issuer(issuer)).then(|| {
        format!(
            "it admits nobody, because its issuer {issuer} is none that azure_ad_auth accepts: name the tenant's, or \
             set azure_ad_auth.issuers"
        )
    });
    let scope = (!policy.fits_advertised_scope(scope)).then(|| {
        format!(
            "it admits nobody, because its scope {scope} leads to tokens for another resource: name one of \
             azure_ad_auth.audience, as in api://…/.default"
        )
    });
    [issuer, scope].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use entra::{Cloud, Policy, RawPolicy};

    use super::super::line::Rule;
    use super::findings;

    const ISSUER: &str = "issuer=https://login.microsoftonline.com/11111111-aaaa-bbbb-cccc-000000000001/v2.0";
    const SCOPE: &str = "scope=api://postgres/.default";
    const DELEGATED: &str = "delegate_ident_mapping=true";

    fn reasons(options: &[&str], libraries: &str, policy: &Result<Policy, String>) -> String {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let rule = Rule { options, ..Rule::default() };
        let reasons: Vec<_> =
            findings(&rule, libraries, policy).into_iter().map(|finding| finding.reason).collect();
        reasons.join("; ")
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let policy = Policy::parse(&RawPolicy {
            tenant_id: "11111111-aaaa-bbbb-cccc-000000000001",
            audience: "api://postgres",
            cloud: Cloud::Public,
            issuers: "",
            allowed_clients: "",
            required_permission: "",
            clock_skew: 60,
        })
        .map_err(|fault| fault.to_string());
        let ours = "other, $libdir/azure_ad_auth";
        for good in [
            &[ISSUER, SCOPE, DELEGATED][..],
            &[ISSUER, SCOPE, "map=m"],
            &[ISSUER, SCOPE, DELEGATED, "validator=azure_ad_auth"],
        ] {
            assert_eq!(reasons(good, ours, &policy), "", "{good:?}");
        }
        for (options, libraries, expected) in [
            (&[ISSUER, SCOPE][..], ours, "never names of roles"),
            (&["issuer=https://login.example", SCOPE, DELEGATED], ours, "its issuer https://login.example"),
            (&[ISSUER, "scope=openid", DELEGATED], ours, "its scope openid"),
            (&[ISSUER, SCOPE, DELEGATED, "validator=other"], ours, "the validator other judges"),
            (&[ISSUER, SCOPE, DELEGATED], "azure_ad", "another validator judges"),
        ] {
            let reasons = reasons(options, libraries, &policy);
            assert!(reasons.contains(expected) && !reasons.contains("; "), "{reasons}");
        }
        let unset = Err("azure_ad_auth.audience is not set".to_owned());
        assert!(
            reasons(&[ISSUER, SCOPE, "map=m"], ours, &unset)
                .contains("because azure_ad_auth.audience is not set")
        );
    }
}

//! Finds faults of an `oauth` line: whether this library verifies the tokens that it asks for.

use std::collections::BTreeSet;

use entra::{LineOptions, Policy};

use crate::finding::Finding;
use crate::line::Rule;
use crate::place::TOPIC;

/// The name of this library, as a validator.
const LIBRARY: &str = "azure_ad_auth";

/// How the options of validators begin in pg_hba.conf, from PostgreSQL 19 on.
const OPTION_PREFIX: &str = "validator.";

/// What to do where another library verifies the tokens.
const VALIDATOR_ADVICE: &str =
    "put azure_ad_auth into oauth_validator_libraries and write validator=azure_ad_auth";

/// The library that verifies the tokens of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Validator<'a> {
    /// This very library.
    Ours,
    /// Another file of its name.
    Copy(&'a str),
    /// Another library.
    Other(&'a str),
}

/// Returns the validator that a line names. PostgreSQL fills it in where a line names none. `own`:
/// paths that lead to the loaded file.
pub(crate) fn validator<'a>(rule: &'a Rule, own: &BTreeSet<String>) -> Validator<'a> {
    let named = rule.option("validator").unwrap_or_default();
    let path = named.strip_suffix(".so").unwrap_or(named);
    // $libdir before a mere name means nothing (load_external_function, dfmgr.c).
    if path.strip_prefix("$libdir/").unwrap_or(path) == LIBRARY || own.contains(named) {
        Validator::Ours
    } else if path.rsplit('/').next() == Some(LIBRARY) {
        Validator::Copy(named)
    } else {
        Validator::Other(named)
    }
}

/// Returns what is wrong with a line where the library is preloaded. Of a line whose tokens another
/// library verifies nothing else is known: neither which it accepts nor what its options mean.
pub(crate) fn problems(rule: &Rule, own: &BTreeSet<String>, policy: &Result<Policy, String>) -> Vec<Finding> {
    let reasons = match validator(rule, own) {
        Validator::Ours => own_problems(rule, policy),
        Validator::Copy(name) => vec![format!(
            "it admits nobody, because the validator {name} is another copy of azure_ad_auth than the one the server has \
             loaded: {VALIDATOR_ADVICE}"
        )],
        Validator::Other(name) => vec![format!(
            "the validator {name} verifies the tokens instead of azure_ad_auth, and linked roles are refused: \
             {VALIDATOR_ADVICE}"
        )],
    };
    reasons.into_iter().map(|reason| Finding::warning(TOPIC, reason)).collect()
}

/// Returns what is wrong with a line whose tokens this library verifies.
fn own_problems(rule: &Rule, policy: &Result<Policy, String>) -> Vec<String> {
    let mut reasons: Vec<_> = [identity(rule), unknown_option(rule)].into_iter().flatten().collect();
    let options = line_options(rule);
    let policy = match policy {
        Ok(policy) => policy.narrowed(&options),
        Err(fault) => {
            reasons.push(format!(
                "every login is refused as not_configured, because {fault}: correct that setting"
            ));
            return reasons;
        }
    };
    let fault = match policy {
        Ok(policy) => {
            reasons.extend(advertised(rule, &policy));
            options.doubt()
        }
        Err(fault) => Some(fault),
    };
    reasons.extend(fault.map(|fault| format!("it admits nobody, because {fault}: correct that option")));
    reasons
}

/// Says that PostgreSQL would compare the object id in the token with the name of the role.
fn identity(rule: &Rule) -> Option<String> {
    let delegated = rule.option("delegate_ident_mapping").is_some_and(|value| ["1", "true"].contains(&value));
    (!delegated && rule.option("map").is_none()).then(|| {
        "it admits nobody, because the identity in a token is an object id and never the name of a role: write \
         delegate_ident_mapping=1, or map= with a map from object ids to roles"
            .to_owned()
    })
}

/// Returns the values of this library's options. The last one counts where a line has several of a
/// name (GetOAuthHBAOption, auth-oauth.c).
fn line_options(rule: &Rule) -> LineOptions {
    let value = |option: &str, name: &str| {
        let value = option.strip_prefix(OPTION_PREFIX)?.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.to_owned())
    };
    LineOptions::read(|name| rule.options.iter().rev().find_map(|option| value(option, name)))
}

/// Says which option for validators this library does not have. PostgreSQL finds out when a client
/// is about to send its token, and refuses every client.
fn unknown_option(rule: &Rule) -> Option<String> {
    let names = rule.options.iter().filter_map(|option| option.split_once('=')).map(|(name, _)| name);
    let unknown = names.into_iter().find(|name| {
        name.strip_prefix(OPTION_PREFIX).is_some_and(|name| !LineOptions::NAMES.contains(&name))
    })?;
    Some(format!("it admits nobody, because azure_ad_auth has no option {unknown}: take it out"))
}

/// Says which values that clients are told do not fit the settings.
fn advertised(rule: &Rule, policy: &Policy) -> Vec<String> {
    let value = |name| rule.option(name).unwrap_or_default();
    let (issuer, scope) = (value("issuer"), value("scope"));
    let issuer = (!policy.fits_advertised_issuer(issuer)).then(|| {
        format!(
            "it admits nobody, because azure_ad_auth does not accept its issuer {issuer}: name the tenant's, or set \
             azure_ad_auth.issuers"
        )
    });
    let scope = (!policy.fits_advertised_scope(scope)).then(|| {
        format!(
            "it admits nobody, because its scope {scope} leads to tokens for another resource: name one of \
             azure_ad_auth.audience, as in api://.../.default"
        )
    });
    [issuer, scope].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use entra::{Policy, RawPolicy};

    use super::{Validator, problems, validator};
    use crate::line::Rule;

    const ISSUER: &str = "issuer=https://login.microsoftonline.com/11111111-aaaa-bbbb-cccc-000000000001/v2.0";
    const SCOPE: &str = "scope=api://postgres/.default";
    const DELEGATED: &str = "delegate_ident_mapping=true";
    const OURS: &str = "validator=azure_ad_auth";

    fn rule(options: &[&str]) -> Rule {
        Rule { options: options.iter().map(|&option| option.to_owned()).collect(), ..Rule::default() }
    }

    fn reasons(options: &[&str], policy: &Result<Policy, String>) -> String {
        let problems = problems(&rule(options), &BTreeSet::new(), policy);
        let reasons: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
        reasons.join("; ")
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let policy =
            Policy::parse(&RawPolicy::for_tenant("11111111-aaaa-bbbb-cccc-000000000001", "api://postgres"))
                .map_err(|fault| fault.to_string());
        let narrowed = [
            "validator.audience=x",
            "validator.audience=api://postgres",
            "validator.required_permission=dba",
        ];
        for good in [
            &[ISSUER, SCOPE, DELEGATED, OURS][..],
            &[ISSUER, SCOPE, "map=m", OURS],
            &[ISSUER, SCOPE, "map=m", OURS, narrowed[0], narrowed[1], narrowed[2]],
        ] {
            assert_eq!(reasons(good, &policy), "", "{good:?}");
        }
        for (options, expected) in [
            (&[ISSUER, SCOPE, OURS][..], "never the name of a role"),
            (
                &["issuer=https://login.example", SCOPE, DELEGATED, OURS],
                "does not accept its issuer https://login.example",
            ),
            (&[ISSUER, "scope=openid", DELEGATED, OURS], "its scope openid"),
            (&[ISSUER, SCOPE, DELEGATED, "validator=other"], "the validator other verifies"),
            // What another library makes of its options is not known.
            (
                &[
                    "issuer=https://a.example",
                    SCOPE,
                    "validator=other",
                    "validator.audience=b",
                    "validator.x=y",
                ],
                "the validator other verifies",
            ),
            (&[ISSUER, SCOPE, DELEGATED, "validator=/x/azure_ad_auth"], "/x/azure_ad_auth is another copy"),
            (&[ISSUER, SCOPE, DELEGATED, OURS, "validator.x=y"], "azure_ad_auth has no option validator.x"),
            (&[ISSUER, SCOPE, DELEGATED, OURS, "validator.audience=b"], "validator.audience has an item"),
            (&[ISSUER, SCOPE, DELEGATED, OURS, "validator.allowed_clients="], "allowed_clients is empty"),
            (
                &[ISSUER, SCOPE, DELEGATED, OURS, "validator.required_permission=api://postgres/dba"],
                "because validator.required_permission is one that no token carries: tokens have the name",
            ),
        ] {
            let reasons = reasons(options, &policy);
            assert!(reasons.contains(expected) && !reasons.contains("; "), "{reasons}");
        }
        let unset = Err("azure_ad_auth.audience is not set".to_owned());
        assert!(
            reasons(&[ISSUER, SCOPE, "map=m", OURS], &unset)
                .contains("because azure_ad_auth.audience is not set")
        );
    }

    #[test]
    fn a_validator_is_this_library_or_another() {
        let own = BTreeSet::from(["/lib/azure_ad_auth".to_owned(), "/alias/to-it".to_owned()]);
        let judged = |name: &str| match validator(&rule(&[&format!("validator={name}")]), &own) {
            Validator::Ours => "ours",
            Validator::Copy(_) => "a copy",
            Validator::Other(_) => "another",
        };
        for name in [
            "azure_ad_auth",
            "azure_ad_auth.so",
            "$libdir/azure_ad_auth",
            "/lib/azure_ad_auth",
            "/alias/to-it",
        ] {
            assert_eq!(judged(name), "ours", "{name}");
        }
        for name in [
            "/somewhere/azure_ad_auth",
            "/lib/azure_ad_auth.so",
            "$libdir/x/azure_ad_auth",
            "x/azure_ad_auth",
        ] {
            assert_eq!(judged(name), "a copy", "{name}");
        }
        for name in ["azure_ad", "\"azure_ad_auth\"", "", "/lib/azure_ad_auth/other"] {
            assert_eq!(judged(name), "another", "{name}");
        }
    }
}

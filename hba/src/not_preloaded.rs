//! The findings on a server that has not preloaded this library.
//!
//! Nothing of the library asks for a token there, or refuses what other methods accept. Only the
//! guard of each linked role is left, which ends the session that a method has let in; Azure AD
//! roles that are not linked have none.

use crate::common::{ASK_IN_CLEAR, hands_on, harmless, is_meant_for_us, named, shadowed, trusts_locals};
use crate::facts::Facts;
use crate::finding::Finding;
use crate::line::{Line, Ways};
use crate::oauth::{Validator, validator};
use crate::pam::{Others, Service, Stack};
use crate::place::TOPIC;
use crate::shadowing::Left;

const ABSENT: &str = "azure_ad_auth is not in shared_preload_libraries";
const GUARD: &str = "only the guard of each linked role ends its sessions";

/// Returns everything that is found about a line.
pub(crate) fn about(line: &Line<'_>, left: &Left<'_>, earlier: &[Line<'_>], facts: &Facts) -> Vec<Finding> {
    let method = line.rule.method.as_str();
    let own = match (method, facts.pam_of(line.rule)) {
        ("trust", _) => trusts_locals(line, earlier).into_iter().chain([trust()]).collect(),
        ("oauth", _) => vec![oauth(validator(line.rule, &facts.own_validators))],
        (_, Some(Service::Ours(stack))) => pam(stack),
        (_, Some(Service::Missing(finding))) if is_meant_for_us(line, left) => vec![finding.clone()],
        (_, pam) => match harmless(line, left) {
            Some(finding) => return vec![finding],
            None => vec![other(&named(method, pam), hands_on(method, pam))],
        },
    };
    own.into_iter().chain(shadowed(line, left)).chain(in_clear(method, left)).collect()
}

fn trust() -> Finding {
    Finding::danger(
        TOPIC,
        format!(
            "{ABSENT}, so no token is asked for here, and {GUARD}: remove this line, or add the library and restart"
        ),
    )
}

fn nobody() -> Finding {
    Finding::warning(TOPIC, format!("it admits nobody, because {ABSENT}: add it and restart"))
}

fn oauth(validator: Validator<'_>) -> Finding {
    match validator {
        Validator::Ours => nobody(),
        Validator::Copy(name) | Validator::Other(name) => Finding::danger(
            TOPIC,
            format!(
                "{ABSENT}, so the validator {name} alone decides about logins here, and {GUARD}: write \
                 validator=azure_ad_auth, add the library and restart"
            ),
        ),
    }
}

fn pam(stack: &Stack) -> Vec<Finding> {
    let decision = match stack.others {
        Others::None => nobody(),
        Others::Refuse | Others::Admit => Finding::danger(
            TOPIC,
            format!(
                "{ABSENT}, so the other modules in {} may decide alone about logins here, and {GUARD}: remove them, add \
                 the library and restart",
                stack.file
            ),
        ),
    };
    stack.findings.iter().cloned().chain([decision]).collect()
}

/// Returns the finding for a method which accepts no token and lets roles in. `hands`: where it
/// passes the token on to.
fn other(method: &str, hands: Option<String>) -> Finding {
    let open = format!("{ABSENT}, so nothing refuses Azure AD roles that {method} admits here, and {GUARD}");
    let advice = "add it and restart";
    match hands {
        None => Finding::warning(TOPIC, format!("{open}: {advice}")),
        Some(hands) => Finding::danger(
            TOPIC,
            format!(
                "{open}; clients send their access token, and {hands}: put a line for +azure_ad_user above this one, \
                 {advice}"
            ),
        ),
    }
}

fn in_clear(method: &str, left: &Left<'_>) -> Option<Finding> {
    let asks = method == "oauth" || ASK_IN_CLEAR.contains(&method);
    let reason = "it matches connections without TLS, where tokens travel in clear: write hostssl";
    (asks && !left.ways.both(Ways::WITHOUT_TLS).is_empty()).then(|| Finding::warning(TOPIC, reason))
}

//! The verdicts on a server that has not preloaded this library.
//!
//! Nothing of it is there to ask for a token, nor to refuse what others admit. What is left is the guard of each linked role,
//! which ends the session that a method has let in; other Azure AD roles have none.

use crate::check::hba::line::{Line, Ways};
use crate::check::hba::oauth::{Validator, validator};
use crate::check::hba::pam::{Others, Service, Stack};
use crate::check::hba::shadowing::Left;
use crate::check::hba::verdicts::{
    ASK_IN_CLEAR, Facts, Finding, hands_on, harmless, is_meant_for_us, named, shadowed, trusts_locals,
};

const ABSENT: &str = "azure_ad_auth is not in shared_preload_libraries";
const GUARD: &str = "only the guard of each linked role ends its sessions";

pub(super) fn findings(
    line: &Line<'_>,
    left: &Left<'_>,
    earlier: &[Line<'_>],
    facts: &Facts,
) -> Vec<Finding> {
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
    Finding::danger(format!(
        "{ABSENT}, so nobody asks for a token here, and {GUARD}: remove this line, or add the library and restart"
    ))
}

fn nobody() -> Finding {
    Finding::warning(format!("it admits nobody, because {ABSENT}: add it and restart"))
}

fn oauth(validator: Validator<'_>) -> Finding {
    match validator {
        Validator::Ours => nobody(),
        Validator::Copy(name) | Validator::Other(name) => Finding::danger(format!(
            "{ABSENT}, so what the validator {name} decides is all that decides here, and {GUARD}: write \
             validator=azure_ad_auth, add the library and restart"
        )),
    }
}

fn pam(stack: &Stack) -> Vec<Finding> {
    let decision = match stack.others {
        Others::None => nobody(),
        Others::Refuse | Others::Admit => Finding::danger(format!(
            "{ABSENT}, so what the other modules in {} decide may be all that decides here, and {GUARD}: leave them out, \
             add the library and restart",
            stack.file
        )),
    };
    stack.findings.iter().cloned().chain([decision]).collect()
}

/// A method that is no door: whom it admits is in. `hands`: where it passes the token on to.
fn other(method: &str, hands: Option<String>) -> Finding {
    let open = format!("{ABSENT}, so nothing refuses Azure AD roles that {method} admits here, and {GUARD}");
    let advice = "add it and restart";
    match hands {
        None => Finding::warning(format!("{open}: {advice}")),
        Some(hands) => Finding::danger(format!(
            "{open}; clients send their access token, and {hands}: put a line for +azure_ad_user above this one, {advice}"
        )),
    }
}

fn in_clear(method: &str, left: &Left<'_>) -> Option<Finding> {
    let asks = method == "oauth" || ASK_IN_CLEAR.contains(&method);
    (asks && !left.ways.both(Ways::WITHOUT_TLS).is_empty()).then(|| {
        Finding::warning("it matches connections without TLS, where tokens travel in clear: write hostssl")
    })
}

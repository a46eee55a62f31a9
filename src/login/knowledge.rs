//! What the directory has to say about a login: what is known when a token is shown, and the facts
//! of a refusal for it.

use entra::directory::login::Knowledge;
use entra::{Code, Principal, PrincipalKind, Refusal, Uuid};

use crate::directory;
use crate::pg::clock::unix_now;
use crate::report::Denial;

/// Whether the directory may be asked about a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// It may.
    Allowed,
    /// It has been asked, or must not be.
    Done,
}

/// Returns what is known about an object, and about its membership in the group that a role is
/// linked to, if it is linked to one. Reads shared memory only.
pub(super) fn known(person: Uuid, principal: &Principal, asking: Asking) -> Knowledge {
    let group = Some(principal.object_id).filter(|_| principal.kind == Some(PrincipalKind::Group));
    let knowledge = directory::knowledge(person, group);
    Knowledge { may_ask: knowledge.may_ask && asking == Asking::Allowed, ..knowledge }
}

/// Refuses for a reason that lies in the token. What the directory has against it comes with how
/// old that is, and with why the directory does not answer.
pub(super) fn denial_of(refusal: &Refusal, role: &str) -> Denial {
    let mut denial = Denial::of(refusal, role);
    if matches!(refusal, Refusal::Directory(_)) {
        let status = directory::status();
        if denial.code == Code::DirectoryUnavailable {
            let problem = status.last_error.unwrap_or_else(|| "no answer in time".to_owned());
            denial.facts.push(("problem", problem));
        }
        let age = status.last_success.map(|last| unix_now().saturating_sub(last).max(0).to_string());
        denial.facts.push(("state_age", age.unwrap_or_else(|| "unknown".to_owned())));
    }
    denial
}

//! Why a login would fail, for an administrator: a login without a connection, step by step.
//!
//! The steps are the login's own, in [`authenticate_traced`]. What is shown beside each step is
//! read again for that, and decides nothing.
//!
//! Keys that are not there are not fetched. But the directory is asked whether the token's owner is
//! in the role's group where a login would ask: the caller wants to know what the login comes to,
//! and only a token that has passed everything else gets so far.

use std::panic::{AssertUnwindSafe, catch_unwind};

use entra::directory::admission::judge_bearer;
use entra::{Code, Observer, Principal, Step, Trail, Uuid};
use zeroize::Zeroizing;

use crate::catalog::{self, Role, Standing};
use crate::directory;
use crate::link::sql::role_name_of;
use crate::login::authenticate::{authenticate_traced, verify};
use crate::login::knowledge::denial_of;
use crate::login::outcome::{Received, Refused};
use crate::login::preconditions::{check_administrators, rules_for};
use crate::login::request::LoginRequest;
use crate::pg::argument::Argument;
use crate::pg::clock::unix_now;
use crate::pg::error::Result;
use crate::report::{Denial, timestamp};
use crate::settings::{self, Rules};

/// The code of a login that is refused in core's words because the role has no LOGIN.
const NOLOGIN: &str = "nologin";
/// The code of a login that is accepted.
const ADMITTED: &str = "admitted";

/// A step, its verdict, what it expects and what it has found.
pub(super) type Row = (&'static str, &'static str, Option<String>, Option<String>);

/// Returns a row for each check of a login with a token, as a role or without one, and a last row
/// with the result.
pub(super) fn explain(token: Argument<'_>, role_name: Option<Argument<'_>>) -> Result<Vec<Row>> {
    // A name that cannot be a role's is an error, as everywhere.
    let name = role_name.map(role_name_of).transpose()?;
    let role = name.as_deref().and_then(catalog::role_named);
    let request = LoginRequest::named(name.unwrap_or_default());
    let mut trail = Trail::default();
    // A token that is too long is refused by its beginning, and shown with its whole length.
    let text = token.beginning(entra::limits::MAX_TOKEN_BYTES + 1);
    let outcome = if role_name.is_some() {
        // bounded: by the longest token.
        let received = || Received::now(Zeroizing::new(text.to_vec()));
        let admission = authenticate_traced(&request, &mut trail, |_| Ok(received()));
        admission.map(|admission| admission.token.object_id)
    } else {
        authenticate_as_no_role(&request, &mut trail, text).map_err(Refused::from)
    };
    let explanation = Explanation {
        text: token.in_place(),
        rules: settings::rules().ok(),
        role,
        named: role_name.is_some(),
    };
    Ok(explanation.rows(trail.steps(), &outcome))
}

/// Takes the steps of [`authenticate_traced`] that are about no role. Returns whose token it is.
fn authenticate_as_no_role(request: &LoginRequest, trail: &mut Trail, text: &[u8]) -> Result<Uuid, Denial> {
    trail.step(Step::Configuration);
    let rules = rules_for(request)?;
    trail.step(Step::Administrator);
    check_administrators(request, &rules)?;
    let token = verify(request, text, &rules, trail)?;
    judge_bearer(&token, &directory::knowledge(token.object_id, None), trail)
        .map_err(|refusal| denial_of(&refusal, ""))?;
    Ok(token.object_id)
}

/// Facts that are shown beside the steps.
struct Explanation<'t> {
    text: &'t [u8],
    rules: Option<Rules>,
    role: Option<Role>,
    /// A role was named, whether or not there is one of that name.
    named: bool,
}

impl Explanation<'_> {
    fn rows(&self, taken: &[Step], outcome: &Result<Uuid, Refused>) -> Vec<Row> {
        let failed = taken.last().filter(|_| outcome.is_err());
        let asks_directory = directory::is_on();
        let is_shown = |step: &&Step| match step {
            Step::Role | Step::Link | Step::Principal | Step::Mfa | Step::NotBefore => self.named,
            Step::Directory => asks_directory,
            _ => true,
        };
        let steps = Step::ALL.iter().filter(is_shown);
        let mut rows: Vec<Row> = steps
            .map(|step| {
                let expected = self.expected(*step);
                if Some(step) == failed {
                    let found = with_problem(self.found(*step, false), problem_of(outcome));
                    (step.as_str(), "failed", expected.map(|text| text + advice(*step)), found)
                } else if taken.contains(step) {
                    let found = with_problem(self.found(*step, true), known_of(*step, outcome));
                    (step.as_str(), "ok", expected, found)
                } else {
                    (step.as_str(), "not reached", expected, None)
                }
            })
            .collect();
        let (verdict, code) = match outcome {
            Ok(_) => ("ok", ADMITTED),
            Err(Refused::Denied(denial)) => ("failed", denial.code.as_str()),
            Err(Refused::NoLogin) => ("failed", NOLOGIN),
            // A token that is at hand does not lead here: only the hook refuses a name, and no
            // client is asked.
            Err(Refused::NoRole | Refused::HungUp | Refused::MessageType(_) | Refused::MessageLength) => {
                ("failed", Code::Internal.as_str())
            }
        };
        rows.push(("result", verdict, Some(ADMITTED.to_owned()), Some(code.to_owned())));
        rows
    }

    fn expected(&self, step: Step) -> Option<String> {
        match step {
            Step::Configuration => Some("settings that are complete and valid".to_owned()),
            Step::Administrator => Some(match &self.rules {
                Some(rules) => format!("an Azure AD administrator of tenant {}", rules.policy.tenant()),
                None => "an Azure AD administrator".to_owned(),
            }),
            Step::Role => Some("LOGIN, and not SUPERUSER, REPLICATION or BYPASSRLS".to_owned()),
            Step::Link => Some("a role that is linked to a directory object".to_owned()),
            Step::Directory if !self.named => {
                entra::expected(step, &self.rules.as_ref()?.policy, unix_now(), &timestamp)
            }
            Step::Principal | Step::Mfa | Step::NotBefore | Step::Directory => {
                entra::expected_by(step, &self.principal()?, &timestamp)
            }
            _ => entra::expected(step, &self.rules.as_ref()?.policy, unix_now(), &timestamp),
        }
    }

    fn found(&self, step: Step, passed: bool) -> Option<String> {
        match step {
            Step::Configuration => passed.then(|| "complete and valid".to_owned()),
            Step::Administrator => Some(match catalog::associated_tenant() {
                Some(tenant) => format!("one of tenant {tenant}"),
                None => "none".to_owned(),
            }),
            Step::Role => self.role.as_ref().map(attributes),
            Step::Link => Some(self.link()),
            // No text of a panic in there reaches anyone. Of a token that is too long nothing is
            // read but its length.
            _ => catch_unwind(AssertUnwindSafe(|| entra::found(step, passed, self.text, &timestamp)))
                .ok()
                .flatten(),
        }
    }

    fn principal(&self) -> Option<Principal> {
        match catalog::standing_of(self.role.as_ref()?) {
            Standing::Linked(label) => Principal::of(&label),
            _ => None,
        }
    }

    fn link(&self) -> String {
        let Some(role) = &self.role else { return "no role of this name".to_owned() };
        match catalog::standing_of(role) {
            Standing::Linked(label) => match (label.kind, label.object_id) {
                (Some(kind), Some(object)) => format!("{kind} {object}"),
                (None, Some(object)) => format!("user or service {object}"),
                (_, None) => "a label without an object".to_owned(),
            },
            Standing::Inherited => "a member of azure_ad_user without a link".to_owned(),
            Standing::Local => "not an Azure AD role".to_owned(),
            Standing::Marker => "one of the two roles that mark Azure AD roles".to_owned(),
        }
    }
}

fn attributes(role: &Role) -> String {
    let held = [
        (role.can_login, "LOGIN"),
        (!role.can_login, "no LOGIN"),
        (role.superuser, "SUPERUSER"),
        (role.replication, "REPLICATION"),
        (role.bypass_rls, "BYPASSRLS"),
    ];
    held.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

/// Returns what an administrator can do about a step that has failed.
const fn advice(step: Step) -> &'static str {
    match step {
        Step::Key => "; if it is newly published: SELECT azure_ad_auth.refresh_keys()",
        _ => "",
    }
}

/// Returns what is known of the token's owner at a step that has passed.
fn known_of(step: Step, outcome: &Result<Uuid, Refused>) -> Option<String> {
    let owner = outcome.as_ref().ok().filter(|_| step == Step::Directory)?;
    let (state, checked_at) = directory::state_of(*owner);
    Some(match checked_at.map(timestamp) {
        Some(time) => format!("{state}, as of {time}"),
        None => state.to_owned(),
    })
}

/// Returns what the refusal says beyond what was expected and found.
fn problem_of(outcome: &Result<Uuid, Refused>) -> Option<String> {
    let Err(Refused::Denied(denial)) = outcome else { return None };
    let fact =
        |name: &str| denial.facts.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
    let time = |name: &str| fact(name).and_then(|seconds| seconds.parse().ok()).map(timestamp);
    let said = match (denial.code, fact("found")) {
        (Code::WrongIssuer, Some(found)) if fact("of") == Some("key") => {
            vec!["issuer of the key:", found]
        }
        (Code::UnsupportedAlgorithm, Some(found)) => vec!["alg", found],
        (Code::TokenRevoked, _) => {
            return Some(format!("those issued before {} no longer count", time("not_before")?));
        }
        (Code::AccountDisabled | Code::AccountDeleted, _) => {
            let state = if denial.code == Code::AccountDisabled { "disabled" } else { "deleted" };
            return Some(match time("out_since") {
                Some(time) => format!("{state}, known since {time}"),
                None => state.to_owned(),
            });
        }
        (Code::SessionsRevoked, _) => {
            return Some(format!("sessions revoked at {}", time("revoked_at")?));
        }
        (Code::NotAMember, _) if time("left_at").is_some() => {
            return Some(format!("no longer in the group, known since {}", time("left_at")?));
        }
        _ => ["setting", "unknown_setting", "keys", "problem"].iter().filter_map(|name| fact(name)).collect(),
    };
    // Some of it was written by the client.
    let escape = |c: char| if c == '"' { c.to_string() } else { c.escape_debug().to_string() };
    let said: String = said.join(" ").chars().map(escape).collect();
    (!said.is_empty()).then_some(said)
}

fn with_problem(found: Option<String>, problem: Option<String>) -> Option<String> {
    match (found, problem) {
        (Some(found), Some(problem)) => Some(format!("{found} ({problem})")),
        (found, problem) => found.or(problem),
    }
}

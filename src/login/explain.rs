//! Why a login would fail, for an administrator: a login without a connection, with its checks observed.
//!
//! The way is the login's own, [`crate::login::attend_before`]. What is said beside it is read again, to be shown, and decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use entra::{Code, Principal, Step, Trail};
use pgrx::prelude::*;
use zeroize::Zeroizing;

use crate::catalog::{self, Role, Standing};
use crate::link::rights;
use crate::link::sql::role_name_of;
use crate::login::preconditions::{check_association, rules_for};
use crate::login::{Refused, Sent, Visitor, attend_before, judge};
use crate::pg::argument::Argument;
use crate::pg::clock::unix_now;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::library;
use crate::pg::text::Text;
use crate::report::{Denial, timestamp};
use crate::settings::{self, Rules};

/// What a login would get that is refused in core's words: the role has no LOGIN.
const NOLOGIN: &str = "nologin";
/// What a login would get that is let in.
const ADMITTED: &str = "admitted";

/// A step, its verdict, what it asks for and what it has found.
type Row = (&'static str, &'static str, Option<String>, Option<String>);

/// The checks of a login with a token, as a role or as anyone.
#[pg_extern(sql = false)]
fn explain_token(
    token: Option<Argument<'_>>,
    role_name: Option<Argument<'_>>,
) -> TableIterator<
    'static,
    (
        name!(step, &'static str),
        name!(verdict, &'static str),
        name!(expected, Option<Text>),
        name!(found, Option<Text>),
    ),
> {
    let rows = or_raise((|| {
        library::require()?;
        rights::may_administer()?;
        let token = token.ok_or_else(|| {
            Fault::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "token must not be null")
        })?;
        explain(token, role_name)
    })());
    let shown = |text: Option<String>| text.as_deref().map(Text::shown);
    let rows = rows
        .into_iter()
        .map(move |(step, verdict, expected, found)| (step, verdict, shown(expected), shown(found)));
    TableIterator::new(rows.collect::<Vec<_>>())
}

fn explain(token: Argument<'_>, role_name: Option<Argument<'_>>) -> Result<Vec<Row>> {
    // A name that cannot be a role's is an error, as everywhere.
    let name = role_name.map(role_name_of).transpose()?;
    let role = name.as_deref().and_then(catalog::role_named);
    let visitor = Visitor::named(name.unwrap_or_default());
    let mut trail = Trail::default();
    // What is too long is judged to be so by its beginning, and shown with its whole length.
    let text = token.beginning(entra::limits::MAX_TOKEN_BYTES + 1);
    let outcome = if role_name.is_some() {
        // bounded: by the longest token.
        attend_before(&visitor, &mut trail, |_| Ok(Sent::now(Zeroizing::new(text.to_vec())))).map(drop)
    } else {
        attend_anyone(&visitor, &mut trail, text).map_err(Refused::from)
    };
    let stage =
        Stage { text: token.in_place(), rules: settings::rules().ok(), role, named: role_name.is_some() };
    Ok(stage.rows(trail.steps(), &outcome))
}

/// What a login comes to before it matters as whom: the steps of [`attend_before`] that are about no role.
fn attend_anyone(visitor: &Visitor, trail: &mut Trail, text: &[u8]) -> Result<(), Denial> {
    use entra::Observer;
    trail.step(Step::Configuration);
    let rules = rules_for(visitor)?;
    trail.step(Step::Administrator);
    check_association(visitor, &rules)?;
    judge(visitor, text, &rules, trail).map(drop)
}

/// What there is to see beside the way of a login.
struct Stage<'t> {
    text: &'t [u8],
    rules: Option<Rules>,
    role: Option<Role>,
    /// A role was named, if there is one of that name or not.
    named: bool,
}

impl Stage<'_> {
    fn rows(&self, taken: &[Step], outcome: &Result<(), Refused>) -> Vec<Row> {
        let failed = taken.last().filter(|_| outcome.is_err());
        let is_about_role = |step: &Step| matches!(step, Step::Role | Step::Link) || *step >= Step::Principal;
        let steps = Step::ALL.iter().filter(|step| self.named || !is_about_role(step));
        let mut rows: Vec<Row> = steps
            .map(|step| {
                let expected = self.expected(*step);
                if Some(step) == failed {
                    let found = with_problem(self.found(*step, false), problem_of(outcome));
                    (step.as_str(), "failed", expected.map(|text| text + advice(*step)), found)
                } else if taken.contains(step) {
                    (step.as_str(), "ok", expected, self.found(*step, true))
                } else {
                    (step.as_str(), "not reached", expected, None)
                }
            })
            .collect();
        let (verdict, code) = match outcome {
            Ok(()) => ("ok", ADMITTED),
            Err(Refused::Denied(denial)) => ("failed", denial.code.as_str()),
            Err(Refused::NoLogin) => ("failed", NOLOGIN),
            // Neither comes of a judgement: only the hook refuses a name, and nobody is asked here.
            Err(Refused::NoRole | Refused::HungUp) => ("failed", Code::Internal.as_str()),
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
            Step::Principal | Step::Mfa | Step::NotBefore => {
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
            // No text of a fault in there reaches anyone. Of a token that is too long nothing is read but its length.
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
            Standing::Marker => "the role that stands for all".to_owned(),
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

/// What an administrator can do about a step that has failed.
const fn advice(step: Step) -> &'static str {
    match step {
        Step::Key => "; if it is newly published: SELECT azure_ad_auth.refresh_keys()",
        _ => "",
    }
}

/// What the refusal says beyond what was expected and found.
fn problem_of(outcome: &Result<(), Refused>) -> Option<String> {
    let Err(Refused::Denied(denial)) = outcome else { return None };
    let fact =
        |name: &str| denial.facts.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
    let said = match (denial.code, fact("found")) {
        (Code::WrongIssuer, Some(found)) if fact("of") == Some("key") => {
            vec!["issuer of the key:", found]
        }
        (Code::UnsupportedAlgorithm, Some(found)) => vec!["alg", found],
        (Code::TokenRevoked, _) => {
            let time = fact("not_before").and_then(|seconds| seconds.parse().ok()).map(timestamp)?;
            return Some(format!("those issued before {time} no longer count"));
        }
        _ => ["setting", "unknown_setting", "keys", "problem"].iter().filter_map(|name| fact(name)).collect(),
    };
    // Some of it comes from strangers.
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

//! The verdict on each line that an Azure AD role can match.

use crate::common::{
    ASK_IN_CLEAR, DOUBT, hands_on, harmless, is_meant_for_us, named, shadowed, trusts_locals,
};
use crate::facts::{Facts, Server};
use crate::finding::{Finding, Level};
use crate::line::{Line, Rule, Ways};
use crate::pam::{Others, Service, Stack};
use crate::place::{Place, TOPIC};
use crate::shadowing::{Left, covers_azure};
use crate::{not_preloaded, oauth};

/// The verdict on a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the line is.
    pub place: Place,
    /// The method. None: PostgreSQL cannot read the line.
    pub door: Option<String>,
    /// Whether a connection can match the line.
    pub can_match: bool,
    /// The gravest level, and everything that was found.
    pub finding: Finding,
}

impl Verdict {
    /// Returns whether a connection can match the line, and it has a method by which a token can be
    /// accepted.
    #[must_use]
    pub fn is_door(&self) -> bool {
        self.can_match && self.door.as_deref().is_some_and(|door| ["trust", "pam", "oauth"].contains(&door))
    }

    fn of(rule: &Rule, findings: &[Finding]) -> Self {
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Self {
            place: rule.place.clone(),
            door: rule.error.is_none().then(|| rule.method.clone()),
            can_match: rule.error.is_none() && rule.unmatched.is_none(),
            finding: Finding::new(level, TOPIC, messages.join("; ")),
        }
    }
}

/// Returns a verdict on each line that an Azure AD role can match, that lets anyone in as a role
/// that is unlinked, or that cannot be read. `before_each` is called before each line: each is
/// compared with all earlier ones, and a file may have many.
#[must_use]
pub fn verdicts(facts: &Facts, mut before_each: impl FnMut()) -> Vec<Verdict> {
    let mut earlier: Vec<Line<'_>> = Vec::new();
    let mut verdicts = Vec::new();
    for rule in &facts.rules {
        before_each();
        if let Some(error) = &rule.error {
            verdicts.push(Verdict::of(rule, &[unreadable(error, facts.shows_errors)]));
        } else if let Some(line) = Line::of(rule, &facts.matched, facts.has_replication_database) {
            let mut found = about(&line, &earlier, facts);
            if let Some(reason) = &rule.unmatched {
                found.retain(|finding| finding.level > Level::Ok);
                found.push(unmatched(reason, facts.shows_errors));
            }
            let mut verdict = Verdict::of(rule, &found);
            if line.is_for_replication_alone() {
                verdict.finding.message = format!(
                    "if \"replication\" is in quotes here, and so names the database: {}",
                    verdict.finding.message
                );
            }
            verdicts.push(verdict);
            if line.users.has_azure() {
                earlier.push(line);
            }
        }
    }
    verdicts
}

/// Returns PostgreSQL's reason, if the caller may see it.
fn shown(reason: &str, is_shown: bool) -> &str {
    if is_shown { reason } else { "a superuser sees the reason in pg_hba_file_rules" }
}

fn unmatched(reason: &str, is_shown: bool) -> Finding {
    let why = shown(reason, is_shown);
    Finding::warning(
        TOPIC,
        format!("no connection matches this line as long as the server is as it is ({why})"),
    )
}

fn unreadable(error: &str, is_shown: bool) -> Finding {
    let why = shown(error, is_shown);
    Finding::warning(
        TOPIC,
        format!(
            "PostgreSQL cannot read this line ({why}) and goes on with the file as it was before: correct it and reload"
        ),
    )
}

/// Returns everything that is found about a line.
fn about(line: &Line<'_>, earlier: &[Line<'_>], facts: &Facts) -> Vec<Finding> {
    if !line.users.has_azure() {
        return trusts_locals(line, earlier).into_iter().collect();
    }
    let left = Left::of(line, earlier, covers_azure);
    let (require_tls, policy) = match &facts.server {
        Server::NotPreloaded => return not_preloaded::about(line, &left, earlier, facts),
        Server::Preloaded { require_tls, policy } => (*require_tls, policy),
    };
    let pam = facts.pam_of(line.rule);
    let mut found = match (line.rule.method.as_str(), pam) {
        ("trust", _) => trusts_locals(line, earlier).into_iter().collect(),
        ("oauth", _) => oauth::problems(line.rule, &facts.own_validators, policy),
        (_, Some(Service::Ours(stack))) => stacked(stack, line),
        (_, Some(Service::Missing(finding))) if is_meant_for_us(line, &left) => vec![finding.clone()],
        (_, pam) => return vec![no_door(line, &left, pam, require_tls)],
    };
    found.extend(shadowed(line, &left));
    found.extend(without_tls(line, &left, require_tls));
    if found.is_empty() {
        found.push(Finding::ok(TOPIC, "Azure AD roles log in here with an access token"));
    }
    found
}

/// Returns what is wrong with a PAM service that has this library among its modules.
fn stacked(stack: &Stack, line: &Line<'_>) -> Vec<Finding> {
    let file = &stack.file;
    let others = match stack.others {
        Others::None => None,
        Others::Admit if line.users.beyond_markers => Some(Finding::danger(
            TOPIC,
            format!(
                "{file} has other modules that let local roles in, and roles that are unlinked, without azure_ad_auth: \
                 remove them, or limit this line to +azure_ad_user"
            ),
        )),
        Others::Admit | Others::Refuse => Some(Finding::warning(
            TOPIC,
            format!(
                "{file} has other modules as well: a login that only they accept is refused for linked roles while \
                 azure_ad_auth is preloaded, and they alone decide while it is not: remove them"
            ),
        )),
    };
    stack.findings.iter().cloned().chain(others).collect()
}

/// Returns a finding if tokens travel in clear. Where they are also accepted, lines above do not
/// count, as with [`trusts_locals`].
fn without_tls(line: &Line<'_>, left: &Left<'_>, require_tls: bool) -> Option<Finding> {
    let is_in_clear = |ways: Ways| !ways.both(Ways::WITHOUT_TLS).is_empty();
    let is_reached = is_in_clear(left.ways);
    let doubt = if is_reached { "" } else { DOUBT };
    let matches = format!("it matches connections without TLS{doubt}, where tokens travel in clear");
    if !require_tls && is_in_clear(line.ways) {
        Some(Finding::danger(
            TOPIC,
            format!(
                "{matches}, and with azure_ad_auth.require_tls off they are accepted: write hostssl, and set require_tls on"
            ),
        ))
    } else if is_reached {
        Some(Finding::warning(
            TOPIC,
            format!("{matches}, and azure_ad_auth.require_tls refuses such logins: write hostssl"),
        ))
    } else {
        None
    }
}

/// Returns what a line does that accepts no token.
fn no_door(line: &Line<'_>, left: &Left<'_>, pam: Option<&Service>, require_tls: bool) -> Finding {
    if let Some(finding) = harmless(line, left) {
        return finding;
    }
    let method = line.rule.method.as_str();
    let refused = format!(
        "{} never admits an access token, so Azure AD roles are refused here (wrong_method)",
        named(method, pam)
    );
    // Without TLS these connections should be refused, unless the settings say otherwise, but the
    // client should not be asked for a token first.
    let is_without_tls = left.ways.without(Ways::WITHOUT_TLS).is_empty();
    if let Some(hands) = hands_on(method, pam) {
        let (clear, advice) = if is_without_tls && require_tls {
            (", in clear", "put \"hostnossl all +azure_ad_user all reject\" above this line")
        } else {
            ("", "put the line for +azure_ad_user above this one")
        };
        let reason =
            format!("{refused}, but clients send their access token first{clear}, and {hands}: {advice}");
        Finding::danger(TOPIC, reason)
    } else if !is_without_tls || !require_tls {
        Finding::warning(TOPIC, format!("{refused}: put the line for +azure_ad_user above this one"))
    } else if ASK_IN_CLEAR.contains(&method) {
        let reason = format!(
            "{refused}, but without TLS clients send their token in clear first: put \"hostnossl all +azure_ad_user all \
             reject\" above this line"
        );
        Finding::warning(TOPIC, reason)
    } else {
        Finding::ok(TOPIC, format!("Azure AD roles get here only without TLS, and {method} refuses them"))
    }
}

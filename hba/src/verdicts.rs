//! The verdict on each line that an Azure AD role can match.

use std::collections::{BTreeMap, BTreeSet};

use entra::Policy;

use crate::check::hba::line::{Line, Reaches, Rule, Ways};
use crate::check::hba::pam::{Others, Service, Stack};
use crate::check::hba::shadowing::{Left, covers_azure, covers_everyone};
use crate::check::hba::{not_preloaded, oauth};

/// The PAM service of a line that names none.
const DEFAULT_SERVICE: &str = "postgresql";
/// Methods that have clients send a password as it is. They send a token just so.
pub(super) const ASK_IN_CLEAR: [&str; 5] = ["password", "ldap", "radius", "pam", "bsd"];

/// How many roles a reason names.
const NAMES_SHOWN: usize = 3;

/// What is added to a danger that an earlier line seems to avert.
const DOUBT: &str = " (an earlier line may take these connections first)";

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Ok,
    Warning,
    Danger,
}

impl Verdict {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

/// One thing that is right or wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(super) verdict: Verdict,
    /// What it is, and what to do.
    pub(super) reason: String,
}

impl Finding {
    pub(super) fn ok(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, reason: reason.into() }
    }

    pub(super) fn warning(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, reason: reason.into() }
    }

    pub(super) fn danger(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Danger, reason: reason.into() }
    }
}

/// What the server is like, for which the lines are.
#[derive(Debug)]
pub(crate) enum Server {
    /// The library does nothing.
    NotPreloaded,
    /// The library works.
    Preloaded {
        /// The setting `require_tls`.
        require_tls: bool,
        /// What tokens are judged by, or why none can be.
        policy: Result<Policy, String>,
    },
}

/// Everything a verdict rests on.
#[derive(Debug)]
pub(crate) struct Facts {
    /// In the order of the file.
    pub(crate) rules: Vec<Rule>,
    pub(crate) reaches: Reaches,
    /// Whether a database has this name, which is a word of the file too.
    pub(crate) has_replication_database: bool,
    pub(crate) server: Server,
    /// By name.
    pub(crate) pam: BTreeMap<String, Service>,
    /// Paths by which lines name the file that is loaded as their validator.
    pub(crate) own_validators: BTreeSet<String>,
    /// Whether the caller may see what PostgreSQL says of a line: it repeats pieces of it, secrets too.
    pub(crate) shows_errors: bool,
}

impl Facts {
    /// What the PAM service of a line is worth; none: it names none.
    pub(super) fn pam_of(&self, rule: &Rule) -> Option<&Service> {
        self.pam.get(pam_service(rule)?)
    }
}

/// A row of what the function returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) number: i32,
    /// None: the line cannot be read.
    pub(crate) door: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

impl Row {
    /// Whether it is a line by which a token can come.
    pub(crate) fn is_door(&self) -> bool {
        self.door.as_deref().is_some_and(|door| ["trust", "pam", "oauth"].contains(&door))
    }

    /// The gravest verdict, and every reason for one.
    fn of(rule: &Rule, findings: &[Finding]) -> Self {
        let reasons: Vec<_> = findings.iter().map(|finding| finding.reason.as_str()).collect();
        Self {
            file: rule.file.clone(),
            number: rule.number,
            door: rule.error.is_none().then(|| rule.method.clone()),
            verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok),
            reason: reasons.join("; "),
        }
    }
}

/// The PAM service that a line names.
pub(crate) fn pam_service(rule: &Rule) -> Option<&str> {
    let named = rule.option("pamservice").filter(|name| !name.is_empty());
    (rule.method == "pam").then(|| named.unwrap_or(DEFAULT_SERVICE))
}

/// A row for each line that an Azure AD role can match, that lets everybody in as a role that is unlinked, or that cannot be
/// read.
pub(crate) fn judge(facts: &Facts) -> Vec<Row> {
    let mut earlier: Vec<Line<'_>> = Vec::new();
    let mut rows = Vec::new();
    for rule in &facts.rules {
        if let Some(error) = &rule.error {
            rows.push(Row::of(rule, &[unreadable(error, facts.shows_errors)]));
        } else if let Some(line) = Line::of(rule, &facts.reaches, facts.has_replication_database) {
            let mut row = Row::of(rule, &findings(&line, &earlier, facts));
            if line.is_for_replication_alone() {
                row.reason = format!(
                    "if \"replication\" is in quotes here, and so names the database: {}",
                    row.reason
                );
            }
            rows.push(row);
            if line.users.has_azure() {
                earlier.push(line);
            }
        }
    }
    rows
}

fn unreadable(error: &str, is_shown: bool) -> Finding {
    let why = if is_shown { error } else { "why, pg_hba_file_rules tells a superuser" };
    Finding::warning(format!(
        "PostgreSQL cannot read this line ({why}) and goes on with the file as it was before: mend it and reload"
    ))
}

fn findings(line: &Line<'_>, earlier: &[Line<'_>], facts: &Facts) -> Vec<Finding> {
    if !line.users.has_azure() {
        return trusts_locals(line, earlier).into_iter().collect();
    }
    let left = Left::of(line, earlier, covers_azure);
    let (require_tls, policy) = match &facts.server {
        Server::NotPreloaded => return not_preloaded::findings(line, &left, earlier, facts),
        Server::Preloaded { require_tls, policy } => (*require_tls, policy),
    };
    let pam = facts.pam_of(line.rule);
    let mut findings = match (line.rule.method.as_str(), pam) {
        ("trust", _) => trusts_locals(line, earlier).into_iter().collect(),
        ("oauth", _) => oauth::findings(line.rule, &facts.own_validators, policy),
        (_, Some(Service::Ours(stack))) => stacked(stack, line),
        (_, Some(Service::Missing(finding))) if is_meant_for_us(line, &left) => vec![finding.clone()],
        (_, pam) => return vec![no_door(line, &left, pam, require_tls)],
    };
    findings.extend(shadowed(line, &left));
    findings.extend(without_tls(line, &left, require_tls));
    if findings.is_empty() {
        findings.push(Finding::ok("Azure AD roles log in here with an access token"));
    }
    findings
}

/// Whether a line is any matter of ours although nothing of it is.
pub(super) fn is_meant_for_us(line: &Line<'_>, left: &Left<'_>) -> bool {
    line.users.are_azure_only() || !left.ways.is_empty()
}

/// A door that earlier lines close. One that others than Azure AD roles match had better stay where it is.
pub(super) fn shadowed(line: &Line<'_>, left: &Left<'_>) -> Option<Finding> {
    let what = match line.rule.method.as_str() {
        "trust" if line.users.beyond_markers => return None,
        _ if line.users.are_azure_only() => "move this line above it",
        _ => "put a line for +azure_ad_user alone above it",
    };
    let reason = || format!("no Azure AD role gets here, because {}: {what}", left.takers());
    left.ways.is_empty().then(|| Finding::warning(reason()))
}

/// A `trust` line lets others in without any question, and tomorrow those who are linked today: unlinking a role takes it off
/// the lines for the two groups only. Whatever stands above it: see [`crate::check::hba::shadowing`].
pub(super) fn trusts_locals(line: &Line<'_>, earlier: &[Line<'_>]) -> Option<Finding> {
    if !line.users.beyond_markers {
        return None;
    }
    let is_reached = !Left::of(line, earlier, covers_everyone).ways.is_empty();
    let doubt = if is_reached { "" } else { DOUBT };
    if !line.users.all && line.users.local.is_empty() {
        return Some(Finding::danger(format!(
            "a role that is unlinked stays on this line, and everyone then gets in as it without a password{doubt}: limit \
             it to +azure_ad_user; groups and single roles belong on lines for pam or oauth"
        )));
    }
    let whom = if line.users.all {
        "any local role, superusers included,".to_owned()
    } else {
        format!("{}, a role that is none of Azure AD's,", some_of(&line.users.local))
    };
    Some(Finding::danger(format!(
        "everyone gets in here as {whom} without a password{doubt}: remove this line, or limit it to +azure_ad_user"
    )))
}

/// The first few names of a list, and how many more there are.
fn some_of(names: &BTreeSet<&str>) -> String {
    let mut shown: Vec<_> = names.iter().take(NAMES_SHOWN).map(|name| format!("\"{name}\"")).collect();
    if names.len() > NAMES_SHOWN {
        shown.push(format!("{} others", names.len() - NAMES_SHOWN));
    }
    shown.join(" or ")
}

/// A PAM service that asks us.
fn stacked(stack: &Stack, line: &Line<'_>) -> Vec<Finding> {
    let file = &stack.file;
    let others = match stack.others {
        Others::None => None,
        Others::Admit if line.users.beyond_markers => Some(Finding::danger(format!(
            "{file} has other modules that let local roles in, and roles that are unlinked, without azure_ad_auth: leave \
             them out, or limit this line to +azure_ad_user"
        ))),
        Others::Admit | Others::Refuse => Some(Finding::warning(format!(
            "{file} asks other modules too, and what they decide is refused for linked roles while azure_ad_auth is \
             preloaded, and is all that decides when it is not: leave them out"
        ))),
    };
    stack.findings.iter().cloned().chain(others).collect()
}

/// Tokens in clear. Where they are accepted, whatever stands above, as with [`trusts_locals`].
fn without_tls(line: &Line<'_>, left: &Left<'_>, require_tls: bool) -> Option<Finding> {
    let is_in_clear = |ways: Ways| !ways.both(Ways::WITHOUT_TLS).is_empty();
    let is_reached = is_in_clear(left.ways);
    let doubt = if is_reached { "" } else { DOUBT };
    let matches = format!("it matches connections without TLS{doubt}, where tokens travel in clear");
    if !require_tls && is_in_clear(line.ways) {
        Some(Finding::danger(format!(
            "{matches}, and with azure_ad_auth.require_tls off they are accepted: write hostssl, and set require_tls on"
        )))
    } else if is_reached {
        Some(Finding::warning(format!(
            "{matches}, and azure_ad_auth.require_tls has such logins refused: write hostssl"
        )))
    } else {
        None
    }
}

/// That a line is of no use to Azure AD roles, nor of any harm.
pub(super) fn harmless(line: &Line<'_>, left: &Left<'_>) -> Option<Finding> {
    if line.rule.method == "reject" {
        return Some(Finding::ok("it refuses Azure AD roles on purpose"));
    }
    left.ways.is_empty().then(|| Finding::ok(format!("Azure AD roles never get here: {}", left.takers())))
}

/// A line that admits no token.
fn no_door(line: &Line<'_>, left: &Left<'_>, pam: Option<&Service>, require_tls: bool) -> Finding {
    if let Some(finding) = harmless(line, left) {
        return finding;
    }
    let method = line.rule.method.as_str();
    let refused = format!(
        "{} never admits an access token, so Azure AD roles are refused here (wrong_method)",
        named(method, pam)
    );
    // Without TLS they are to be refused, unless the settings say otherwise; but not to be asked for a token first.
    let is_without_tls = left.ways.without(Ways::WITHOUT_TLS).is_empty();
    if let Some(hands) = hands_on(method, pam) {
        let (clear, advice) = if is_without_tls && require_tls {
            (", in clear", "put \"hostnossl all +azure_ad_user all reject\" above this line")
        } else {
            ("", "put the line for +azure_ad_user above this one")
        };
        Finding::danger(format!(
            "{refused}, but clients send their access token first{clear}, and {hands}: {advice}"
        ))
    } else if !is_without_tls || !require_tls {
        Finding::warning(format!("{refused}: put the line for +azure_ad_user above this one"))
    } else if ASK_IN_CLEAR.contains(&method) {
        Finding::warning(format!(
            "{refused}, but without TLS clients send their token in clear first: put \"hostnossl all +azure_ad_user all \
             reject\" above this line"
        ))
    } else {
        Finding::ok(format!("Azure AD roles get here only without TLS, and {method} refuses them"))
    }
}

/// Who gets the token of a client that a method asks for a password, besides this server. None: it stays in the backend.
///
/// `password` compares what it gets with a hash, `md5` and `scram-sha-256` get no more than a proof, and the others ask for
/// nothing. `oauth` is not among them: its validator is a library of the server like this one.
pub(super) fn hands_on(method: &str, pam: Option<&Service>) -> Option<String> {
    let to = match (method, pam) {
        ("ldap", _) => "the LDAP server".to_owned(),
        ("radius", _) => "the RADIUS server".to_owned(),
        ("bsd", _) => "the login programs of the operating system".to_owned(),
        (_, Some(Service::Foreign(file))) => format!("the modules in {file}"),
        _ => return None,
    };
    Some(format!("{method} passes it on to {to}, where whoever reads it can log in with it"))
}

/// A method that is no door, in words.
pub(super) fn named(method: &str, pam: Option<&Service>) -> String {
    match pam {
        Some(Service::Foreign(file)) => format!("pam by {file}, which does not name azure_ad_auth,"),
        _ => method.to_owned(),
    }
}

//! The verdict on each line that an Azure AD role can match.

use std::collections::BTreeMap;

use entra::Policy;

use super::cover::{Left, covers_azure, covers_everyone};
use super::line::{Line, Reaches, Rule, Ways};
use super::oauth;
use super::pam_file::Service;

/// The PAM service of a line that names none.
const DEFAULT_SERVICE: &str = "postgresql";
/// Methods that have clients send a password as it is. They send a token just so.
const ASK_IN_CLEAR: [&str; 5] = ["password", "ldap", "radius", "pam", "bsd"];

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
    fn ok(reason: impl Into<String>) -> Self {
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
    pub(crate) server: Server,
    /// By name.
    pub(crate) pam: BTreeMap<String, Service>,
    /// The setting `oauth_validator_libraries`.
    pub(crate) validators: String,
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
    (rule.method == "pam").then(|| rule.option("pamservice").unwrap_or(DEFAULT_SERVICE))
}

/// A row for each line that an Azure AD role can match, or that cannot be read.
pub(crate) fn judge(facts: &Facts) -> Vec<Row> {
    let mut earlier: Vec<Line<'_>> = Vec::new();
    let mut rows = Vec::new();
    for rule in &facts.rules {
        if let Some(error) = &rule.error {
            rows.push(Row::of(rule, &[unreadable(error)]));
        } else if let Some(line) = Line::of(rule, &facts.reaches) {
            rows.push(Row::of(rule, &findings(&line, &earlier, facts)));
            earlier.push(line);
        }
    }
    rows
}

fn unreadable(error: &str) -> Finding {
    Finding::warning(format!(
        "PostgreSQL cannot read this line ({error}) and goes on with the file as it was before: mend it and reload"
    ))
}

fn findings(line: &Line<'_>, earlier: &[Line<'_>], facts: &Facts) -> Vec<Finding> {
    let left = Left::of(line, earlier, covers_azure);
    let pam = pam_service(line.rule).and_then(|service| facts.pam.get(service));
    let own = match (line.rule.method.as_str(), pam) {
        ("trust", _) => trust(line, earlier, facts),
        ("oauth", _) => oauth(line.rule, facts),
        (_, Some(Service::Ours(findings))) => with_library(&facts.server, findings.clone()),
        // Without a file it may be meant for others, and then it is no matter of ours where only they get to it.
        (_, Some(Service::Missing(finding))) if line.users.are_azure_only() || !left.ways.is_empty() => {
            vec![finding.clone()]
        }
        (_, pam) => return vec![no_door(line, &left, pam, &facts.server)],
    };
    let mut findings: Vec<_> = shadowed(&left).into_iter().chain(own).collect();
    findings.extend(without_tls(&left, &facts.server));
    if findings.is_empty() {
        findings.push(Finding::ok("Azure AD roles log in here with an access token"));
    }
    findings
}

fn shadowed(left: &Left<'_>) -> Option<Finding> {
    left.ways.is_empty().then(|| {
        Finding::warning(format!(
            "no Azure AD role gets here, because {}: move this line above it",
            left.takers()
        ))
    })
}

fn trust(line: &Line<'_>, earlier: &[Line<'_>], facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A line above that takes everyone leaves nobody to be trusted.
    let is_reached = !Left::of(line, earlier, covers_everyone).ways.is_empty();
    if line.users.all && is_reached {
        findings.push(Finding::danger(
            "everyone gets in here as any local role, superusers included, without a password: write +azure_ad_user in \
             place of all",
        ));
    } else if !line.users.are_azure_only() && is_reached {
        let names: Vec<_> = line.users.local.iter().map(|name| format!("\"{name}\"")).collect();
        findings.push(Finding::danger(format!(
            "everyone gets in here as {}, a role that is none of Azure AD's, without a password: write +azure_ad_user \
             alone",
            names.join(" or ")
        )));
    }
    if matches!(facts.server, Server::NotPreloaded) {
        findings.push(Finding::danger(
            "azure_ad_auth is not in shared_preload_libraries, so nobody asks for a token here: remove this line, or add \
             the library and restart",
        ));
    }
    findings
}

fn oauth(rule: &Rule, facts: &Facts) -> Vec<Finding> {
    match &facts.server {
        Server::NotPreloaded => with_library(&facts.server, Vec::new()),
        Server::Preloaded { policy, .. } => oauth::findings(rule, &facts.validators, policy),
    }
}

/// The findings, and that a door without the library is closed.
fn with_library(server: &Server, mut findings: Vec<Finding>) -> Vec<Finding> {
    if matches!(server, Server::NotPreloaded) {
        findings.push(Finding::warning(
            "it admits nobody, because azure_ad_auth is not in shared_preload_libraries: add it and restart",
        ));
    }
    findings
}

fn without_tls(left: &Left<'_>, server: &Server) -> Option<Finding> {
    if left.ways.both(Ways::WITHOUT_TLS).is_empty() {
        return None;
    }
    let matches = "it matches connections without TLS, where tokens travel in clear";
    Some(match server {
        Server::NotPreloaded => Finding::warning(format!("{matches}: write hostssl")),
        Server::Preloaded { require_tls: true, .. } => Finding::warning(format!(
            "{matches}, and azure_ad_auth.require_tls has such logins refused: write hostssl"
        )),
        Server::Preloaded { require_tls: false, .. } => Finding::danger(format!(
            "{matches}, and with azure_ad_auth.require_tls off they are accepted: write hostssl, and set require_tls on"
        )),
    })
}

/// A line that admits no token.
fn no_door(line: &Line<'_>, left: &Left<'_>, pam: Option<&Service>, server: &Server) -> Finding {
    let method = line.rule.method.as_str();
    if method == "reject" {
        return Finding::ok("it refuses Azure AD roles on purpose");
    }
    if left.ways.is_empty() {
        return Finding::ok(format!("Azure AD roles never get here: {}", left.takers()));
    }
    let what = match pam {
        Some(Service::Foreign(file)) => format!("pam by {file}, which does not name azure_ad_auth,"),
        _ => method.to_owned(),
    };
    let refused =
        format!("{what} never admits an access token, so Azure AD roles are refused here (wrong_method)");
    // Without TLS they are to be refused, unless the settings say otherwise; but not to be asked for a token first.
    let is_without_tls = left.ways.without(Ways::WITHOUT_TLS).is_empty();
    if !is_without_tls || matches!(server, Server::Preloaded { require_tls: false, .. }) {
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

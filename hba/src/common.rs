//! The findings that are the same on servers with the library and without it.

use crate::finding::Finding;
use crate::line::Line;
use crate::pam::Service;
use crate::place::{TOPIC, first_few};
use crate::shadowing::{Left, covers_everyone};

/// Methods that have clients send a password as it is. They send a token in the same way.
pub(crate) const ASK_IN_CLEAR: [&str; 5] = ["password", "ldap", "radius", "pam", "bsd"];

/// Is added to a danger that an earlier line seems to avert.
pub(crate) const DOUBT: &str = " (an earlier line may take these connections first)";

/// How many roles a message names.
const NAMES_SHOWN: usize = 3;

/// Returns whether a line for a PAM service without a file was meant for this library, as far as
/// one can tell.
pub(crate) fn is_meant_for_us(line: &Line<'_>, left: &Left<'_>) -> bool {
    line.users.are_azure_only() || !left.ways.is_empty()
}

/// Returns a finding if earlier lines keep Azure AD roles from a line that is for them. A line that
/// other roles match as well had better stay where it is.
pub(crate) fn shadowed(line: &Line<'_>, left: &Left<'_>) -> Option<Finding> {
    let what = match line.rule.method.as_str() {
        "trust" if line.users.beyond_markers => return None,
        _ if line.users.are_azure_only() => "move this line above it",
        _ => "put a line for +azure_ad_user alone above it",
    };
    let reason = || format!("no Azure AD role gets here, because {}: {what}", left.takers());
    left.ways.is_empty().then(|| Finding::warning(TOPIC, reason()))
}

/// Returns a finding if a `trust` line lets anyone log in as a role that is not linked, or will not
/// be: unlinking a role takes it off the lines for the two marker roles only. Lines above it do not
/// count (see `shadowing.rs`).
pub(crate) fn trusts_locals(line: &Line<'_>, earlier: &[Line<'_>]) -> Option<Finding> {
    if !line.users.beyond_markers {
        return None;
    }
    let is_reached = !Left::of(line, earlier, |earlier, _| covers_everyone(earlier)).ways.is_empty();
    let doubt = if is_reached { "" } else { DOUBT };
    if !line.users.all && line.users.local.is_empty() {
        return Some(Finding::danger(
            TOPIC,
            format!(
                "a role that is unlinked stays on this line, and everyone then gets in as it without a password{doubt}: \
                 limit it to +azure_ad_user; groups and single roles belong on lines for pam or oauth"
            ),
        ));
    }
    let role = if line.users.all {
        "any local role, superusers included,".to_owned()
    } else {
        let names = line.users.local.iter().map(|name| format!("\"{name}\""));
        format!("local role {}", first_few(names, NAMES_SHOWN).join(" or "))
    };
    Some(Finding::danger(
        TOPIC,
        format!(
            "everyone gets in here as {role} without a password{doubt}: remove this line, or limit it to +azure_ad_user"
        ),
    ))
}

/// Returns a finding if a line is of no use to Azure AD roles, and does no harm.
pub(crate) fn harmless(line: &Line<'_>, left: &Left<'_>) -> Option<Finding> {
    if line.rule.method == "reject" {
        return Some(Finding::ok(TOPIC, "it refuses Azure AD roles on purpose"));
    }
    let reason = || format!("Azure AD roles never get here: {}", left.takers());
    left.ways.is_empty().then(|| Finding::ok(TOPIC, reason()))
}

/// Returns what else gets the token of a client that a method asks for a password; none if the
/// token stays in the backend.
///
/// `password` compares what it gets with a hash, `md5` and `scram-sha-256` get a proof only, and
/// the others ask for nothing. `oauth` is not among them: its validator is a library of the server,
/// as this one is.
pub(crate) fn hands_on(method: &str, pam: Option<&Service>) -> Option<String> {
    let to = match (method, pam) {
        ("ldap", _) => "the LDAP server".to_owned(),
        ("radius", _) => "the RADIUS server".to_owned(),
        ("bsd", _) => "the login programs of the operating system".to_owned(),
        (_, Some(Service::Foreign(file))) => format!("the modules in {file}"),
        _ => return None,
    };
    Some(format!("{method} passes it on to {to}, where anyone who can read it can log in with it"))
}

/// Names a method that accepts no token.
pub(crate) fn named(method: &str, pam: Option<&Service>) -> String {
    match pam {
        Some(Service::Foreign(file)) => format!("pam by {file}, which does not name azure_ad_auth,"),
        _ => method.to_owned(),
    }
}

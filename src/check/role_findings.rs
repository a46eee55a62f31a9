//! The findings of `check_configuration()` about roles.

use hba::{Finding, Level};

use crate::check::roles::{self, Defect};
use crate::pg::spi::quoted;

const TOPIC: &str = "roles";

/// Returns a finding for each defect of a role, and for each role that may grant too much.
pub(crate) fn check() -> Vec<Finding> {
    let defects = roles::defects();
    let mut findings: Vec<_> =
        defects.iter().map(|(defect, role)| about(*defect, &role.display_name())).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(TOPIC, "every linked role is as it should be"));
    }
    findings.extend(roles::granters().into_iter().map(granter));
    findings
}

fn about(defect: Defect, name: &str) -> Finding {
    let (level, problem, advice) = match defect {
        Defect::Unguarded => (
            Level::Danger,
            "has no guard: on a server without azure_ad_auth a trust line lets everybody in as it",
            "SELECT azure_ad_auth.repair();",
        ),
        Defect::OldGuard => (
            Level::Warning,
            "has a guard of an earlier version, or an incomplete one, which keeps its sessions from loading \
             libraries that other sessions load",
            "SELECT azure_ad_auth.repair();",
        ),
        Defect::Password => {
            (Level::Warning, "is linked and has a password", "SELECT azure_ad_auth.repair();")
        }
        Defect::Privileged => (
            Level::Danger,
            "is linked and is a superuser, replication or BYPASSRLS role",
            "Take these attributes away, or unlink it: its logins are refused, and it can bypass its guard.",
        ),
        Defect::NoLogin => {
            let message = format!("role \"{name}\" is linked and is not permitted to log in");
            return Finding::notice(TOPIC, message)
                .advice(format!("If it should be: ALTER ROLE {} LOGIN;", quoted(name)));
        }
        Defect::Unlinked => (
            Level::Danger,
            "is a member of azure_ad_user or azure_ad_admin, directly or indirectly, and is not linked",
            "Link it, or revoke the membership: +azure_ad_user in pg_hba.conf matches it.",
        ),
        Defect::NotHandedOver => (
            Level::Notice,
            "was created by an Azure AD administrator elsewhere, on Azure or before PostgreSQL 16, and administrators \
             here cannot manage it yet",
            "SELECT azure_ad_auth.repair(); which grants it to them, or says in a NOTICE why not.",
        ),
    };
    Finding::new(level, TOPIC, format!("role \"{name}\" {problem}")).advice(advice)
}

/// Returns the finding for a role that may grant a role that administrators manage, because it was
/// an administrator once, for example.
fn granter(granter: roles::Granter) -> Finding {
    let text = format!(
        "role \"{}\" has the ADMIN option on role \"{}\" and can grant it, but is not an Azure AD administrator",
        granter.role, granter.granted
    );
    let level = if granter.is_link { Level::Warning } else { Level::Notice };
    Finding::new(level, TOPIC, text).advice(granter.revocation)
}

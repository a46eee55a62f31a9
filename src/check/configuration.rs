//! Everything that `check_configuration()` checks, in the order in which it is shown.
//!
//! A login depends on the library, the settings, the keys and their worker, the clock, the roles,
//! and the lines of pg_hba.conf. Each is checked, and also what is fine now and will not be after
//! the next restart.

use ::hba::Finding;

use crate::check::{config_files, directory, files, group_sync, hba, keys, library, policy, role_findings};
use crate::pg::library::{Preloaded, status};
use crate::{catalog, sessions, settings};

/// Returns what was found.
pub(crate) fn check() -> Vec<Finding> {
    let mut findings = vec![library::loaded()];
    if status() == Preloaded::ThisFile {
        let entries = config_files::entries();
        findings.extend(library::preloading(&entries));
        findings.push(library::versions());
        findings.extend(policy::check());
        findings.extend(files::check(&entries));
        findings.extend(keys::check());
        findings.extend(directory::check());
        findings.extend(group_sync::check());
        findings.push(policy::encryption());
        findings.push(administrators());
        findings.push(reaper());
        findings.push(revocations());
    }
    findings.extend(role_findings::check());
    findings.extend(hba::check());
    findings
}

fn administrators() -> Finding {
    const TOPIC: &str = "administrators";
    let Some(tenant) = catalog::associated_tenant() else {
        return Finding::danger(TOPIC, "every Azure AD login is refused: there is no Azure AD administrator")
            .advice("SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');");
    };
    if settings::tenant() == Some(tenant) {
        return Finding::ok(TOPIC, format!("there are administrators of tenant {tenant}"));
    }
    Finding::danger(
        TOPIC,
        format!(
            "every Azure AD login is refused: the administrators belong to tenant {tenant}, and \
             azure_ad_auth.tenant_id names another one"
        ),
    )
    .advice("Set azure_ad_auth.tenant_id, or remove the administrators and set others.")
}

fn reaper() -> Finding {
    if sessions::reaper_pid().is_some() {
        return Finding::ok("sessions", "the process that ends sessions is running");
    }
    Finding::danger(
        "sessions",
        "the process that ends sessions is not running: no session ends by expiry or revocation",
    )
    .advice(WORKER_ADVICE)
}

/// Advice for a background worker that does not run.
pub(crate) const WORKER_ADVICE: &str = "The server starts it again a second after it has ended. If it does not, \
    check max_worker_processes and the server log.";

/// Without the label of the marker role, no login can know which tokens are revoked.
fn revocations() -> Finding {
    if catalog::revocations().is_some() {
        return Finding::ok("revocations", "it is known which access tokens are revoked");
    }
    Finding::danger(
        "revocations",
        "every Azure AD login is refused: the label of role \"azure_ad_user\" cannot be read",
    )
    .advice(
        "SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL; then revoke again what is to stay revoked.",
    )
}

//! `check_configuration()`: whether everything is as it should be, and what to do where it is not.
//!
//! One look at everything that a login depends on: the library, the settings, the keys and their worker, the clock, the roles, and
//! the lines of pg_hba.conf; and at what is fine now and will not be after the next restart. Changes nothing and asks nobody
//! outside.

use crate::check::{files, keys, libraries};
use pgrx::prelude::*;

use crate::check::finding::{Finding, Level};
use crate::check::hba;
use crate::check::roles::{self, Defect};
use crate::pg::library::{self, Preloaded};
use crate::pg::spi::quoted;
use crate::pg::text::Text;
use crate::{catalog, keys as key_room, sessions, settings};

/// The resource that all of Azure's own databases share.
const SHARED_AUDIENCE: &str = "ossrdbms-aad.database";

/// Everything that was looked at, with what to do where something is wrong.
#[pg_extern(sql = false)]
fn check_configuration() -> TableIterator<
    'static,
    (
        name!(level, &'static str),
        name!(topic, &'static str),
        name!(message, Text),
        name!(what_to_do, Option<Text>),
    ),
> {
    let rows = findings().into_iter().map(|finding| {
        let (message, what_to_do) =
            (Text::shown(&finding.message), finding.what_to_do.as_deref().map(Text::shown));
        (finding.level.as_str(), finding.topic, message, what_to_do)
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

fn findings() -> Vec<Finding> {
    let mut findings = vec![library()];
    if library::status() == Preloaded::ThisFile {
        let entries = files::entries();
        findings.extend(libraries::findings(&entries));
        findings.push(versions());
        findings.extend(policy());
        findings.extend(files::findings(&entries));
        findings.extend(keys::findings(&key_room::status(), &key_room::rows()));
        findings.push(encryption());
        findings.push(administrators());
        findings.push(reaper());
        findings.push(revocations());
    }
    findings.extend(roles());
    findings.extend(lines());
    findings
}

fn library() -> Finding {
    match library::status() {
        Preloaded::ThisFile if library::is_gone() => Finding::danger(
            "library",
            "the file of azure_ad_auth is gone, and without it the server will not start again",
        )
        .advice("Install the library again before the server is restarted."),
        Preloaded::ThisFile if !library::is_replaced() => {
            Finding::ok("library", "the server has loaded azure_ad_auth")
        }
        Preloaded::ThisFile | Preloaded::AnotherFile => {
            Finding::warning("library", "the file of azure_ad_auth was replaced after the server started")
                .advice("Restart the server.")
        }
        Preloaded::No => Finding::danger(
            "library",
            "the server has not loaded azure_ad_auth: nobody logs in with a token",
        )
        .advice("Add azure_ad_auth to shared_preload_libraries in postgresql.conf and restart the server."),
    }
}

fn versions() -> Finding {
    const LIBRARY: &str = env!("CARGO_PKG_VERSION");
    match roles::extension_version() {
        Some(version) if version == LIBRARY => {
            Finding::ok("versions", format!("library and extension are of version {LIBRARY}"))
        }
        Some(version) => Finding::warning(
            "versions",
            format!("the library is of version {LIBRARY}, the extension in this database of {version}"),
        )
        .advice(
            "ALTER EXTENSION azure_ad_auth UPDATE; or restart the server, if the library is the older one.",
        ),
        None => Finding::warning("versions", "the extension is not in this database")
            .advice("CREATE EXTENSION azure_ad_auth;"),
    }
}

/// The settings that tokens are judged by.
fn policy() -> Vec<Finding> {
    if let Some(unknown) = settings::unknown::found() {
        return vec![
            Finding::danger(
                "settings",
                format!("every Azure AD login is refused: there is no setting {unknown}"),
            )
            .advice("Mend or remove it in the configuration file, and reload."),
        ];
    }
    let rules = match settings::rules() {
        Ok(rules) => rules,
        Err(fault) => {
            let text = format!("every Azure AD login is refused: {}.{fault}", settings::PREFIX);
            return vec![
                Finding::danger("settings", text)
                    .advice("Set it in postgresql.conf or by ALTER SYSTEM, and reload."),
            ];
        }
    };
    let mut findings =
        vec![Finding::ok("tenant", format!("tokens of tenant {} are accepted", rules.policy.tenant()))];
    for doubt in rules.policy.doubts() {
        let text = format!("{}.{doubt}", settings::PREFIX);
        findings.push(Finding::warning(doubt.setting, text).advice(
            "Compare it with \"found\" in the log line of a refused login, or with what azure_ad_auth.explain_token() finds.",
        ));
    }
    let audiences = rules.policy.audiences();
    let text = format!("tokens for {} are accepted", audiences.join(" or "));
    findings.push(if audiences.iter().any(|audience| audience.contains(SHARED_AUDIENCE)) {
        Finding::notice("audience", format!("{text}; that resource is Azure's own databases' too"))
            .advice("A token sent here would open its owner's databases on Azure as well: an app registration of your own would not.")
    } else {
        Finding::ok("audience", text)
    });
    findings
}

#[expect(unsafe_code, reason = "reads a setting of the server")]
fn encryption() -> Finding {
    // SAFETY: a constant C string; the text is copied at once.
    let tls = unsafe {
        let text = pg_sys::GetConfigOption(c"ssl".as_ptr(), true, false);
        !text.is_null() && std::ffi::CStr::from_ptr(text) == c"on"
    };
    match (tls, settings::require_tls()) {
        (true, true) => {
            Finding::ok("encryption", "TLS is on, and tokens are taken over TLS and Unix-domain sockets only")
        }
        (_, false) => Finding::danger(
            "encryption",
            "tokens are taken in clear as well: azure_ad_auth.require_tls is off",
        )
        .advice("Turn it on, and write hostssl lines: whoever reads a token on its way can use it."),
        (false, true) => {
            Finding::warning("encryption", "TLS is off: tokens are taken over Unix-domain sockets only")
                .advice("Set ssl = on.")
        }
    }
}

fn administrators() -> Finding {
    match (catalog::associated_tenant(), settings::tenant()) {
        (None, _) => Finding::danger("administrators", "every Azure AD login is refused: there is no Azure AD administrator")
            .advice("SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');"),
        (Some(tenant), configured) if configured != Some(tenant) => Finding::danger(
            "administrators",
            format!("every Azure AD login is refused: the administrators are of tenant {tenant}, and azure_ad_auth.tenant_id is another"),
        )
        .advice("Set azure_ad_auth.tenant_id, or remove the administrators and set others."),
        (Some(tenant), _) => Finding::ok("administrators", format!("there are administrators, of tenant {tenant}")),
    }
}

fn reaper() -> Finding {
    if sessions::reaper_pid().is_some() {
        return Finding::ok("sessions", "the process that ends sessions is there");
    }
    Finding::danger("sessions", "the process that ends sessions is away: none ends by expiry or revocation")
        .advice("It comes back a second after it has ended. If not: are there enough max_worker_processes?")
}

/// Without them nobody can say whose tokens count.
fn revocations() -> Finding {
    if catalog::revocations().is_some() {
        return Finding::ok("revocations", "it is known whose access tokens are revoked");
    }
    Finding::danger(
        "revocations",
        "every Azure AD login is refused: the label of role \"azure_ad_user\" cannot be read",
    )
    .advice(
        "SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL; then revoke again what is to stay revoked.",
    )
}

fn roles() -> Vec<Finding> {
    let defects = roles::defects();
    let mut granters = granters();
    if defects.is_empty() {
        granters.insert(0, Finding::ok("roles", "every linked role is as it should be"));
        return granters;
    }
    let findings = defects.iter().map(|(defect, role)| {
        let name = role.display_name();
        match defect {
            Defect::Unguarded => {
                Finding::danger("roles", format!("role \"{name}\" has no guard: on a server without azure_ad_auth a trust line lets everybody in as it"))
                    .advice("SELECT azure_ad_auth.repair();")
            }
            Defect::OldGuard => {
                Finding::warning("roles", format!("role \"{name}\" has a guard of an earlier version, or a part of one: it keeps libraries from the role that others load"))
                    .advice("SELECT azure_ad_auth.repair();")
            }
            Defect::Password => Finding::warning("roles", format!("role \"{name}\" is linked and has a password"))
                .advice("SELECT azure_ad_auth.repair();"),
            Defect::Privileged => {
                Finding::danger("roles", format!("role \"{name}\" is linked and is a superuser, replication or BYPASSRLS role"))
                    .advice("Take these away, or unlink it: its logins are refused, and its guard can be stepped around.")
            }
            Defect::NoLogin => Finding::notice("roles", format!("role \"{name}\" is linked and is not permitted to log in"))
                .advice(format!("If it should be: ALTER ROLE {} LOGIN;", quoted(&name))),
            Defect::Unlinked => Finding::danger("roles", format!("role \"{name}\" is an Azure AD role without a link, directly or as a member of one"))
                .advice("Link it, or revoke what makes it one: +azure_ad_user in pg_hba.conf matches it."),
            Defect::NotHandedOver => Finding::notice("roles", format!("role \"{name}\" was made by an Azure AD administrator elsewhere, on Azure or before PostgreSQL 16, and administrators here cannot manage it yet"))
                .advice("SELECT azure_ad_auth.repair(); which gives it to them, or says in a NOTICE why not."),
        }
    });
    findings.chain(granters).collect()
}

/// Who may hand a role on that administrators manage, and is none of them: one that was an administrator once, say.
fn granters() -> Vec<Finding> {
    let findings = roles::granters().into_iter().map(|granter| {
        let text = format!(
            "role \"{}\" may grant role \"{}\", whose ADMIN option it has, and is no Azure AD administrator",
            granter.role, granter.granted
        );
        let level = if granter.is_link { Level::Warning } else { Level::Notice };
        Finding::new(level, "roles", text).advice(granter.revocation)
    });
    findings.collect()
}

/// What `check_hba()` finds.
fn lines() -> Vec<Finding> {
    let rows = match hba::rows() {
        Ok(rows) => rows,
        // Where the file was replaced, and has been said to be.
        Err(fault) => {
            return vec![
                Finding::notice("pg_hba.conf", format!("its lines cannot be looked at: {}", fault.message()))
                    .advice("SELECT * FROM azure_ad_auth.check_hba();"),
            ];
        }
    };
    if !rows.iter().any(hba::Row::is_door) {
        return vec![
            Finding::danger("pg_hba.conf", "no line lets Azure AD roles in with a token")
                .advice("See \"Which door?\" in docs/doors.md."),
        ];
    }
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let level = row.level()?;
            let text = format!("line {} of {}: {}", row.number, row.file, row.reason);
            Some(Finding::new(level, "pg_hba.conf", text).advice("SELECT * FROM azure_ad_auth.check_hba();"))
        })
        .collect();
    if wrong.is_empty() { vec![Finding::ok("pg_hba.conf", "its lines are as they should be")] } else { wrong }
}

impl hba::Row {
    const fn level(&self) -> Option<Level> {
        match self.verdict {
            hba::Verdict::Ok => None,
            hba::Verdict::Warning => Some(Level::Warning),
            hba::Verdict::Danger => Some(Level::Danger),
        }
    }
}

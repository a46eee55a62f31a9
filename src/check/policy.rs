//! The settings that decide which tokens are accepted.

use hba::Finding;

use crate::pg::guc;
use crate::settings;

/// The resource that all of Azure's own databases share.
const SHARED_AUDIENCE: &str = "ossrdbms-aad.database";

/// Returns what is wrong with the settings, or which tokens they accept.
pub(crate) fn check() -> Vec<Finding> {
    if let Some(unknown) = settings::unknown::found() {
        return vec![
            Finding::danger(
                "settings",
                format!("every Azure AD login is refused: there is no setting {unknown}"),
            )
            .advice("Correct or remove it in the configuration file, and reload."),
        ];
    }
    let policy = match settings::rules() {
        Ok(rules) => rules.policy,
        Err(fault) => {
            let text = format!("every Azure AD login is refused: {fault}");
            return vec![
                Finding::danger("settings", text)
                    .advice("Set it in postgresql.conf or by ALTER SYSTEM, and reload."),
            ];
        }
    };
    let mut findings =
        vec![Finding::ok("tenant", format!("tokens of tenant {} are accepted", policy.tenant()))];
    findings.extend(policy.doubts().into_iter().map(|doubt| {
        Finding::warning(doubt.setting, doubt.to_string()).advice(
            "Compare it with \"found\" in the log line of a refused login, or with what azure_ad_auth.explain_token() finds.",
        )
    }));
    findings.push(audience(policy.audiences()));
    findings
}

fn audience(audiences: &[String]) -> Finding {
    let text = format!("tokens for {} are accepted", audiences.join(" or "));
    if audiences.iter().any(|audience| audience.contains(SHARED_AUDIENCE)) {
        Finding::notice("audience", format!("{text}; Azure's own databases use that resource as well"))
            .advice(
                "A token that is sent to this server is also valid for its owner's databases on Azure. \
             Use the resource of an app registration of your own.",
            )
    } else {
        Finding::ok("audience", text)
    }
}

/// Returns whether tokens are encrypted on their way.
pub(crate) fn encryption() -> Finding {
    const TOPIC: &str = "encryption";
    let has_tls = guc::value(c"ssl").is_some_and(|value| value == "on");
    match (has_tls, settings::require_tls()) {
        (true, true) => {
            Finding::ok(TOPIC, "TLS is on, and tokens are accepted over TLS and Unix-domain sockets only")
        }
        (_, false) => Finding::danger(
            TOPIC,
            "tokens are also accepted over unencrypted connections: azure_ad_auth.require_tls is off",
        )
        .advice("Turn it on, and write hostssl lines: anyone who reads a token on its way can use it."),
        (false, true) => {
            Finding::warning(TOPIC, "TLS is off: tokens are accepted over Unix-domain sockets only")
                .advice("Set ssl = on.")
        }
    }
}

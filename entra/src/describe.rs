//! Words about each check of a login, for `explain_token()`: what the check expects, and what it
//! found in a token.
//!
//! Nothing is decided here. All text from a token is escaped and cut, and none of its three parts
//! is shown as it came.

use crate::claims::Claims;
use crate::jws::Unverified;
use crate::kinds::{PrincipalKind, TokenKind};
use crate::limits;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::refusal::Listed;
use crate::step::Step;
use crate::token::Groups;
use crate::untrusted::Untrusted;

/// Shows a time, which is given in Unix seconds.
type ShowTime<'f> = &'f dyn Fn(i64) -> String;

/// Returns what a check of the token expects; none if `step` is not such a check.
#[must_use]
pub fn expected(step: Step, policy: &Policy, now: i64, time: ShowTime<'_>) -> Option<String> {
    let text = match step {
        Step::Size => format!("at most {} bytes", limits::MAX_TOKEN_BYTES),
        Step::Parts => "3 parts of base64url between dots, without padding, blanks or newlines".to_owned(),
        Step::Header | Step::Claims => "a JSON object without duplicate members".to_owned(),
        Step::Algorithm => "alg RS256".to_owned(),
        Step::KeyId => format!("kid of 1 to {} bytes, and no crit", limits::MAX_KEY_ID_BYTES),
        Step::Key => "a signing key of this id among those at hand".to_owned(),
        Step::Signature => "made by this key".to_owned(),
        Step::Version => "ver 1.0 or 2.0".to_owned(),
        Step::Tenant => format!("tid {}", policy.tenant()),
        Step::Issuer => format!("iss {}", policy.issuers().join(" or ")),
        Step::Audience => format!("aud {}", policy.audiences().join(" or ")),
        Step::Validity => {
            let (now, skew) = (time(now), policy.clock_skew());
            format!("nbf and iat not after, exp after {now}, with a leeway of {skew} s")
        }
        Step::Bearer => "no cnf; typ JWT or at+jwt; the ver of its issuer".to_owned(),
        Step::Client => match policy.clients() {
            [] => "any client application".to_owned(),
            clients => {
                let clients: Vec<_> = clients.iter().map(ToString::to_string).collect();
                format!("client application {}", clients.join(" or "))
            }
        },
        Step::Permission => match policy.required_permissions() {
            [] => "none required".to_owned(),
            names => {
                let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                format!("{} in scp (users) or roles (applications)", names.join(" and "))
            }
        },
        Step::Kind => "a user's (with scp) or an application's (idtyp app, or sub = oid)".to_owned(),
        Step::Object => "oid a uuid; groups and amr, if there, lists of texts".to_owned(),
        // Where there is no link. With one, `expected_by` returns the text.
        Step::Directory => NOTHING_AGAINST.to_owned(),
        _ => return None,
    };
    Some(text)
}

/// What the directory must say of any token.
const NOTHING_AGAINST: &str =
    "an owner that is neither disabled nor deleted, and whose sessions were not revoked since iat";

/// Returns what a check of the token against a link expects; none if `step` is not such a check.
#[must_use]
pub fn expected_by(step: Step, principal: &Principal, time: ShowTime<'_>) -> Option<String> {
    let object = principal.object_id;
    let text = match step {
        Step::Principal => {
            let whose = match principal.kind {
                Some(PrincipalKind::User) => format!("a user's token, oid {object}"),
                Some(PrincipalKind::Service) => {
                    format!("an application's token, oid or client application {object}")
                }
                Some(PrincipalKind::Group) => format!("a token whose groups list {object}"),
                None => format!("a token with oid {object}, or of client application {object}"),
            };
            match principal.tenant_id {
                Some(tenant) => format!("{whose}, of tenant {tenant}"),
                None => whose,
            }
        }
        Step::Mfa if principal.mfa => "amr lists mfa".to_owned(),
        Step::Mfa => "not asked for by this role".to_owned(),
        Step::NotBefore => match principal.not_before {
            Some(seconds) => format!("iat not before {}, and its object not revoked since", time(seconds)),
            None => "a token that has not been taken back".to_owned(),
        },
        Step::Directory => match principal.kind {
            Some(PrincipalKind::Group) => {
                format!("{NOTHING_AGAINST}, and membership in {object} if the token does not list it")
            }
            _ => NOTHING_AGAINST.to_owned(),
        },
        _ => return None,
    };
    Some(text)
}

/// Returns what a check that was made, and passed or not, found in the token; none if nothing of it
/// can be shown.
#[must_use]
pub fn found(step: Step, passed: bool, text: &[u8], time: ShowTime<'_>) -> Option<String> {
    let token = Unverified::parse(text).ok();
    let if_passed = |shown: &str| passed.then(|| shown.to_owned());
    match step {
        Step::Size => Some(format!("{} bytes", text.len())),
        Step::Parts => if_passed("3 parts"),
        Step::Header => if_passed("a JSON object"),
        Step::Algorithm => if_passed("alg RS256"),
        Step::KeyId | Step::Key => token.map(|token| format!("kid {}", Untrusted::new(token.key_id()))),
        Step::Signature if passed => Some("made by this key".to_owned()),
        Step::Signature => Some("not made by this key".to_owned()),
        // Claims are shown only after the signature has been verified.
        _ if step < Step::Claims => None,
        _ => found_in_claims(step, &token?.claims().ok()?, time),
    }
}

fn found_in_claims(step: Step, claims: &Claims, time: ShowTime<'_>) -> Option<String> {
    let shown = |names: &[&str]| names.iter().map(|name| claims.shown(name)).collect::<Vec<_>>().join(", ");
    let text = match step {
        Step::Claims => format!("{} claims", claims.count()),
        Step::Version => shown(&["ver"]),
        Step::Tenant => shown(&["tid"]),
        Step::Issuer => shown(&["iss"]),
        Step::Audience => shown(&["aud"]),
        Step::Validity => {
            let times = ["nbf", "iat", "exp"].map(|name| match claims.whole_number(name) {
                Some(seconds) => format!("{name} {}", time(seconds)),
                None => claims.shown(name),
            });
            times.join(", ")
        }
        Step::Bearer => {
            let bound = if claims.has("cnf") { "cnf" } else { "no cnf" };
            format!("{bound}, {}", shown(&["ver", "iss"]))
        }
        Step::Client => shown(&[claims.client_claim()]),
        Step::Permission => shown(&["scp", "roles"]),
        Step::Kind => match claims.kind() {
            Ok(Some(kind)) => whose(kind).to_owned(),
            _ => shown(&["scp", "idtyp", "sub"]),
        },
        Step::Object => shown(&["oid", "groups", "amr"]),
        Step::Principal => {
            let kind = claims.kind().ok().flatten().map(whose)?;
            let groups = match claims.groups() {
                Ok(Groups::Listed { ids, others: 0 }) => format!("{} groups", ids.len()),
                Ok(Groups::Listed { ids, others }) => {
                    format!("groups: {}", Listed { ids: ids.len(), others })
                }
                Ok(Groups::Overage) => "too many groups to list".to_owned(),
                Err(_) => "groups that cannot be read".to_owned(),
            };
            format!("{kind} token, {}, {groups}", shown(&["oid", claims.client_claim(), "tid"]))
        }
        Step::Mfa => shown(&["amr"]),
        Step::NotBefore => format!("iat {}", time(claims.whole_number("iat")?)),
        Step::Directory => shown(&["oid"]),
        _ => return None,
    };
    Some(text)
}

const fn whose(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::User => "a user's",
        TokenKind::Service => "an application's",
    }
}

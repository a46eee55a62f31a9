//! The checks of a login by name, and what each asks for and has found, in words: for an administrator who wants to know why a
//! login failed.
//!
//! Nothing is judged here. Whatever judges takes a [`Witness`] and tells it of each check before making it; a login's is `()`. What
//! is shown of a token is escaped and cut, and never a piece of its three parts as they came.

use crate::claims::Claims;
use crate::jws::{Groups, TokenKind, Unverified};
use crate::limits;
use crate::policy::Policy;
use crate::principal::{Principal, PrincipalKind};
use crate::refusal::Listed;
use crate::untrusted::Untrusted;

/// Lists the steps once: their names, and their order.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident $name:literal,)*) => {
        /// A check of a login.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Step { $($(#[$doc])* $step,)* }

        impl Step {
            /// Every step, in the order in which a login takes them.
            pub const ALL: &[Self] = &[$(Self::$step,)*];

            /// The name, as it is shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$step => $name,)* }
            }
        }
    };
}

steps! {
    /// The server's settings.
    Configuration "configuration",
    /// There is an administrator, of the configured tenant.
    Administrator "administrator",
    /// The role may log in, and is not privileged. Decided before a token is asked for, as the two above.
    Role "role",
    /// The token's size.
    Size "size",
    /// Three parts of base64url.
    Parts "parts",
    /// The header is JSON of the strict kind.
    Header "header",
    /// `alg`.
    Algorithm "algorithm",
    /// `kid`, and no `crit`.
    KeyId "key_id",
    /// There is a key of that id.
    Key "key",
    /// The signature.
    Signature "signature",
    /// The claims are JSON of the strict kind.
    Claims "claims",
    /// `ver`.
    Version "version",
    /// `tid`.
    Tenant "tenant",
    /// `iss`, and the issuer of the key.
    Issuer "issuer",
    /// `aud`.
    Audience "audience",
    /// `nbf`, `iat` and `exp`.
    Validity "validity",
    /// A bearer's access token: no `cnf`, no other `typ`, the `ver` of its issuer.
    Bearer "bearer",
    /// The client application.
    Client "client",
    /// The scope or app role.
    Permission "permission",
    /// A user's or an application's.
    Kind "kind",
    /// `oid`, and the form of what else is said of it.
    Object "object",
    /// The role is linked.
    Link "link",
    /// The token's object is the one the role is linked to.
    Principal "principal",
    /// The second factor.
    Mfa "mfa",
    /// The token has not been taken back.
    NotBefore "not_before",
}

/// Is told of each check before it is made.
pub trait Witness {
    /// This check comes next.
    fn reach(&mut self, step: Step);
}

/// Nobody looks on.
impl Witness for () {
    fn reach(&mut self, _step: Step) {}
}

/// Remembers which checks were made.
#[derive(Debug, Default)]
pub struct Trail(Vec<Step>);

impl Witness for Trail {
    fn reach(&mut self, step: Step) {
        self.0.push(step);
    }
}

impl Trail {
    /// The checks, in the order in which they were made.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// How a time is shown; in Unix seconds.
pub type ShowTime<'f> = &'f dyn Fn(i64) -> String;

/// What a check of the token asks for; none: it is no check of the token.
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
        Step::Permission => policy.required_permission().map_or_else(
            || "none required".to_owned(),
            |name| format!("\"{name}\" in scp (users) or roles (applications)"),
        ),
        Step::Kind => "a user's (with scp) or an application's (idtyp app, or sub = oid)".to_owned(),
        Step::Object => "oid a uuid; groups and amr, if there, lists of texts".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// What a check of the token against a link asks for; none: it is no such check.
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
        _ => return None,
    };
    Some(text)
}

/// What a check that was made, and passed or not, has found in the token; none: nothing that can be shown.
#[must_use]
pub fn found(step: Step, passed: bool, text: &[u8], time: ShowTime<'_>) -> Option<String> {
    let token = Unverified::parse(text).ok();
    let on_success = |said: &str| passed.then(|| said.to_owned());
    match step {
        Step::Size => Some(format!("{} bytes", text.len())),
        Step::Parts => on_success("3 parts"),
        Step::Header => on_success("a JSON object"),
        Step::Algorithm => on_success("alg RS256"),
        Step::KeyId | Step::Key => token.map(|token| format!("kid {}", Untrusted::new(token.key_id()))),
        Step::Signature if passed => Some("made by this key".to_owned()),
        Step::Signature => Some("not made by this key".to_owned()),
        // What is not vouched for by a signature is not shown.
        _ if step < Step::Claims => None,
        _ => found_in_claims(step, &token?.claims().ok()?, time),
    }
}

fn found_in_claims(step: Step, claims: &Claims, time: ShowTime<'_>) -> Option<String> {
    let said = |names: &[&str]| names.iter().map(|name| claims.said(name)).collect::<Vec<_>>().join(", ");
    let text = match step {
        Step::Claims => format!("{} claims", claims.count()),
        Step::Version => said(&["ver"]),
        Step::Tenant => said(&["tid"]),
        Step::Issuer => said(&["iss"]),
        Step::Audience => said(&["aud"]),
        Step::Validity => {
            let times = ["nbf", "iat", "exp"].map(|name| match claims.whole_number(name) {
                Some(seconds) => format!("{name} {}", time(seconds)),
                None => claims.said(name),
            });
            times.join(", ")
        }
        Step::Bearer => {
            let bound = if claims.has("cnf") { "cnf" } else { "no cnf" };
            format!("{bound}, {}", said(&["ver", "iss"]))
        }
        Step::Client => said(&[claims.client_claim()]),
        Step::Permission => said(&["scp", "roles"]),
        Step::Kind => match claims.kind() {
            Ok(Some(kind)) => whose(kind).to_owned(),
            _ => said(&["scp", "idtyp", "sub"]),
        },
        Step::Object => said(&["oid", "groups", "amr"]),
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
            format!("{kind} token, {}, {groups}", said(&["oid", claims.client_claim(), "tid"]))
        }
        Step::Mfa => said(&["amr"]),
        Step::NotBefore => format!("iat {}", time(claims.whole_number("iat")?)),
        _ => return None,
    };
    Some(text)
}

const fn whose(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::User => "a user's",
        TokenKind::Application => "an application's",
    }
}

//! Why a session ends that was let in with a token, and the line in the log that says so.

use entra::directory::login::Refused;

use crate::pg::timestamp::timestamp;
use crate::report;
use crate::sessions::Session;

/// Why a session ends that was let in with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its token has expired, and the grace is over.
    Expired,
    /// Its token was issued before the time from which the role's tokens count.
    TokensRevoked,
    /// The role has lost its link.
    Unlinked,
    /// The role has been linked to another object.
    Rebound,
    /// The role asks for more than its token says: a second factor, or a token of another kind.
    TermsChanged,
    /// There is no such role any more.
    RoleDropped,
    /// There is no administrator any more.
    NoAdmin,
    /// The directory has something against the token's owner, or says that the owner has left the
    /// group.
    Directory(Refused),
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TokensRevoked => "tokens_revoked",
            Self::Unlinked => "unlinked",
            Self::Rebound => "rebound",
            Self::TermsChanged => "terms_changed",
            Self::RoleDropped => "role_dropped",
            Self::NoAdmin => "no_admin",
            Self::Directory(reason) => reason.as_str(),
        }
    }
}

/// Logs that a session has been asked to end.
pub(super) fn log_ending(session: &Session, role: &str, reason: Ending) {
    report::log_facts(
        &format!("ended reason={}", reason.as_str()),
        &[
            ("role", role),
            ("door", &session.door.text()),
            ("session", &session.log_line_id.text()),
            ("pid", &session.pid.to_string()),
            ("oid", &session.bearer.object_id.to_string()),
            ("tid", &session.bearer.tenant.to_string()),
            ("issued_at", &timestamp(session.issued_at)),
            ("expires_at", &timestamp(session.expires_at)),
        ],
    );
}

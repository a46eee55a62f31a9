//! Who is to be looked at. What roles are linked to, and who is logged in, is known on higher
//! floors.

use entra::directory::look;
use entra::{TokenKind, Uuid};

/// A session that logged in with a token, as far as the worker must know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenSession {
    /// The token's own object.
    pub(crate) person: Uuid,
    /// Whether that is a user's or a service's.
    pub(crate) kind: TokenKind,
    /// The group by which it was let in, if it was by one.
    pub(crate) group: Option<Uuid>,
    /// `iat` of its token, Unix seconds.
    pub(crate) issued_at: i64,
    /// `exp` of its token, Unix seconds.
    pub(crate) expires_at: i64,
}

/// The objects that roles are linked to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linked {
    pub(crate) objects: Vec<look::Polled>,
    /// The ids of those that administrators are linked to.
    pub(crate) administrators: Vec<Uuid>,
}

/// Who is to be looked at.
pub(crate) trait Polled: 'static {
    /// Returns what roles are linked to. Called in a transaction.
    fn linked() -> Linked;
    /// Returns the sessions that logged in with a token.
    fn open_sessions() -> Vec<OpenSession>;
    /// Called when a look has found somebody who may not be in any more, and logins know it.
    fn somebody_is_out();
}

//! Whose state in the directory matters: the objects that roles are linked to, and those that are
//! logged in.

use entra::Uuid;
use entra::directory::look;

use crate::directory::{OpenSession, Polled};
use crate::sessions::memory;

/// The linked objects and the open sessions.
pub(crate) struct LinkedAndLoggedIn;

impl Polled for LinkedAndLoggedIn {
    fn linked() -> Vec<look::Polled> {
        Vec::new()
    }

    fn administrators() -> Vec<Uuid> {
        Vec::new()
    }

    fn open_sessions() -> Vec<OpenSession> {
        let sessions = memory::sessions();
        let of = |session: &crate::sessions::Session| OpenSession {
            person: session.bearer.object_id,
            kind: session.bearer.kind,
            group: session.bearer.group,
            issued_at: session.issued_at,
            expires_at: session.expires_at,
        };
        sessions.iter().map(of).collect()
    }
}

//! Whose state in the directory matters: the objects that roles are linked to, and those that are
//! logged in.

use entra::PrincipalKind;
use entra::directory::look;
use entra::directory::request::Kind;

use crate::catalog;
use crate::directory::{Linked, OpenSession, Polled};
use crate::sessions::{Session, memory};

/// The linked objects and the open sessions.
pub(crate) struct LinkedAndLoggedIn;

impl Polled for LinkedAndLoggedIn {
    fn linked() -> Linked {
        catalog::accept_changes();
        let administrators = catalog::administrator_ids();
        let mut linked = Linked::default();
        for (role, object, kind) in catalog::linked_objects() {
            let kind = kind.map(of);
            linked.objects.push(look::Polled { id: object, kind, has_session: false, is_deleted: false });
            if administrators.contains(&role.to_u32()) {
                linked.administrators.push(object);
            }
        }
        linked
    }

    fn open_sessions() -> Vec<OpenSession> {
        let of = |session: &Session| OpenSession {
            person: session.bearer.object_id,
            kind: session.bearer.kind,
            group: session.bearer.group,
            issued_at: session.issued_at,
            expires_at: session.expires_at,
        };
        memory::sessions().iter().map(of).collect()
    }

    fn somebody_is_out() {
        memory::wake_reaper();
    }
}

const fn of(kind: PrincipalKind) -> Kind {
    match kind {
        PrincipalKind::User => Kind::User,
        PrincipalKind::Group => Kind::Group,
        PrincipalKind::Service => Kind::Application,
    }
}

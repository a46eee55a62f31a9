//! How a look begins: whom it is about.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use entra::TokenKind;
use entra::directory::features::Feature;
use entra::directory::look;
use entra::directory::request::Kind;
use pgrx::bgworkers::BackgroundWorker;

use crate::directory::graph::Graph;
use crate::directory::look::{Plan, look};
use crate::directory::memory::{people, publish};
use crate::directory::polled::{Linked, Polled};
use crate::directory::worker::threads::{Leash, Looking};
use crate::directory::worker::{DirectoryWorker, Done, LONGEST_LOOK};
use crate::pg::clock;

impl<P: Polled> DirectoryWorker<P> {
    /// Begins a look.
    pub(super) fn look(&mut self, graph: &Arc<Graph>) {
        publish::begin();
        let sessions = P::open_sessions();
        self.known.logged_in = sessions.iter().map(|session| session.person).collect();
        let Linked { mut objects, administrators } =
            BackgroundWorker::transaction(AssertUnwindSafe(P::linked));
        objects.extend(sessions.iter().map(|session| look::Polled {
            id: session.person,
            kind: Some(if session.kind == TokenKind::User { Kind::User } else { Kind::Application }),
            has_session: true,
            is_deleted: false,
        }));
        // Who is out is looked at also when no role is linked to it any more: it may come back.
        let out = self.known.out();
        objects.extend(out.map(|id| look::Polled { id, kind: None, has_session: false, is_deleted: false }));
        for polled in &mut objects {
            polled.is_deleted = self.known.is_deleted(polled.id);
        }
        let plan = Plan {
            polled: objects,
            own: self.known.own,
            memory: self.known.memory.clone(),
            pairs: self.known.memberships.ask_about(&sessions, clock::unix_now()),
            probes: unproved(),
        };
        self.run += 1;
        let graph = Arc::clone(graph);
        let leash = Leash::new(LONGEST_LOOK);
        let limit = leash.limit();
        match self.mailbox.start(self.run, move || Done::Look(Box::new(look(&graph, plan, limit)))) {
            Ok(()) => self.looking = Some(Looking { run: self.run, leash, administrators }),
            Err(fault) => self.failed(&format!("a look cannot be started: {fault}"), None),
        }
    }
}

/// Returns the kinds of which it is not known that all can be read that there is to read.
fn unproved() -> Vec<Kind> {
    let features = people::read(|people| people.features);
    let works = |feature: Feature| features.get(feature).available == Some(true);
    let is_open = |kind: &Kind| {
        !works(Feature::names_of(*kind)) || Feature::states_of(*kind).is_some_and(|states| !works(states))
    };
    Kind::ALL.into_iter().filter(is_open).collect()
}

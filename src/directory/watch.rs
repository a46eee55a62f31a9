//! The memberships that open sessions were admitted by: which are asked about, which have ended.

use std::collections::{BTreeMap, BTreeSet};

use entra::TokenKind;
use entra::directory::login::Pair;
use entra::directory::membership::Membership;

use crate::directory::memory::people::{Left, MAX_LEFT};
use crate::directory::polled::OpenSession;

/// What is known about a membership.
#[derive(Debug, Clone, Copy)]
struct Watched {
    membership: Membership,
    kind: TokenKind,
    /// `iat` of the youngest token that was shown for it, Unix seconds.
    issued_at: i64,
    /// When the last of those tokens expires, Unix seconds.
    expires_at: i64,
}

/// The memberships that are asked about: those of open sessions, those of sessions whose token is
/// still valid, and those that have ended.
#[derive(Debug, Default)]
pub(super) struct Memberships(BTreeMap<Pair, Watched>);

impl Memberships {
    /// Takes in what an earlier life of the server knew. What kind the principal is is not known;
    /// most are users.
    pub(super) fn restore(&mut self, ended: &[(Pair, i64)]) {
        for (pair, ended_at) in ended {
            let membership = Membership::ended(*ended_at);
            let watched = Watched { membership, kind: TokenKind::User, issued_at: 0, expires_at: 0 };
            self.0.insert(*pair, watched);
        }
    }

    /// Forgets how often memberships were missed, but not which have ended.
    pub(super) fn restart(&mut self) {
        self.0.retain(|_, watched| watched.membership.ended_at().is_some());
    }

    /// Takes in the open sessions at `now` (Unix seconds). Returns the memberships to ask about, at
    /// most so many.
    pub(super) fn ask_about(&mut self, sessions: &[OpenSession], now: i64) -> Vec<(Pair, TokenKind)> {
        for session in sessions {
            let Some(group) = session.group else { continue };
            let pair = Pair { person: session.person, group };
            let room = self.0.len() < MAX_LEFT;
            let new = Watched {
                membership: Membership::default(),
                kind: session.kind,
                issued_at: session.issued_at,
                expires_at: session.expires_at,
            };
            let watched = match self.0.get_mut(&pair) {
                Some(watched) => watched,
                None if room => self.0.entry(pair).or_insert(new),
                None => continue,
            };
            watched.kind = session.kind;
            watched.issued_at = watched.issued_at.max(session.issued_at);
            watched.expires_at = watched.expires_at.max(session.expires_at);
        }
        let pair = |session: &OpenSession| Some(Pair { person: session.person, group: session.group? });
        let open: BTreeSet<_> = sessions.iter().filter_map(pair).collect();
        self.0.retain(|pair, watched| {
            watched.membership.matters(now) || watched.expires_at > now || open.contains(pair)
        });
        self.0.iter().map(|(pair, watched)| (*pair, watched.kind)).collect()
    }

    /// Takes in the answers of a look at `now` (Unix seconds). Returns the memberships that have
    /// begun or ceased to count as ended.
    pub(super) fn note(&mut self, answers: &BTreeMap<Pair, Option<bool>>, now: i64) -> Vec<(Pair, bool)> {
        let mut changed = Vec::new();
        for (pair, is_member) in answers {
            let Some(watched) = self.0.get_mut(pair) else { continue };
            let before = watched.membership.ended_at().is_some();
            watched.membership.note(*is_member, watched.issued_at, now);
            let after = watched.membership.ended_at().is_some();
            if before != after {
                changed.push((*pair, after));
            }
        }
        changed
    }

    /// Takes in the answer to a login's question that a principal is in a group. Returns whether the
    /// membership counted as ended until now.
    pub(super) fn note_member(&mut self, pair: Pair, now: i64) -> bool {
        !self.note(&BTreeMap::from([(pair, Some(true))]), now).is_empty()
    }

    /// Returns the memberships that have ended, sorted, as far as they matter at `now` (Unix
    /// seconds).
    pub(super) fn ended(&self, now: i64) -> Vec<Left> {
        let left = self.0.iter().filter_map(|(pair, watched)| {
            let ended_at = watched.membership.ended_at().filter(|_| watched.membership.matters(now))?;
            Some(Left { pair: *pair, ended_at })
        });
        left.take(MAX_LEFT).collect()
    }
}

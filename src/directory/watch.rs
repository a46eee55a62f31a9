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
    /// Nothing has said yet that this is the principal's kind.
    is_kind_guessed: bool,
    /// `iat` of the youngest token that was shown for it, Unix seconds.
    issued_at: i64,
    /// When the last of those tokens expires, Unix seconds.
    expires_at: i64,
}

/// The memberships that are asked about: those of open sessions, those of sessions whose token is
/// still valid, and those that have ended.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    watched: BTreeMap<Pair, Watched>,
    /// So many memberships of open sessions have found no room.
    left_out: usize,
}

impl Memberships {
    /// Takes in what an earlier life of the server knew. What kind the principal is is not known;
    /// most are users.
    pub(super) fn restore(&mut self, ended: &[(Pair, i64)]) {
        for (pair, ended_at) in ended {
            let watched = Watched {
                membership: Membership::ended(*ended_at),
                kind: TokenKind::User,
                is_kind_guessed: true,
                issued_at: 0,
                expires_at: 0,
            };
            self.watched.insert(*pair, watched);
        }
    }

    /// Forgets how often memberships were missed, but not which have ended.
    pub(super) fn restart(&mut self) {
        self.watched.retain(|_, watched| watched.membership.ended_at().is_some());
    }

    /// Takes in the open sessions at `now` (Unix seconds). Returns the memberships to ask about, at
    /// most so many. If there is no room, those of open sessions take the place of others that have
    /// not ended.
    pub(super) fn ask_about(&mut self, sessions: &[OpenSession], now: i64) -> Vec<(Pair, TokenKind)> {
        let pair = |session: &OpenSession| Some(Pair { person: session.person, group: session.group? });
        let open: BTreeSet<_> = sessions.iter().filter_map(pair).collect();
        self.watched.retain(|pair, watched| {
            watched.membership.matters(now) || watched.expires_at > now || open.contains(pair)
        });
        let mut left_out = BTreeSet::new();
        for session in sessions {
            let Some(pair) = pair(session) else { continue };
            if !self.watched.contains_key(&pair) && !self.has_room(&open) {
                left_out.insert(pair);
                continue;
            }
            let watched = self.watched.entry(pair).or_insert_with(|| Watched {
                membership: Membership::default(),
                kind: session.kind,
                is_kind_guessed: false,
                issued_at: session.issued_at,
                expires_at: session.expires_at,
            });
            (watched.kind, watched.is_kind_guessed) = (session.kind, false);
            watched.issued_at = watched.issued_at.max(session.issued_at);
            watched.expires_at = watched.expires_at.max(session.expires_at);
        }
        self.left_out = left_out.len();
        self.watched.iter().map(|(pair, watched)| (*pair, watched.kind)).collect()
    }

    /// Returns whether there is room for another membership, made if need be.
    fn has_room(&mut self, open: &BTreeSet<Pair>) -> bool {
        if self.watched.len() < MAX_LEFT {
            return true;
        }
        let is_spare = |(pair, watched): &(&Pair, &Watched)| {
            watched.membership.ended_at().is_none() && !open.contains(pair)
        };
        let spare = self.watched.iter().find(is_spare).map(|(pair, _)| *pair);
        spare.is_some_and(|pair| self.watched.remove(&pair).is_some())
    }

    /// Returns how many memberships of open sessions are not asked about, because there is no room.
    pub(super) const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Takes in the answers of a look at `now` (Unix seconds). Returns the memberships that have
    /// begun or ceased to count as ended.
    pub(super) fn note(&mut self, answers: &BTreeMap<Pair, Option<bool>>, now: i64) -> Vec<(Pair, bool)> {
        let mut changed = Vec::new();
        for (pair, is_member) in answers {
            let Some(watched) = self.watched.get_mut(pair) else { continue };
            let before = watched.membership.ended_at().is_some();
            match is_member {
                Some(_) => watched.is_kind_guessed = false,
                // Nobody of that kind has the id, perhaps. The next look asks about the other one.
                None if watched.is_kind_guessed => watched.kind = other(watched.kind),
                None => {}
            }
            watched.membership.note(*is_member, watched.issued_at, now);
            let after = watched.membership.ended_at().is_some();
            if before != after {
                changed.push((*pair, after));
            }
        }
        changed
    }

    /// Takes in the answer to a login's question that a principal is in a group. Returns whether
    /// the membership counted as ended until now.
    pub(super) fn note_member(&mut self, pair: Pair, now: i64) -> bool {
        !self.note(&BTreeMap::from([(pair, Some(true))]), now).is_empty()
    }

    /// Returns the memberships that have ended, sorted, as far as they matter at `now` (Unix
    /// seconds).
    pub(super) fn ended(&self, now: i64) -> Vec<Left> {
        let left = self.watched.iter().filter_map(|(pair, watched)| {
            let ended_at = watched.membership.ended_at().filter(|_| watched.membership.matters(now))?;
            Some(Left { pair: *pair, ended_at })
        });
        left.take(MAX_LEFT).collect()
    }
}

const fn other(kind: TokenKind) -> TokenKind {
    match kind {
        TokenKind::User => TokenKind::Service,
        TokenKind::Service => TokenKind::User,
    }
}

#[cfg(test)]
mod tests {
    use entra::Uuid;

    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn pair(number: usize) -> Pair {
        let number = u128::try_from(number).expect("a number");
        Pair { person: Uuid::from_u128(number), group: Uuid::from_u128(1) }
    }

    fn sessions(numbers: impl Iterator<Item = usize>, expires_at: i64) -> Vec<OpenSession> {
        let session = |number| OpenSession {
            person: pair(number).person,
            kind: TokenKind::User,
            group: Some(pair(number).group),
            issued_at: NOW - 3_600,
            expires_at,
        };
        numbers.map(session).collect()
    }

    #[test]
    fn open_sessions_find_room_before_others() {
        let mut memberships = Memberships::default();
        let asked = memberships.ask_about(&sessions(0..MAX_LEFT, NOW + 60), NOW);
        assert_eq!((asked.len(), memberships.left_out()), (MAX_LEFT, 0));
        let no = BTreeMap::from([(pair(0), Some(false))]);
        assert_eq!((memberships.note(&no, NOW), memberships.note(&no, NOW)), (vec![], vec![(pair(0), true)]));
        // The sessions have ended, their tokens have not.
        let others = sessions(MAX_LEFT..2 * MAX_LEFT, NOW + 60);
        let asked = memberships.ask_about(&others, NOW);
        assert_eq!((asked.len(), memberships.left_out()), (MAX_LEFT, 1));
        assert!(asked.iter().any(|(asked, _)| *asked == pair(0)), "what has ended stays");
        // Those whose tokens have expired make room.
        let asked = memberships.ask_about(&sessions(0..MAX_LEFT, NOW + 120), NOW + 90);
        assert_eq!((asked.len(), memberships.left_out()), (MAX_LEFT, 0));
    }

    #[test]
    fn a_kind_that_is_not_known_is_found_by_asking() {
        let mut memberships = Memberships::default();
        memberships.restore(&[(pair(7), NOW)]);
        let kind = |memberships: &mut Memberships| memberships.ask_about(&[], NOW).pop().expect("a pair").1;
        assert_eq!(kind(&mut memberships), TokenKind::User);
        memberships.note(&BTreeMap::from([(pair(7), None)]), NOW);
        assert_eq!(kind(&mut memberships), TokenKind::Service);
        memberships.note(&BTreeMap::from([(pair(7), Some(false))]), NOW);
        memberships.note(&BTreeMap::from([(pair(7), None)]), NOW);
        assert_eq!(kind(&mut memberships), TokenKind::Service);
        memberships.note(&BTreeMap::from([(pair(7), Some(true))]), NOW);
        assert!(memberships.ask_about(&[], NOW).is_empty());
    }
}

//! Objects whose tokens no longer count, whatever role they are shown for: a person who is to be out, everywhere.
//!
//! A text that fits a label: `revoked[,*=<unix seconds>][,<uuid>=<unix seconds>]…`, the tokens of that object issued earlier being
//! refused; `*` is everybody. Entries older than any token are forgotten. There is room for so many objects that are somebody, and for
//! as many of which nothing is known, lest ids that somebody has invented take the room of the others. When it is used up, the
//! oldest entry of the sort is made one for everybody, which refuses more and never less: nothing that is revoked is forgotten before
//! its time, for an object of which nothing is known may be linked, or come in by a group, at any moment.

use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::jws::{Token, TokenKind};
use crate::limits;
use crate::refusal::Refusal;

/// What the text begins with.
const KEYWORD: &str = "revoked";

/// Most objects of each of the two sorts. Each takes 48 bytes of [`limits::MAX_REVOCATIONS_BYTES`].
const MAX_OBJECTS: usize = 16;

/// No access token lives for longer, in seconds: Entra's live for a day at most ("Configurable token lifetimes", Microsoft), and a week
/// leaves room for other providers.
const LONGEST_LIFE: i64 = 7 * 86_400;

/// Whether a token that was issued before `not_before` may still be shown to anyone at `now` (both Unix seconds).
#[must_use]
pub const fn may_still_be_shown(not_before: i64, now: i64) -> bool {
    not_before > now.saturating_sub(LONGEST_LIFE)
}

/// Objects, and from when on their tokens count again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    everybody: Option<i64>,
    objects: Vec<(Uuid, i64)>,
}

impl Revocations {
    /// Reads the text; none if it is no such text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > limits::MAX_REVOCATIONS_BYTES {
            return None;
        }
        let mut items = text.split(',');
        if items.next() != Some(KEYWORD) {
            return None;
        }
        let mut read = Self::default();
        for item in items {
            let (name, seconds) = item.split_once('=')?;
            let not_before = seconds.parse().ok().filter(|seconds| *seconds >= 0)?;
            if name == "*" {
                if read.everybody.replace(not_before).is_some() {
                    return None;
                }
            } else {
                let object = parse_uuid(name)?;
                if read.objects.iter().any(|(other, _)| *other == object) {
                    return None;
                }
                read.objects.push((object, not_before));
            }
        }
        Some(read)
    }

    /// Forgets what no token is old enough for, at `now` (Unix seconds).
    pub fn forget(&mut self, now: i64) {
        self.objects.retain(|(_, not_before)| may_still_be_shown(*not_before, now));
        self.everybody = self.everybody.filter(|not_before| may_still_be_shown(*not_before, now));
    }

    /// Whether no token is old enough, at `now` (Unix seconds), to be refused.
    #[must_use]
    pub fn is_over(mut self, now: i64) -> bool {
        self.forget(now);
        self == Self::default()
    }

    /// Whether one more object can be refused without refusing everybody's older tokens. `is_known` says of an object whether it is
    /// somebody: linked to a role, or logged in.
    #[must_use]
    pub fn has_room_for(&self, object: Uuid, is_known: impl Fn(Uuid) -> bool) -> bool {
        let of_its_sort = self.count(|other| is_known(other) == is_known(object));
        self.objects.iter().any(|(other, _)| *other == object)
            || (of_its_sort < MAX_OBJECTS && self.objects.len() < 2 * MAX_OBJECTS)
    }

    /// Refuses tokens of an object that were issued before `not_before` (Unix seconds). An earlier time than the one that stands
    /// changes nothing. Where there is no room, the oldest of its sort gives way, and then the oldest of which nothing is known.
    pub fn revoke(&mut self, object: Uuid, not_before: i64, is_known: impl Fn(Uuid) -> bool) {
        match self.objects.iter_mut().find(|(other, _)| *other == object) {
            Some((_, stands)) => *stands = not_before.max(*stands),
            None => self.objects.push((object, not_before)),
        }
        self.objects.sort_by_key(|(_, not_before)| *not_before);
        let sort = is_known(object);
        while self.count(|other| is_known(other) == sort) > MAX_OBJECTS {
            self.give_up(|other| is_known(other) == sort);
        }
        while self.objects.len() > 2 * MAX_OBJECTS {
            self.give_up(|other| !is_known(other));
        }
    }

    fn count(&self, which: impl Fn(Uuid) -> bool) -> usize {
        self.objects.iter().filter(|(object, _)| which(*object)).count()
    }

    /// Makes the oldest entry of a sort, or the oldest of all, one for everybody.
    fn give_up(&mut self, which: impl Fn(Uuid) -> bool) {
        let place = self.objects.iter().position(|(object, _)| which(*object)).unwrap_or(0);
        if place < self.objects.len() {
            let (_, oldest) = self.objects.remove(place);
            self.everybody = self.everybody.max(Some(oldest));
        }
    }

    /// Whether a token still counts.
    ///
    /// # Errors
    /// [`Refusal::TokenRevoked`].
    pub fn check(&self, token: &Token) -> Result<(), Refusal> {
        let issued_at = token.issued_at;
        match self.not_before(token.object_id, token.kind, token.application) {
            Some(not_before) if issued_at < not_before => {
                Err(Refusal::TokenRevoked { issued_at, not_before })
            }
            _ => Ok(()),
        }
    }

    /// From when on a token of this object counts; none: always has. An application is meant by its client id too.
    #[must_use]
    pub fn not_before(&self, object: Uuid, kind: TokenKind, application: Option<Uuid>) -> Option<i64> {
        let is_meant = |id: Uuid| id == object || (kind == TokenKind::Application && application == Some(id));
        let own =
            self.objects.iter().filter(|(id, _)| is_meant(*id)).map(|(_, not_before)| *not_before).max();
        own.max(self.everybody)
    }
}

impl fmt::Display for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEYWORD)?;
        if let Some(not_before) = self.everybody {
            write!(f, ",*={not_before}")?;
        }
        self.objects.iter().try_for_each(|(object, not_before)| write!(f, ",{object}={not_before}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: Uuid = Uuid::from_u128(1);
    const CLIENT: Uuid = Uuid::from_u128(2);

    /// Everybody is somebody.
    fn known(_: Uuid) -> bool {
        true
    }

    fn user(revocations: &Revocations, object: Uuid) -> Option<i64> {
        revocations.not_before(object, TokenKind::User, Some(CLIENT))
    }

    #[test]
    fn what_is_written_is_read() {
        let mut revocations = Revocations::default();
        assert_eq!(Revocations::parse(&revocations.to_string()), Some(revocations.clone()));
        for n in 1..=60 {
            let time = 1_700_000_000 + i64::try_from(n).expect("small");
            revocations.revoke(Uuid::from_u128(n), time, |object| object.as_u128() % 2 == 0);
            let text = revocations.to_string();
            assert!(text.len() <= limits::MAX_REVOCATIONS_BYTES, "{}", text.len());
            assert_eq!(Revocations::parse(&text), Some(revocations.clone()));
        }
        assert_eq!(revocations.objects.len(), 2 * MAX_OBJECTS);
        let latest = Revocations {
            everybody: Some(limits::MAX_UNIX_SECONDS),
            objects: (0..32).map(|n| (Uuid::from_u128(n), limits::MAX_UNIX_SECONDS)).collect(),
        };
        assert!(latest.to_string().len() <= limits::MAX_REVOCATIONS_BYTES);
    }

    #[test]
    fn an_object_is_out_until_its_time() {
        let mut revocations = Revocations::default();
        assert_eq!(user(&revocations, PERSON), None);
        revocations.revoke(PERSON, 100, known);
        revocations.revoke(PERSON, 50, known);
        assert_eq!(user(&revocations, PERSON), Some(100));
        assert_eq!(user(&revocations, Uuid::from_u128(9)), None);
    }

    #[test]
    fn an_application_is_meant_by_its_client_id_and_its_users_are_not() {
        let mut revocations = Revocations::default();
        revocations.revoke(CLIENT, 100, known);
        assert_eq!(revocations.not_before(PERSON, TokenKind::Application, Some(CLIENT)), Some(100));
        assert_eq!(user(&revocations, PERSON), None);
    }

    #[test]
    fn nobody_revoked_is_forgotten_when_there_are_too_many() {
        let mut revocations = Revocations::default();
        for n in 1..=20_u32 {
            revocations.revoke(Uuid::from_u128(n.into()), n.into(), known);
        }
        for n in 1..=20_u32 {
            assert!(user(&revocations, Uuid::from_u128(n.into())) >= Some(n.into()), "{n}");
        }
        assert_eq!(user(&revocations, Uuid::from_u128(99)), Some(4));
    }

    #[test]
    fn nobody_known_gives_way_to_ids_of_which_nothing_is_known_nor_the_other_way_round() {
        let (somebody, nobody) =
            (|n: u32| Uuid::from_u128(n.into()), |n: u32| Uuid::from_u128((1_000 + n).into()));
        let is_known = |object: Uuid| object.as_u128() < 1_000;
        let mut revocations = Revocations::default();
        for n in 1..=16 {
            assert!(revocations.has_room_for(nobody(n), is_known));
            revocations.revoke(nobody(n), n.into(), is_known);
        }
        assert!(!revocations.has_room_for(nobody(17), is_known));
        for n in 1..=16 {
            assert!(revocations.has_room_for(somebody(n), is_known));
            revocations.revoke(somebody(n), n.into(), is_known);
        }
        assert!(!revocations.has_room_for(somebody(17), is_known));
        assert_eq!(revocations.everybody, None);
        revocations.revoke(somebody(17), 20, is_known);
        assert_eq!((revocations.everybody, user(&revocations, nobody(1))), (Some(1), Some(1)));
        // Whoever is nobody any more gives way first to somebody new.
        let is_known = |object: Uuid| (17..1_000).contains(&object.as_u128());
        revocations.revoke(somebody(18), 21, is_known);
        assert_eq!(revocations.objects.len(), 32);
        for n in 1..=18 {
            assert!(user(&revocations, somebody(n)) >= Some(n.into()), "{n}");
        }
    }

    #[test]
    fn what_no_token_is_old_enough_for_is_forgotten() {
        let mut revocations = Revocations::default();
        revocations.revoke(PERSON, 100, known);
        revocations.revoke(CLIENT, 200, known);
        revocations.forget(150 + LONGEST_LIFE);
        assert_eq!((user(&revocations, PERSON), user(&revocations, CLIENT)), (None, Some(200)));
        assert!(!revocations.clone().is_over(199 + LONGEST_LIFE));
        assert!(revocations.clone().is_over(200 + LONGEST_LIFE));
        assert!(Revocations::default().is_over(0));
        assert!(!Revocations::parse("revoked,*=1").expect("a text").is_over(0));
        assert!(revocations.has_room_for(PERSON, known));
        for n in 10..25_u32 {
            revocations.revoke(Uuid::from_u128(n.into()), 300, known);
        }
        assert!(!revocations.has_room_for(PERSON, known) && revocations.has_room_for(CLIENT, known));
    }

    #[test]
    fn other_texts_are_none() {
        let id = PERSON.to_string();
        for text in [
            "",
            "managed",
            "revoked,",
            "revoked,*",
            "revoked,*=x",
            "revoked,*=-1",
            "revoked,*=1,*=2",
            "revoked,1=1",
            &format!("revoked,{id}=1,{id}=2"),
            &format!("revoked {id}=1"),
            &format!("revoked{}", ",*=1".repeat(400)),
        ] {
            assert_eq!(Revocations::parse(text), None, "{text}");
        }
    }
}

//! Objects whose tokens no longer count, whatever role they are shown for: a person who is to be out, everywhere.
//!
//! A text that fits a label: `revoked[,*=<unix seconds>][,<uuid>=<unix seconds>]…`, the tokens of that object issued earlier being
//! refused; `*` is everybody. Entries older than any token are forgotten. There is room for so many objects; when it is used up,
//! the oldest entry is made one for everybody, which refuses more and never less.

use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::limits;
use crate::refusal::Refusal;
use crate::token::{Token, TokenKind};

/// What the text begins with.
const KEYWORD: &str = "revoked";

/// Most objects: each takes 48 bytes of a label's 1,000.
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
        if text.len() > limits::MAX_LABEL_BYTES {
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

    /// Whether one more object can be refused without refusing everybody's older tokens.
    #[must_use]
    pub fn has_room_for(&self, object: Uuid) -> bool {
        self.objects.len() < MAX_OBJECTS || self.objects.iter().any(|(other, _)| *other == object)
    }

    /// Refuses tokens of an object that were issued before `not_before` (Unix seconds). An earlier time than the one that stands
    /// changes nothing.
    pub fn revoke(&mut self, object: Uuid, not_before: i64) {
        match self.objects.iter_mut().find(|(other, _)| *other == object) {
            Some((_, stands)) => *stands = not_before.max(*stands),
            None => self.objects.push((object, not_before)),
        }
        self.objects.sort_by_key(|(_, not_before)| *not_before);
        while self.objects.len() > MAX_OBJECTS {
            let (_, oldest) = self.objects.remove(0);
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

    fn user(revocations: &Revocations, object: Uuid) -> Option<i64> {
        revocations.not_before(object, TokenKind::User, Some(CLIENT))
    }

    #[test]
    fn what_is_written_is_read() {
        let mut revocations = Revocations::default();
        assert_eq!(Revocations::parse(&revocations.to_string()), Some(revocations.clone()));
        for n in 1..=40 {
            revocations.revoke(Uuid::from_u128(n), 1_700_000_000 + i64::try_from(n).expect("small"));
            let text = revocations.to_string();
            assert!(text.len() <= limits::MAX_LABEL_BYTES, "{}", text.len());
            assert_eq!(Revocations::parse(&text), Some(revocations.clone()));
        }
    }

    #[test]
    fn an_object_is_out_until_its_time() {
        let mut revocations = Revocations::default();
        assert_eq!(user(&revocations, PERSON), None);
        revocations.revoke(PERSON, 100);
        revocations.revoke(PERSON, 50);
        assert_eq!(user(&revocations, PERSON), Some(100));
        assert_eq!(user(&revocations, Uuid::from_u128(9)), None);
    }

    #[test]
    fn an_application_is_meant_by_its_client_id_and_its_users_are_not() {
        let mut revocations = Revocations::default();
        revocations.revoke(CLIENT, 100);
        assert_eq!(revocations.not_before(PERSON, TokenKind::Application, Some(CLIENT)), Some(100));
        assert_eq!(user(&revocations, PERSON), None);
    }

    #[test]
    fn nobody_revoked_is_forgotten_when_there_are_too_many() {
        let mut revocations = Revocations::default();
        for n in 1..=20_u32 {
            revocations.revoke(Uuid::from_u128(n.into()), n.into());
        }
        for n in 1..=20_u32 {
            assert!(user(&revocations, Uuid::from_u128(n.into())) >= Some(n.into()), "{n}");
        }
        assert_eq!(user(&revocations, Uuid::from_u128(99)), Some(4));
    }

    #[test]
    fn what_no_token_is_old_enough_for_is_forgotten() {
        let mut revocations = Revocations::default();
        revocations.revoke(PERSON, 100);
        revocations.revoke(CLIENT, 200);
        revocations.forget(150 + LONGEST_LIFE);
        assert_eq!((user(&revocations, PERSON), user(&revocations, CLIENT)), (None, Some(200)));
        assert!(!revocations.clone().is_over(199 + LONGEST_LIFE));
        assert!(revocations.clone().is_over(200 + LONGEST_LIFE));
        assert!(Revocations::default().is_over(0));
        assert!(!Revocations::parse("revoked,*=1").expect("a text").is_over(0));
        assert!(revocations.has_room_for(PERSON));
        for n in 10..25_u32 {
            revocations.revoke(Uuid::from_u128(n.into()), 300);
        }
        assert!(!revocations.has_room_for(PERSON) && revocations.has_room_for(CLIENT));
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

//! Revoked tokens: the objects whose older tokens are refused for every role, and the one rule that
//! decides whether a token is revoked ([`Revocations::revoked_before`]).
//!
//! The objects are kept as a text that fits a label:
//! `revoked[,*=<unix seconds>][,<uuid>=<unix seconds>]...`. Tokens of the object that were issued
//! before the time are refused; `*` stands for every object. An entry that is older than any token
//! can be is removed.
//!
//! There is room for 16 objects that are linked to a role or logged in, and for 16 others. The two
//! sorts have separate room because ids can be invented: an invented id must not take the room of a
//! known object. When the room of a sort is used up, its oldest entry becomes one for every object.
//! That refuses more and never less, so no revocation is lost before its time. An unknown object
//! cannot simply be left out, since it may be linked at any moment, or log in by a group.

use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::kinds::Holder;
use crate::limits;
use crate::refusal::Refusal;
use crate::token::Token;

/// The beginning of the text.
const KEYWORD: &str = "revoked";

/// Most objects of each of the two sorts. Each takes 48 bytes of
/// [`limits::MAX_REVOCATIONS_BYTES`].
const MAX_OBJECTS: usize = 16;

/// Longest life of an access token, in seconds. Entra's live for a day at most ("Configurable token
/// lifetimes", Microsoft); a week leaves room for other providers.
const LONGEST_LIFE: i64 = 7 * 86_400;

/// Returns whether a token that was issued before `not_before` may still be in use at `now` (both
/// Unix seconds).
#[must_use]
pub const fn may_still_be_shown(not_before: i64, now: i64) -> bool {
    not_before > now.saturating_sub(LONGEST_LIFE)
}

/// The objects whose tokens are revoked, each with the time from which on its tokens are accepted
/// again (Unix seconds).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// The same time for every object.
    every_object: Option<i64>,
    objects: Vec<(Uuid, i64)>,
}

impl Revocations {
    /// Reads the text; none if it does not have this form.
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
                if read.every_object.replace(not_before).is_some() {
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

    /// Removes the entries that no token is old enough for, at `now` (Unix seconds).
    pub fn forget(&mut self, now: i64) {
        self.objects.retain(|(_, not_before)| may_still_be_shown(*not_before, now));
        self.every_object = self.every_object.filter(|not_before| may_still_be_shown(*not_before, now));
    }

    /// Returns whether no token is old enough, at `now` (Unix seconds), to be refused.
    #[must_use]
    pub fn is_over(mut self, now: i64) -> bool {
        self.forget(now);
        self == Self::default()
    }

    /// Returns whether one more object can be revoked without revoking older tokens of every
    /// object. `is_known` returns whether an object is linked to a role or logged in.
    #[must_use]
    pub fn has_room_for(&self, object: Uuid, is_known: impl Fn(Uuid) -> bool) -> bool {
        let of_its_sort = self.count(|other| is_known(other) == is_known(object));
        self.objects.iter().any(|(other, _)| *other == object)
            || (of_its_sort < MAX_OBJECTS && self.objects.len() < 2 * MAX_OBJECTS)
    }

    /// Revokes the tokens of an object that were issued before `not_before` (Unix seconds). A time
    /// before the present one changes nothing. If there is no room, the oldest entry of its sort
    /// becomes one for every object, and then the oldest entry of an unknown object.
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

    /// Turns the oldest entry of a sort, or the oldest of all, into one for every object.
    fn give_up(&mut self, which: impl Fn(Uuid) -> bool) {
        let place = self.objects.iter().position(|(object, _)| which(*object)).unwrap_or(0);
        if place < self.objects.len() {
            let (_, oldest) = self.objects.remove(place);
            self.every_object = self.every_object.max(Some(oldest));
        }
    }

    /// Decides whether a token is revoked for a role. This is the only place with that rule.
    ///
    /// The token is of `holder` and was issued at `issued_at`; `of_role` is the time before which
    /// the role itself refuses tokens (all times in Unix seconds). Returns the time before which
    /// the token should not have been issued, or none if it is not revoked: the latest of the
    /// role's time, the object's time and the time for every object decides, and a token issued in
    /// that very second is accepted.
    #[must_use]
    pub fn revoked_before(&self, holder: Holder, issued_at: i64, of_role: Option<i64>) -> Option<i64> {
        of_role.max(self.not_before(holder)).filter(|not_before| issued_at < *not_before)
    }

    /// Checks that a token is not revoked for a role that itself refuses tokens issued before
    /// `of_role`.
    ///
    /// # Errors
    /// [`Refusal::TokenRevoked`].
    pub fn check(&self, token: &Token, of_role: Option<i64>) -> Result<(), Refusal> {
        let issued_at = token.issued_at;
        match self.revoked_before(token.holder(), issued_at, of_role) {
            Some(not_before) => Err(Refusal::TokenRevoked { issued_at, not_before }),
            None => Ok(()),
        }
    }

    /// Returns the time from which on tokens of this object are accepted, for whatever role.
    fn not_before(&self, holder: Holder) -> Option<i64> {
        let of_object = self.objects.iter().filter(|(id, _)| holder.is_named_by(*id));
        of_object.map(|(_, not_before)| *not_before).max().max(self.every_object)
    }
}

impl fmt::Display for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEYWORD)?;
        if let Some(not_before) = self.every_object {
            write!(f, ",*={not_before}")?;
        }
        self.objects.iter().try_for_each(|(object, not_before)| write!(f, ",{object}={not_before}"))
    }
}

#[cfg(test)]
mod tests;

//! Whether a membership that a session was admitted by has ended.

use super::answer::Object;
use super::standing::{BACKDATED, LONGEST_LIFE};

/// Number of rounds running in which a membership must be missing.
const ROUNDS: u32 = 2;

/// A token whose `iat` is younger, in seconds, may be of a member whom the directory does not list
/// yet: one that was issued less than ten minutes ago.
const YOUNG: i64 = 600 + BACKDATED;

/// Returns whether the memberships of a group are hidden from an application without the permission
/// Member.Read.Hidden: it is silently left out of answers then ("group resource type", Microsoft).
#[must_use]
pub fn is_hidden(group: &Object) -> bool {
    group.visibility.as_deref() == Some("HiddenMembership")
}

/// What rounds have said about one membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Membership {
    missed: u32,
    /// When it was seen to have ended, in Unix seconds.
    ended_at: Option<i64>,
}

impl Membership {
    /// Returns a membership that is known to have ended from an earlier life of the server.
    #[must_use]
    pub const fn ended(at: i64) -> Self {
        Self { missed: ROUNDS, ended_at: Some(at) }
    }

    /// Takes in the answer of a round at `now` (Unix seconds): whether the group is among those
    /// that the principal is in; none if there was no answer or it cannot be known, as for a hidden
    /// group. `issued_at`: the `iat` of the youngest token that the principal has shown for the
    /// group.
    pub const fn note(&mut self, is_member: Option<bool>, issued_at: i64, now: i64) {
        match is_member {
            Some(true) => (self.missed, self.ended_at) = (0, None),
            Some(false) if now.saturating_sub(issued_at) >= YOUNG => {
                self.missed = self.missed.saturating_add(1);
                if self.missed >= ROUNDS && self.ended_at.is_none() {
                    self.ended_at = Some(now);
                }
            }
            Some(false) | None => {}
        }
    }

    /// Returns when it was seen to have ended, in Unix seconds.
    #[must_use]
    pub const fn ended_at(&self) -> Option<i64> {
        self.ended_at
    }

    /// Returns whether a token from before its end may be alive at `now` (Unix seconds).
    #[must_use]
    pub fn matters(&self, now: i64) -> bool {
        self.ended_at.is_some_and(|ended_at| ended_at.saturating_add(LONGEST_LIFE) > now)
    }
}

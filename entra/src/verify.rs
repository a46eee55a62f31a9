//! All checks of a token in one call, for callers that have every key at hand.
//!
//! The self test, the tests and the benchmarks verify by it. A login does not: between
//! [`Unverified::parse`] and [`Unverified::verify`] it looks the key up in shared memory, and may
//! wait for newer keys.

use crate::jws::Unverified;
use crate::keyset::{Key, KeySet};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::token::Token;
use crate::untrusted::Untrusted;

/// Keys that [`verify`] can look up by id.
pub trait KeyLookup {
    /// Returns the key with exactly this id.
    fn find(&self, key_id: &str) -> Option<Key>;
}

impl KeyLookup for KeySet {
    fn find(&self, key_id: &str) -> Option<Key> {
        self.get(key_id).cloned()
    }
}

/// Returns the token in `text` if one of `keys` signed it and its claims fit `policy` at `now`
/// (Unix seconds).
///
/// # Errors
/// The first check that fails.
pub fn verify(text: &[u8], keys: &impl KeyLookup, policy: &Policy, now: i64) -> Result<Token, Refusal> {
    let token = Unverified::parse(text)?;
    let key = keys
        .find(token.key_id())
        .ok_or_else(|| Refusal::UnknownKey { key_id: Untrusted::new(token.key_id()) })?;
    token.verify(&key, policy, now)
}

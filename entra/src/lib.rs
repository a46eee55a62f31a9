//! What a Microsoft Entra ID (Azure AD) access token is worth.
//!
//! Pure: knows no PostgreSQL, no network, no file, no clock, no environment and no static. Keys, policy and time are
//! arguments. [`verify`] says whether to believe a token, [`Principal::accepts`] whether it is the right one.
//!
//! The order of the checks is the order of trust, and the first failure is the reason given:
//!
//! 1. size, three parts, canonical base64url;
//! 2. header: strict JSON, `alg` RS256, a `kid`, no `crit`;
//! 3. the key of that id, from the keys given and from nowhere else;
//! 4. the signature;
//! 5. claims: strict JSON, `ver`, `tid`, `iss` (and the key's issuer), `aud`, `nbf`, `iat`, `exp`;
//! 6. a bearer's access token: no `cnf`, `typ` JWT or at+jwt, the `ver` of its issuer;
//! 7. the client application, the permission, the kind.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod authority;
mod claims;
mod describe;
mod discovery;
mod freshness;
mod header;
mod ids;
mod json;
mod jws;
mod keyset;
mod label;
pub mod limits;
mod policy;
mod principal;
mod refusal;
mod revocations;
mod roca;
mod self_test;
mod signature;
mod snapshot;
mod surroundings;
mod untrusted;

pub use authority::{Cloud, KeySource, check_url, parse_authority, parse_key_source};
pub use describe::{ShowTime, Step, Trail, Witness, expected, expected_by, found};
pub use freshness::{Answer, Freshness, Millis, State, Timing};
pub use ids::parse_uuid;
pub use json::JsonFault;
pub use jws::{Groups, Part, Token, TokenKind, Unverified};
pub use keyset::{Key, KeyLookup, KeySet, KeySetFault};
pub use label::{Label, LabelFault};
pub use policy::{
    Misconfigured, Policy, RawPolicy, parse_clients, parse_issuers, parse_list, parse_permission,
    parse_tenant,
};
pub use principal::{Bearer, Principal, PrincipalKind};
pub use refusal::{Bound, Code, FormatFault, IssuerOf, Listed, Refusal};
pub use revocations::{Revocations, may_still_be_shown};
pub use self_test::{rehearse, self_test};
pub use snapshot::{Remembered, Snapshot, SnapshotFault};
pub use surroundings::Surroundings;
pub use untrusted::Untrusted;
pub use uuid::Uuid;

/// Whether to believe a token, at `now` in Unix seconds.
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

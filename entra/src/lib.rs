//! The checks of a Microsoft Entra ID (Azure AD) access token.
//!
//! The crate is pure: it knows no PostgreSQL, network, file, clock, environment variable or static.
//! Keys, policy and time are arguments.
//!
//! A login takes these steps, some of which wait for keys in between:
//!
//! - [`Unverified::parse`] reads the token's form and header;
//! - [`Unverified::verify`] checks the signature and the claims, and returns a [`Token`];
//! - [`Principal::accepts`] checks that the token was issued for the object which the role is
//!   linked to, and that it has not been revoked ([`Revocations::revoked_before`]).
//!
//! [`verify()`] does the first two for callers that have all keys: the self test and the tests.
//!
//! The order of the checks is the order of trust, and the first failure is the reason given
//! ([`Step`] lists them all):
//!
//! 1. size, three parts, canonical base64url;
//! 2. header: strict JSON, `alg` RS256, a `kid`, no `crit`;
//! 3. the key of that id, which only the caller provides;
//! 4. the signature;
//! 5. claims: strict JSON, `ver`, `tid`, `iss` (and the key's issuer), `aud`, `nbf`, `iat`, `exp`;
//! 6. a bearer's access token: no `cnf`, `typ` JWT or at+jwt, the `ver` of its issuer;
//! 7. the client application, the permission, the kind.
//!
//! A file imports only files of the rows above its own:
//!
//! - `limits`, `ids`, `kinds`, `step`, `code`, `roca`, `freshness`, `seal`;
//! - `untrusted`, `json`, `authority`, `surroundings`;
//! - `keyset`, `label`, `mark`, `policy`, `refusal`, `token`;
//! - `header`, `signature`, `snapshot`, `discovery`, `revocations`;
//! - `claims`, `principal`;
//! - `jws`;
//! - `verify`, `describe`;
//! - `self_test`.
//!
//! [`directory`] has its own rows: what the tenant's directory is asked, and what follows.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod authority;
mod claims;
mod code;
mod describe;
pub mod directory;
mod discovery;
mod freshness;
mod header;
mod ids;
mod json;
mod jws;
mod keyset;
mod kinds;
mod label;
pub mod limits;
mod mark;
mod policy;
mod principal;
mod refusal;
mod revocations;
mod roca;
mod seal;
mod self_test;
mod signature;
mod snapshot;
mod step;
mod surroundings;
mod token;
mod untrusted;
mod verify;

pub use authority::{Cloud, KeySource, parse_authority, parse_key_source};
pub use code::Code;
pub use describe::{expected, expected_by, found};
pub use freshness::{Answer, Freshness, Millis, State, Timing};
pub use ids::parse_uuid;
pub use json::JsonFault;
pub use jws::Unverified;
pub use keyset::{Key, KeySet, KeySetFault};
pub use kinds::{Holder, Part, PrincipalKind, TokenKind};
pub use label::{Label, LabelFault};
pub use mark::{Mark, Synced};
pub use policy::{
    LineFault, LineOptions, Misconfigured, Policy, RawPolicy, parse_clients, parse_issuers, parse_list,
    parse_permission, parse_tenant,
};
pub use principal::{Bearer, Principal};
pub use refusal::{DirectoryObject, FormatFault, Listed, Refusal};
pub use revocations::{Revocations, may_still_be_shown};
pub use self_test::{rehearse, self_test};
pub use snapshot::{Remembered, Snapshot, SnapshotFault};
pub use step::{Observer, Step, Trail};
pub use surroundings::Surroundings;
pub use token::{Groups, Token};
pub use untrusted::Untrusted;
pub use uuid::Uuid;
pub use verify::{KeyLookup, verify};

//! What the tests, the demo and the benchmarks of azure_ad_auth stand on: scratch servers, a local identity provider, and
//! clients that say exactly what they heard.
//!
//! Everything here is real: servers started from their own binaries, TLS with certificates made for the occasion, keys and
//! tokens of the shapes Entra issues. Everything listens on 127.0.0.1 and is stopped by whoever started it.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "what panics here fails a test, which is what it is for"
)]

pub mod ca;
pub mod client;
pub mod cluster;
pub mod door;
pub mod expect;
pub mod idp;
pub mod pam;
pub mod pooler;
pub mod proxy;
pub mod scratch;

pub use issuer;

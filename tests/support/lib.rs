//! The test bed of azure_ad_auth: scratch servers, a local identity provider, and clients that show
//! exactly what a server sends. The tests, the demo and the benchmarks use it.
//!
//! Everything here is real: servers started from their own binaries, TLS with certificates made for
//! the run, keys and tokens of the shapes Entra issues. Everything listens on 127.0.0.1, and is
//! stopped when its value is dropped.

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
pub mod doors;
pub mod expect;
pub mod idp;
pub mod installation;
pub mod mutex;
pub mod pam;
pub mod pooler;
pub mod port;
pub mod process;
pub mod proxy;
pub mod scene;
pub mod scratch;
pub mod template;
pub mod waits;
pub mod watch;

mod listener;

pub use issuer;

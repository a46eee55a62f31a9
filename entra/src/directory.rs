//! The tenant's directory (Microsoft Graph): what it is asked, what its answers mean, what follows.
//!
//! This is as pure as the rest of the crate: requests are built and answers are read here, and the
//! caller sends them. Times are arguments.
//!
//! A file imports only files of the rows above its own:
//!
//! - [`hosts`]: addresses; `time`: the forms of times; [`retry`]: what a status means, and waits;
//! - [`request`]: requests; [`answer`]: answers, read whole or not at all; [`pages`]: lists in
//!   pages;
//! - [`identity`], [`certificate`] and [`credential`]: how the server gets its own token;
//!   [`token`]: when;
//! - [`name`]: which object a name means; [`id`]: what an id is; [`lookup`]: what a text could
//!   mean;
//! - [`standing`]: what is known about one principal; [`membership`]: about one membership;
//! - [`look`]: the questions of one look at everybody; [`roll`]: what follows from many looks;
//! - [`login`]: what follows for a login; [`snapshot`]: what is kept for the next start;
//! - [`admission`]: whether a token is accepted with what the directory is known to say;
//! - [`pace`]: when looks are made; [`features`]: what the application may read;
//! - [`roster`]: the members of groups.

pub mod admission;
pub mod answer;
pub mod certificate;
pub mod credential;
pub mod features;
pub mod hosts;
pub mod id;
pub mod identity;
pub mod login;
pub mod look;
pub mod lookup;
pub mod membership;
pub mod name;
pub mod pace;
pub mod pages;
pub mod request;
pub mod retry;
pub mod roll;
pub mod roster;
pub mod snapshot;
pub mod standing;
mod time;
pub mod token;

//! The tenant's directory (Microsoft Graph): what is asked, what the answers mean, what follows.
//!
//! Pure, as all of this crate: requests are built here and answers are read here, and somebody else
//! sends them. Times are passed in.
//!
//! - [`request`] builds requests. No text of a name ever gets into a path.
//! - [`answer`] reads answers: objects, pages, batches, errors. What is not readable is not an
//!   answer.
//! - [`name`] decides which object a name means.
//! - [`credential`] and [`identity`] are how the server gets a token of its own.
//! - [`standing`] decides from rounds of polling who is known to be disabled, deleted or revoked.

pub mod answer;
pub mod credential;
pub mod hosts;
pub mod identity;
pub mod name;
pub mod request;
pub mod retry;
pub mod standing;
mod time;

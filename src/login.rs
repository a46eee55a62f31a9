//! The decision about a connection: who may log in with a token, and what a session must prove.
//!
//! [`hook`] decides, by the rules that stand at its head. A token arrives by one of the doors in
//! [`door`], and [`authenticate`] is the one way from there to a decision. [`seal`] checks the
//! session that core has opened, and [`guard`] protects servers that do not preload the library.

mod authenticate;
mod decision;
pub(crate) mod door;
mod explain;
pub(crate) mod guard;
pub(crate) mod hook;
mod knowledge;
mod outcome;
mod preconditions;
mod refusal;
mod request;
pub(crate) mod seal;
mod sql;

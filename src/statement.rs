//! What statements mean for links: ProcessUtility, label providers, and what must hold afterwards.

mod createrole;
pub(crate) mod hook;
mod invariants;
pub(crate) mod label_provider;
pub(crate) mod parse;
mod request;
mod rewrite;
pub(crate) mod named_roles;
mod truncated;

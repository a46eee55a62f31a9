//! The tenant's directory (Microsoft Graph): how the server proves to Entra who it is, and what it
//! asks.

mod credential;
pub(crate) mod graph;
pub(crate) mod token;

#[cfg(test)]
mod tests;

//! Safe wrappers of PostgreSQL: the only home of what needs `unsafe` for its own sake. Imports no
//! other room.

pub(crate) mod allocate;
pub(crate) mod argument;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod config_file;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod guc;
pub(crate) mod hex_text;
pub(crate) mod hook;
pub(crate) mod identifier;
pub(crate) mod interrupts;
pub(crate) mod label_provider;
pub(crate) mod library;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod node;
#[cfg(feature = "pg18")]
pub(crate) mod oauth;
pub(crate) mod pam;
pub(crate) mod preload;
pub(crate) mod process;
pub(crate) mod role_setting;
mod server;
pub(crate) mod spi;
pub(crate) mod subtransaction;
pub(crate) mod text;
pub(crate) mod transaction;
pub(crate) mod utility;
pub(crate) mod wire;

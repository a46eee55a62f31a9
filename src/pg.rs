//! Safe wrappers of PostgreSQL: the only home of what needs `unsafe` for its own sake. Imports no other room.

pub(crate) mod allocate;
pub(crate) mod argument;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod config_file;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod guc;
pub(crate) mod hex_text;
pub(crate) mod hook;
pub(crate) mod interrupts;
pub(crate) mod library;
pub(crate) mod pam;
pub(crate) mod spi;
pub(crate) mod subtransaction;
pub(crate) mod text;
pub(crate) mod wire;

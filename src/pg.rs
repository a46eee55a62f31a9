//! Safe wrappers of PostgreSQL: the only home of what needs `unsafe` for its own sake. Imports no other room.

pub(crate) mod acl;
pub(crate) mod allocate;
pub(crate) mod argument;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod hex_text;
pub(crate) mod hook;
pub(crate) mod interrupts;
pub(crate) mod label_provider;
pub(crate) mod library;
pub(crate) mod library_list;
pub(crate) mod pam;
pub(crate) mod process_table;
pub(crate) mod security_label;
pub(crate) mod shared_relation;
pub(crate) mod spi;
pub(crate) mod syscache;
pub(crate) mod text;
pub(crate) mod user;
pub(crate) mod wire;

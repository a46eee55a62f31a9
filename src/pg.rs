//! Safe wrappers of PostgreSQL: the only home of what needs `unsafe` for its own sake. Imports no other room.

pub(crate) mod allocate;
pub(crate) mod argument;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod condition;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod hex_text;
pub(crate) mod hook;
pub(crate) mod interrupts;
pub(crate) mod latch;
pub(crate) mod library;
pub(crate) mod pam;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod role_changes;
pub(crate) mod shmem;
pub(crate) mod signals;
pub(crate) mod spi;
pub(crate) mod text;
pub(crate) mod timestamp;
pub(crate) mod values;
pub(crate) mod wire;
pub(crate) mod worker;

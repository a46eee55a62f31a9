//! The synchronisation of groups: members of linked groups get roles of their own.
//!
//! The directory worker asks for the members and writes them into a file. A round reads the file
//! and the catalogs ([`read`]), has the crate `linkage` plan, and carries the plan out ([`act`]):
//! each member's part whole or not at all, through the same link, unlink and GRANT as everybody.
//! Scheduled rounds are made by a background worker that lives as long as the round ([`worker`]),
//! others by the function `sync_group_members()` ([`sql`]). One process does it at a time.

mod act;
mod log;
mod read;
mod round;
mod sql;
mod worker;

pub(crate) use crate::sync::round::unsettled;
pub(crate) use crate::sync::worker::WORKER;

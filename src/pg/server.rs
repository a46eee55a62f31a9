//! The parts of the server's headers that pgrx leaves out; made by build.rs from the server's own.
#![allow(
    unsafe_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    dead_code,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::use_self,
    clippy::upper_case_acronyms,
    reason = "generated; which of these it needs depends on the version"
)]

include!(concat!(env!("OUT_DIR"), "/server.rs"));

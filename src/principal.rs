//! Roles and the directory objects they are linked to.

mod advice;
mod anchors;
mod api;
mod association;
pub(crate) mod catalog;
pub(crate) mod condition;
mod createrole;
mod cut;
pub(crate) mod ddl;
mod labels;
mod libraries;
mod link;
mod listed;
mod lock;
mod managed;
mod membership;
pub(crate) mod preload;
pub(crate) mod provider;
mod reach;
mod request;
mod revoke;
mod rewrite;
pub(crate) mod rights;
mod scan;
mod sessions;
mod statement;
mod stepping_down;
pub(crate) mod superuser;
mod trust_lines;
mod verify;

pub(crate) use api::role_name_of;
pub(crate) use superuser::quoted;

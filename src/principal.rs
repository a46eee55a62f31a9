//! Roles and the directory objects they are linked to.

mod anchors;
mod api;
mod association;
pub(crate) mod catalog;
pub(crate) mod condition;
mod createrole;
mod cut;
pub(crate) mod ddl;
mod link;
mod listed;
mod lock;
mod managed;
mod membership;
mod preload;
pub(crate) mod provider;
mod reach;
mod request;
mod revoke;
mod rewrite;
pub(crate) mod rights;
mod scan;
mod sessions;
mod statement;
pub(crate) mod superuser;
mod verify;

pub(crate) use api::role_name_of;

//! Roles and the directory objects they are linked to.

mod anchors;
mod api;
pub(crate) mod catalog;
mod createrole;
pub(crate) mod ddl;
mod link;
mod membership;
mod preload;
pub(crate) mod provider;
mod rights;
mod sessions;
mod statement;
mod superuser;

//! What an administrator should look at: settings and configuration files, keys, roles,
//! pg_hba.conf. Changes nothing and sends no request. `sql.rs` has the SQL functions.

mod config_files;
mod configuration;
mod directory;
mod files;
mod group_sync;
mod hba;
mod keys;
mod library;
mod pam_files;
mod policy;
mod role_findings;
mod roles;
mod sql;

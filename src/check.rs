//! What an administrator should look at: settings, pg_hba.conf, roles.

mod configuration;
mod files;
mod finding;
mod hba;
mod keys;
mod libraries;
mod roles;

//! Azure AD (Microsoft Entra ID) token login for self-hosted PostgreSQL.
//!
//! This file is the wiring: it defines the settings, registers hooks and workers, and installs the
//! SQL objects. `docs/architecture.md` describes the rooms, and `rooms.toml` lists their floors.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod catalog;
mod check;
mod directory;
mod keys;
mod link;
mod login;
mod net;
mod pg;
mod report;
mod sessions;
mod settings;
mod stat;
mod statement;
mod sync;

#[cfg(any(test, feature = "pg_test"))]
mod pg_tests;

use pgrx::prelude::*;

pg_module_magic!();

extension_sql_file!("../sql/install/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/install/link.sql", name = "link");
extension_sql_file!("../sql/install/directory.sql", name = "directory");
extension_sql_file!("../sql/install/keys.sql", name = "keys");
extension_sql_file!("../sql/install/sessions.sql", name = "sessions");
extension_sql_file!("../sql/install/stat.sql", name = "stat");
extension_sql_file!("../sql/install/check.sql", name = "check");
extension_sql_file!("../sql/install/login.sql", name = "login");
extension_sql_file!("../sql/install/sync.sql", name = "sync");
extension_sql_file!("../sql/install/azure.sql", name = "azure", requires = ["link"]);
extension_sql_file!(
    "../sql/install/roles.sql",
    name = "roles",
    requires = ["azure", "check", "directory", "keys", "link", "login", "sessions", "stat", "sync"],
    finalize
);

/// The table of background workers: a row each.
static WORKERS: [pg::worker::Worker; 4] =
    [keys::WORKER, sessions::WORKER, directory::worker::<sessions::LinkedAndLoggedIn>(), sync::WORKER];

/// Called when the library is loaded: into the postmaster, which is how it works, or into a
/// session, which is how it guards Azure AD roles on a server that does not preload it.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::environment::silence_backtraces();
    if !pg::preload::is_postmaster_loading() {
        pg::error::or_raise(pg::library::require_for_upgrade());
        return login::guard::end_unguarded_session();
    }
    if !entra::self_test() {
        pg::error::Fault::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            "azure_ad_auth cannot verify signatures on this machine",
        )
        .raise();
    }
    pg::library::mark(pg::worker::azure_ad_auth_worker_main);
    login::guard::define();
    settings::define();
    statement::label_provider::register();
    if pg::library::upgrading() {
        // pg_upgrade restores labels and memberships one by one; nothing may interfere, and no
        // client logs in.
        return;
    }
    directory::init_shared_memory();
    keys::init_shared_memory();
    report::init_shared_memory();
    sessions::init_shared_memory();
    settings::unknown::init_shared_memory();
    stat::init_shared_memory();
    pg::worker::register(&WORKERS);
    statement::hook::install();
    login::seal::install();
    login::hook::install();
    login::door::pam::conceal_entries();
    login::door::pam::preload_modules();
}

/// The configuration of the server that `cargo pgrx test` starts.
#[cfg(test)]
pub mod pg_test {
    /// Nothing to prepare.
    pub fn setup(_options: Vec<&str>) {}

    /// The library works only where the postmaster loads it.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![
            "shared_preload_libraries = 'azure_ad_auth'",
            "azure_ad_auth.tenant_id = '11111111-aaaa-bbbb-cccc-000000000001'",
            "azure_ad_auth.audience = 'api://postgres'",
            "azure_ad_auth.key_source = '/nowhere/keys.json'",
        ]
    }
}

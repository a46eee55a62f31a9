//! Logins against scratch servers, with real clients over real TLS. The groups follow the rooms of
//! src.
//!
//! `A1`, `R4` and the like are the numbers in the head of the authentication hook's file in src.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod common {
    pub(crate) mod check;
    pub(crate) mod credential;
    pub(crate) mod directory;
    pub(crate) mod documents;
    pub(crate) mod doors;
    pub(crate) mod dumps;
    pub(crate) mod expiry;
    pub(crate) mod explain;
    pub(crate) mod guard;
    pub(crate) mod hba;
    pub(crate) mod locks;
    pub(crate) mod login;
    pub(crate) mod reader;
    pub(crate) mod revocation;
    pub(crate) mod role_state;
    pub(crate) mod route;
    pub(crate) mod secrets;
    pub(crate) mod server;
    pub(crate) mod statements;
    pub(crate) mod sync;
    pub(crate) mod tenant;
}

mod check {
    mod after_restart;
    mod common_mistakes;
    mod configuration;
    mod hba;
    mod pam_files;
    mod unloaded_hba;
}

mod directory {
    mod arc;
    mod azure_names;
    mod check;
    mod credential_faults;
    mod credentials;
    mod explain;
    mod filters;
    mod ids;
    mod leavers;
    mod leavers_doubt;
    mod leavers_login;
    mod leavers_sessions;
    mod lookup;
    mod machine_identity;
    mod names;
    mod off;
    mod overage;
    mod overage_load;
    mod parts;
    mod pauses;
    mod secret_files;
    mod secrets;
    mod snapshot;
    mod statements;
    mod status;
    mod sync_members;
    mod sync_members_faults;
    mod sync_members_kinds;
    mod sync_members_lists;
    mod sync_members_names;
    mod sync_members_standby;
    mod sync_members_worker;
    mod unreadable;
    mod waiting;
    mod worker;
}

mod keys {
    mod fetching;
    mod key_wait;
    mod outage;
    mod proxy;
    mod snapshot;
    mod status;
    mod worker;
}

mod link {
    mod administrator_limits;
    mod administrator_privileges;
    mod administrator_role;
    mod administrators;
    mod authorization;
    mod concurrency;
    mod concurrent_grants;
    mod dump_restore;
    mod extension;
    mod extension_upgrade;
    mod flexible_server_dump;
    mod guard_memberships;
    mod label_limits;
    mod labels;
    mod linking;
    mod lock_waits;
    mod memberships;
    mod prepared_transactions;
    mod privilege_escalation;
    mod revocation;
    mod revocation_rights;
    mod revocations_outlive_role;
    mod two_labels;
    mod unlink_notices;
    mod upgrade;
}

mod login {
    mod admission;
    mod admission_log;
    mod claim_refusals;
    mod doors;
    mod explain_token;
    mod first_connection;
    mod guard;
    mod guard_libraries;
    mod guard_setting;
    mod login_load;
    mod membership_changes;
    mod oauth;
    mod oauth_line_options;
    mod other_hooks;
    mod pam;
    mod pam_modules;
    mod password_prompt;
    mod seal;
    mod server_errors;
    mod server_refusals;
    mod since_19;
    mod startup_seal;
    mod superuser_recovery;
    mod token_format;
    mod token_refusals;
}

mod server {
    mod dashboard;
    mod documents;
    mod encodings;
    mod library;
    mod monitoring_queries;
    mod settings;
    mod size_limits;
    mod standby;
}

mod sessions {
    mod changed_link;
    mod expiry;
    mod expiry_warning;
    mod lifetime;
    mod many_sessions;
    mod pgbouncer;
    mod session_view;
}

mod stat {
    mod counters;
}

mod statement {
    mod azure_scripts;
    mod core_errors;
    mod create_role;
    mod grant_revoke;
    mod hints;
}

//! Every setting, as parsed values.
//!
//! Settings come from configuration files and ALTER SYSTEM only. A value that does not parse fails
//! closed. At reload it is refused, and the old value stays in force. At server start it stands,
//! and until it is corrected every Azure AD login is refused as `not_configured`, because the
//! default that PostgreSQL would use instead may mean "anyone". The settings of the directory open
//! no door: a bad value of theirs makes the directory unavailable, and refuses no login.

mod ca_file;
mod checks;
mod choices;
mod define;
mod directory;
mod files;
mod parsed;
mod row;
mod single_server;
pub(crate) mod unknown;

use std::time::Duration;

use entra::Timing;

pub(crate) use crate::pg::guc::reload;
pub(crate) use crate::settings::ca_file::anchors_in;
pub(crate) use crate::settings::choices::GroupLookup;
use crate::settings::choices::SessionExpiry;
use crate::settings::define::values;
pub(crate) use crate::settings::directory::{
    Credential, DirectorySettings, directory, directory_mode, directory_problems, directory_refresh_interval,
    directory_wait, group_lookup, group_lookup_cache, group_lookup_wait, group_sync, group_sync_database,
    group_sync_interval,
};
pub(crate) use crate::settings::parsed::{KeyOrigin, Rules, key_origin, rules, tenant};
pub(crate) use crate::settings::single_server::NAME_FOR_SESSIONS;
pub(crate) use crate::settings::single_server::validates_object_ids;

/// The prefix of all names.
pub(crate) const PREFIX: &str = "azure_ad_auth";

/// Defines every setting. Called in the postmaster only, while it loads its libraries.
pub(crate) fn define() {
    define::define(parsed::parse);
    single_server::define();
}

/// Returns whether a name without the prefix is one of this library's settings.
pub(crate) fn is_known(name: &str) -> bool {
    define::is_known(name)
}

/// Returns what is wrong with a value that is written for one of this library's settings, if it is
/// a text. PostgreSQL checks the others.
pub(crate) fn problem_of(name: &str, value: &str) -> Option<String> {
    define::problem_of(name, value)
}

/// Returns whether a login without TLS or a Unix-domain socket is refused before the token is asked
/// for.
pub(crate) fn require_tls() -> bool {
    values(|values| values.require_tls)
}

/// Returns whether the modules of PAM are loaded when the server starts.
pub(crate) fn preload_pam_modules() -> bool {
    values(|values| values.preload_pam_modules)
}

/// Returns how long a login may wait for a fetch.
pub(crate) fn unknown_key_wait() -> Duration {
    Duration::from_millis(values(|values| values.unknown_key_wait).unsigned_abs().into())
}

/// Returns the leeway for a clock that differs from the issuer's, in seconds.
pub(crate) fn clock_skew() -> i64 {
    values(|values| values.clock_skew).into()
}

/// Returns how many seconds after its token a session ends, or none if it does not end.
pub(crate) fn session_expiry() -> Option<i64> {
    values(|values| match values.session_expiry {
        SessionExpiry::Terminate => Some(values.session_expiry_grace.into()),
        SessionExpiry::Off => None,
    })
}

/// Returns how many seconds before its end a token is worth a warning; 0: none is given.
pub(crate) fn expiry_warning() -> i64 {
    values(|values| values.expiry_warning).into()
}

/// Returns when keys are fetched and how long they are used.
pub(crate) fn timing() -> Timing {
    let millis = |seconds: i32| u64::from(seconds.unsigned_abs()) * 1_000;
    values(|values| Timing {
        refresh_interval: millis(values.key_refresh_interval),
        max_age: millis(values.key_max_age),
        cooldown: millis(values.key_refresh_cooldown),
        wait: values.unknown_key_wait.unsigned_abs().into(),
    })
}

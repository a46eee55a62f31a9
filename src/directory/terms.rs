//! What the settings say about the directory, as the rest of the room needs it.

use std::time::Duration;

use entra::Millis;
use entra::directory::login::GroupLookup;

use crate::settings;

/// Returns whether the setting `directory` names a credential. One whose value at server start was
/// not valid does: the directory is wanted, and cannot be asked.
pub(super) fn is_on() -> bool {
    !matches!(settings::directory(), Ok(None))
}

/// Returns why the directory cannot be asked; none if it can, as far as the settings say.
pub(super) fn problem() -> Option<String> {
    settings::directory().err().map(|fault| fault.to_string())
}

/// Returns the longest wait of a statement.
pub(super) fn wait() -> Duration {
    settings::directory_wait()
}

/// Returns the longest wait of a login.
pub(super) fn group_lookup_wait() -> Duration {
    settings::group_lookup_wait()
}

/// Returns when a login asks about membership.
pub(super) fn group_lookup() -> GroupLookup {
    match settings::group_lookup() {
        settings::GroupLookup::Off => GroupLookup::Off,
        settings::GroupLookup::Overage => GroupLookup::Overage,
        settings::GroupLookup::Always => GroupLookup::Always,
    }
}

/// Returns how long a yes counts.
pub(super) fn group_lookup_cache() -> Millis {
    settings::group_lookup_cache()
}

/// Returns the time between two looks; 0: none are scheduled.
pub(super) fn interval() -> Millis {
    settings::directory_refresh_interval()
}

/// Identifies the credential, tenant, cloud and addresses; never 0. They have no number while they
/// cannot be used.
pub(super) fn fingerprint() -> u64 {
    settings::directory().ok().flatten().map_or(1, |settings| settings.fingerprint.max(2))
}

/// Returns the value of the setting `directory`.
pub(super) fn mode() -> &'static str {
    settings::directory_mode()
}

/// Returns the time between two rounds of the synchronisation of groups.
pub(super) fn group_sync_interval() -> Millis {
    settings::group_sync_interval()
}

//! What the settings say about the directory, as the rest of the room needs it.

use std::time::Duration;

use entra::Millis;
use entra::directory::login::GroupLookup;

/// Returns whether the setting `directory` names a credential.
pub(super) const fn is_on() -> bool {
    false
}

/// Returns why the directory cannot be asked; none if it can, as far as the settings say.
pub(super) const fn problem() -> Option<String> {
    None
}

/// Returns the longest wait of a statement.
pub(super) const fn wait() -> Duration {
    Duration::from_secs(10)
}

/// Returns the longest wait of a login.
pub(super) const fn group_lookup_wait() -> Duration {
    Duration::from_secs(3)
}

/// Returns when a login asks about membership.
pub(super) const fn group_lookup() -> GroupLookup {
    GroupLookup::Overage
}

/// Returns the time between two looks; 0: none are scheduled.
pub(super) const fn interval() -> Millis {
    300_000
}

/// Identifies the credential, tenant, cloud and addresses.
pub(super) const fn fingerprint() -> u64 {
    0
}

/// Returns the value of the setting `directory`.
pub(super) const fn mode() -> &'static str {
    "off"
}

//! Tasks of other rooms that the key worker does, because it always runs and wakes at least once a
//! minute. None of them has to do with keys.

use crate::keys::worker::log;
use crate::report;
use crate::settings::unknown;

/// Logs how many lines about refused logins were left out, if no later line has reported it. Called
/// whenever the worker goes round its loop.
pub(super) fn each_round() {
    report::log_left_out();
}

/// Looks for unknown settings in the configuration files, which logins do not read. Called at the
/// worker's start and after each reload.
pub(super) fn at_reload() {
    if let Some(unknown) = unknown::look() {
        log(&format!("every Azure AD login is refused while there is an unknown setting: {unknown}"));
    }
}

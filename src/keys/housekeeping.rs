//! What the key worker does for other rooms, because it is there and looks at the clock anyway.
//! None of it has to do with keys.

use crate::keys::worker::log;
use crate::report;
use crate::settings::unknown;

/// Logs how many lines about refused logins were left out, where no later line has said it. Called
/// whenever the worker goes round its loop.
pub(super) fn each_round() {
    report::log_left_out();
}

/// Looks for unknown settings in the configuration files: reading files is not for logins. Called
/// at the worker's start and after each reload.
pub(super) fn at_reload() {
    if let Some(unknown) = unknown::look() {
        log(&format!("every Azure AD login is refused while there is an unknown setting: {unknown}"));
    }
}

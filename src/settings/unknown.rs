//! Settings that do not exist: what is known of the first one that the configuration files name
//! under this extension's prefix, in shared memory of its own.
//!
//! A worker reads the files, so that logins need not, and a login only asks what was found.

use crate::pg::bytes::Bytes;
use crate::pg::shmem::Locked;
use crate::settings::files;

/// Longest text about it: a name, a path and a line number, cut if need be.
const MAX_BYTES: usize = 512;

/// Its name and where it stands; empty if there is none, or no process has looked yet.
static FOUND: Locked<Bytes<MAX_BYTES>> = Locked::new(c"azure_ad_auth_unknown_setting", || Bytes::EMPTY);

/// Requests the memory. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    FOUND.request();
}

/// Looks for such a setting in the configuration files. Returns it, and notes it for [`found`].
pub(crate) fn look() -> Option<String> {
    let unknown = files::unknown_name();
    let note = unknown.as_deref().map_or(Bytes::EMPTY, Bytes::cut);
    *FOUND.exclusive() = note;
    unknown
}

/// Returns what the last look has found.
pub(crate) fn found() -> Option<String> {
    let found = *FOUND.share();
    (!found.is_empty()).then(|| found.text())
}

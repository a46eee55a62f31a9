//! The files of PAM services.

use hba::{Service, file_name, missing, read_service};

use crate::pg::file::{self, is_same_file};

/// The folders in which libpam looks, in its order.
const PAM_FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// The most bytes that are read of a file. A service takes a few lines.
const MAX_BYTES: u64 = 65_536;

/// Returns what libpam would do for a service. libpam runs in a backend and so reads with the same
/// rights as this function. `module`: the file of this library.
pub(crate) fn service(name: &str, module: &str) -> Service {
    let found = file_name(name).and_then(|name| {
        PAM_FOLDERS.iter().find_map(|folder| {
            let path = format!("{folder}/{name}");
            let content = file::read(&path, MAX_BYTES, 0).ok()?;
            Some((path, String::from_utf8_lossy(&content).into_owned()))
        })
    });
    let Some((path, content)) = found else { return missing(name, module) };
    let is_same = |other: &str| other.starts_with('/') && is_same_file(other, module);
    read_service(&path, &content, module, &is_same)
}

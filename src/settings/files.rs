//! Names under our prefix that stand in the server's configuration files and are none of ours.
//!
//! PostgreSQL drops such a line with a warning. A misspelt `allowed_client` would then let anyone in, so logins are refused
//! while it stands. The files are read by the worker, at its start and at reload; never during a login.

use std::ffi::{CStr, CString};
use std::path::Path;

use pgrx::prelude::*;

use crate::settings::{PREFIX, define};

/// What ALTER SYSTEM writes, in the data directory (`PG_AUTOCONF_FILENAME`, utils/guc.h).
const AUTO_FILE: &str = "postgresql.auto.conf";

/// The first unknown name under our prefix, with the file and line it stands in.
pub(crate) fn unknown_name() -> Option<String> {
    let main = server_text(|| {
        #[expect(unsafe_code, reason = "reads a variable of the server")]
        // SAFETY: set once, before any library is loaded.
        unsafe {
            pg_sys::ConfigFileName
        }
    })?;
    let data = server_text(|| {
        #[expect(unsafe_code, reason = "reads a variable of the server")]
        // SAFETY: set once, before any library is loaded.
        unsafe {
            pg_sys::DataDir
        }
    })?;
    let auto = CString::new(Path::new(data.to_str().ok()?).join(AUTO_FILE).to_str()?).ok()?;
    unknown_name_in(&main).or_else(|| unknown_name_in(&auto))
}

fn server_text(read: impl FnOnce() -> *mut std::ffi::c_char) -> Option<CString> {
    let text = read();
    #[expect(unsafe_code, reason = "copies a C string of the server")]
    // SAFETY: the callers above read variables that are null or a C string that is never freed.
    unsafe {
        (!text.is_null()).then(|| CStr::from_ptr(text).to_owned())
    }
}

/// Reads a file and what it includes, with the server's own parser.
#[expect(unsafe_code, reason = "guc-file.l has no safe wrapper")]
fn unknown_name_in(file: &CStr) -> Option<String> {
    let (mut head, mut tail) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the path is a C string; the list is allocated in the current context, read here and freed here. A file that
    // cannot be read or parsed gives the part that could, as at reload; the level keeps it from raising.
    unsafe {
        pg_sys::ParseConfigFile(
            file.as_ptr(),
            false,
            std::ptr::null(),
            0,
            0,
            PgLogLevel::DEBUG1 as i32,
            &raw mut head,
            &raw mut tail,
        );
        let mut found = None;
        let mut next: *mut pg_sys::ConfigVariable = head;
        while let (None, Some(item)) = (&found, next.as_ref()) {
            found = describe_if_unknown(item);
            next = item.next;
        }
        pg_sys::FreeConfigVariables(head);
        found
    }
}

#[expect(unsafe_code, reason = "copies C strings of the server")]
fn describe_if_unknown(item: &pg_sys::ConfigVariable) -> Option<String> {
    let text = |pointer: *mut std::ffi::c_char| {
        // SAFETY: the parser leaves null or a C string in each of these fields.
        unsafe { (!pointer.is_null()).then(|| CStr::from_ptr(pointer).to_string_lossy()) }
    };
    let name = text(item.name)?;
    let (prefix, rest) = name.split_once('.')?;
    if !prefix.eq_ignore_ascii_case(PREFIX) || define::is_known(rest) {
        return None;
    }
    let file = text(item.filename).unwrap_or_default();
    Some(format!("{} in {file}:{}", entra::Untrusted::new(&name), item.sourceline))
}

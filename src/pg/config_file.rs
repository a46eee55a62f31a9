//! Reads configuration files of the server with its own parser (guc-file.l).

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;

use pgrx::prelude::*;

/// The file that ALTER SYSTEM writes, in the data directory (`PG_AUTOCONF_FILENAME`, utils/guc.h).
const AUTO_FILE: &str = "postgresql.auto.conf";

/// A line that sets something.
pub(crate) struct ConfigLine<'a> {
    /// The name of the setting.
    pub(crate) name: Cow<'a, str>,
    /// The file.
    pub(crate) file: Cow<'a, str>,
    /// The number of the line.
    pub(crate) number: i32,
}

/// Returns the main configuration file and the one that ALTER SYSTEM writes, or none if their paths
/// are not known.
#[expect(unsafe_code, reason = "reads variables of the server")]
pub(crate) fn files() -> Option<[CString; 2]> {
    // SAFETY: null or a C string. Both are set once, before any library is loaded, and never freed.
    let (main, data) = unsafe { (copied(pg_sys::ConfigFileName)?, copied(pg_sys::DataDir)?) };
    let auto = CString::new(Path::new(data.to_str().ok()?).join(AUTO_FILE).to_str()?).ok()?;
    Some([main, auto])
}

/// Reads a file and what it includes. Returns what `pick` gives for the first line for which it
/// gives anything. Of a file that cannot be read or parsed there is the part that could, as at
/// reload.
#[expect(unsafe_code, reason = "guc-file.l has no safe wrapper")]
pub(crate) fn first_line<T>(file: &CStr, pick: impl Fn(&ConfigLine<'_>) -> Option<T>) -> Option<T> {
    let (mut head, mut tail) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the path is a C string. The list is allocated in the current context, read here and
    // freed here. The level keeps the parser from raising errors.
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
            found = line(item).as_ref().and_then(&pick);
            next = item.next;
        }
        pg_sys::FreeConfigVariables(head);
        found
    }
}

#[expect(unsafe_code, reason = "reads C strings of the server")]
fn line(item: &pg_sys::ConfigVariable) -> Option<ConfigLine<'_>> {
    let text = |pointer: *mut c_char| {
        // SAFETY: the parser leaves null or a C string in each of these fields, which lives as long
        // as the item.
        unsafe { (!pointer.is_null()).then(|| CStr::from_ptr(pointer).to_string_lossy()) }
    };
    let file = text(item.filename).unwrap_or_default();
    Some(ConfigLine { name: text(item.name)?, file, number: item.sourceline })
}

/// Returns a copy of a C string.
///
/// # Safety
/// The pointer is null or a C string.
#[expect(unsafe_code, reason = "copies a C string of the server")]
unsafe fn copied(text: *const c_char) -> Option<CString> {
    // SAFETY: see above.
    unsafe { (!text.is_null()).then(|| CStr::from_ptr(text).to_owned()) }
}

//! Settings of the server (guc.c): defines those of this library, with hooks in safe code, and
//! reads others.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::RangeInclusive;

use pgrx::guc::GucEnum;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::text::reported;

/// The description of a setting in pg_settings.
pub(crate) struct Description {
    /// The name.
    pub(crate) name: &'static CStr,
    /// A short description, in one line.
    pub(crate) short: &'static CStr,
    /// A longer description.
    pub(crate) long: &'static CStr,
}

/// What guc.c asks and tells about a setting. It does not say which setting a call is about, so
/// each setting has a type of its own.
pub(crate) trait Hooks {
    /// The type of the value: a text, a number, on or off, or a word of a list.
    type Value: ?Sized;

    /// Called before a value is set. The error is a sentence that says why it may not be.
    ///
    /// # Errors
    /// The value is not acceptable.
    fn check(value: &Self::Value, is_from_file: bool) -> Result<(), String>;

    /// Called when a value is set, at each reload too, and never when one is only tried.
    fn assign(value: &Self::Value);
}

/// Defines a text. What is not UTF-8 in a value reaches the hooks as a replacement character.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define_text<H: Hooks<Value = str>>(
    about: &Description,
    storage: &'static GucSetting<Option<CString>>,
    context: GucContext,
    flags: GucFlags,
) {
    let (check, assign) = (Some(check_text::<H> as _), Some(assign_text::<H> as _));
    // SAFETY: every hook here carries #[pg_guard].
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            about.name,
            about.short,
            about.long,
            storage,
            context,
            flags,
            check,
            assign,
            None,
        );
    }
}

/// Defines a number. `flags` have its unit.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define_number<H: Hooks<Value = i32>>(
    about: &Description,
    storage: &'static GucSetting<i32>,
    range: &RangeInclusive<i32>,
    context: GucContext,
    flags: GucFlags,
) {
    let (min, max) = (*range.start(), *range.end());
    let (check, assign) = (Some(check_number::<H> as _), Some(assign_number::<H> as _));
    // SAFETY: as above.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            about.name,
            about.short,
            about.long,
            storage,
            min,
            max,
            context,
            flags,
            check,
            assign,
            None,
        );
    }
}

/// Defines a setting that is on or off.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define_flag<H: Hooks<Value = bool>>(
    about: &Description,
    storage: &'static GucSetting<bool>,
    context: GucContext,
    flags: GucFlags,
) {
    let (check, assign) = (Some(check_flag::<H> as _), Some(assign_flag::<H> as _));
    // SAFETY: as above.
    unsafe {
        GucRegistry::define_bool_guc_with_hooks(
            about.name,
            about.short,
            about.long,
            storage,
            context,
            flags,
            check,
            assign,
            None,
        );
    }
}

/// Defines a word of a list.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define_word<E: GucEnum, H: Hooks<Value = E>>(
    about: &Description,
    storage: &'static GucSetting<E>,
    context: GucContext,
    flags: GucFlags,
) {
    let (check, assign) = (Some(check_word::<E, H> as _), Some(assign_word::<E, H> as _));
    // SAFETY: as above.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
            about.name,
            about.short,
            about.long,
            storage,
            context,
            flags,
            check,
            assign,
            None,
        );
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_text<H: Hooks<Value = str>>(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c passes a pointer to the new value (call_string_check_hook), which is a C string
    // or null.
    let text = unsafe { value.as_ref().map(|text| lossy(*text)) };
    is_accepted(H::check(&text.unwrap_or_default(), is_file(source)))
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an assign hook")]
unsafe extern "C-unwind" fn assign_text<H: Hooks<Value = str>>(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: guc.c passes the new value, which is a C string or null.
    H::assign(&unsafe { lossy(value) });
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_number<H: Hooks<Value = i32>>(
    value: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c passes a pointer to the new value (call_int_check_hook).
    unsafe { value.as_ref() }.is_some_and(|value| is_accepted(H::check(value, is_file(source))))
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an assign hook")]
unsafe extern "C-unwind" fn assign_number<H: Hooks<Value = i32>>(value: c_int, _extra: *mut c_void) {
    H::assign(&value);
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_flag<H: Hooks<Value = bool>>(
    value: *mut bool,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c passes a pointer to the new value (call_bool_check_hook).
    unsafe { value.as_ref() }.is_some_and(|value| is_accepted(H::check(value, is_file(source))))
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an assign hook")]
unsafe extern "C-unwind" fn assign_flag<H: Hooks<Value = bool>>(value: bool, _extra: *mut c_void) {
    H::assign(&value);
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_word<E: GucEnum, H: Hooks<Value = E>>(
    value: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c passes a pointer to the new value (call_enum_check_hook), which it has found in
    // the list.
    let word = unsafe { value.as_ref() }.map(|value| E::from_ordinal(*value));
    word.is_some_and(|word| is_accepted(H::check(&word, is_file(source))))
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an assign hook")]
unsafe extern "C-unwind" fn assign_word<E: GucEnum, H: Hooks<Value = E>>(value: c_int, _extra: *mut c_void) {
    H::assign(&E::from_ordinal(value));
}

/// Returns a copy of a text, empty if there is none.
///
/// # Safety
/// The pointer is null or a C string.
#[expect(unsafe_code, reason = "copies a C string")]
unsafe fn lossy(text: *const c_char) -> String {
    // SAFETY: see above.
    unsafe {
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

const fn is_file(source: pg_sys::GucSource::Type) -> bool {
    source == pg_sys::GucSource::PGC_S_FILE
}

/// Returns whether a value was accepted, and leaves the reason for the log if not, as
/// GUC_check_errdetail() does.
fn is_accepted(outcome: Result<(), String>) -> bool {
    let Err(detail) = outcome else { return true };
    if let Ok(detail) = CString::new(reported(detail)) {
        #[expect(unsafe_code, reason = "a check hook reports through a variable of guc.c")]
        // SAFETY: guc.c frees nothing here; it copies the text while its memory context lives, as
        // for its own hooks.
        unsafe {
            pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(detail.as_ptr());
        }
    }
    false
}

/// Returns whether the postmaster is loading its libraries. Values of configuration files and the
/// command line arrive then.
#[expect(unsafe_code, reason = "reads a flag of the server")]
pub(crate) fn is_server_starting() -> bool {
    // SAFETY: written by the main thread only, which is where hooks run.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Returns whether this is a parallel worker that is taking over the settings of its leader, one by
/// one through their check hooks (RestoreGUCState).
#[expect(unsafe_code, reason = "reads a flag of the server")]
pub(crate) fn is_parallel_worker_starting() -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::InitializingParallelWorker }
}

/// Returns the value of any setting, as SHOW does.
#[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
pub(crate) fn value(name: &CStr) -> Option<String> {
    // SAFETY: a missing setting gives null; else the text lives until the setting changes, and is
    // copied at once.
    unsafe {
        let text = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!text.is_null()).then(|| lossy(text))
    }
}

/// Defines a setting while the server starts. Returns whether the value that is written for it is
/// not valid, which PostgreSQL only warns about before it takes the default.
#[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
pub(crate) fn has_bad_value_once_defined(name: &CStr, define: impl FnOnce()) -> bool {
    let option = |name: &CStr| {
        // SAFETY: as for `value`. The bytes are kept as they are.
        unsafe {
            let text = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_owned())
        }
    };
    let written = option(name);
    define();
    let (Some(written), Some(default)) = (written, option(name)) else { return false };
    // SAFETY: C strings that outlive the calls. The first call only tries the value. The second
    // sets the default as if a file had, so that removing the bad line from the file resets the
    // setting, and the reset is noticed.
    unsafe {
        let accepted = pg_sys::set_config_option(
            name.as_ptr(),
            written.as_ptr(),
            pg_sys::GucContext::PGC_POSTMASTER,
            pg_sys::GucSource::PGC_S_FILE,
            pg_sys::GucAction::GUC_ACTION_SET,
            false,
            PgLogLevel::DEBUG5 as i32,
            false,
        );
        if accepted == 0 {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                default.as_ptr(),
                pg_sys::GucContext::PGC_POSTMASTER,
                pg_sys::GucSource::PGC_S_FILE,
            );
        }
        accepted == 0
    }
}

/// Has PostgreSQL warn of settings with this prefix that are not defined by now.
#[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
pub(crate) fn reserve_prefix(prefix: &CStr) {
    // SAFETY: a C string, which is copied.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}

/// Reads the configuration files again, in the main loop of a background worker.
#[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
pub(crate) fn reload() {
    // SAFETY: in a main loop, outside of any transaction, as every process of the server does it.
    unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) }
}

//! The options for validators on lines of pg_hba.conf, `validator.NAME=VALUE`: from PostgreSQL 19
//! on. `pg_hba_file_rules` does not show them.

/// An option of a line.
pub(crate) struct ValidatorOption {
    /// The file the line is in.
    pub(crate) file: String,
    /// The number of the line.
    pub(crate) number: i32,
    /// The option as it is written: `validator.NAME=VALUE`.
    pub(crate) text: String,
}

#[cfg(feature = "pg19")]
pub(crate) use since_19::validator_options;

/// Returns no options: PostgreSQL has none.
#[cfg(not(feature = "pg19"))]
pub(crate) const fn validator_options() -> Vec<ValidatorOption> {
    Vec::new()
}

#[cfg(feature = "pg19")]
mod since_19 {
    use std::ffi::{CStr, c_char, c_int, c_void};

    use pgrx::PgMemoryContexts;
    use pgrx::prelude::*;

    use super::ValidatorOption;
    use crate::pg::{interrupts, server, text};

    /// The level of messages about lines that cannot be read: `pg_hba_file_rules` uses it as well.
    const QUIET: c_int = pg_sys::DEBUG3.cast_signed();
    const ERROR: c_int = pg_sys::PGERROR.cast_signed();

    /// Returns the options for validators of all lines that PostgreSQL can read, as the file is
    /// now. Reads them as `pg_hba_file_rules` does (fill_hba_view, hbafuncs.c).
    #[expect(unsafe_code, ffi_unwind_calls, reason = "the server's own parser, in boundaries")]
    pub(crate) fn validator_options() -> Vec<ValidatorOption> {
        let mut found = Vec::new();
        let memory = PgMemoryContexts::new("azure_ad_auth: lines of pg_hba.conf");
        // SAFETY: as allocating_in() demands. An error leaves it as a panic; the end of the
        // transaction then closes the file. The parser allocates in `memory`, which goes when it is
        // dropped, and in a context of its own, which free_auth_file() frees; everything is copied
        // out before.
        unsafe {
            let mut lines: *mut server::List = std::ptr::null_mut();
            let name = pg_sys::HbaFileName;
            let file = allocating_in(&memory, || {
                let file = server::open_auth_file(name, ERROR, 0, std::ptr::null_mut());
                server::tokenize_auth_file(name, file, &raw mut lines, QUIET, 0);
                file
            });
            for line in items(lines).map(<*mut c_void>::cast::<server::TokenizedAuthLine>) {
                interrupts::check();
                if !(*line).err_msg.is_null() {
                    continue;
                }
                let parsed = allocating_in(&memory, || server::parse_hba_line(line, QUIET));
                if parsed.is_null() {
                    continue;
                }
                let pairs = items((*parsed).oauth_opt_keys).zip(items((*parsed).oauth_opt_vals));
                found.extend(pairs.map(|(key, value)| ValidatorOption {
                    file: shown((*line).file_name),
                    number: (*line).line_num,
                    text: format!("validator.{}={}", shown(key.cast()), shown(value.cast())),
                }));
            }
            allocating_in(&memory, || server::free_auth_file(file, 0));
        }
        found
    }

    /// Calls functions of the server that allocate in `memory`. An error of PostgreSQL leaves this
    /// as a panic, and the memory that was current before is current again.
    ///
    /// # Safety
    /// Nothing in `call` has anything to drop.
    #[expect(unsafe_code, reason = "switches the current memory")]
    unsafe fn allocating_in<T: Copy>(memory: &PgMemoryContexts, call: impl FnOnce() -> T) -> T {
        // SAFETY: see above; the boundary puts back the current memory after an error.
        unsafe {
            let memory = memory.value();
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let before = pg_sys::MemoryContextSwitchTo(memory);
                let result = call();
                pg_sys::MemoryContextSwitchTo(before);
                result
            })
        }
    }

    /// Returns the pointers of a list.
    ///
    /// # Safety
    /// Null, or a list of pointers that stays as it is while the iterator is used.
    #[expect(unsafe_code, reason = "reads a list of the server")]
    unsafe fn items(list: *const server::List) -> impl Iterator<Item = *mut c_void> {
        // SAFETY: see above. A list has as many cells as it says.
        let cells = unsafe {
            if list.is_null() {
                &[]
            } else {
                let length = usize::try_from((*list).length).unwrap_or_default();
                std::slice::from_raw_parts((*list).elements, length)
            }
        };
        // SAFETY: see above.
        cells.iter().map(|cell| unsafe { cell.ptr_value })
    }

    /// # Safety
    /// A C string.
    #[expect(unsafe_code, reason = "a C string of the server")]
    unsafe fn shown(text: *const c_char) -> String {
        // SAFETY: see above.
        text::read_utf8(unsafe { CStr::from_ptr(text) }.to_bytes())
    }
}

//! Loads the modules of PAM into the postmaster, so that backends need not.
//!
//! For each login libpam reads `/etc/pam.d/SERVICE` and always `/etc/pam.d/other` as well, and
//! loads every module that these name: on Debian that is pam_unix, with the libraries that it
//! needs. A module that the postmaster has loaded is in each backend's memory from the start, where
//! libpam finds it. The files are still read anew for each login, so a change of them counts at
//! once.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;

use crate::pg::pam::{CONV_ERR, Conversation, Handle, Message, Response};

type Start =
    unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut *mut Handle) -> c_int;

/// Answers no question.
static SILENT: Conversation = Conversation { converse: Some(refuse), data: std::ptr::null_mut() };

extern "C-unwind" fn refuse(
    _count: c_int,
    _messages: *mut *const Message,
    _responses: *mut *mut Response,
    _data: *mut c_void,
) -> c_int {
    CONV_ERR
}

/// Begins a conversation with PAM for `service` and never ends it, which keeps the modules of that
/// service and of `other` loaded. No function of a module is called. Does nothing in a server
/// without PAM. In the postmaster only, while it loads its libraries.
///
/// # Errors
/// Says what a postmaster should not have and now has: a thread or a file of a module, which each
/// process that it forks inherits. The modules stay, because a thread needs the code that it runs.
#[expect(unsafe_code, reason = "calls libpam, found by name")]
pub(crate) fn keep_loaded(service: &CStr) -> Result<(), &'static str> {
    let before = Possessions::of_this_process();
    // SAFETY: a function of this name has this type wherever there is a Linux-PAM, and raises
    // nothing. Texts and conversation outlive the call, or the process; the handle, which is not
    // used, is left to libpam.
    unsafe {
        let start = libc::dlsym(libc::RTLD_DEFAULT, c"pam_start".as_ptr());
        if start.is_null() {
            return Ok(());
        }
        let start = std::mem::transmute::<*mut c_void, Start>(start);
        let mut handle: *mut Handle = std::ptr::null_mut();
        start(service.as_ptr(), c"postgres".as_ptr(), &raw const SILENT, &raw mut handle);
    }
    Possessions::of_this_process().compare(&before)
}

/// What a module may add to its process while it is loaded.
struct Possessions {
    threads: usize,
    files: usize,
}

impl Possessions {
    fn of_this_process() -> Self {
        Self { threads: entries(Path::new("/proc/self/task")), files: entries(Path::new("/proc/self/fd")) }
    }

    fn compare(&self, before: &Self) -> Result<(), &'static str> {
        if self.threads > before.threads {
            return Err("one of them has started a thread");
        }
        if self.files > before.files { Err("one of them has opened a file") } else { Ok(()) }
    }
}

/// Returns how many entries a folder has; none where it cannot be read.
fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

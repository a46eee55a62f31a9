//! The conversation of PAM: the only file that speaks to libpam.
//!
//! libpam is not linked: a server without PAM loads this library as well. Where one of its
//! functions is needed, libpam has called this library and is there. Types and numbers are those of
//! Linux-PAM (security/_pam_types.h), which are part of its ABI.

#[cfg(target_os = "linux")]
mod modules;
#[cfg(target_pointer_width = "64")]
mod symbols;

use std::ffi::{CStr, c_char, c_int, c_void};

use pgrx::prelude::*;
use zeroize::{Zeroize, Zeroizing};

#[cfg(target_os = "linux")]
pub(crate) use crate::pg::pam::modules::keep_loaded;
#[cfg(target_pointer_width = "64")]
pub(crate) use crate::pg::pam::symbols::conceal;

/// Does nothing where PAM may be another one than Linux-PAM.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_loaded(_service: &CStr) -> Result<(), &'static str> {
    Ok(())
}

/// Does nothing where the table of symbols has another layout.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) fn conceal() -> Result<(), &'static str> {
    Err("it is done on machines of 64 bits only")
}

/// `PAM_SUCCESS`.
pub(crate) const SUCCESS: c_int = 0;
/// `PAM_SERVICE_ERR`: not a service of this module.
pub(crate) const SERVICE_ERR: c_int = 3;
/// `PAM_SYSTEM_ERR`.
pub(crate) const SYSTEM_ERR: c_int = 4;
/// `PAM_AUTH_ERR`: refused.
pub(crate) const AUTH_ERR: c_int = 7;
/// `PAM_AUTHINFO_UNAVAIL`: this module cannot decide here.
pub(crate) const AUTHINFO_UNAVAIL: c_int = 9;
/// `PAM_CRED_UNAVAIL`.
pub(crate) const CRED_UNAVAIL: c_int = 15;
/// `PAM_CONV_ERR`: the client did not answer.
pub(crate) const CONV_ERR: c_int = 19;

/// The item that is the conversation function, `PAM_CONV`.
const CONVERSATION: c_int = 5;
/// A message that asks for something secret, `PAM_PROMPT_ECHO_OFF`.
const PROMPT_ECHO_OFF: c_int = 1;

/// `pam_handle_t`, which only libpam looks into.
#[repr(C)]
pub(crate) struct Handle {
    _opaque: [u8; 0],
}

/// `struct pam_message`.
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`.
#[repr(C)]
struct Response {
    text: *mut c_char,
    _unused: c_int,
}

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    converse: Option<
        unsafe extern "C-unwind" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    >,
    data: *mut c_void,
}

#[expect(unsafe_code, reason = "the pointer is null in the only static of this type")]
// SAFETY: libpam passes the pointer on, and only reads the rest.
unsafe impl Sync for Conversation {}

type GetItem = unsafe extern "C-unwind" fn(*const Handle, c_int, *mut *const c_void) -> c_int;

/// Why there is no token.
pub(crate) enum NoAnswer {
    /// The client did not answer.
    HungUp,
    /// libpam has no conversation function.
    NoConversation,
}

/// Asks for the token by the conversation function of the application that uses PAM: PostgreSQL's,
/// which asks the client for a password.
///
/// Raises PostgreSQL's error when the client answers with something else than a password.
#[expect(unsafe_code, ffi_unwind_calls, reason = "calls PostgreSQL through libpam's handle")]
pub(crate) fn ask_for_token(handle: *mut Handle) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    let message = Message { style: PROMPT_ECHO_OFF, text: c"Access token: ".as_ptr() };
    let mut messages: *const Message = &raw const message;
    let mut responses: *mut Response = std::ptr::null_mut();
    // SAFETY: the handle is the one libpam has called this library with, and its conversation
    // function is PostgreSQL's, in whose backend this runs. Plain values only within the boundary,
    // which an error of PostgreSQL's leaves as a panic. A success leaves one response, allocated by
    // malloc(), to be freed here.
    unsafe {
        let conversation = conversation_of(handle).ok_or(NoAnswer::NoConversation)?;
        let converse = conversation.converse.ok_or(NoAnswer::NoConversation)?;
        let result = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            converse(1, &raw mut messages, &raw mut responses, conversation.data)
        });
        if result != SUCCESS || responses.is_null() {
            return Err(NoAnswer::HungUp);
        }
        let text = take((*responses).text);
        libc::free(responses.cast());
        text.ok_or(NoAnswer::HungUp)
    }
}

/// Returns the conversation function of the application, and its data.
///
/// # Safety
/// libpam has called this library with the handle, and the call has not returned.
#[expect(unsafe_code, ffi_unwind_calls, reason = "a function of libpam's, found by name")]
unsafe fn conversation_of<'h>(handle: *mut Handle) -> Option<&'h Conversation> {
    // SAFETY: see above; a function of this name has this type wherever there is a libpam, and
    // raises nothing. The item stays where it is until pam_end().
    unsafe {
        let get_item = libc::dlsym(libc::RTLD_DEFAULT, c"pam_get_item".as_ptr());
        if get_item.is_null() {
            return None;
        }
        let get_item = std::mem::transmute::<*mut c_void, GetItem>(get_item);
        let mut item: *const c_void = std::ptr::null();
        if get_item(handle, CONVERSATION, &raw mut item) != SUCCESS {
            return None;
        }
        item.cast::<Conversation>().as_ref()
    }
}

/// Copies a text out, and wipes and frees it.
///
/// # Safety
/// Null, or a C string allocated by malloc() to which there is no other pointer.
#[expect(unsafe_code, reason = "a C string that libpam's caller allocated")]
unsafe fn take(text: *mut c_char) -> Option<Zeroizing<Vec<u8>>> {
    if text.is_null() {
        return None;
    }
    // SAFETY: see above.
    unsafe {
        let length = CStr::from_ptr(text).count_bytes();
        let bytes = std::slice::from_raw_parts_mut(text.cast::<u8>(), length);
        // bounded: PostgreSQL reads passwords up to PG_MAX_AUTH_TOKEN_LENGTH (libpq/auth.h).
        let copy = Zeroizing::new(bytes.to_vec());
        bytes.zeroize();
        libc::free(text.cast());
        Some(copy)
    }
}

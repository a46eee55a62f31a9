//! The list of sessions: the only file that touches its memory.
//!
//! One place for each backend that there can be, under one lightweight lock. A backend writes its own place once, when it has been
//! let in, and empties it when it ends; the reaper marks a place whose session it has asked to end; everybody else copies places
//! out. Nothing is allocated, raised or waited for under the lock.
//!
//! A process that is killed makes PostgreSQL start shared memory afresh, so no place outlives its backend.

use std::cell::Cell;
use std::mem::size_of;

use entra::{TokenKind, Uuid, limits};
use pgrx::prelude::*;

use super::Session;
use crate::bytes::Bytes;

/// The name of the memory and of its lock.
const NAME: &std::ffi::CStr = c"azure_ad_auth_sessions";

/// A place. Empty while `pid` is 0.
#[derive(Clone, Copy)]
#[repr(C)]
struct Place {
    pid: i32,
    role: pg_sys::Oid,
    linked_to: [u8; 16],
    object_id: [u8; 16],
    tenant: [u8; 16],
    application: [u8; 16],
    has_application: bool,
    via_group: bool,
    is_application: bool,
    has_display_name: bool,
    has_token_id: bool,
    /// It has been asked to end.
    ending: bool,
    logged_in_at: i64,
    issued_at: i64,
    expires_at: i64,
    log_line_id: Bytes<32>,
    display_name: Bytes<{ limits::MAX_SHOWN_CHARS * 4 }>,
    token_id: Bytes<64>,
    key_id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    door: Bytes<8>,
}

/// The memory, whose places follow it.
#[repr(C)]
struct Table {
    /// Whom to wake when a session comes; null while there is nobody.
    reaper: *mut pg_sys::Latch,
    capacity: usize,
    places: [Place; 0],
}

thread_local! {
    /// Set in the postmaster, inherited by every process; null until shared memory is there.
    static TABLE: Cell<*mut Table> = const { Cell::new(std::ptr::null_mut()) };
    static LOCK: Cell<*mut pg_sys::LWLock> = const { Cell::new(std::ptr::null_mut()) };
    #[cfg(not(feature = "pg14"))]
    static PREVIOUS_REQUEST: Cell<pg_sys::shmem_request_hook_type> = const { Cell::new(None) };
    static PREVIOUS_STARTUP: Cell<pg_sys::shmem_startup_hook_type> = const { Cell::new(None) };
}

/// Requests the memory and sees to its initialisation. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "installs C hooks")]
pub(crate) fn init_shared_memory() {
    // SAFETY: runs once, in the postmaster, before shared memory is made.
    unsafe {
        #[cfg(feature = "pg14")]
        request();
        #[cfg(not(feature = "pg14"))]
        {
            PREVIOUS_REQUEST.set(pg_sys::shmem_request_hook);
            pg_sys::shmem_request_hook = Some(on_request);
        }
        PREVIOUS_STARTUP.set(pg_sys::shmem_startup_hook);
        pg_sys::shmem_startup_hook = Some(on_startup);
    }
}

/// As many as there can be backends, background processes among them.
#[expect(unsafe_code, reason = "reads settings of the server")]
fn capacity() -> usize {
    // SAFETY: plain values, fixed at start.
    let count = unsafe {
        #[cfg(feature = "pg14")]
        {
            // MaxBackends comes later there (InitializeMaxBackends, postinit.c).
            pg_sys::MaxConnections
                + pg_sys::autovacuum_max_workers
                + 1
                + pg_sys::max_worker_processes
                + pg_sys::max_wal_senders
        }
        #[cfg(not(feature = "pg14"))]
        pg_sys::MaxBackends
    };
    usize::try_from(count).unwrap_or(0)
}

fn bytes() -> usize {
    size_of::<Table>() + capacity() * size_of::<Place>()
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn request() {
    // SAFETY: a constant C string; called where both may be asked for.
    unsafe {
        pg_sys::RequestAddinShmemSpace(bytes());
        pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), 1);
    }
}

#[cfg(not(feature = "pg14"))]
#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_request() {
    if let Some(previous) = PREVIOUS_REQUEST.get() {
        // SAFETY: what was there when we took its place.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous()) }
    }
    request();
}

#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: called by the postmaster once shared memory is there, and again after a crash, with new memory; nobody else uses it
    // yet. The memory is as large as was asked for, and zero is an empty place.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP.get() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        let mut found = false;
        let table = pg_sys::ShmemInitStruct(NAME.as_ptr(), bytes(), &raw mut found).cast::<Table>();
        if !found {
            std::ptr::write_bytes(table.cast::<u8>(), 0, bytes());
            (*table).capacity = capacity();
        }
        LOCK.set(&raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock);
        TABLE.set(table);
    }
}

/// The lock, held. Released when dropped; an error on the way releases it as any error does.
struct Held;

#[expect(unsafe_code, reason = "no safe wrapper")]
impl Held {
    fn new(mode: pg_sys::LWLockMode::Type) -> Self {
        // SAFETY: the lock lies in shared memory; nothing under it raises an error.
        unsafe { pg_sys::LWLockAcquire(LOCK.get(), mode) };
        Self
    }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: acquired by new().
        unsafe { pg_sys::LWLockRelease(LOCK.get()) }
    }
}

/// Looks at the places, under the lock.
fn share<T>(look: impl FnOnce(&[Place]) -> T) -> T {
    let _held = Held::new(pg_sys::LWLockMode::LW_SHARED);
    look(places())
}

/// Changes places, under the lock.
#[expect(unsafe_code, reason = "reads and writes shared memory")]
fn change<T>(act: impl FnOnce(&mut [Place], &mut *mut pg_sys::Latch) -> T) -> T {
    let _held = Held::new(pg_sys::LWLockMode::LW_EXCLUSIVE);
    // SAFETY: the memory is there for the life of the server, and ours alone while the lock is held.
    unsafe {
        let table = TABLE.get();
        let places = std::slice::from_raw_parts_mut((&raw mut (*table).places).cast(), (*table).capacity);
        act(places, &mut (*table).reaper)
    }
}

#[expect(unsafe_code, reason = "reads shared memory")]
fn places<'t>() -> &'t [Place] {
    // SAFETY: as in change(); nobody writes while the lock is held.
    unsafe {
        let table = TABLE.get();
        std::slice::from_raw_parts((&raw const (*table).places).cast(), (*table).capacity)
    }
}

/// The number of this backend's place.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn own() -> Option<usize> {
    // SAFETY: set before a client is authenticated.
    #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
    let number = unsafe { pg_sys::MyBackendId } - 1;
    #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
    // SAFETY: as above.
    let number = unsafe { pg_sys::MyProcNumber };
    usize::try_from(number).ok()
}

/// Writes this backend's place, and sees to it that it is emptied.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn enter(session: &Session) {
    let Some(own) = own() else { return };
    let place = Place::of(session);
    let reaper = change(|places, reaper| {
        if let Some(slot) = places.get_mut(own) {
            *slot = place;
        }
        *reaper
    });
    // SAFETY: guarded, and called while shared memory is still there; a latch in shared memory, where it stays.
    unsafe {
        pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(0));
        if !reaper.is_null() {
            pg_sys::SetLatch(reaper);
        }
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn leave(_code: i32, _argument: pg_sys::Datum) {
    let Some(own) = own() else { return };
    change(|places, _| {
        if let Some(place) = places.get_mut(own) {
            place.pid = 0;
        }
    });
}

/// All sessions.
pub(super) fn sessions() -> Vec<Session> {
    let taken: Vec<Place> = share(|places| places.iter().filter(|place| place.pid != 0).copied().collect());
    taken.iter().map(Place::session).collect()
}

/// Those that have not been asked to end yet.
pub(super) fn staying() -> Vec<Session> {
    let stays = |place: &&Place| place.pid != 0 && !place.ending;
    let taken: Vec<Place> = share(|places| places.iter().filter(stays).copied().collect());
    taken.iter().map(Place::session).collect()
}

/// Asks a session to end, as pg_terminate_backend() does. False: it is not there any more, or has been asked.
///
/// Under the lock, without which a backend does not go: so the process is still the session's.
#[expect(unsafe_code, reason = "sends a signal")]
pub(super) fn end(session: &Session) -> bool {
    change(|places, _| {
        let same = |place: &&mut Place| {
            place.pid == session.pid
                && place.role == session.role
                && place.logged_in_at == session.logged_in_at
        };
        let Some(place) = places.iter_mut().find(same).filter(|place| !place.ending) else { return false };
        place.ending = true;
        // SAFETY: SIGTERM to a backend of this server.
        unsafe { libc::kill(place.pid, libc::SIGTERM) == 0 }
    })
}

/// Who is to be woken when a session comes: this process.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(super) fn attend() {
    // SAFETY: this process's latch, in shared memory.
    let own = unsafe { pg_sys::MyLatch };
    change(|_, reaper| *reaper = own);
}

/// Whether there is somebody to be woken.
pub(super) fn is_attended() -> bool {
    change(|_, reaper| !reaper.is_null())
}

/// Nobody any more.
pub(super) fn retire() {
    change(|_, reaper| *reaper = std::ptr::null_mut());
}

impl Place {
    fn of(session: &Session) -> Self {
        let application = session.application.unwrap_or_default();
        Self {
            pid: session.pid,
            role: session.role,
            linked_to: session.linked_to.into_bytes(),
            object_id: session.object_id.into_bytes(),
            tenant: session.tenant.into_bytes(),
            application: application.into_bytes(),
            has_application: session.application.is_some(),
            via_group: session.via_group,
            is_application: session.kind == TokenKind::Application,
            has_display_name: session.display_name.is_some(),
            has_token_id: session.token_id.is_some(),
            ending: false,
            logged_in_at: session.logged_in_at,
            issued_at: session.issued_at,
            expires_at: session.expires_at,
            log_line_id: Bytes::cut(&session.log_line_id),
            display_name: Bytes::cut(session.display_name.as_deref().unwrap_or_default()),
            token_id: Bytes::cut(session.token_id.as_deref().unwrap_or_default()),
            key_id: Bytes::cut(&session.key_id),
            door: Bytes::cut(&session.door),
        }
    }

    fn session(&self) -> Session {
        let id = |bytes: [u8; 16]| Uuid::from_bytes(bytes);
        Session {
            pid: self.pid,
            log_line_id: self.log_line_id.text(),
            role: self.role,
            linked_to: id(self.linked_to),
            via_group: self.via_group,
            object_id: id(self.object_id),
            tenant: id(self.tenant),
            kind: if self.is_application { TokenKind::Application } else { TokenKind::User },
            application: self.has_application.then(|| id(self.application)),
            display_name: self.has_display_name.then(|| self.display_name.text()),
            token_id: self.has_token_id.then(|| self.token_id.text()),
            key_id: self.key_id.text(),
            logged_in_at: self.logged_in_at,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            door: self.door.text(),
        }
    }
}

//! The list of sessions: the only file that touches its memory.
//!
//! One place for each backend that there can be, under one lightweight lock. A backend writes its own place once, when it has been
//! let in, and empties it when it ends; the reaper marks a place whose session it has asked to end; everybody else copies places
//! out. Nothing is allocated, raised or waited for under the lock.
//!
//! A process that is killed makes PostgreSQL start shared memory afresh, so no place outlives its backend.

use std::cell::{Cell, RefCell};
use std::mem::size_of;

use entra::{Bearer, Millis, TokenKind, Uuid, limits};
use pgrx::prelude::*;

use crate::pg::bytes::Bytes;
use crate::pg::clock;
use crate::pg::hook::{Chain, ShmemRequest, ShmemStartup};
use crate::sessions::Session;

/// The name of the memory and of its lock.
const NAME: &std::ffi::CStr = c"azure_ad_auth_sessions";

/// A session that has been asked to end is asked again after so long.
const PATIENCE: Millis = 5_000;

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
    second_factor: bool,
    has_display_name: bool,
    has_token_id: bool,
    /// When it was last asked to end, by the clock that only goes forward; 0: never.
    asked_at: Millis,
    logged_in_at: i64,
    issued_at: i64,
    expires_at: i64,
    log_line_id: Bytes<32>,
    display_name: Bytes<{ limits::MAX_SHOWN_CHARS * 4 }>,
    token_id: Bytes<64>,
    key_id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    door: Bytes<8>,
}

/// The reaper, as others see it.
#[repr(C)]
struct Presence {
    /// Whom to wake when a session comes; null while nobody sleeps for want of one.
    sleeper: *mut pg_sys::Latch,
    /// The reaper; 0 while there is none.
    reaper: i32,
}

/// The memory, whose places follow it.
#[repr(C)]
struct Table {
    presence: Presence,
    capacity: usize,
    places: [Place; 0],
}

thread_local! {
    /// Set in the postmaster, inherited by every process; null until shared memory is there.
    static TABLE: Cell<*mut Table> = const { Cell::new(std::ptr::null_mut()) };
    static LOCK: Cell<*mut pg_sys::LWLock> = const { Cell::new(std::ptr::null_mut()) };
    /// What this backend has written into its place.
    static OWN: RefCell<Option<Session>> = const { RefCell::new(None) };
}

static REQUEST: Chain<ShmemRequest> = Chain::new();
static STARTUP: Chain<ShmemStartup> = Chain::new();

/// Requests the memory and sees to its initialisation. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    REQUEST.install(Some(on_request));
    STARTUP.install(Some(on_startup));
}

/// As many as there can be backends, background processes among them.
#[expect(unsafe_code, reason = "reads a value of the server")]
fn capacity() -> usize {
    // SAFETY: a plain value, fixed at start before memory is requested.
    usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0)
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

#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_request() {
    if let Some(previous) = REQUEST.previous() {
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
        if let Some(previous) = STARTUP.previous() {
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

/// Copies the places that are wanted.
#[expect(unsafe_code, reason = "reads shared memory")]
fn copies(wanted: impl Fn(&Place) -> bool) -> Vec<Place> {
    let table = TABLE.get();
    if table.is_null() {
        return Vec::new();
    }
    // SAFETY: the memory is there for the life of the server; nobody writes while the lock is held.
    unsafe {
        // Before the lock, under which nothing is allocated. bounded: by the number of backends there can be.
        let mut taken = Vec::with_capacity((*table).capacity);
        let _held = Held::new(pg_sys::LWLockMode::LW_SHARED);
        let places: &[Place] =
            std::slice::from_raw_parts((&raw const (*table).places).cast(), (*table).capacity);
        taken.extend(places.iter().filter(|place| place.pid != 0 && wanted(place)).copied());
        taken
    }
}

/// Changes places and who is to be woken, under the lock. None: there is no such memory.
#[expect(unsafe_code, reason = "reads and writes shared memory")]
fn change<T>(act: impl FnOnce(&mut [Place], &mut Presence) -> T) -> Option<T> {
    let table = TABLE.get();
    if table.is_null() {
        return None;
    }
    let _held = Held::new(pg_sys::LWLockMode::LW_EXCLUSIVE);
    // SAFETY: the memory is there for the life of the server, and ours alone while the lock is held.
    unsafe {
        let places = std::slice::from_raw_parts_mut((&raw mut (*table).places).cast(), (*table).capacity);
        Some(act(places, &mut (*table).presence))
    }
}

/// The number of this backend's place.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn own() -> Option<usize> {
    // SAFETY: set before a client is authenticated.
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    let number = unsafe { pg_sys::MyBackendId } - 1;
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    // SAFETY: as above.
    let number = unsafe { pg_sys::MyProcNumber };
    usize::try_from(number).ok()
}

/// Writes this backend's place, and sees to it that it is emptied.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn enter(session: &Session) {
    let Some(own) = own() else { return };
    // First, for it may fail.
    // SAFETY: guarded, and called while shared memory is still there.
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(0)) };
    let place = Place::of(session);
    let sleeper = change(|places, presence| {
        if let Some(slot) = places.get_mut(own) {
            *slot = place;
        }
        std::mem::replace(&mut presence.sleeper, std::ptr::null_mut())
    });
    OWN.set(Some(session.clone()));
    if let Some(sleeper) = sleeper.filter(|sleeper| !sleeper.is_null()) {
        // SAFETY: a latch in shared memory, where it stays.
        unsafe { pg_sys::SetLatch(sleeper) }
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
    copies(|_| true).iter().map(Place::session).collect()
}

/// Those that may be asked to end now, and whether they have been before.
pub(super) fn due() -> Vec<(Session, bool)> {
    let now = clock::monotonic();
    copies(|place| place.is_due(now)).iter().map(|place| (place.session(), place.asked_at != 0)).collect()
}

/// This backend's own, for which nobody has to wait.
pub(super) fn own_session() -> Option<Session> {
    OWN.with_borrow(Clone::clone)
}

/// What came of asking a session to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was asked for the first time.
    First,
    /// It was asked again: something of it does not end.
    Again,
    /// It is not there any more.
    Gone,
}

/// Asks a session to end, as pg_terminate_backend() does: with all processes it has started.
///
/// Under the lock, without which a backend does not go: so the process is still the session's.
#[expect(unsafe_code, reason = "sends a signal")]
pub(super) fn end(session: &Session) -> Asked {
    let now = clock::monotonic();
    let asked = change(|places, _| {
        let same = |place: &&mut Place| {
            place.pid == session.pid
                && place.role == session.role
                && place.logged_in_at == session.logged_in_at
        };
        let Some(place) = places.iter_mut().find(same).filter(|place| place.is_due(now)) else {
            return Asked::Gone;
        };
        let before = std::mem::replace(&mut place.asked_at, now);
        // SAFETY: SIGTERM to the process group that a backend of this server leads.
        unsafe { libc::kill(-place.pid, libc::SIGTERM) };
        if before == 0 { Asked::First } else { Asked::Again }
    });
    asked.unwrap_or(Asked::Gone)
}

/// Somebody ends sessions from now on: this process.
pub(super) fn attend() {
    change(|_, presence| presence.reaper = std::process::id().cast_signed());
}

/// Who ends sessions, if anybody does.
pub(super) fn attendant() -> Option<i32> {
    change(|_, presence| presence.reaper).filter(|pid| *pid != 0)
}

/// Has this process woken when a session comes. False: there is one already.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(super) fn sleep_until_somebody_comes() -> bool {
    // SAFETY: this process's latch, in shared memory.
    let own = unsafe { pg_sys::MyLatch };
    let slept = change(|places, presence| {
        let nobody = places.iter().all(|place| place.pid == 0);
        if nobody {
            presence.sleeper = own;
        }
        nobody
    });
    slept.unwrap_or(true)
}

/// Nobody any more.
pub(super) fn retire() {
    change(|_, presence| *presence = Presence { sleeper: std::ptr::null_mut(), reaper: 0 });
}

impl Place {
    /// Whether it may be asked to end now.
    const fn is_due(&self, now: Millis) -> bool {
        self.asked_at == 0 || now.saturating_sub(self.asked_at) >= PATIENCE
    }

    fn of(session: &Session) -> Self {
        let bearer = &session.bearer;
        let application = bearer.application.unwrap_or_default();
        Self {
            pid: session.pid,
            role: session.role,
            linked_to: session.linked_to.into_bytes(),
            object_id: bearer.object_id.into_bytes(),
            tenant: bearer.tenant.into_bytes(),
            application: application.into_bytes(),
            has_application: bearer.application.is_some(),
            via_group: bearer.group.is_some(),
            is_application: bearer.kind == TokenKind::Service,
            second_factor: bearer.second_factor,
            has_display_name: session.display_name.is_some(),
            has_token_id: session.token_id.is_some(),
            asked_at: 0,
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
            bearer: Bearer {
                tenant: id(self.tenant),
                object_id: id(self.object_id),
                kind: if self.is_application { TokenKind::Service } else { TokenKind::User },
                application: self.has_application.then(|| id(self.application)),
                group: self.via_group.then(|| id(self.linked_to)),
                second_factor: self.second_factor,
            },
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

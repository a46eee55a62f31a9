//! Shared memory: the one way in which this library has some.
//!
//! A piece of shared memory is a `static` of the room that uses it. Either it is [`Atomics`]: a
//! value of atomic numbers, which needs no lock. Or it is [`Locked`]: a value, and slots whose
//! number is known when the server starts, under one lightweight lock. A piece has a name, under
//! which pg_shmem_allocations shows it, a size, and a function that makes its first value. The room
//! requests it while the postmaster loads the library; the rest is done here.
//!
//! These rules hold for every piece:
//!
//! - Only the library that the postmaster loaded uses it. Every process inherits the address from
//!   the postmaster; nothing is looked up by name. Another copy of the library, loaded after its
//!   file was replaced under the running server, finds no memory (see [`crate::pg::library`]). So
//!   the layout of a piece may differ from one version to the next, and needs no version mark.
//! - Platforms on which processes are not forked (EXEC_BACKEND) are not supported.
//! - After a crash PostgreSQL makes shared memory anew, and the first values are made again.
//! - PostgreSQL rounds sizes up to whole cache lines and begins each piece at one. What is
//!   requested is rounded in the same way, so that the request covers what is taken.
//! - Under a lock nothing may wait, raise an error, or allocate memory. The rooms see to that.
//! - What lies in it is [`Shareable`]: it has no pointer into the memory of one process.

use std::cell::RefCell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering};

use entra::directory::{features, login, pace, standing};
use pgrx::prelude::*;

use crate::pg::bytes::Bytes;
use crate::pg::error::Fault;
use crate::pg::hook::{Chain, ShmemRequest, ShmemStartup};

/// PostgreSQL's PG_CACHE_LINE_SIZE (pg_config_manual.h).
const CACHE_LINE: usize = 128;

/// A type that may lie in shared memory: numbers, texts in place, and what is made of them.
///
/// # Safety
/// It has no pointer or reference, but to shared memory itself, and needs no destructor.
#[expect(unsafe_code, reason = "a promise about a type")]
pub(crate) unsafe trait Shareable: 'static {}

/// Lets a struct lie in shared memory. Names all of its fields: the compiler refuses a field that
/// is missing here, or whose type may not lie there.
macro_rules! shareable {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        #[expect(unsafe_code, reason = "the fields are checked by the function below")]
        // SAFETY: all fields are shareable, as the function below has the compiler prove.
        unsafe impl $crate::pg::shmem::Shareable for $type {}

        const _: fn(&$type) = |value| {
            let $type { $($field),+ } = value;
            $($crate::pg::shmem::assert_shareable($field);)+
        };
    };
}
pub(crate) use shareable;

/// Compiles if the type of a value is shareable.
pub(crate) const fn assert_shareable<T: Shareable>(_value: &T) {}

/// Lets types lie in shared memory that have no fields to be checked.
macro_rules! shareable_types {
    ($($type:ty),+ $(,)?) => {$(
        #[expect(unsafe_code, reason = "a promise about a type")]
        // SAFETY: numbers, or an enum or struct of `entra` that is made of such; no pointers.
        unsafe impl Shareable for $type {}
    )+};
}
shareable_types!((), bool, u32, u64, i32, i64, usize, AtomicU64, AtomicI64, pg_sys::Oid);
shareable_types!(entra::Uuid, entra::Bearer, entra::Code, entra::Freshness);
shareable_types!(standing::Known, login::Pair, login::Answered, pace::Pace, features::Features);

// A type with a `String` or a list in it must not be in the lines above: what those point to is not
// in shared memory.
const _: () = {
    const fn assert_copy<T: Copy>() {}
    assert_copy::<(entra::Uuid, entra::Bearer, entra::Code, entra::Freshness)>();
    assert_copy::<(standing::Known, login::Pair, login::Answered, pace::Pace, features::Features)>();
};

#[expect(unsafe_code, reason = "a promise about a type")]
// SAFETY: a length and bytes.
unsafe impl<const N: usize> Shareable for Bytes<N> {}

#[expect(unsafe_code, reason = "a promise about a type")]
// SAFETY: so many of what may lie there.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {}

#[expect(unsafe_code, reason = "a promise about a type")]
// SAFETY: a number beside what may lie there, or nothing.
unsafe impl<T: Shareable> Shareable for Option<T> {}

/// What the hooks do for each piece of shared memory.
pub(super) trait Piece {
    /// Asks PostgreSQL for the memory. Called by the hook where that may be done.
    fn request(&self);
    /// Takes the memory and makes the first value. Called by the hook where that may be done.
    fn create(&self);
}

thread_local! {
    /// The pieces of this library. Filled in the postmaster, inherited by every process.
    static PIECES: RefCell<Vec<&'static dyn Piece>> = const { RefCell::new(Vec::new()) };
}

static REQUEST: Chain<ShmemRequest> = Chain::new();
static STARTUP: Chain<ShmemStartup> = Chain::new();

/// Has the hooks see to a piece. In the postmaster only, while it loads its libraries.
pub(super) fn register(piece: &'static dyn Piece) {
    let is_first = PIECES.with_borrow_mut(|pieces| {
        pieces.push(piece);
        pieces.len() == 1
    });
    if is_first {
        REQUEST.install(Some(on_request));
        STARTUP.install(Some(on_startup));
    }
}

#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_request() {
    if let Some(previous) = REQUEST.previous() {
        // SAFETY: the hook that was installed before this one.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous()) }
    }
    PIECES.with_borrow(|pieces| pieces.iter().for_each(|piece| piece.request()));
}

/// Called by the postmaster once shared memory is there, and again after a crash.
#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_startup() {
    if let Some(previous) = STARTUP.previous() {
        // SAFETY: the hook that was installed before this one.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous()) }
    }
    PIECES.with_borrow(|pieces| pieces.iter().for_each(|piece| piece.create()));
}

/// Asks for so many bytes. In the request hook only.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn request_bytes(bytes: usize) {
    // SAFETY: plain values; PostgreSQL refuses the call in any other place.
    unsafe { pg_sys::RequestAddinShmemSpace(bytes.next_multiple_of(CACHE_LINE)) }
}

/// Returns the address of so many bytes. In the startup hook only. They are new: the postmaster
/// makes shared memory anew before each call of the hook, and no other process is there yet.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn take_bytes<T>(name: &'static CStr, bytes: usize) -> *mut T {
    const { assert!(align_of::<T>() <= CACHE_LINE, "a piece begins at a cache line") };
    let mut found = false;
    // SAFETY: a constant C string and a flag to fill. It raises an error rather than return null.
    unsafe { pg_sys::ShmemInitStruct(name.as_ptr(), bytes, &raw mut found).cast() }
}

/// Raises an error: this process has no such memory. So it is where the postmaster has not loaded
/// this copy of the library, and while pg_upgrade runs the server; nothing gets that far there.
pub(super) fn absent() -> ! {
    Fault::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "azure_ad_auth has no shared memory in this process")
        .raise()
}

/// A value in shared memory without a lock. It changes by its own atomic numbers only.
pub(crate) struct Atomics<T: 'static> {
    name: &'static CStr,
    first_value: fn() -> T,
    /// Null until shared memory is there. Set in the postmaster, inherited by every process.
    address: AtomicPtr<T>,
}

impl<T: Shareable + Sync> Atomics<T> {
    pub(crate) const fn new(name: &'static CStr, first_value: fn() -> T) -> Self {
        Self { name, first_value, address: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Requests the memory. In the postmaster only, while it loads its libraries.
    pub(crate) fn request(&'static self) {
        register(self);
    }

    /// Returns the value. Raises an error where there is no such memory.
    #[expect(unsafe_code, reason = "reads shared memory")]
    pub(crate) fn get(&self) -> &T {
        // SAFETY: null, or a value that create() has made, which stays for the life of the server.
        unsafe { self.address.load(Ordering::Relaxed).as_ref() }.unwrap_or_else(|| absent())
    }
}

impl<T: Shareable + Sync> Piece for Atomics<T> {
    fn request(&self) {
        request_bytes(size_of::<T>());
    }

    #[expect(unsafe_code, reason = "writes shared memory")]
    fn create(&self) {
        let address: *mut T = take_bytes(self.name, size_of::<T>());
        // SAFETY: memory of this size and alignment, which no other process uses yet.
        unsafe { address.write((self.first_value)()) }
        self.address.store(address, Ordering::Relaxed);
    }
}

/// A value in shared memory, and the slots that follow it.
#[repr(C)]
struct Block<T, S> {
    value: T,
    /// The number of slots. Does not change.
    count: usize,
    slots: [S; 0],
}

/// A value and slots in shared memory, under a lightweight lock of the same name.
pub(crate) struct Locked<T: 'static, S: 'static = ()> {
    name: &'static CStr,
    first_value: fn() -> T,
    slot_count: fn() -> usize,
    empty_slot: fn() -> S,
    /// Null until shared memory is there. Set in the postmaster, inherited by every process.
    address: AtomicPtr<Block<T, S>>,
    /// Set together with the address.
    lock: AtomicPtr<pg_sys::LWLock>,
}

impl<T: Shareable> Locked<T> {
    pub(crate) const fn new(name: &'static CStr, first_value: fn() -> T) -> Self {
        Self::with_slots(name, first_value, || 0, || ())
    }
}

impl<T: Shareable, S: Shareable> Locked<T, S> {
    /// `slot_count` is called when the server starts, once it knows its settings.
    pub(crate) const fn with_slots(
        name: &'static CStr,
        first_value: fn() -> T,
        slot_count: fn() -> usize,
        empty_slot: fn() -> S,
    ) -> Self {
        let (address, lock) = (AtomicPtr::new(std::ptr::null_mut()), AtomicPtr::new(std::ptr::null_mut()));
        Self { name, first_value, slot_count, empty_slot, address, lock }
    }

    /// Requests the memory and the lock. In the postmaster only, while it loads its libraries.
    pub(crate) fn request(&'static self) {
        register(self);
    }

    /// Returns whether this process has the memory.
    pub(crate) fn is_there(&self) -> bool {
        !self.address.load(Ordering::Relaxed).is_null()
    }

    /// Returns the number of slots, without the lock; zero where there is no such memory.
    #[expect(unsafe_code, reason = "reads shared memory")]
    pub(crate) fn slot_count(&self) -> usize {
        let block = self.address.load(Ordering::Relaxed);
        // SAFETY: made by create(); this field does not change.
        if block.is_null() { 0 } else { unsafe { (*block).count } }
    }

    /// Takes the lock for reading. Raises an error where there is no such memory.
    pub(crate) fn share(&self) -> Shared<'_, T, S> {
        Shared(self.hold(pg_sys::LWLockMode::LW_SHARED))
    }

    /// Takes the lock for writing. Raises an error where there is no such memory.
    pub(crate) fn exclusive(&self) -> Exclusive<'_, T, S> {
        Exclusive(self.hold(pg_sys::LWLockMode::LW_EXCLUSIVE))
    }

    #[expect(unsafe_code, reason = "no safe wrapper")]
    fn hold(&self, mode: pg_sys::LWLockMode::Type) -> Held<'_, T, S> {
        let block = self.address.load(Ordering::Relaxed);
        if block.is_null() {
            absent();
        }
        let lock = self.lock.load(Ordering::Relaxed);
        // SAFETY: the lock lies in shared memory, and is set where the address is.
        unsafe { pg_sys::LWLockAcquire(lock, mode) };
        Held { block, lock, piece: PhantomData }
    }

    fn bytes(&self) -> usize {
        size_of::<Block<T, S>>() + (self.slot_count)() * size_of::<S>()
    }
}

impl<T: Shareable, S: Shareable> Piece for Locked<T, S> {
    #[expect(unsafe_code, reason = "no safe wrapper")]
    fn request(&self) {
        request_bytes(self.bytes());
        // SAFETY: a constant C string; PostgreSQL refuses the call in any other place.
        unsafe { pg_sys::RequestNamedLWLockTranche(self.name.as_ptr(), 1) }
    }

    #[expect(unsafe_code, reason = "writes shared memory")]
    fn create(&self) {
        let count = (self.slot_count)();
        let block: *mut Block<T, S> = take_bytes(self.name, self.bytes());
        // SAFETY: memory of this size and alignment, which no other process uses yet; and the lock
        // that request() has asked for.
        unsafe {
            (&raw mut (*block).value).write((self.first_value)());
            (&raw mut (*block).count).write(count);
            let slots: *mut S = (&raw mut (*block).slots).cast();
            (0..count).for_each(|slot| slots.add(slot).write((self.empty_slot)()));
            self.lock
                .store(&raw mut (*pg_sys::GetNamedLWLockTranche(self.name.as_ptr())).lock, Ordering::Relaxed);
        }
        self.address.store(block, Ordering::Relaxed);
    }
}

/// The lock, held until this is dropped.
struct Held<'a, T: 'static, S: 'static> {
    block: *mut Block<T, S>,
    lock: *mut pg_sys::LWLock,
    piece: PhantomData<&'a Locked<T, S>>,
}

#[expect(unsafe_code, reason = "no safe wrapper")]
impl<T, S> Drop for Held<'_, T, S> {
    fn drop(&mut self) {
        // SAFETY: acquired by hold(). An error of PostgreSQL on its way through here has set the
        // counter to zero already, and the end of the transaction releases the lock (elog.c).
        unsafe {
            if pg_sys::InterruptHoldoffCount > 0 {
                pg_sys::LWLockRelease(self.lock);
            }
        }
    }
}

#[expect(unsafe_code, reason = "reads shared memory")]
impl<T, S> Held<'_, T, S> {
    fn value(&self) -> &T {
        // SAFETY: made by create(); nobody writes while the lock is held, except its one writer.
        unsafe { &(*self.block).value }
    }

    fn slots(&self) -> &[S] {
        // SAFETY: as above; so many slots follow the value.
        unsafe { std::slice::from_raw_parts((&raw const (*self.block).slots).cast(), (*self.block).count) }
    }
}

/// A piece of shared memory, locked for reading.
pub(crate) struct Shared<'a, T: 'static, S: 'static>(Held<'a, T, S>);

impl<T, S> Shared<'_, T, S> {
    pub(crate) fn slots(&self) -> &[S] {
        self.0.slots()
    }
}

impl<T, S> Deref for Shared<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

/// A piece of shared memory, locked for writing.
pub(crate) struct Exclusive<'a, T: 'static, S: 'static>(Held<'a, T, S>);

#[expect(unsafe_code, reason = "writes shared memory")]
impl<T, S> Exclusive<'_, T, S> {
    /// Returns the value and the slots.
    pub(crate) fn parts(&mut self) -> (&mut T, &mut [S]) {
        let block = self.0.block;
        // SAFETY: made by create(), with so many slots; no other process reads or writes while the
        // lock is held exclusively, and this borrow is the only one in this process.
        unsafe {
            let slots = (&raw mut (*block).slots).cast();
            (&mut (*block).value, std::slice::from_raw_parts_mut(slots, (*block).count))
        }
    }
}

impl<T, S> Deref for Exclusive<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T, S> DerefMut for Exclusive<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        self.parts().0
    }
}

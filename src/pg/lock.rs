//! Locks on shared objects, in PostgreSQL's modes, held to the end of the transaction.

use pgrx::prelude::*;

/// A mode of a heavyweight lock (lockdefs.h): those that are taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "PostgreSQL's own names")]
pub(crate) enum Mode {
    /// Conflicts with [`Mode::ShareRowExclusive`] alone.
    RowExclusive,
    /// Conflicts with itself and [`Mode::ShareRowExclusive`]. SECURITY LABEL and, from PostgreSQL
    /// 16 on, GRANT take it by themselves.
    ShareUpdateExclusive,
    /// Conflicts with all three.
    ShareRowExclusive,
}

impl Mode {
    const fn number(self) -> pg_sys::LOCKMODE {
        let number = match self {
            Self::RowExclusive => pg_sys::RowExclusiveLock,
            Self::ShareUpdateExclusive => pg_sys::ShareUpdateExclusiveLock,
            Self::ShareRowExclusive => pg_sys::ShareRowExclusiveLock,
        };
        number.cast_signed()
    }
}

/// A role, or a part of one, as something to be locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedRole {
    role: pg_sys::Oid,
    part: u16,
}

impl LockedRole {
    /// The role itself, which PostgreSQL's own statements lock, too.
    pub(crate) const fn whole(role: pg_sys::Oid) -> Self {
        Self { role, part: 0 }
    }

    /// A part of a role that no statement of PostgreSQL's locks. `part` is not 0.
    pub(crate) const fn part(role: pg_sys::Oid, part: u16) -> Self {
        Self { role, part }
    }

    /// Locks it, and waits for the transactions whose locks on it conflict.
    #[expect(unsafe_code, reason = "calls LockSharedObject")]
    pub(crate) fn lock(self, mode: Mode) {
        // SAFETY: called within a transaction, whose end releases the lock (lmgr.c).
        unsafe {
            pg_sys::LockSharedObject(pg_sys::AuthIdRelationId, self.role, self.part, mode.number());
        }
    }

    /// Locks it if no other transaction's lock on it conflicts; otherwise returns false. Held to
    /// the end of the transaction, or to the end of the process.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn try_lock(self, mode: Mode, is_held_to_the_end: bool) -> bool {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: 0,
            locktag_field2: pg_sys::AuthIdRelationId.to_u32(),
            locktag_field3: self.role.to_u32(),
            locktag_field4: self.part,
            locktag_type: u8::try_from(pg_sys::LockTagType::LOCKTAG_OBJECT).unwrap_or_default(),
            locktag_lockmethodid: u8::try_from(pg_sys::DEFAULT_LOCKMETHOD).unwrap_or_default(),
        };
        // SAFETY: the tag of a shared object, as LockSharedObject() makes it (lmgr.c); called
        // within a transaction.
        let outcome = unsafe { pg_sys::LockAcquire(&raw const tag, mode.number(), is_held_to_the_end, true) };
        outcome != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Gives back what [`Self::lock`] has taken in this transaction, in the same mode.
    #[expect(unsafe_code, reason = "calls UnlockSharedObject")]
    pub(crate) fn unlock(self, mode: Mode) {
        // SAFETY: called within the transaction that holds the lock (lmgr.c).
        unsafe {
            pg_sys::UnlockSharedObject(pg_sys::AuthIdRelationId, self.role, self.part, mode.number());
        }
    }
}

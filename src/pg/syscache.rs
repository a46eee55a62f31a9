//! Rows of the catalog cache (syscache.c), copied while they are pinned.

use std::ffi::{CStr, CString, c_int};

use pgrx::prelude::*;

/// Returns the number of a system cache as the functions that search caches take it. PostgreSQL 19
/// has made their list an enumeration with a negative value, so there it is signed to begin with.
#[cfg(not(feature = "pg19"))]
pub(crate) const fn number_of(cache: pg_sys::SysCacheIdentifier::Type) -> c_int {
    cache.cast_signed()
}

/// As above.
#[cfg(feature = "pg19")]
pub(crate) const fn number_of(cache: pg_sys::SysCacheIdentifier::Type) -> c_int {
    cache
}

/// A column that is passed by value, so that no wrong type of it can be read as a pointer.
pub(crate) trait ByValue: FromDatum {}

impl ByValue for bool {}
impl ByValue for i32 {}
impl ByValue for i64 {}
impl ByValue for pg_sys::Oid {}

/// A row of the catalog cache, while it is pinned.
pub(crate) struct CachedRow {
    cache: i32,
    tuple: pg_sys::HeapTuple,
}

impl CachedRow {
    /// Returns a column, counted from 1; none if it is null.
    #[expect(unsafe_code, reason = "reads a datum")]
    pub(crate) fn get<T: ByValue>(&self, column: i16) -> Option<T> {
        let (datum, is_null) = self.datum(column);
        // SAFETY: a type that is passed by value; nothing is dereferenced.
        unsafe { T::from_datum(datum, is_null) }
    }

    /// Returns whether a column, counted from 1, is null.
    pub(crate) fn is_null(&self, column: i16) -> bool {
        self.datum(column).1
    }

    #[expect(unsafe_code, reason = "reads the catalog cache")]
    fn datum(&self, column: i16) -> (pg_sys::Datum, bool) {
        let mut is_null = false;
        // SAFETY: the tuple is one of this cache's, and pinned as long as this value is lent out.
        let datum = unsafe { pg_sys::SysCacheGetAttr(self.cache, self.tuple, column, &raw mut is_null) };
        (datum, is_null)
    }
}

/// A cache whose first key columns are of type oid.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cache {
    /// pg_authid by oid.
    Roles,
    /// pg_auth_members by member, role and, from PostgreSQL 16 on, grantor.
    MembershipsByMember,
    /// pg_auth_members by role, member and, from PostgreSQL 16 on, grantor.
    MembershipsByRole,
}

impl Cache {
    const fn number(self) -> i32 {
        let number = match self {
            Self::Roles => pg_sys::SysCacheIdentifier::AUTHOID,
            Self::MembershipsByMember => pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
            Self::MembershipsByRole => pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM,
        };
        number_of(number)
    }
}

/// Returns what `read` makes of the row of a key: a whole one of the cache's.
#[expect(unsafe_code, reason = "reads the catalog cache")]
pub(crate) fn find<T, const N: usize>(
    cache: Cache,
    key: [pg_sys::Oid; N],
    read: impl FnOnce(&CachedRow) -> T,
) -> Option<T> {
    let cache = cache.number();
    let none = pg_sys::Datum::from(0);
    let column = |n: usize| key.get(n).copied().map_or(none, pg_sys::Datum::from);
    // SAFETY: the caches have oids as their keys. The tuple is pinned until it
    // is released; on an error the transaction's resource owner releases it.
    unsafe {
        let tuple = pg_sys::SearchSysCache(cache, column(0), column(1), column(2), column(3));
        if tuple.is_null() {
            return None;
        }
        let value = read(&CachedRow { cache, tuple });
        pg_sys::ReleaseSysCache(tuple);
        Some(value)
    }
}

/// Returns what `read` makes of each row whose first key columns are `key`: fewer columns than the
/// cache has keys.
#[expect(unsafe_code, reason = "reads the catalog cache")]
pub(crate) fn list<T>(cache: Cache, key: &[pg_sys::Oid], read: impl Fn(&CachedRow) -> T) -> Vec<T> {
    let cache = cache.number();
    let none = pg_sys::Datum::from(0);
    let column = |n: usize| key.get(n).copied().map_or(none, pg_sys::Datum::from);
    let count = i32::try_from(key.len()).unwrap_or_default();
    // SAFETY: the caches have oids as their first keys. The list and its tuples are pinned until it
    // is released; on an error the transaction's resource owner releases it.
    unsafe {
        let list = pg_sys::SearchSysCacheList(cache, count, column(0), column(1), column(2));
        let length = usize::try_from((*list).n_members).unwrap_or_default();
        let members = (*list).members.as_slice(length).iter();
        let row = |member: &*mut pg_sys::CatCTup| CachedRow { cache, tuple: &raw mut (**member).tuple };
        let rows = members.map(|member| read(&row(member))).collect();
        pg_sys::ReleaseCatCacheList(list);
        rows
    }
}

/// How a role is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RoleKey<'a> {
    /// By its name.
    Name(&'a CStr),
    /// By its oid.
    Id(pg_sys::Oid),
}

/// Returns what `read` makes of a role's row of pg_authid.
#[expect(unsafe_code, clippy::cast_ptr_alignment, reason = "reads the catalog cache, whose rows are aligned")]
pub(crate) fn role<T>(key: RoleKey<'_>, read: impl FnOnce(&pg_sys::FormData_pg_authid) -> T) -> Option<T> {
    let (cache, key) = match key {
        RoleKey::Name(name) => (pg_sys::SysCacheIdentifier::AUTHNAME, pg_sys::Datum::from(name.as_ptr())),
        RoleKey::Id(id) => (pg_sys::SysCacheIdentifier::AUTHOID, pg_sys::Datum::from(id)),
    };
    // SAFETY: the key is of the cache's type; the tuple is pinned until it is released, and what is
    // made of it borrows nothing from it.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(number_of(cache), key);
        if tuple.is_null() {
            return None;
        }
        let value = read(&*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_authid>());
        pg_sys::ReleaseSysCache(tuple);
        Some(value)
    }
}

/// Returns a copy of a name as the catalogs have it.
#[expect(unsafe_code, reason = "copies a C string")]
pub(crate) fn name(name: &pg_sys::NameData) -> CString {
    // SAFETY: a name ends with a NUL within its NAMEDATALEN bytes (namein, name.c).
    unsafe { CStr::from_ptr(name.data.as_ptr()).to_owned() }
}

/// Returns whether a parameter is granted to any role. True if it cannot be asked for.
#[expect(unsafe_code, reason = "reads the catalog cache")]
pub(crate) fn parameter_has_acl(parameter: &str) -> bool {
    let cache = number_of(pg_sys::SysCacheIdentifier::PARAMETERACLNAME);
    let none = pg_sys::Datum::from(0);
    let Some(key) = parameter.into_datum() else { return true };
    // SAFETY: the key is of the cache's type, text.
    unsafe { pg_sys::SearchSysCacheExists(cache, key, none, none, none) }
}

/// Takes in what other processes have committed, so that the next look at the catalogs sees it.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn accept_changes() {
    // SAFETY: called within a transaction, as every login and statement is.
    unsafe { pg_sys::AcceptInvalidationMessages() }
}

/// Returns how many messages about changes this process has taken in.
#[expect(unsafe_code, reason = "reads a counter of the server's")]
pub(crate) fn changes_taken_in() -> u64 {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::SharedInvalidMessageCounter }
}

/// Tells every process, on standbys too, that something about a role has changed, as if its row of
/// pg_authid had.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn announce_change(role: pg_sys::Oid) {
    let (cache, none) = (number_of(pg_sys::SysCacheIdentifier::AUTHOID), std::ptr::null_mut());
    // SAFETY: within a transaction, with whose commit it is told; the tuple is pinned until it is
    // released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(role));
        if tuple.is_null() {
            return;
        }
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(pg_sys::AuthIdRelationId, lock);
        pg_sys::CacheInvalidateHeapTuple(relation, tuple, none);
        pg_sys::table_close(relation, lock);
        pg_sys::ReleaseSysCache(tuple);
    }
}

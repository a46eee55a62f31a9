//! Rows of shared catalogs that no catalog cache has: settings of roles, labels.
//!
//! They are read as they are now, own changes included, and not as the snapshot of the transaction
//! has them: under REPEATABLE READ a query would show a role as it was when the transaction began.
//! Logins read labels by object, and nothing else in here: see `catalog`.

use pgrx::prelude::*;

use crate::pg::interrupts;

/// A shared catalog: its oid, and that of an index that begins with the columns it is looked up by.
pub(crate) struct SharedRelation {
    oid: pg_sys::Oid,
    index: pg_sys::Oid,
}

/// pg_db_role_setting and its index on (setdatabase, setrole) (catalog/pg_db_role_setting.h).
pub(crate) const ROLE_SETTINGS: SharedRelation = SharedRelation::new(2964, 2965);

/// pg_shseclabel and its index on (objoid, classoid, provider) (catalog/pg_shseclabel.h).
pub(crate) const SHARED_LABELS: SharedRelation = SharedRelation::new(3592, 3593);

/// pg_auth_members and its index on (roleid, member, …) (catalog/pg_auth_members.h).
pub(crate) const MEMBERSHIPS: SharedRelation = SharedRelation::new(1261, 2694);

/// pg_authid and its index on oid (catalog/pg_authid.h).
pub(crate) const ROLES: SharedRelation = SharedRelation::new(1260, 2677);

/// pg_database and its index on oid (catalog/pg_database.h).
pub(crate) const DATABASES: SharedRelation = SharedRelation::new(1262, 2672);

impl SharedRelation {
    const fn new(oid: u32, index: u32) -> Self {
        Self { oid: pg_sys::Oid::from_u32(oid), index: pg_sys::Oid::from_u32(index) }
    }

    /// Returns what `read` makes of each row whose first columns are `key`; of every row, if that
    /// is empty.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn rows<T>(&self, key: &[pg_sys::Oid], read: impl Fn(&Row) -> Option<T>) -> Vec<T> {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let mut keys: Vec<_> = (1_i16..).zip(key).map(|(column, oid)| equals(column, *oid)).collect();
        let mut found = Vec::new();
        // SAFETY: within a transaction. Without a snapshot given, the scan takes the newest one
        // there is. A row lives until the next is fetched, and `read` cannot keep it; on an error
        // the transaction's resource owner closes everything.
        unsafe {
            let relation = pg_sys::table_open(self.oid, lock);
            let count = i32::try_from(keys.len()).unwrap_or_default();
            let scan = pg_sys::systable_beginscan(
                relation,
                self.index,
                // As core looks for a label: before a database is selected the index may not be
                // known yet (seclabel.c).
                count > 0 && pg_sys::criticalSharedRelcachesBuilt,
                std::ptr::null_mut(),
                count,
                keys.as_mut_ptr(),
            );
            loop {
                interrupts::check();
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                found.extend(read(&Row { tuple, descriptor: (*relation).rd_att }));
            }
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(relation, lock);
        }
        found
    }
}

/// A row, while it is being looked at.
pub(crate) struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// A column, counted from 1; none if it is null. `T` is of the column's type.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn get<T: FromDatum>(&self, column: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: the row is one of the relation whose descriptor this is; what is made of the
        // column is a copy, if `T` is an owned type, as all are that are asked for here.
        unsafe {
            let datum = pg_sys::heap_getattr(self.tuple, column, self.descriptor, &mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// Returns the values of some settings in a column of type text[], whose items are
    /// `name=value`; none for one that is not there. Asks no catalog what a text is: the start of a
    /// session reads settings by this.
    ///
    /// The items are looked at where they lie, and only these values are copied: a role may give
    /// itself other settings, and make them as long as it likes.
    #[expect(unsafe_code, reason = "no safe wrapper")]
    pub(crate) fn settings<const N: usize>(&self, column: i32, names: [&str; N]) -> [Option<Vec<u8>>; N] {
        const ALIGNED_AS_INT: std::ffi::c_char = b'i'.cast_signed();
        let mut values = [const { None }; N];
        let mut is_null = false;
        let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: as above. The array is detoasted first; what it is taken apart into is palloc'd
        // and has `count` members.
        unsafe {
            let datum = pg_sys::heap_getattr(self.tuple, column, self.descriptor, &mut is_null);
            if is_null {
                return values;
            }
            pg_sys::deconstruct_array(
                pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast(),
                pg_sys::TEXTOID,
                -1,
                false,
                ALIGNED_AS_INT,
                &raw mut elements,
                &raw mut nulls,
                &raw mut count,
            );
        }
        for n in 0..usize::try_from(count).unwrap_or_default() {
            interrupts::check();
            // SAFETY: one of those members, a text, which stays until the memory of the statement
            // is freed.
            let item = unsafe { <&[u8]>::from_datum(*elements.add(n), *nulls.add(n)) };
            for (value, name) in values.iter_mut().zip(names) {
                let found = item.and_then(|item| item.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
                if value.is_none() {
                    // bounded: only superusers write the settings that are asked for.
                    *value = found.map(<[u8]>::to_vec);
                }
            }
        }
        values
    }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn equals(column: i16, oid: pg_sys::Oid) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    let strategy = u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or_default();
    // SAFETY: fills the structure it is given, for a column of type oid.
    unsafe {
        pg_sys::ScanKeyInit(&raw mut key, column, strategy, pg_sys::F_OIDEQ.into(), pg_sys::Datum::from(oid));
    }
    key
}

//! Lists of libraries, as `session_preload_libraries` has them.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::pg::spi::{query, quoted_name};

/// The setting.
pub(crate) const PARAMETER: &str = "session_preload_libraries";

/// This library, as it is named in the setting.
const OURS: &CStr = c"azure_ad_auth";

/// What one value of the setting names, in its order.
///
/// A name may be empty: `SET session_preload_libraries = ''` leaves a list of one empty name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Libraries(Vec<CString>);

impl Libraries {
    /// Splits a value as PostgreSQL does (load_libraries, miscinit.c). What it cannot split names
    /// nothing.
    #[expect(unsafe_code, reason = "uses the server's own splitter")]
    pub(crate) fn parse(value: &[u8]) -> Self {
        let Ok(value) = CString::new(value) else { return Self(Vec::new()) };
        let mut names: *mut pg_sys::List = std::ptr::null_mut();
        // SAFETY: the splitter may write to its argument, which is a copy; its list holds palloc'd
        // C strings, copied at once and freed with the memory of the statement.
        unsafe {
            let copy = pg_sys::pstrdup(value.as_ptr());
            if !pg_sys::SplitDirectoriesString(copy, b','.cast_signed(), &raw mut names) {
                return Self(Vec::new());
            }
            let length = names.as_ref().map_or(0, |list| list.length);
            Self((0..length).map(|n| CStr::from_ptr(pg_sys::list_nth(names, n).cast()).to_owned()).collect())
        }
    }

    /// Our library alone.
    pub(crate) fn ours() -> Self {
        Self(vec![OURS.to_owned()])
    }

    /// Whether our library is one of them.
    pub(crate) fn has_ours(&self) -> bool {
        self.0.iter().any(|name| is_ours(name))
    }

    /// The list with our library in front. That a list is empty is kept, too: as an empty name,
    /// which is loaded nowhere.
    pub(crate) fn with_ours(&self) -> Self {
        let named: Vec<_> = self.0.iter().filter(|name| !name.is_empty()).cloned().collect();
        let rest = if named.is_empty() { vec![CString::default()] } else { named };
        Self(std::iter::once(OURS.to_owned()).chain(rest).collect())
    }

    /// What it says beside our library; none: nothing. A list with nothing in it says that nothing
    /// is to be loaded.
    pub(crate) fn without_ours(&self) -> Option<Self> {
        let mut rest = self.0.clone();
        rest.retain(|name| !is_ours(name));
        if rest.is_empty() && !self.0.is_empty() {
            return None;
        }
        rest.retain(|name| !name.is_empty());
        Some(Self(rest))
    }

    /// The list without what another one names.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|name| is_ours(name) || !other.0.contains(name)).cloned().collect())
    }

    /// The names, for a statement.
    pub(crate) fn names(&self) -> &[CString] {
        &self.0
    }

    /// The value of the setting.
    pub(crate) fn text(&self) -> CString {
        let names: Vec<_> = self.0.iter().map(|name| quoted_name(name)).collect();
        // No name has a NUL in it.
        CString::new(names.join(&b", "[..])).unwrap_or_default()
    }
}

/// Whether it is this library: by its name, or in the folder where PostgreSQL has its libraries.
/// Elsewhere anything may lie.
fn is_ours(library: &CStr) -> bool {
    let library = library.to_bytes();
    let path = library.strip_suffix(b".so").unwrap_or(library);
    let within = |folder: &[u8]| path.strip_prefix(folder)?.strip_prefix(b"/");
    within(b"$libdir").or_else(|| within(folder())).unwrap_or(path) == OURS.to_bytes()
}

/// What `pg_config --pkglibdir` says.
#[expect(unsafe_code, reason = "reads a variable of the server")]
fn folder() -> &'static [u8] {
    // SAFETY: a C string of constant length, set by the postmaster before it loads libraries; the
    // binding has no length.
    unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()).to_bytes() }
}

/// What the server's configuration names, as opposed to what this session was given by its role or
/// database. Asked for once until the configuration is read again: it takes longer than the rest of
/// a link. Only within `as_superuser`.
pub(crate) fn servers_own() -> Libraries {
    #[expect(unsafe_code, reason = "reads a variable of the server")]
    // SAFETY: a plain value of the main thread.
    let read_at = unsafe { pg_sys::PgReloadTime };
    let known = SERVERS_OWN.with_borrow(Clone::clone);
    if let Some((_, libraries)) = known.filter(|(known_at, _)| *known_at == read_at) {
        return libraries;
    }
    let libraries = query_servers_own();
    SERVERS_OWN.set(Some((read_at, libraries.clone())));
    libraries
}

thread_local! {
    /// When the configuration was read, and what it named.
    static SERVERS_OWN: RefCell<Option<(pg_sys::TimestampTz, Libraries)>> = const { RefCell::new(None) };
}

fn query_servers_own() -> Libraries {
    let values = query(
        "SELECT decode(replace(coalesce( \
           (SELECT setting FROM pg_settings WHERE name = $1 AND source NOT IN \
             ('global', 'database', 'user', 'database user', 'client', 'session', 'interactive', 'override')), \
           (SELECT setting FROM pg_file_settings WHERE name = $1 AND error IS NULL ORDER BY seqno DESC LIMIT 1), \
           ''), chr(92), repeat(chr(92), 2)), 'escape')",
        &[PARAMETER.into()],
        |row| row.get::<Vec<u8>>(1).ok().flatten().unwrap_or_default(),
    );
    Libraries::parse(values.first().map_or(&[][..], Vec::as_slice))
}

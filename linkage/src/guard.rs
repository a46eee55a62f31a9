//! The guard: two settings of every linked role, in every row of its settings.
//!
//! - `session_preload_libraries`, with this library in it. A server that does not preload the
//!   library loads it into the session of such a role, which ends.
//! - `azure_ad_auth.guard = on`. A server that does preload the library takes this as the sign to
//!   work out which libraries the session would load without the guard, and loads those. So the
//!   guard never keeps a library from a role that is set for the server, for a database or for all
//!   roles, and is no copy of such a setting.
//!
//! What an administrator of the server has set for the role itself stays in its row, beside this
//! library. A row IN DATABASE wins over the role's own, so every row of the role has both settings.
//!
//! Guards of the first kind had no second setting, and copies of the server's own libraries in the
//! first. Such a row gets the new kind whenever the guard is set, above all by `repair()`:
//! libraries that the server's own setting names are taken to be copies, and dropped. The second
//! setting is written first, and so it is restored first from a dump: a restored list of libraries
//! is never taken for one of the first kind.

use std::ffi::{CStr, CString};

pub use crate::change::RowChange;

use crate::change::Change;
use crate::state::{RoleName, Server};

/// This library, as it is named in the setting.
const OURS: &CStr = c"azure_ad_auth";

/// One row of pg_db_role_setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// None: the role's own row, for all databases.
    pub database: Option<CString>,
    /// The settings in the row.
    pub settings: Settings,
}

/// The settings of a row that belong to the guard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// None: it says nothing about libraries.
    pub libraries: Option<Libraries>,
    /// None: the second setting is not there.
    pub guard: Option<Vec<u8>>,
}

/// A setting that is to be written to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// SET the second setting TO on.
    GuardOn,
    /// RESET the second setting.
    ResetGuard,
    /// SET `session_preload_libraries` TO these names. The list may be empty.
    Libraries(Vec<CString>),
    /// RESET `session_preload_libraries`.
    ResetLibraries,
}

/// How well a role is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// As it should be.
    Whole,
    /// It keeps the role out where the library is not loaded, and keeps libraries from it where it
    /// is: one of the first kind.
    Narrow,
    /// Without the library, `trust` lets everybody in as this role, in one database at the least.
    Open,
}

/// The libraries that one value of `session_preload_libraries` names, in its order.
///
/// A name may be empty: `SET session_preload_libraries = ''` leaves a list of one empty name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libraries(Vec<Library>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Library {
    name: CString,
    is_ours: bool,
}

impl Libraries {
    /// Returns the libraries of these names. `folder` is the one where PostgreSQL has its
    /// libraries.
    pub fn new(names: impl IntoIterator<Item = CString>, folder: &[u8]) -> Self {
        let library = |name: CString| Library { is_ours: is_ours(&name, folder), name };
        Self(names.into_iter().map(library).collect())
    }

    /// Returns this library alone.
    fn ours() -> Self {
        Self(vec![Library { name: OURS.to_owned(), is_ours: true }])
    }

    fn has_ours(&self) -> bool {
        self.0.iter().any(|library| library.is_ours)
    }

    /// Returns the list with this library in front. If it has nothing else, an empty name is added,
    /// which says that the list is empty, and is loaded nowhere.
    fn with_ours(&self) -> Self {
        let mut libraries = Self::ours().0;
        libraries.extend(self.0.iter().filter(|library| !library.name.is_empty()).cloned());
        if libraries.len() == 1 {
            libraries.push(Library { name: CString::default(), is_ours: false });
        }
        Self(libraries)
    }

    /// Returns the other libraries of the list; none if it names this library alone. A list that is
    /// empty, or has an empty name only, says that nothing is to be loaded.
    #[must_use]
    pub fn without_ours(&self) -> Option<Self> {
        let mut rest = self.0.clone();
        rest.retain(|library| !library.is_ours);
        if rest.is_empty() && !self.0.is_empty() {
            return None;
        }
        rest.retain(|library| !library.name.is_empty());
        Some(Self(rest))
    }

    /// Returns the list without what another one names.
    fn minus(&self, other: &Self) -> Self {
        let is_named = |library: &Library| other.0.iter().any(|other| other.name == library.name);
        let left = self.0.iter().filter(|library| library.is_ours || !is_named(library));
        Self(left.cloned().collect())
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &CString> {
        self.0.iter().map(|library| &library.name)
    }
}

/// Returns whether a name is this library's: by itself, or in the folder where PostgreSQL has its
/// libraries. A file of the same name in another folder may be another library.
fn is_ours(library: &CStr, folder: &[u8]) -> bool {
    let library = library.to_bytes();
    let path = library.strip_suffix(b".so").unwrap_or(library);
    let within = |folder: &[u8]| path.strip_prefix(folder)?.strip_prefix(b"/");
    within(b"$libdir").or_else(|| within(folder)).unwrap_or(path) == OURS.to_bytes()
}

impl Settings {
    fn has_ours(&self) -> bool {
        self.libraries.as_ref().is_some_and(Libraries::has_ours)
    }

    /// Returns whether the guard is on, as PostgreSQL writes a boolean or as a statement of this
    /// library has it.
    fn is_on(&self) -> bool {
        self.guard.as_deref().is_some_and(|value| [&b"on"[..], b"true"].contains(&value))
    }

    fn is_whole(&self) -> bool {
        self.has_ours() && self.is_on()
    }

    /// Returns whether the libraries may be copies of the server's: the row is of the first kind.
    #[must_use]
    pub fn may_have_copies(&self) -> bool {
        self.has_ours() && self.guard.is_none()
    }

    /// Returns the libraries without copies of the server's.
    fn libraries_kept(&self, servers_own: &Libraries) -> Option<Libraries> {
        let libraries = self.libraries.as_ref()?;
        Some(if self.may_have_copies() { libraries.minus(servers_own) } else { libraries.clone() })
    }

    /// Returns the libraries that the row should name.
    fn libraries_wanted(&self, servers_own: &Libraries) -> Libraries {
        match self.libraries_kept(servers_own) {
            Some(libraries) if libraries.has_ours() => libraries,
            Some(libraries) => libraries.with_ours(),
            None => Libraries::ours(),
        }
    }

    /// Returns the settings that make the row whole.
    fn written(&self, wanted: &Libraries) -> Vec<Setting> {
        let mut settings = Vec::new();
        if !self.is_on() {
            if self.guard.is_none() && self.libraries.is_some() {
                settings.push(Setting::ResetLibraries);
            }
            settings.push(Setting::GuardOn);
        }
        settings.push(Setting::Libraries(wanted.names().cloned().collect()));
        settings
    }

    /// Returns the settings that take the guard out of the row.
    fn removed(&self, servers_own: &Libraries) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.guard.is_some() {
            settings.push(Setting::ResetGuard);
        }
        if self.has_ours() {
            let rest = self.libraries_kept(servers_own).and_then(|rest| rest.without_ours());
            settings.push(
                rest.map_or(Setting::ResetLibraries, |rest| {
                    Setting::Libraries(rest.names().cloned().collect())
                }),
            );
        }
        settings
    }
}

/// Returns what puts the guard into every row of a role, and into one for all databases; none: it
/// is there.
#[must_use]
pub fn plan(server: &Server, role: &RoleName, rows: &[Row], servers_own: &Libraries) -> Option<Change> {
    let everywhere = (!rows.iter().any(|row| row.database.is_none())).then(Row::default);
    let broken = rows.iter().chain(everywhere.as_ref()).filter(|row| !row.settings.is_whole());
    let broken: Vec<_> = broken.collect();
    if broken.is_empty() {
        return None;
    }
    let are_old = broken.iter().all(|row| row.settings.may_have_copies());
    let mut kept = Vec::new();
    let change = |row: &&Row| {
        let wanted = row.settings.libraries_wanted(servers_own);
        let rest = wanted.without_ours().unwrap_or_default();
        kept.extend(rest.names().map(|name| (server.decode)(name.to_bytes())));
        RowChange { database: row.database.clone(), settings: row.settings.written(&wanted) }
    };
    let rows = broken.iter().map(change).collect();
    Some(Change::SetGuard { role: role.clone(), rows, kept: are_old.then_some(kept) })
}

/// Returns what takes the guard out of every row of a role, and leaves what else is there; none:
/// there is no guard.
#[must_use]
pub fn plan_removal(role: &RoleName, rows: &[Row], servers_own: &Libraries) -> Option<Change> {
    let change =
        |row: &Row| RowChange { database: row.database.clone(), settings: row.settings.removed(servers_own) };
    let mut rows: Vec<_> = rows.iter().map(change).collect();
    rows.retain(|row| !row.settings.is_empty());
    (!rows.is_empty()).then(|| Change::RemoveGuard { role: role.clone(), rows })
}

/// Returns how well a role is guarded that has these rows of settings.
#[must_use]
pub fn judge(rows: &[Row]) -> Guard {
    let is_everywhere = rows.iter().any(|row| row.database.is_none());
    let is_shut = is_everywhere && rows.iter().all(|row| row.settings.has_ours());
    match (is_shut, rows.iter().all(|row| row.settings.is_on())) {
        (true, true) => Guard::Whole,
        (true, false) => Guard::Narrow,
        (false, _) => Guard::Open,
    }
}

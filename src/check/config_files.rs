//! The lines of the configuration files, as PostgreSQL shows them in `pg_file_settings`.

use crate::pg::hex_text::{plain, raw};
use crate::pg::spi::{as_superuser, query};
use crate::settings::PREFIX;

/// The file that ALTER SYSTEM writes.
const AUTO_FILE: &str = "postgresql.auto.conf";

/// A line of a configuration file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) file: String,
    pub(crate) number: i32,
    /// In lower case. None: the line, or the file, cannot be read.
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    /// Why PostgreSQL does not accept it.
    pub(crate) error: Option<String>,
    /// Only a restart changes the setting. PostgreSQL calls that an error as well.
    pub(crate) waits_for_restart: bool,
}

impl Entry {
    /// Returns whether the line sets this setting.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Returns the file and line, as findings name them.
    pub(crate) fn place(&self) -> String {
        if self.file.is_empty() {
            "a configuration file".to_owned()
        } else {
            format!("line {} of {}", self.number, self.file)
        }
    }

    /// Returns the name without this library's prefix; none if it has another or none.
    pub(crate) fn own_name(&self) -> Option<&str> {
        self.name.as_deref()?.strip_prefix(PREFIX)?.strip_prefix('.')
    }

    /// Returns whether it is a setting of PostgreSQL itself, a bad value of which keeps the server
    /// from starting. shared_preload_libraries is checked elsewhere.
    pub(crate) fn stops_the_server(&self) -> bool {
        let is_core = self.name.as_ref().is_some_and(|name| !name.contains('.'));
        is_core && !self.waits_for_restart && !self.is_for("shared_preload_libraries")
    }

    /// Returns whether the line, or the file, cannot be read. PostgreSQL also has a row without a
    /// name for a setting that was taken out of the files and needs a restart.
    pub(crate) fn is_unreadable(&self) -> bool {
        let error = self.error.as_deref().filter(|_| self.name.is_none());
        error.is_some_and(|error| !error.starts_with("parameter \""))
    }

    /// Returns whether PostgreSQL takes nothing from the files because of this line: it cannot be
    /// read, or its name is that of no setting (ProcessConfigFileInternal, guc.c).
    pub(crate) fn keeps_files_from_loading(&self) -> bool {
        self.is_unreadable() || self.error.as_deref() == Some("unrecognized configuration parameter")
    }

    /// Returns how to remove the line.
    pub(crate) fn advice(&self) -> String {
        match &self.name {
            Some(name) if self.file.ends_with(AUTO_FILE) => {
                format!("ALTER SYSTEM RESET {name}; SELECT pg_reload_conf();")
            }
            _ => "Correct or remove the line, and reload the configuration.".to_owned(),
        }
    }
}

/// Returns all lines of all files, in the order in which the server reads them. Of two for one
/// setting the later counts.
pub(crate) fn entries() -> Vec<Entry> {
    let text = format!(
        "SELECT {}, f.sourceline, {}, {}, {}, s.context = 'postmaster' \
         FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name COLLATE \"C\") = lower(f.name COLLATE \"C\") \
         ORDER BY f.seqno",
        raw("f.sourcefile"),
        raw("lower(f.name COLLATE \"C\")"),
        raw("f.setting"),
        raw("f.error")
    );
    as_superuser(|| {
        query(&text, &[], |row| {
            let text = |column| row.get::<String>(column).ok().flatten().map(|raw| plain(&raw));
            Entry {
                file: text(1).unwrap_or_default(),
                number: row.get(2).ok().flatten().unwrap_or_default(),
                name: text(3),
                value: text(4),
                error: text(5),
                waits_for_restart: row.get(6).ok().flatten().unwrap_or_default(),
            }
        })
    })
}

//! The facts from which verdicts follow.

use std::collections::{BTreeMap, BTreeSet};

use entra::Policy;

use crate::line::Rule;
use crate::pam::{Service, pam_service};
use crate::users::MatchedRoles;

/// The server that uses the lines.
#[derive(Debug)]
pub enum Server {
    /// The library is not preloaded and does nothing.
    NotPreloaded,
    /// The library is preloaded and works.
    Preloaded {
        /// The setting `require_tls`.
        require_tls: bool,
        /// The rules that tokens must satisfy, or why no token can be accepted.
        policy: Result<Policy, String>,
    },
}

/// Everything from which verdicts follow.
#[derive(Debug)]
pub struct Facts {
    /// The lines, in the order of the file.
    pub rules: Vec<Rule>,
    /// The roles that the items of user lists match.
    pub matched: MatchedRoles,
    /// A database is called `replication`, which is also a word of the file.
    pub has_replication_database: bool,
    /// The server.
    pub server: Server,
    /// The PAM services that lines name, by name.
    pub pam: BTreeMap<String, Service>,
    /// Paths by which lines name the file of this library as their validator.
    pub own_validators: BTreeSet<String>,
    /// Whether the caller may see PostgreSQL's error about a line. It repeats pieces of the line,
    /// secrets too.
    pub shows_errors: bool,
}

impl Facts {
    /// Returns what is known about the PAM service that a line names, if it names one.
    pub(crate) fn pam_of(&self, rule: &Rule) -> Option<&Service> {
        self.pam.get(pam_service(rule)?)
    }
}

//! Which connections an earlier line of pg_hba.conf takes from a later one: PostgreSQL stops at the
//! first line that matches.
//!
//! None of it is certain: pg_hba_file_rules does not show quotes, and a quoted `"all"` is a name.
//! So a dangerous `trust` line stays dangerous, whatever is above it.

use std::collections::BTreeSet;

use crate::line::{Line, REPLICATION, Ways};
use crate::users::Users;

/// Returns whether every connection to the later databases is one to the earlier ones.
fn covers_databases(earlier: &BTreeSet<&str>, later: &BTreeSet<&str>) -> bool {
    // In the earlier line it may be the word, in the later a name.
    earlier.contains("all") || later.is_subset(earlier) && !later.contains(REPLICATION)
}

/// Returns whether the earlier list matches every Azure AD role that the later one matches, now or
/// in future.
pub(crate) fn covers_azure(earlier: &Users<'_>, later: &Users<'_>) -> bool {
    earlier.every_azure
        || !later.every_azure
            && (earlier.every_admin || !later.every_admin)
            && later.azure.is_subset(&earlier.azure)
}

/// Returns whether the earlier list matches every role.
pub(crate) const fn covers_everyone(earlier: &Users<'_>) -> bool {
    earlier.all
}

/// The connections that earlier lines leave to a line.
pub(crate) struct Left<'a> {
    /// The ways to connect by which the line is reached.
    pub(crate) ways: Ways,
    /// The lines that take the other ways.
    pub(crate) takers: Vec<&'a Line<'a>>,
}

impl<'a> Left<'a> {
    /// Returns what is left to a line. `covers_users(earlier, later)`: whether an earlier line
    /// takes the connections of all users in question.
    pub(crate) fn of(
        line: &Line<'_>,
        earlier: &'a [Line<'a>],
        covers_users: impl Fn(&Users<'_>, &Users<'_>) -> bool,
    ) -> Self {
        let mut left = Self { ways: line.ways, takers: Vec::new() };
        for other in earlier {
            let takes = !left.ways.both(other.ways).is_empty()
                && covers_databases(&other.databases, &line.databases)
                && covers_users(&other.users, &line.users)
                && other.address.covers(&line.address);
            if takes {
                left.ways = left.ways.without(other.ways);
                left.takers.push(other);
            }
        }
        left
    }

    /// Says which lines take the other ways.
    pub(crate) fn takers(&self) -> String {
        let places: Vec<_> = self.takers.iter().map(|taker| taker.rule.place.to_string()).collect();
        let verb = if places.len() > 1 { "match" } else { "matches" };
        format!("{} {verb} first", places.join(" and "))
    }
}

//! Which connections an earlier line of pg_hba.conf takes from a later one: PostgreSQL stops at the first that matches.
//!
//! None of it is sure: pg_hba_file_rules does not say what stands in quotes, and `"all"` is a name, not the word. So a `trust` line
//! that is dangerous stays so, whatever stands above it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::check::hba::line::{Line, REPLICATION, Users, Ways};

/// Where a line lets clients come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    Everywhere,
    Net {
        address: u128,
        mask: u128,
        v4: bool,
    },
    /// `samehost`, `samenet`, a host name: nobody knows what it covers but itself.
    Word(&'a str),
}

impl<'a> Address<'a> {
    pub(super) fn of(address: Option<&'a str>, mask: Option<&str>) -> Self {
        // A line for Unix-domain sockets has none.
        let Some(address) = address.filter(|word| *word != "all") else { return Self::Everywhere };
        match (address.parse().ok(), mask.and_then(|mask| mask.parse().ok())) {
            (Some(IpAddr::V4(net)), Some(IpAddr::V4(mask))) => {
                Self::Net { address: u32::from(net).into(), mask: u32::from(mask).into(), v4: true }
            }
            (Some(IpAddr::V6(net)), Some(IpAddr::V6(mask))) => {
                Self::Net { address: net.into(), mask: mask.into(), v4: false }
            }
            _ => Self::Word(address),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everywhere, _) => true,
            (
                Self::Net { address, mask, v4 },
                Self::Net { address: other_address, mask: other_mask, v4: other_v4 },
            ) => v4 == other_v4 && mask & other_mask == *mask && address & mask == other_address & mask,
            (Self::Word(word), Self::Word(other)) => word == other,
            _ => false,
        }
    }
}

fn covers_databases(earlier: &BTreeSet<&str>, later: &BTreeSet<&str>) -> bool {
    // As a word in the earlier line and a name in the later it is not the same.
    earlier.contains("all") || later.is_subset(earlier) && !later.contains(REPLICATION)
}

/// Whether every Azure AD role that one list matches, or may match tomorrow, is matched by the other.
pub(super) fn covers_azure(earlier: &Users<'_>, later: &Users<'_>) -> bool {
    earlier.every_azure
        || !later.every_azure
            && (earlier.every_admin || !later.every_admin)
            && later.azure.is_subset(&earlier.azure)
}

/// Whether everyone is matched.
pub(super) const fn covers_everyone(earlier: &Users<'_>, _later: &Users<'_>) -> bool {
    earlier.all
}

/// What earlier lines leave of a line.
pub(super) struct Left<'a> {
    /// The ways to connect by which it is reached.
    pub(super) ways: Ways,
    /// The lines that take the others.
    pub(super) takers: Vec<&'a Line<'a>>,
}

impl<'a> Left<'a> {
    /// `covers_users`: of whose connections it is.
    pub(super) fn of(
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

    /// That they take the others, in words.
    pub(super) fn takers(&self) -> String {
        let places: Vec<_> = self.takers.iter().map(|taker| taker.rule.place()).collect();
        let verb = if places.len() > 1 { "match" } else { "matches" };
        format!("{} {verb} first", places.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn address(text: &'static str) -> Address<'static> {
        let (address, mask) = text.split_once(' ').map_or((text, None), |(net, mask)| (net, Some(mask)));
        Address::of(Some(address), mask)
    }

    #[test]
    fn a_net_covers_what_lies_in_it() {
        for (wide, narrow) in [
            ("all", "10.0.0.0 255.0.0.0"),
            ("all", "::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("all", "samehost"),
            ("0.0.0.0 0.0.0.0", "127.0.0.1 255.255.255.255"),
            ("10.0.0.0 255.0.0.0", "10.1.0.0 255.255.0.0"),
            ("10.9.9.9 255.0.0.0", "10.0.0.0 255.0.0.0"),
            ("::", "::"),
            (":: ::", "fe80:: ffff::"),
            ("fe80:: ffff::", "fe80:1:: ffff:ffff::"),
            ("db.example", "db.example"),
        ] {
            assert!(address(wide).covers(&address(narrow)), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("0.0.0.0 0.0.0.0", "all"),
            ("0.0.0.0 0.0.0.0", ":: ::"),
            (":: ::", "10.0.0.0 255.0.0.0"),
            ("0.0.0.0 0.0.0.0", "samehost"),
            ("samenet", "samehost"),
            ("db.example", ".example"),
            ("10.1.0.0 255.255.0.0", "10.0.0.0 255.0.0.0"),
            ("10.0.0.0 255.0.0.0", "11.0.0.0 255.0.0.0"),
            // A mask with holes.
            ("10.0.0.1 255.0.0.255", "10.0.0.0 255.255.0.0"),
        ] {
            assert!(!address(wide).covers(&address(narrow)), "{wide} does not cover {narrow}");
        }
    }
}

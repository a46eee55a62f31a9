//! A line of pg_hba.conf, as far as it concerns Azure AD roles.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::place::Place;
use crate::users::{MatchedRoles, Users};

/// The word for replication connections in a list of databases.
pub(crate) const REPLICATION: &str = "replication";

/// A row of `pg_hba_file_rules`. A row with an error has nothing but its place and the error.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Where the line is.
    pub place: Place,
    /// The type: `local`, `host` and so on.
    pub connection: String,
    /// The databases.
    pub databases: Vec<String>,
    /// The user list.
    pub users: Vec<String>,
    /// The address.
    pub address: Option<String>,
    /// The mask of the address.
    pub netmask: Option<String>,
    /// The method.
    pub method: String,
    /// The options, each as `name=value`.
    pub options: Vec<String>,
    /// Why PostgreSQL cannot read the line.
    pub error: Option<String>,
    /// Why PostgreSQL, which has read the line, lets no connection match it: `hostssl` while TLS is
    /// off, and the like.
    pub unmatched: Option<String>,
}

impl Rule {
    /// Returns the value of an option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Ways to connect, as pg_hba.conf tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways(u8);

impl Ways {
    pub(crate) const LOCAL: Self = Self(1);
    pub(crate) const TLS: Self = Self(2);
    /// Over TCP, encrypted by GSSAPI.
    pub(crate) const GSS: Self = Self(4);
    /// Over TCP, not encrypted.
    pub(crate) const PLAIN: Self = Self(8);
    /// Where a token is not protected: encryption by GSSAPI does not count.
    pub(crate) const WITHOUT_TLS: Self = Self(Self::GSS.0 | Self::PLAIN.0);

    fn of(connection: &str) -> Self {
        match connection {
            "local" => Self::LOCAL,
            "hostssl" => Self::TLS,
            "hostnossl" => Self::WITHOUT_TLS,
            "hostgssenc" => Self::GSS,
            "hostnogssenc" => Self(Self::TLS.0 | Self::PLAIN.0),
            _ => Self(Self::TLS.0 | Self::WITHOUT_TLS.0),
        }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A line that an Azure AD role can match, or that stays open to a role when it is unlinked.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) ways: Ways,
    pub(crate) databases: BTreeSet<&'a str>,
    pub(crate) users: Users<'a>,
    pub(crate) address: Address<'a>,
}

impl<'a> Line<'a> {
    /// Returns the line, or none if no Azure AD role can match it. Azure AD roles never have
    /// REPLICATION, so the word `replication` does not concern them; it may be the name of a
    /// database, though, if one has that name. A `trust` line always counts if it has an item that
    /// a role may match while it is linked: once the role is unlinked, anyone can log in as it.
    pub(crate) fn of(
        rule: &'a Rule,
        matched: &'a MatchedRoles,
        has_replication_database: bool,
    ) -> Option<Self> {
        let counts = |name: &&str| has_replication_database || *name != REPLICATION;
        let databases: BTreeSet<_> = rule.databases.iter().map(String::as_str).filter(counts).collect();
        let users = Users::of(&rule.users, matched);
        let concerns_us = users.has_azure() || rule.method == "trust" && users.linkable;
        (!databases.is_empty() && concerns_us).then(|| Self {
            rule,
            ways: Ways::of(&rule.connection),
            databases,
            users,
            address: Address::of(rule.address.as_deref(), rule.netmask.as_deref()),
        })
    }

    /// Returns whether it is for a database named replication, or for none.
    pub(crate) fn is_for_replication_alone(&self) -> bool {
        self.databases.iter().all(|name| *name == REPLICATION)
    }
}

/// The addresses that a line matches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    Everywhere,
    Net {
        address: u128,
        mask: u128,
        v4: bool,
    },
    /// `samehost`, `samenet` or a host name, which is only known to cover itself.
    Word(&'a str),
}

impl<'a> Address<'a> {
    pub(crate) fn of(address: Option<&'a str>, mask: Option<&str>) -> Self {
        // A line for Unix-domain sockets has no address.
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

    /// Returns whether every address of the other is one of this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
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

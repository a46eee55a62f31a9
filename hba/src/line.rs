//! A line of pg_hba.conf, as far as it concerns Azure AD roles.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::hba::shadowing::Address;

/// The words of the file, and of ours.
const ALL: &str = "all";
pub(super) const REPLICATION: &str = "replication";
const EVERY_AZURE_ROLE: &str = "+azure_ad_user";
const EVERY_ADMINISTRATOR: &str = "+azure_ad_admin";
/// The two roles that stand for all others. Nobody logs in as one of them.
const ANCHORS: [&str; 2] = ["azure_ad_user", "azure_ad_admin"];

/// A row of `pg_hba_file_rules`. One with an error has no more than that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    /// The file it stands in.
    pub(crate) file: String,
    /// Its number there.
    pub(crate) number: i32,
    /// `local`, `host`, …
    pub(crate) connection: String,
    pub(crate) databases: Vec<String>,
    pub(crate) users: Vec<String>,
    pub(crate) address: Option<String>,
    pub(crate) netmask: Option<String>,
    pub(crate) method: String,
    /// `name=value` each.
    pub(crate) options: Vec<String>,
    pub(crate) error: Option<String>,
}

impl Rule {
    /// The value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// How a reason names it.
    pub(super) fn place(&self) -> String {
        format!("line {} of {}", self.number, self.file)
    }
}

/// Whether an item of a user list has to be looked up; what the others match is known.
pub(crate) fn is_looked_up(item: &str) -> bool {
    ![ALL, EVERY_AZURE_ROLE].contains(&item)
}

/// The roles that an item of a user list matches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    /// The Azure AD roles.
    pub(crate) azure: Vec<String>,
    /// Other roles that can log in.
    pub(crate) local: Vec<String>,
    /// The item is the name of a role that cannot be linked: a superuser, say.
    pub(crate) unlinkable: bool,
}

/// What is known of each item of a user list.
pub(crate) type Reaches = BTreeMap<String, Reach>;

/// Ways to connect, as pg_hba.conf tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ways(u8);

impl Ways {
    pub(super) const LOCAL: Self = Self(1);
    pub(super) const TLS: Self = Self(2);
    /// Over TCP, encrypted by GSSAPI.
    pub(super) const GSS: Self = Self(4);
    /// Over TCP, not encrypted.
    pub(super) const PLAIN: Self = Self(8);
    /// Where an access token does not belong: GSSAPI's encryption does not count.
    pub(super) const WITHOUT_TLS: Self = Self(Self::GSS.0 | Self::PLAIN.0);

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

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Who a line is for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own about a list")]
pub(super) struct Users<'a> {
    /// Everyone.
    pub(super) all: bool,
    /// Every Azure AD role there is and will be.
    pub(super) every_azure: bool,
    /// Every administrator there is and will be.
    pub(super) every_admin: bool,
    /// The Azure AD roles there are, unless it is for every one.
    pub(super) azure: BTreeSet<&'a str>,
    /// Other roles, unless it is for everyone.
    pub(super) local: BTreeSet<&'a str>,
    /// There is an item besides `+azure_ad_user` and `+azure_ad_admin`. A role that such an item
    /// matches still matches it after it was unlinked.
    pub(super) beyond_markers: bool,
    /// One of these items matches roles that are linked, were linked, or may be linked one day.
    pub(super) linkable: bool,
}

impl<'a> Users<'a> {
    fn of(items: &'a [String], reaches: &'a Reaches) -> Self {
        let mut users = Self::default();
        for item in items {
            match item.as_str() {
                ALL => {
                    (users.all, users.every_azure) = (true, true);
                    (users.beyond_markers, users.linkable) = (true, true);
                }
                EVERY_AZURE_ROLE => users.every_azure = true,
                item => users.add(item, reaches.get(item)),
            }
        }
        users
    }

    fn add(&mut self, item: &'a str, reach: Option<&'a Reach>) {
        if item == EVERY_ADMINISTRATOR {
            self.every_admin = true;
        } else {
            self.beyond_markers = true;
            self.linkable |= !ANCHORS.contains(&item) && !reach.is_some_and(|reach| reach.unlinkable);
        }
        if let Some(reach) = reach {
            self.azure.extend(reach.azure.iter().map(String::as_str));
            self.local.extend(reach.local.iter().map(String::as_str));
        }
        // One that cannot log in, or is not there, may tomorrow.
        if !item.starts_with(['+', '/']) && !ANCHORS.contains(&item) && !self.azure.contains(item) {
            self.local.insert(item);
        }
    }

    /// Whether an Azure AD role is among them.
    pub(super) fn has_azure(&self) -> bool {
        self.every_azure || self.every_admin || !self.azure.is_empty()
    }

    /// Whether nobody else is.
    pub(super) fn are_azure_only(&self) -> bool {
        !self.all && self.local.is_empty()
    }
}

/// A line that an Azure AD role can match, or that stays open to a role when it is unlinked.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) rule: &'a Rule,
    pub(super) ways: Ways,
    pub(super) databases: BTreeSet<&'a str>,
    pub(super) users: Users<'a>,
    pub(super) address: Address<'a>,
}

impl<'a> Line<'a> {
    /// None: no Azure AD role can match it. They never have REPLICATION, so the word is nothing to them; but it may be a name, if
    /// a database has it. A `trust` line counts whoever is on it today: whoever comes onto it, is linked and is
    /// unlinked again can be anybody.
    pub(super) fn of(rule: &'a Rule, reaches: &'a Reaches, has_replication_database: bool) -> Option<Self> {
        let counts = |name: &&str| has_replication_database || *name != REPLICATION;
        let databases: BTreeSet<_> = rule.databases.iter().map(String::as_str).filter(counts).collect();
        let users = Users::of(&rule.users, reaches);
        let concerns_us = users.has_azure() || rule.method == "trust" && users.linkable;
        (!databases.is_empty() && concerns_us).then(|| Self {
            rule,
            ways: Ways::of(&rule.connection),
            databases,
            users,
            address: Address::of(rule.address.as_deref(), rule.netmask.as_deref()),
        })
    }

    /// Whether it is for a database named replication, or for none.
    pub(super) fn is_for_replication_alone(&self) -> bool {
        self.databases.iter().all(|name| *name == REPLICATION)
    }
}

//! The user list of a line, and the roles that it matches.

use std::collections::{BTreeMap, BTreeSet};

const ALL: &str = "all";
const EVERY_AZURE_ROLE: &str = "+azure_ad_user";
const EVERY_ADMINISTRATOR: &str = "+azure_ad_admin";
/// The two marker roles. No client can log in as one of them.
const MARKERS: [&str; 2] = ["azure_ad_user", "azure_ad_admin"];

/// The roles that an item of a user list matches.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// The Azure AD roles.
    pub azure: Vec<String>,
    /// Other roles that can log in.
    pub local: Vec<String>,
    /// The item is the name of a role that cannot be linked, such as a superuser's.
    pub unlinkable: bool,
}

/// The roles that items of user lists match, by item.
pub type MatchedRoles = BTreeMap<String, Matched>;

/// Returns whether an item of a user list has to be looked up. What other items match is known.
#[must_use]
pub fn is_looked_up(item: &str) -> bool {
    ![ALL, EVERY_AZURE_ROLE].contains(&item)
}

/// The roles that a line is for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own about a list")]
pub(crate) struct Users<'a> {
    /// It is for every role.
    pub(crate) all: bool,
    /// It is for every Azure AD role that there is or will be.
    pub(crate) every_azure: bool,
    /// It is for every administrator that there is or will be.
    pub(crate) every_admin: bool,
    /// The Azure AD roles that there are, unless it is for every one.
    pub(crate) azure: BTreeSet<&'a str>,
    /// Other roles, unless it is for every role.
    pub(crate) local: BTreeSet<&'a str>,
    /// There is an item besides `+azure_ad_user` and `+azure_ad_admin`. A role that such an item
    /// matches still matches it after it was unlinked.
    pub(crate) beyond_markers: bool,
    /// One of these items matches roles that are linked, were linked, or may be linked one day.
    pub(crate) linkable: bool,
}

impl<'a> Users<'a> {
    /// Returns the roles that the items of a user list match.
    pub(crate) fn of(items: &'a [String], matched: &'a MatchedRoles) -> Self {
        let mut users = Self::default();
        for item in items {
            match item.as_str() {
                ALL => {
                    (users.all, users.every_azure) = (true, true);
                    (users.beyond_markers, users.linkable) = (true, true);
                }
                EVERY_AZURE_ROLE => users.every_azure = true,
                item => users.add(item, matched.get(item)),
            }
        }
        users
    }

    fn add(&mut self, item: &'a str, matched: Option<&'a Matched>) {
        if item == EVERY_ADMINISTRATOR {
            self.every_admin = true;
        } else {
            self.beyond_markers = true;
            self.linkable |= !MARKERS.contains(&item) && !matched.is_some_and(|matched| matched.unlinkable);
        }
        if let Some(matched) = matched {
            self.azure.extend(matched.azure.iter().map(String::as_str));
            self.local.extend(matched.local.iter().map(String::as_str));
        }
        // A role that cannot log in today, or does not exist, may do so tomorrow.
        if !item.starts_with(['+', '/']) && !MARKERS.contains(&item) && !self.azure.contains(item) {
            self.local.insert(item);
        }
    }

    /// Returns whether an Azure AD role is among them.
    pub(crate) fn has_azure(&self) -> bool {
        self.every_azure || self.every_admin || !self.azure.is_empty()
    }

    /// Returns whether no other role is among them.
    pub(crate) fn are_azure_only(&self) -> bool {
        !self.all && self.local.is_empty()
    }
}

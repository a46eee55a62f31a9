//! Which of its features the directory can serve, as answers show.

use super::request::Kind;

/// Something that needs permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Finding users by name.
    UserNames,
    /// Finding groups by name.
    GroupNames,
    /// Finding applications by name.
    ApplicationNames,
    /// Reading whether users are enabled, and when their sessions were revoked.
    AccountStates,
    /// Reading whether applications are enabled.
    ApplicationStates,
    /// Reading whether a principal is in a group.
    GroupMembership,
    /// Giving roles to the members of groups.
    GroupSync,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 7] = [
        Self::UserNames,
        Self::GroupNames,
        Self::ApplicationNames,
        Self::AccountStates,
        Self::ApplicationStates,
        Self::GroupMembership,
        Self::GroupSync,
    ];

    /// Returns the feature of finding objects of a kind by name.
    #[must_use]
    pub const fn names_of(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::UserNames,
            Kind::Group => Self::GroupNames,
            Kind::Application => Self::ApplicationNames,
        }
    }

    /// Returns the feature of reading the states of a kind; none for groups, which have none.
    #[must_use]
    pub const fn states_of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::User => Some(Self::AccountStates),
            Kind::Application => Some(Self::ApplicationStates),
            Kind::Group => None,
        }
    }

    /// Returns the name that views have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserNames => "user names",
            Self::GroupNames => "group names",
            Self::ApplicationNames => "application names",
            Self::AccountStates => "account states",
            Self::ApplicationStates => "application states",
            Self::GroupMembership => "group membership",
            Self::GroupSync => "group sync",
        }
    }

    /// Returns the application permissions that it needs ("Microsoft Graph permissions reference",
    /// Microsoft).
    #[must_use]
    pub const fn permissions(self) -> &'static str {
        match self {
            Self::UserNames | Self::AccountStates => "User.Read.All",
            Self::GroupNames => "GroupMember.Read.All",
            Self::ApplicationNames | Self::ApplicationStates => "Application.Read.All",
            Self::GroupMembership => "User.Read.All, GroupMember.Read.All",
            Self::GroupSync => "User.Read.All, GroupMember.Read.All, Application.Read.All",
        }
    }

    /// Returns the features that this one is made of.
    const fn parts(self) -> &'static [Self] {
        match self {
            Self::GroupSync => &[Self::AccountStates, Self::GroupNames, Self::ApplicationStates],
            _ => &[],
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// What an answer shows about a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It works.
    Works,
    /// Graph refuses the question (403): a permission is missing.
    Refused,
    /// Objects came, but their properties were null: a permission is missing.
    Unreadable,
    /// There was no answer, or an empty list, which shows nothing.
    Nothing,
}

/// What is known about a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Availability {
    /// Whether it works; none: nothing has shown it yet.
    pub available: Option<bool>,
    /// Whether properties came as null; otherwise Graph refuses the question.
    pub is_unreadable: bool,
    /// When an answer last showed it, in Unix seconds.
    pub checked_at: Option<i64>,
}

impl Availability {
    /// Returns what is wrong, in words; none if nothing is known to be.
    #[must_use]
    pub const fn problem(&self) -> Option<&'static str> {
        match self.available {
            Some(false) if self.is_unreadable => Some("not readable: the properties are null"),
            Some(false) => Some("Microsoft Graph refuses the request (403)"),
            _ => None,
        }
    }
}

/// What is known about every feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Features([Availability; Feature::ALL.len()]);

impl Features {
    /// Returns what is known about a feature. One that is made of others works if they all do.
    #[must_use]
    pub fn get(&self, feature: Feature) -> Availability {
        let own = self.0.get(feature.place()).copied().unwrap_or_default();
        if own.available.is_some() || feature.parts().is_empty() {
            return own;
        }
        let parts = || feature.parts().iter().map(|part| self.get(*part));
        let failing = parts().find(|part| part.available == Some(false));
        failing.unwrap_or_else(|| Availability {
            available: parts().all(|part| part.available == Some(true)).then_some(true),
            is_unreadable: false,
            checked_at: parts().map(|part| part.checked_at).min().flatten(),
        })
    }

    /// Takes in what an answer shows at a time, in Unix seconds. Returns whether the feature has
    /// begun or ceased to work, so that it is logged once.
    pub fn note(&mut self, feature: Feature, evidence: Evidence, now: i64) -> bool {
        let Some(entry) = self.0.get_mut(feature.place()) else { return false };
        let available = match evidence {
            Evidence::Works => true,
            Evidence::Refused | Evidence::Unreadable => false,
            Evidence::Nothing => return false,
        };
        let before = entry.available;
        let is_unreadable = evidence == Evidence::Unreadable;
        *entry = Availability { available: Some(available), is_unreadable, checked_at: Some(now) };
        before != Some(available) && (before.is_some() || !available)
    }
}

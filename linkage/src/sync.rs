//! Group synchronisation: what has to change so that the members of linked groups have roles of
//! their own.
//!
//! From the lists of members that the directory has given, and from the roles, their links, their
//! marks and their memberships, [`plan()`] works out what happens to each member, and what is
//! reported. What synchronisation has granted is a membership that three things agree about: the
//! member's mark has the group among its groups, the role's mark says that it serves that group,
//! and the bootstrap superuser has granted it without the ADMIN option. Nothing else is revoked.
//!
//! - `lists`: which groups there are, and whose list may be acted on;
//! - `name`: the name of a role that is to be created;
//! - `role`: what happens to a role that exists; `newcomer`: to a member without one.

mod lists;
mod name;
mod newcomer;
mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt;

use entra::directory::roster::Roster;
use entra::{Label, Mark, PrincipalKind, Synced, Uuid};

use crate::membership::Membership;
use crate::state::{RoleName, Server};
use lists::Lists;

/// A role, as far as synchronisation asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its oid and name.
    pub name: RoleName,
    /// It is a superuser, or has REPLICATION or BYPASSRLS.
    pub is_privileged: bool,
    /// What it is linked to.
    pub link: Option<Label>,
    /// What its own label remembers; none: that label cannot be read.
    pub mark: Option<Mark>,
    /// The roles of which it is a direct member and that are Azure AD roles, without the marker
    /// roles. Read of roles that synchronisation has linked: while a role is a member of one, it
    /// cannot be unlinked.
    pub azure_parents: Vec<RoleName>,
}

impl Known {
    /// Returns what is remembered of synchronisation; none if that cannot be read, too.
    fn synced(&self) -> Option<&Synced> {
        self.mark.as_ref()?.synced.as_ref()
    }

    /// Returns whether the role's mark says that it serves a group.
    fn serves(&self, group: Uuid) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.serves.contains(&group))
    }

    /// Returns whether the role's mark says that it serves one of these groups.
    fn serves_any(&self, groups: &BTreeSet<Uuid>) -> bool {
        self.mark.as_ref().is_some_and(|mark| !mark.serves.is_disjoint(groups))
    }

    /// Returns whether what a plan of the role relies on is still so.
    #[must_use]
    pub fn is_as(&self, now: &Self) -> bool {
        let synced = |role: &Self| role.mark.as_ref().map(|mark| mark.synced.clone());
        (self.name.id, self.is_privileged, self.link) == (now.name.id, now.is_privileged, now.link)
            && synced(self) == synced(now)
    }
}

/// Everything that a plan is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The rules for memberships on this server.
    pub server: &'a Server,
    /// The members of groups.
    pub roster: &'a Roster,
    /// Every role there is.
    pub roles: &'a [Known],
    /// The memberships in roles that are linked to a group or that serve one. Others do no harm.
    pub memberships: &'a [Membership],
    /// The groups whose lists the last round has held.
    pub held: &'a BTreeSet<Uuid>,
    /// Returns a name in the encoding of the roles' names, if it has all of its characters.
    pub encode: &'a dyn Fn(&str) -> Option<CString>,
}

/// What happened to a role, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It was created and linked.
    Created,
    /// It was linked again.
    Linked,
    /// It was granted a group's role.
    Granted,
    /// A group's role was revoked from it.
    Revoked,
    /// It was unlinked.
    Unlinked,
    /// It has left, and keeps something that synchronisation has not given it.
    Kept,
    /// A group's list is not acted on before the next round says the same.
    Held,
    /// Nothing was done, for a reason.
    Skipped,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Linked,
        Self::Granted,
        Self::Revoked,
        Self::Unlinked,
        Self::Kept,
        Self::Held,
        Self::Skipped,
    ];

    /// Returns whether it says that something was left undone.
    #[must_use]
    pub const fn is_undone(self) -> bool {
        matches!(self, Self::Skipped | Self::Held)
    }

    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Linked => "linked",
            Self::Granted => "granted",
            Self::Revoked => "revoked",
            Self::Unlinked => "unlinked",
            Self::Kept => "kept",
            Self::Held => "held",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The member's role, or the name that it would have.
    pub role_name: Option<String>,
    /// The role of the group.
    pub group_role: Option<String>,
    /// What happened.
    pub action: Action,
    /// The rest of it, in words.
    pub detail: Option<String>,
}

/// Whose role a part of the plan is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A role that exists, as the plan relies on it.
    Existing(Known),
    /// A role that is to be created by this name.
    New {
        /// The name in its own bytes.
        raw: CString,
        /// The name for messages.
        shown: String,
    },
}

/// One thing to do for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Create the role, which administrators then manage.
    Create,
    /// Link it.
    Link {
        /// The object.
        object: Uuid,
        /// What the object is.
        kind: PrincipalKind,
    },
    /// Say in the mark of a group's role that it serves the group, if it does not say so by now.
    Serve {
        /// The group's role.
        role: RoleName,
        /// The group.
        group: Uuid,
    },
    /// Grant it a group's role. It is no direct member of that role, by whomever.
    Grant {
        /// The group's role.
        role: RoleName,
        /// The group that the role is linked to.
        group: Uuid,
    },
    /// Revoke one membership.
    Revoke {
        /// The group's role.
        role: RoleName,
        /// The row.
        row: Membership,
    },
    /// Unlink it.
    Unlink,
    /// Write what is remembered of synchronisation; the rest of the mark stays.
    Remember(Option<Synced>),
}

/// What happens to one member's role: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The role.
    pub who: Who,
    /// What is done, in this order.
    pub deeds: Vec<Deed>,
    /// What is reported once that is done.
    pub rows: Vec<Row>,
}

impl Part {
    /// Returns the name of the role, for messages.
    #[must_use]
    pub fn role_name(&self) -> &str {
        match &self.who {
            Who::Existing(role) => &role.name.shown,
            Who::New { shown, .. } => shown,
        }
    }
}

/// A round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncPlan {
    /// What happens to members' roles: first to those that exist.
    pub parts: Vec<Part>,
    /// What is reported besides.
    pub rows: Vec<Row>,
    /// The groups whose lists are held in this round.
    pub held: BTreeSet<Uuid>,
    /// Roles that do not serve a group any more, once all parts are carried out.
    pub retired: Vec<(RoleName, Uuid)>,
}

impl SyncPlan {
    /// Returns whether nothing has to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.retired.is_empty()
    }

    /// Returns all that is reported if everything is carried out.
    pub fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.parts.iter().flat_map(|part| &part.rows).chain(&self.rows)
    }
}

/// Works out a round.
#[must_use]
pub fn plan(input: &Input<'_>) -> SyncPlan {
    let lists = Lists::of(input);
    let mut plan = SyncPlan { rows: lists.rows(), held: lists.held(), ..SyncPlan::default() };
    let planner = Planner {
        input,
        lists: &lists,
        memberships: by_pair(input.memberships),
        joined: lists.joined(),
        names: input.roles.iter().map(|role| (role.name.id, role.name.shown.as_str())).collect(),
    };
    // The groups that a role still has after the round.
    let mut kept: BTreeSet<Uuid> = BTreeSet::new();
    for role in input.roles {
        let (part, rows) = planner.role(role);
        if !part.as_ref().is_some_and(Part::changes_memory) {
            kept.extend(role.synced().iter().flat_map(|synced| &synced.groups));
        }
        plan.parts.extend(part);
        plan.rows.extend(rows);
    }
    planner.newcomers(&mut plan);
    kept.extend(plan.parts.iter().flat_map(Part::remembered));
    plan.retired = lists.retired(|group| kept.contains(&group));
    plan
}

impl Part {
    /// Returns whether it changes what is remembered of synchronisation.
    fn changes_memory(&self) -> bool {
        self.deeds.iter().any(|deed| matches!(deed, Deed::Remember(_)))
    }

    /// Returns the groups that are remembered afterwards, if that changes.
    fn remembered(&self) -> impl Iterator<Item = Uuid> {
        let synced = self.deeds.iter().filter_map(|deed| match deed {
            Deed::Remember(synced) => synced.as_ref(),
            _ => None,
        });
        synced.flat_map(|synced| synced.groups.iter().copied())
    }
}

/// The memberships, by role and member.
type ByPair = BTreeMap<(u32, u32), Vec<Membership>>;

fn by_pair(memberships: &[Membership]) -> ByPair {
    let mut pairs = ByPair::new();
    for row in memberships {
        pairs.entry((row.role, row.member)).or_default().push(*row);
    }
    pairs
}

struct Planner<'a> {
    input: &'a Input<'a>,
    lists: &'a Lists<'a>,
    memberships: ByPair,
    /// The groups that each object is a member of.
    joined: BTreeMap<Uuid, Vec<Uuid>>,
    /// The names of roles, for messages.
    names: BTreeMap<u32, &'a str>,
}

impl Planner<'_> {
    /// Returns the rows that make a role a direct member of another.
    fn rows(&self, role: &Known, member: &Known) -> &[Membership] {
        self.memberships.get(&(role.name.id, member.name.id)).map_or(&[], Vec::as_slice)
    }

    /// Returns the row that synchronisation has made, if a member was granted these groups by it.
    fn made(&self, role: &Known, member: &Known, groups: &BTreeSet<Uuid>) -> Option<Membership> {
        let is_own = |row: &&Membership| row.grantor == self.input.server.bootstrap && !row.admin_option;
        self.rows(role, member).iter().find(is_own).copied().filter(|_| role.serves_any(groups))
    }
}

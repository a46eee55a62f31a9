//! Which groups there are, and whose list may be acted on.

use std::collections::{BTreeMap, BTreeSet};

use entra::directory::roster::{List, Roster};
use entra::{Mark, PrincipalKind, Uuid};

use crate::state::RoleName;
use crate::sync::{Action, Input, Known, Row};

/// Whether an object is a member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is.
    In,
    /// It is not.
    Out,
    /// That is not known, or not to be acted on.
    Unknown,
}

/// A group, the roles that are linked to it, and its members.
struct Group<'a> {
    roles: Vec<&'a Known>,
    /// Roles that serve it, linked to it or not.
    serving: Vec<&'a Known>,
    state: State<'a>,
}

enum State<'a> {
    /// Acted on.
    Whole(&'a BTreeSet<Uuid>),
    /// So many of so many have left at once.
    Held(usize, usize),
    /// There is no list, for this reason.
    None(String),
    /// No role is linked to the group any more.
    Gone,
}

/// The groups.
pub(super) struct Lists<'a> {
    roster: &'a Roster,
    groups: BTreeMap<Uuid, Group<'a>>,
    /// The object ids of applications, by their client ids.
    clients: BTreeMap<Uuid, Uuid>,
    rows: Vec<Row>,
}

impl<'a> Lists<'a> {
    pub(super) fn of(input: &Input<'a>) -> Self {
        let roster = input.roster;
        let clients = roster.members().filter_map(|(id, member)| Some((member.client_id?, id))).collect();
        let mut lists = Self { roster, groups: BTreeMap::new(), clients, rows: Vec::new() };
        for role in input.roles {
            let link = role.link.filter(|link| link.kind == Some(PrincipalKind::Group) && !link.admin);
            if let Some(group) = link.and_then(|link| link.object_id) {
                let is_foreign = link.and_then(|link| link.tenant_id).is_some_and(|id| id != roster.tenant);
                lists.link(group, role, is_foreign);
            }
            for group in role.mark.iter().flat_map(|mark| &mark.serves) {
                lists.group(*group).serving.push(role);
            }
        }
        lists.leave_out_granted_by_hand(input);
        lists.hold(input);
        lists
    }

    fn group(&mut self, group: Uuid) -> &mut Group<'a> {
        let none = || Group { roles: Vec::new(), serving: Vec::new(), state: State::Gone };
        self.groups.entry(group).or_insert_with(none)
    }

    /// Notes that a role is linked to a group.
    fn link(&mut self, id: Uuid, role: &'a Known, is_foreign: bool) {
        let roster = self.roster;
        let group = self.group(id);
        group.roles.push(role);
        group.state = match roster.list_of(id) {
            _ if is_foreign => State::None("the group is of another tenant".to_owned()),
            _ if role.mark.is_none() => State::None(UNREADABLE.to_owned()),
            Some(List::Whole(ids)) if matches!(group.state, State::Gone | State::Whole(_)) => {
                State::Whole(ids)
            }
            Some(List::None(problem)) => State::None(problem.clone()),
            None => State::None("its members were not asked for yet".to_owned()),
            Some(List::Whole(_)) => return,
        };
    }

    /// Leaves out a role that is linked to a group and does not serve it yet, while a role to which
    /// synchronisation has granted another role of this group is a member of it already: that
    /// membership was granted by hand, and would be taken for one that was not.
    fn leave_out_granted_by_hand(&mut self, input: &Input<'a>) {
        let mut new: BTreeMap<u32, BTreeSet<Uuid>> = BTreeMap::new();
        for (id, group) in self.groups.iter().filter(|(_, group)| !group.serving.is_empty()) {
            for role in group.roles.iter().filter(|role| !role.serves(*id)) {
                new.entry(role.name.id).or_default().insert(*id);
            }
        }
        if new.is_empty() {
            return;
        }
        let marks: BTreeMap<u32, &Known> = input.roles.iter().map(|role| (role.name.id, role)).collect();
        for row in input.memberships {
            let Some(groups) = new.get(&row.role) else { continue };
            let (Some(role), Some(member)) = (marks.get(&row.role), marks.get(&row.member)) else { continue };
            let Some(synced) = member.synced() else { continue };
            let is_made = role.serves_any(&synced.groups);
            for id in groups.intersection(&synced.groups).filter(|_| !is_made) {
                let Some(group) = self.groups.get_mut(id) else { continue };
                let before = group.roles.len();
                group.roles.retain(|other| other.name.id != row.role);
                if group.roles.len() < before {
                    let text = format!(
                        "another role is linked to the same group, and role \"{}\" was granted this one by hand",
                        member.name.shown
                    );
                    self.rows.push(row_of(role, Action::Skipped, text));
                }
            }
        }
    }

    /// Holds lists that are suddenly empty, or have lost more than half of their members.
    fn hold(&mut self, input: &Input<'_>) {
        let mut counts: BTreeMap<Uuid, (usize, usize)> = BTreeMap::new();
        for role in input.roles {
            let Some(synced) = role.synced() else { continue };
            let is_other = |id: Uuid| self.object(id) != self.object(synced.member);
            if role.link.and_then(|link| link.object_id).is_some_and(is_other) {
                continue;
            }
            for group in &synced.groups {
                let (left, all) = counts.entry(*group).or_default();
                *all += 1;
                *left += usize::from(self.presence(*group, synced.member) == Presence::Out);
            }
        }
        for (id, (left, all)) in counts {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let is_empty = matches!(group.state, State::Whole(ids) if ids.is_empty());
            let is_whole = matches!(group.state, State::Whole(_));
            if is_whole && left > 0 && (is_empty || 2 * left > all) && !input.held.contains(&id) {
                group.state = State::Held(left, all);
            }
        }
    }

    /// Returns the object that an id names: the id itself, or the application of a client id.
    pub(super) fn object(&self, id: Uuid) -> Uuid {
        self.clients.get(&id).copied().unwrap_or(id)
    }

    /// Returns whether the object of an id is a member of a group.
    pub(super) fn presence(&self, group: Uuid, id: Uuid) -> Presence {
        let object = self.object(id);
        match self.groups.get(&group).map_or(&State::Gone, |group| &group.state) {
            State::Whole(ids) if ids.contains(&object) => Presence::In,
            State::Whole(_) if [id, object].iter().any(|id| self.roster.is_unknown(*id)) => Presence::Unknown,
            State::Gone | State::Whole(_) => Presence::Out,
            State::Held(..) | State::None(_) => Presence::Unknown,
        }
    }

    /// Returns the groups that each object is a member of, where that may be acted on.
    pub(super) fn joined(&self) -> BTreeMap<Uuid, Vec<Uuid>> {
        let mut joined: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (id, group) in &self.groups {
            if let State::Whole(ids) = group.state {
                for object in ids {
                    joined.entry(*object).or_default().push(*id);
                }
            }
        }
        joined
    }

    /// Returns the roles that members of a group are granted.
    pub(super) fn roles(&self, group: Uuid) -> &[&'a Known] {
        self.groups.get(&group).map_or(&[], |group| &group.roles)
    }

    /// Returns the roles that serve a group.
    pub(super) fn serving(&self, group: Uuid) -> &[&'a Known] {
        self.groups.get(&group).map_or(&[], |group| &group.serving)
    }

    /// Returns the groups whose lists are held.
    pub(super) fn held(&self) -> BTreeSet<Uuid> {
        let held = self.groups.iter().filter(|(_, group)| matches!(group.state, State::Held(..)));
        held.map(|(id, _)| *id).collect()
    }

    /// Returns what is reported about groups.
    pub(super) fn rows(&self) -> Vec<Row> {
        let of_group = |group: &Group<'_>| {
            let (action, text) = match &group.state {
                State::Held(left, all) => (
                    Action::Held,
                    format!("{left} of {all} members are missing at once; the next round must say so too"),
                ),
                State::None(problem) => (Action::Skipped, problem.clone()),
                State::Whole(_) | State::Gone => return Vec::new(),
            };
            group.roles.iter().map(|role| row_of(role, action, text.clone())).collect()
        };
        self.groups.values().flat_map(of_group).chain(self.rows.iter().cloned()).collect()
    }

    /// Returns the roles that serve a group and are not linked to it any more, of groups whose
    /// members have all lost them.
    pub(super) fn retired(&self, is_kept: impl Fn(Uuid) -> bool) -> Vec<(RoleName, Uuid)> {
        let mut retired = Vec::new();
        for (id, group) in self.groups.iter().filter(|(id, _)| !is_kept(**id)) {
            let is_linked = |role: &Known| {
                role.link.is_some_and(|link| {
                    link.object_id == Some(*id) && link.kind == Some(PrincipalKind::Group)
                })
            };
            let serving = group.serving.iter().filter(|role| !is_linked(role));
            retired.extend(serving.map(|role| (role.name.clone(), *id)));
        }
        retired
    }
}

/// Why nothing is done about a role whose own label is not understood.
pub(super) const UNREADABLE: &str = "its label of the provider azure_ad_auth cannot be read";

/// Returns the empty mark, for a role whose label says nothing or is not understood.
pub(super) fn mark_of(role: &Known) -> Mark {
    role.mark.clone().unwrap_or_default()
}

fn row_of(group_role: &Known, action: Action, detail: String) -> Row {
    Row { role_name: None, group_role: Some(group_role.name.shown.clone()), action, detail: Some(detail) }
}

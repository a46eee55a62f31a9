//! What happens to a role that exists.

use std::collections::{BTreeMap, BTreeSet};

use entra::{Mark, PrincipalKind, Synced, Uuid};

use crate::membership::Membership;
use crate::state::RoleName;
use crate::sync::lists::{Presence, UNREADABLE, mark_of};
use crate::sync::{Action, Deed, Known, Part, Planner, Row, Who};

/// A part of a plan in the making.
pub(super) struct Draft {
    pub(super) deeds: Vec<Deed>,
    pub(super) rows: Vec<Row>,
    /// What is reported although nothing is done.
    pub(super) skipped: Vec<Row>,
    name: String,
}

impl Draft {
    pub(super) fn new(name: &str) -> Self {
        Self { deeds: Vec::new(), rows: Vec::new(), skipped: Vec::new(), name: name.to_owned() }
    }

    pub(super) fn say(&mut self, action: Action, group_role: Option<&Known>, detail: Option<String>) {
        let row = Row {
            role_name: Some(self.name.clone()),
            group_role: group_role.map(|role| role.name.shown.clone()),
            action,
            detail,
        };
        if action == Action::Skipped { self.skipped.push(row) } else { self.rows.push(row) }
    }

    /// Returns the part, if there is something to do, and the rows besides.
    pub(super) fn finish(self, who: Who) -> (Option<Part>, Vec<Row>) {
        let Self { deeds, rows, skipped, .. } = self;
        if deeds.is_empty() { (None, skipped) } else { (Some(Part { who, deeds, rows }), skipped) }
    }
}

impl Planner<'_> {
    /// Plans a role that is linked to a member of a group, or of which synchronisation remembers
    /// something.
    pub(super) fn role(&self, role: &Known) -> (Option<Part>, Vec<Row>) {
        let object = object_of(role);
        let mut draft = Draft::new(&role.name.shown);
        let mark = mark_of(role);
        if role.mark.is_none() && object.is_some_and(|id| self.joined.contains_key(&self.lists.object(id))) {
            draft.say(Action::Skipped, None, Some(UNREADABLE.to_owned()));
        }
        if role.mark.is_none() || (object.is_none() && mark.synced.is_none()) {
            return draft.finish(Who::Existing(role.clone()));
        }
        let old = mark.synced.as_ref();
        let had = old.map(|old| old.groups.clone()).unwrap_or_default();
        let mut groups = self.kept(role, object, old);
        if role.link.is_none() && !groups.is_empty() {
            draft.say(Action::Skipped, None, Some("was unlinked by hand".to_owned()));
        }
        if let Some(object) = object {
            let joined = self.joined.get(&self.lists.object(object)).map_or(&[][..], Vec::as_slice);
            self.join(Some(role), &mark, object, joined, &had, &mut groups, &mut draft);
        }
        self.exchange(Some(role), &had, &groups, object.is_some(), &mut draft);
        let after = self.remembered(role, object, old, groups, &mut draft);
        if after.as_ref() != old {
            draft.deeds.push(Deed::Remember(after));
        }
        draft.finish(Who::Existing(role.clone()))
    }

    /// Returns those of the groups that synchronisation has granted which the role does not leave.
    ///
    /// Of a role that was linked to another object by hand, the old member has left all of them,
    /// whether their lists are known or not.
    pub(super) fn kept(&self, role: &Known, object: Option<Uuid>, old: Option<&Synced>) -> BTreeSet<Uuid> {
        let Some(old) = old else { return BTreeSet::new() };
        let is_same = match (object, role.link) {
            (Some(object), _) => self.lists.object(object) == self.lists.object(old.member),
            (None, link) => link.is_none(),
        };
        let stays = |group: &&Uuid| match self.lists.presence(**group, object.unwrap_or(old.member)) {
            Presence::In => is_same || object.is_some(),
            Presence::Unknown => is_same,
            Presence::Out => false,
        };
        old.groups.iter().filter(stays).copied().collect()
    }

    /// Adds the groups that a member has joined, if their roles can be granted and the mark has
    /// room for them. `role`: none if it is not there yet.
    #[expect(clippy::too_many_arguments, reason = "what is known of a member, and what becomes of it")]
    pub(super) fn join(
        &self,
        role: Option<&Known>,
        mark: &Mark,
        member: Uuid,
        joined: &[Uuid],
        had: &BTreeSet<Uuid>,
        groups: &mut BTreeSet<Uuid>,
        draft: &mut Draft,
    ) {
        for group in joined {
            let roles = self.lists.roles(*group);
            if roles.is_empty() || groups.contains(group) {
                continue;
            }
            let by_hand = |other: &&&Known| {
                role.is_some_and(|role| {
                    !self.rows(other, role).is_empty() && self.made(other, role, had).is_none()
                })
            };
            if let Some(held) = roles.iter().chain(self.lists.serving(*group)).find(by_hand) {
                for other in roles.iter().filter(|role| !by_hand(role)) {
                    let text =
                        format!("is a member of role \"{}\" of the same group by hand", held.name.shown);
                    draft.say(Action::Skipped, Some(other), Some(text));
                }
                continue;
            }
            let mut more = groups.clone();
            more.insert(*group);
            let synced = Some(Synced { member, has_linked: true, groups: more });
            let full = Mark { synced, ..mark.clone() };
            if full.fits() {
                groups.insert(*group);
            } else {
                for other in roles {
                    let text = "is a member of more groups than can be kept in mind".to_owned();
                    draft.say(Action::Skipped, Some(other), Some(text));
                }
            }
        }
    }

    /// Plans what is granted and what is revoked. `had`: the groups that the role was granted
    /// before; `has`: those that it is to have.
    pub(super) fn exchange(
        &self,
        member: Option<&Known>,
        had: &BTreeSet<Uuid>,
        has: &BTreeSet<Uuid>,
        may_grant: bool,
        draft: &mut Draft,
    ) {
        let mut wanted: BTreeMap<u32, (&Known, Uuid)> = BTreeMap::new();
        for group in has {
            for role in self.lists.roles(*group) {
                wanted.entry(role.name.id).or_insert((role, *group));
            }
        }
        if let Some(member) = member {
            self.revoke(member, had, &wanted, draft);
        }
        for (role, group) in wanted.into_values() {
            let may_grant = may_grant && member.is_none_or(|member| self.rows(role, member).is_empty());
            let is_made = member.is_some_and(|member| self.made(role, member, had).is_some());
            if (may_grant || is_made) && !role.serves(group) {
                draft.deeds.push(Deed::Serve { role: role.name.clone(), group });
            }
            if may_grant {
                draft.deeds.push(Deed::Grant { role: role.name.clone(), group });
                draft.say(Action::Granted, Some(role), None);
            }
        }
    }

    fn revoke(
        &self,
        member: &Known,
        had: &BTreeSet<Uuid>,
        wanted: &BTreeMap<u32, (&Known, Uuid)>,
        draft: &mut Draft,
    ) {
        let served = had.iter().flat_map(|group| self.lists.serving(*group));
        let served: BTreeMap<u32, &Known> = served.map(|role| (role.name.id, *role)).collect();
        for role in served.values().filter(|role| !wanted.contains_key(&role.name.id)) {
            let made = self.made(role, member, had);
            if let Some(row) = made {
                draft.deeds.push(Deed::Revoke { role: role.name.clone(), row });
                draft.say(Action::Revoked, Some(role), None);
            }
            let left = self.rows(role, member).iter().find(|row| Some(**row) != made);
            if let Some(left) = left {
                draft.say(Action::Kept, Some(role), Some(self.granted_by(left.grantor)));
            }
        }
    }

    /// Says who has granted a membership that stays.
    fn granted_by(&self, grantor: u32) -> String {
        match self.names.get(&grantor) {
            Some(name) => format!("was granted it by hand, by role \"{name}\""),
            None => "was granted it by hand".to_owned(),
        }
    }

    /// Plans what is remembered of a role, and that it is unlinked if it has left every group and
    /// synchronisation has made its link.
    fn remembered(
        &self,
        role: &Known,
        object: Option<Uuid>,
        old: Option<&Synced>,
        groups: BTreeSet<Uuid>,
        draft: &mut Draft,
    ) -> Option<Synced> {
        let is_same = |old: &&Synced| {
            object.is_none_or(|object| self.lists.object(object) == self.lists.object(old.member))
                && (object.is_some() || role.link.is_none())
        };
        let same = old.filter(is_same);
        if !groups.is_empty() {
            let new = object.map(|member| Synced { member, has_linked: false, groups: BTreeSet::new() });
            return same.cloned().or(new).map(|synced| Synced { groups, ..synced });
        }
        match same {
            Some(same) if same.has_linked && role.link.is_some() => {
                if role.link.is_some_and(|link| link.admin) {
                    draft.say(Action::Kept, None, Some("is an administrator, so its link stays".to_owned()));
                    return None;
                }
                if let Some(parent) = self.parent_by_hand(role, &draft.deeds) {
                    let action = if same.groups.is_empty() { Action::Skipped } else { Action::Kept };
                    let text = format!("stays linked while it is a member of role \"{}\"", parent.shown);
                    draft.say(action, None, Some(text));
                    return Some(Synced { groups, ..same.clone() });
                }
                draft.deeds.push(Deed::Unlink);
                draft.say(Action::Unlinked, None, Some(format!("{} has left", same.member)));
                Some(Synced { has_linked: false, groups, ..same.clone() })
            }
            Some(same) if same.groups.is_empty() => Some(same.clone()),
            _ => None,
        }
    }

    /// Returns the first Azure AD role of which a role stays a member after these deeds.
    fn parent_by_hand<'r>(&self, role: &'r Known, deeds: &[Deed]) -> Option<&'r RoleName> {
        let is_revoked = |row: &Membership| {
            deeds.iter().any(|deed| matches!(deed, Deed::Revoke { row: revoked, .. } if revoked == row))
        };
        role.azure_parents.iter().find(|parent| {
            let rows = self.memberships.get(&(parent.id, role.name.id));
            rows.is_none_or(|rows| !rows.iter().all(is_revoked))
        })
    }
}

/// Returns the object that a role is linked to, unless that is a group.
pub(super) fn object_of(role: &Known) -> Option<Uuid> {
    let link = role.link.filter(|link| link.kind != Some(PrincipalKind::Group));
    link.and_then(|link| link.object_id)
}

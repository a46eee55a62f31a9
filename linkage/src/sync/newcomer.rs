//! What happens to a member that no role is linked to.

use std::collections::{BTreeMap, BTreeSet};

use entra::directory::roster::Member;
use entra::{Mark, PrincipalKind, Synced, Uuid};

use crate::sync::lists::mark_of;
use crate::sync::name::Names;
use crate::sync::role::{Draft, object_of};
use crate::sync::{Action, Deed, Known, Part, Planner, Row, SyncPlan, Who};

impl Planner<'_> {
    /// Plans a role for each member that has none.
    pub(super) fn newcomers(&self, plan: &mut SyncPlan) {
        let roles = self.input.roles;
        let linked: BTreeSet<_> =
            roles.iter().filter_map(|role| Some(self.lists.object(object_of(role)?))).collect();
        let former = self.former();
        let newcomers: Vec<_> = self
            .joined
            .iter()
            .filter(|(id, _)| !linked.contains(*id))
            .filter_map(|(id, groups)| Some((*id, groups.as_slice(), self.input.roster.member(*id)?)))
            .collect();
        let nameless = newcomers.iter().filter(|(id, _, _)| !former.contains_key(id));
        let names = Names::new(self.input, nameless.map(|(_, _, member)| *member));
        for (id, groups, member) in newcomers {
            let (part, rows) = match former.get(&id) {
                // It was unlinked by hand, which is reported with its role.
                Some(role) if role.synced().is_some_and(|synced| !synced.groups.is_empty()) => {
                    continue;
                }
                Some(role) => self.link_again(role, id, member, groups),
                None => self.create(id, member, groups, &names),
            };
            plan.parts.extend(part);
            plan.rows.extend(rows);
        }
    }

    /// Returns the roles of former members that are not linked, by the objects: those that still
    /// have groups before others, and then those that were there first.
    fn former(&self) -> BTreeMap<Uuid, &Known> {
        let mut former: BTreeMap<Uuid, (bool, &Known)> = BTreeMap::new();
        for role in self.input.roles.iter().filter(|role| role.link.is_none()) {
            let Some(synced) = role.synced() else { continue };
            let (object, has_groups) = (self.lists.object(synced.member), !synced.groups.is_empty());
            if has_groups && self.kept(role, None, Some(synced)).is_empty() {
                // It leaves all of them in this round, and is forgotten.
                continue;
            }
            let is_better = |(had, other): &(bool, &Known)| {
                (has_groups, std::cmp::Reverse(role.name.id)) > (*had, std::cmp::Reverse(other.name.id))
            };
            if former.get(&object).is_none_or(is_better) {
                former.insert(object, (has_groups, role));
            }
        }
        former.into_iter().map(|(object, (_, role))| (object, role)).collect()
    }

    /// Plans that a member that comes back gets its role again.
    fn link_again(
        &self,
        role: &Known,
        id: Uuid,
        member: &Member,
        joined: &[Uuid],
    ) -> (Option<Part>, Vec<Row>) {
        let mut draft = Draft::new(&role.name.shown);
        let (who, none) = (Who::Existing(role.clone()), BTreeSet::new());
        if role.is_privileged {
            let text = "is a superuser, or has a superuser's rights, and cannot be linked again".to_owned();
            draft.say(Action::Skipped, None, Some(text));
            return draft.finish(who);
        }
        let mark = mark_of(role);
        let mut groups = BTreeSet::new();
        let mut grants = Draft::new(&role.name.shown);
        self.join(Some(role), &mark, id, joined, &none, &mut groups, &mut grants);
        if groups.is_empty() {
            let text = "is a member of the groups' roles by hand, so it is not linked again".to_owned();
            draft.say(Action::Skipped, None, Some(text));
            return draft.finish(who);
        }
        draft.deeds.push(Deed::Link { object: id, kind: kind(member) });
        draft.say(Action::Linked, None, Some(said(id, member)));
        self.exchange(Some(role), &none, &groups, true, &mut grants);
        add(&mut draft, grants);
        let synced = Synced { member: id, has_linked: true, groups };
        draft.deeds.push(Deed::Remember(Some(synced)));
        draft.finish(who)
    }

    /// Plans a role for a member that never had one.
    fn create(
        &self,
        id: Uuid,
        member: &Member,
        joined: &[Uuid],
        names: &Names<'_>,
    ) -> (Option<Part>, Vec<Row>) {
        let shown = member.name.clone().unwrap_or_default();
        let mut draft = Draft::new(&shown);
        let none = BTreeSet::new();
        let mut groups = BTreeSet::new();
        let mut grants = Draft::new(&shown);
        self.join(None, &Mark::default(), id, joined, &none, &mut groups, &mut grants);
        let raw = match names.of(member) {
            Ok(raw) => raw,
            Err(reason) => {
                let row = Row {
                    role_name: member.name.clone(),
                    group_role: None,
                    action: Action::Skipped,
                    detail: Some(format!("{}: {reason}", said(id, member))),
                };
                return (None, if groups.is_empty() { Vec::new() } else { vec![row] });
            }
        };
        let who = Who::New { raw, shown };
        if groups.is_empty() {
            add(&mut draft, grants);
            return draft.finish(who);
        }
        draft.deeds.push(Deed::Create);
        draft.deeds.push(Deed::Link { object: id, kind: kind(member) });
        draft.say(Action::Created, None, Some(said(id, member)));
        self.exchange(None, &none, &groups, true, &mut grants);
        add(&mut draft, grants);
        draft.deeds.push(Deed::Remember(Some(Synced { member: id, has_linked: true, groups })));
        draft.finish(who)
    }
}

/// Adds what another draft has.
fn add(draft: &mut Draft, other: Draft) {
    draft.deeds.extend(other.deeds);
    draft.rows.extend(other.rows);
    draft.skipped.extend(other.skipped);
}

fn kind(member: &Member) -> PrincipalKind {
    if member.is_application { PrincipalKind::Service } else { PrincipalKind::User }
}

fn said(id: Uuid, member: &Member) -> String {
    format!("{} {id}", if member.is_application { "application" } else { "user" })
}

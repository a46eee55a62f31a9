//! Plans what has to change so that everything agrees with a role's labels.

use entra::Label;

use crate::change::{ADMINISTRATOR, Change, NO_ADMINISTRATOR, Notice, Plan};
use crate::demotion::{Taken, take_back};
use crate::guard;
use crate::membership::{Membership, members_without, without};
use crate::obstacle::{Obstacle, check_linkable};
use crate::state::{Held, Marker, Markers, Role, RoleName, Server, State, Wanted};

/// Returns what has to change so that everything agrees with what the role's labels ask for, in
/// the order in which it is to be done. Nothing: the role is whole.
///
/// # Errors
/// The role cannot be what its labels ask for.
pub fn plan(server: &Server, state: &State, wanted: &Wanted) -> Result<Plan, Obstacle> {
    let planner = Planner { server, state, plan: Plan::default() };
    match (wanted, &state.markers) {
        (Wanted::Linked(_), None) => check_linkable(&state.role).map(|()| planner.plan),
        (Wanted::Linked(label), Some(markers)) => planner.linked(label, markers),
        (Wanted::Unlinked, Some(markers)) if !state.role.is_marker => planner.unlinked(markers),
        (Wanted::Unlinked, _) => Ok(planner.plan),
    }
}

/// Returns whether these rows make `azure_ad_admin` a member of `azure_ad_user` as it should be.
///
/// Before PostgreSQL 16 the grantor does not matter, and GRANT leaves a row that has the option as
/// it is (AddRoleMems, user.c), whoever has granted it.
#[must_use]
pub fn are_joined(server: &Server, joined: &[Membership]) -> bool {
    let is_by_bootstrap =
        |row: &Membership| row.grantor == server.bootstrap || !server.has_admin_option_rules;
    joined.iter().any(|row| row.admin_option && is_by_bootstrap(row))
}

/// Returns what is left of a demotion that has been carried out: what administrators have granted
/// the role while the demotion waited for locks. None: the role still has the attributes of an
/// administrator, so it was another role that has lost them.
#[must_use]
pub fn rest_of_demotion(server: &Server, role: &Role, held: &[Held]) -> Option<Plan> {
    if role.create_role || role.create_db {
        return None;
    }
    let mut plan = Plan::default();
    plan.take_back(&role.name, take_back(server, role.name.id, held).taken);
    Some(plan)
}

impl Plan {
    fn take_back(&mut self, member: &RoleName, taken: Vec<(RoleName, Taken)>) {
        let names: Vec<_> = taken.iter().map(|(role, _)| role.clone()).collect();
        for (role, taken) in taken {
            self.change(Change::TakeBack { role, member: member.clone(), taken });
        }
        if !names.is_empty() {
            self.tell(Notice::TakenBack(names));
        }
    }
}

struct Planner<'a> {
    server: &'a Server,
    state: &'a State,
    plan: Plan,
}

impl Planner<'_> {
    fn name(&self) -> &RoleName {
        &self.state.role.name
    }

    fn linked(mut self, label: &Label, markers: &Markers) -> Result<Plan, Obstacle> {
        let role = &self.state.role;
        check_linkable(role)?;
        for Marker { name, used } in [&markers.user, &markers.admin] {
            used.map_or(Ok(()), |used| Err(Obstacle::MarkerInUse(name.clone(), used)))?;
        }
        check_members(markers)?;
        if !are_joined(self.server, &markers.joined) {
            self.plan.change(Change::Join);
        }
        if let Some(tenant) = self.state.tenant.filter(|_| label.tenant_id.is_none()) {
            self.plan.change(Change::NameTenant { role: role.name.clone(), tenant });
        }
        self.memberships(label, markers)?;
        self.attributes(label, markers);
        let guard = guard::plan(self.server, &role.name, &self.state.guard, &self.state.servers_own);
        if let Some(change) = guard {
            self.plan.change(change);
        }
        if role.has_password {
            self.plan.change(Change::RemovePassword { role: role.name.clone() });
            self.plan.tell(Notice::PasswordRemoved);
        }
        if !self.state.was_linked() && !role.can_login {
            self.plan.tell(Notice::NoLogin);
        }
        Ok(self.plan)
    }

    /// Plans that the role is a direct member of one marker role and not of the other, by one row
    /// without options, whose grantor is the bootstrap superuser.
    fn memberships(&mut self, label: &Label, markers: &Markers) -> Result<(), Obstacle> {
        let (user, admin) = (&markers.user.name, &markers.admin.name);
        let (as_user, as_admin) = (markers.as_user.as_slice(), markers.as_admin.as_slice());
        let (wanted, rows, other, others) =
            if label.admin { (admin, as_admin, user, as_user) } else { (user, as_user, admin, as_admin) };
        let name = self.name().clone();
        self.revoke(&name, other, others);
        if label.admin {
            // A role cannot be a member of its own member.
            let is_admins = |row: &&Membership| row.member == admin.id;
            let given: Vec<_> = markers.below.iter().filter(is_admins).copied().collect();
            if !given.is_empty() {
                self.plan.change(Change::Remember { role: name.clone() });
                self.revoke(admin, &name, &given);
            }
            self.check_no_members(markers, &given)?;
        }
        let (right, wrong): (Vec<_>, Vec<_>) = rows.iter().partition(|row| self.is_as_granted(row));
        self.revoke(&name, wanted, &wrong);
        if right.is_empty() {
            self.plan.change(Change::Grant { role: wanted.clone(), member: name });
        }
        Ok(())
    }

    fn revoke(&mut self, member: &RoleName, role: &RoleName, rows: &[Membership]) {
        for row in rows {
            let (role, member) = (role.clone(), member.clone());
            self.plan.change(Change::Revoke { role, member, row: *row });
        }
    }

    /// Returns whether a membership of the role is what GRANT without options makes of it.
    fn is_as_granted(&self, row: &Membership) -> bool {
        let wanted = (self.state.role.inherit, true);
        row.grantor == self.server.bootstrap
            && !row.admin_option
            && row.inherit_and_set.is_none_or(|options| options == wanted)
    }

    /// Checks that an administrator's role has no members, which could act as it. The memberships
    /// of `azure_ad_admin` in it are revoked, and take along those that it has granted.
    fn check_no_members(&self, markers: &Markers, given: &[Membership]) -> Result<(), Obstacle> {
        let left = given.iter().fold(markers.below.clone(), |left, row| {
            if left.contains(row) { without(self.server, &left, row) } else { left }
        });
        let left = members_without(&left, markers.admin.name.id);
        let member = markers.members.iter().find(|member| left.contains(&member.name.id));
        member.map_or(Ok(()), |member| Err(Obstacle::Member(member.name.clone())))
    }

    fn attributes(&mut self, label: &Label, markers: &Markers) {
        let role = &self.state.role;
        if label.admin && !(role.create_role && role.create_db) {
            self.alter(ADMINISTRATOR);
        } else if !label.admin && self.state.was_administrator() {
            self.alter(NO_ADMINISTRATOR);
            self.plan.tell(Notice::NoAdministrator);
            self.take_back(markers);
        }
    }

    fn alter(&mut self, attributes: &'static str) {
        let role = self.name().clone();
        self.plan.change(Change::Alter { role, attributes });
    }

    /// Plans what a role loses that is no longer an administrator.
    fn take_back(&mut self, markers: &Markers) {
        let member = self.name().clone();
        let demotion = take_back(self.server, member.id, &markers.held);
        self.plan.take_back(&member, demotion.taken);
        if !demotion.kept.is_empty() {
            self.plan.tell(Notice::StillMember(demotion.kept));
        }
        if self.server.has_admin_option_rules && self.state.is_marked {
            self.plan.change(Change::GiveBack { role: member });
        }
    }

    fn unlinked(mut self, markers: &Markers) -> Result<Plan, Obstacle> {
        let name = self.name().clone();
        self.revoke(&name, &markers.user.name, &markers.as_user);
        self.revoke(&name, &markers.admin.name, &markers.as_admin);
        if self.state.was_administrator() {
            self.alter(NO_ADMINISTRATOR);
            self.take_back(markers);
        }
        let guard = guard::plan_removal(&name, &self.state.guard, &self.state.servers_own);
        if let Some(change) = guard {
            self.plan.change(change);
        }
        // Its direct memberships may make the role seem to inherit from itself, so this is checked
        // once these are gone.
        match &markers.inherits_from {
            Some(parent) if !self.state.was_linked() => Err(Obstacle::InheritsFrom(parent.clone())),
            _ => Ok(self.plan),
        }
    }
}

/// Checks that all members are linked. One without a link would be matched by `+azure_ad_user` in
/// pg_hba.conf, and has no guard.
fn check_members(markers: &Markers) -> Result<(), Obstacle> {
    let is_stray = |name: &RoleName| name.id != markers.admin.name.id;
    let unlinked = markers.members.iter().find(|member| is_stray(&member.name) && !member.is_linked);
    unlinked.map_or(Ok(()), |member| Err(Obstacle::UnlinkedMember(member.name.clone())))
}

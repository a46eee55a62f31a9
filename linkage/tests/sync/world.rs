//! A server and a directory of a few roles, users and groups, on which rounds are carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use entra::directory::answer::Object;
use entra::directory::request::Kind;
use entra::directory::roster::{Applications, Roster};
use entra::{Label, Mark, PrincipalKind, Synced, Uuid};
use linkage::sync::{Deed, Input, Known, Part, Row, SyncPlan, Who, plan};
use linkage::{Membership, RoleName, Server};

pub(crate) const BOOTSTRAP: u32 = 10;
/// A role that grants roles by hand.
pub(crate) const BOSS: u32 = 11;
pub(crate) const TENANT: Uuid = Uuid::from_u128(1);

/// The oids and the groups of `readers` and `writers`.
pub(crate) const READERS: u32 = 100;
pub(crate) const WRITERS: u32 = 101;
pub(crate) const READERS_GROUP: Uuid = Uuid::from_u128(1_000);
pub(crate) const WRITERS_GROUP: Uuid = Uuid::from_u128(1_001);

pub(crate) const SERVERS: [Server; 2] = [server(false), server(true)];

const fn server(has_admin_option_rules: bool) -> Server {
    Server { bootstrap: BOOTSTRAP, has_admin_option_rules, decode }
}

fn decode(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The id of a user or an application.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An object that was answered with nothing but its id.
pub(crate) fn object(number: u128, kind: Option<Kind>) -> Object {
    Object {
        id: id(number),
        kind,
        principal_name: None,
        mail: None,
        is_guest: None,
        display_name: None,
        client_id: None,
        is_security_enabled: None,
        visibility: None,
        is_enabled: None,
        sessions_valid_from: None,
    }
}

pub(crate) fn user(number: u128, name: &str) -> Object {
    Object { principal_name: Some(name.to_owned()), ..object(number, Some(Kind::User)) }
}

pub(crate) fn application(number: u128, name: &str) -> Object {
    Object { display_name: Some(name.to_owned()), ..object(number, Some(Kind::Application)) }
}

/// A role without a link.
pub(crate) fn local(id: u32, name: &str) -> Known {
    let raw = CString::new(name).expect("a name");
    Known {
        name: RoleName { id, raw, shown: name.to_owned() },
        is_privileged: false,
        link: None,
        mark: Some(Mark::default()),
        azure_parents: Vec::new(),
    }
}

pub(crate) fn link(object: Uuid, kind: PrincipalKind) -> Label {
    Label { object_id: Some(object), kind: Some(kind), ..Label::default() }
}

/// What is remembered of a member.
pub(crate) fn synced(member: u128, has_linked: bool, groups: &[Uuid]) -> Mark {
    let groups = groups.iter().copied().collect();
    Mark { synced: Some(Synced { member: id(member), has_linked, groups }), ..Mark::default() }
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) roles: Vec<Known>,
    pub(crate) memberships: Vec<Membership>,
    /// The members of groups, as the directory lists them.
    pub(crate) lists: BTreeMap<Uuid, Result<Vec<Object>, String>>,
    pub(crate) applications: Applications,
    pub(crate) held: BTreeSet<Uuid>,
}

impl World {
    /// The roles `boss`, `readers` and `writers`, the last two linked to groups that are empty.
    pub(crate) fn new(server: Server) -> Self {
        let mut world = Self {
            server,
            roles: vec![local(BOSS, "boss")],
            memberships: Vec::new(),
            lists: BTreeMap::new(),
            applications: Applications::new(),
            held: BTreeSet::new(),
        };
        for (oid, name, group) in [(READERS, "readers", READERS_GROUP), (WRITERS, "writers", WRITERS_GROUP)] {
            world.add(local(oid, name)).link = Some(link(group, PrincipalKind::Group));
            world.lists.insert(group, Ok(Vec::new()));
        }
        world
    }

    pub(crate) fn add(&mut self, role: Known) -> &mut Known {
        self.roles.push(role);
        self.roles.last_mut().expect("a role")
    }

    pub(crate) fn role(&mut self, oid: u32) -> &mut Known {
        self.roles.iter_mut().find(|role| role.name.id == oid).expect("a role")
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Known> {
        self.roles.iter().find(|role| role.name.shown == name)
    }

    pub(crate) fn oid(&self, name: &str) -> u32 {
        self.named(name).expect("a role").name.id
    }

    pub(crate) fn list(&mut self, group: Uuid, members: &[Object]) {
        self.lists.insert(group, Ok(members.to_vec()));
    }

    pub(crate) fn grant(&mut self, role: u32, member: u32, grantor: u32) {
        let inherit_and_set = self.server.has_admin_option_rules.then_some((true, true));
        self.memberships.push(Membership { role, member, grantor, admin_option: false, inherit_and_set });
    }

    pub(crate) fn has(&self, role: u32, member: u32) -> bool {
        self.memberships.iter().any(|row| (row.role, row.member) == (role, member))
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster::new(TENANT, 1, 0, self.lists.clone(), &self.applications)
    }

    /// The roles, with those that they are members of as they are now.
    fn roles(&self) -> Vec<Known> {
        let linked: BTreeMap<u32, &RoleName> = self
            .roles
            .iter()
            .filter(|role| role.link.is_some())
            .map(|role| (role.name.id, &role.name))
            .collect();
        let mut parents: BTreeMap<u32, Vec<RoleName>> = BTreeMap::new();
        for row in &self.memberships {
            if let Some(name) = linked.get(&row.role) {
                parents.entry(row.member).or_default().push((*name).clone());
            }
        }
        let with = |role: &Known| {
            let azure_parents = parents.get(&role.name.id).cloned().unwrap_or_default();
            Known { azure_parents, ..role.clone() }
        };
        self.roles.iter().map(with).collect()
    }

    pub(crate) fn plan(&self) -> SyncPlan {
        let roster = self.roster();
        plan(&Input {
            server: &self.server,
            roster: &roster,
            roles: &self.roles(),
            memberships: &self.memberships,
            held: &self.held,
            encode: &|name| {
                CString::new(name).ok().filter(|_| name.is_ascii() || !name.contains('\u{1f600}'))
            },
        })
    }

    /// Makes a round, and returns what it reports.
    pub(crate) fn round(&mut self) -> Vec<String> {
        let plan = self.plan();
        plan.parts.iter().for_each(|part| self.carry_out(part));
        for (role, group) in &plan.retired {
            assert!(self.mark(role.id).serves.remove(group), "it served it");
        }
        let rows = plan.all_rows().map(text).collect();
        self.held = plan.held;
        rows
    }

    pub(crate) fn mark(&mut self, oid: u32) -> &mut Mark {
        self.role(oid).mark.get_or_insert_default()
    }

    /// Carries out a part of a plan, and checks that it can be.
    pub(crate) fn carry_out(&mut self, part: &Part) {
        let oid = match &part.who {
            Who::Existing(known) => {
                let role = self.role(known.name.id).clone();
                assert!(known.is_as(&role), "as the plan relies on it: {role:?}");
                known.name.id
            }
            Who::New { raw, shown } => {
                assert!(self.named(shown).is_none(), "{shown} is no name of another role");
                assert_eq!(part.deeds.first(), Some(&Deed::Create));
                let oid = self.roles.iter().map(|role| role.name.id).max().unwrap_or_default() + 1;
                let name = RoleName { id: oid, raw: raw.clone(), shown: shown.clone() };
                self.roles.push(Known { name, ..local(oid, "") });
                oid
            }
        };
        for deed in &part.deeds {
            match deed {
                Deed::Create => {}
                Deed::Link { object, kind } => {
                    let role = self.role(oid);
                    assert!(role.link.is_none() && !role.is_privileged);
                    role.link = Some(link(*object, *kind));
                }
                Deed::Serve { role, group } => {
                    self.mark(role.id).serves.insert(*group);
                }
                Deed::Grant { role, group } => {
                    assert!(!self.has(role.id, oid), "{oid} is a member of {role:?}");
                    let is_served = self.mark(role.id).serves.contains(group);
                    assert!(is_served, "the mark says first that the role serves the group");
                    let of_group = self.role(role.id).link.expect("linked");
                    assert!(of_group.object_id == Some(*group) && !of_group.admin);
                    self.grant(role.id, oid, BOOTSTRAP);
                }
                Deed::Revoke { role, row } => {
                    assert_eq!((row.role, row.member, row.grantor), (role.id, oid, BOOTSTRAP));
                    let before = self.memberships.len();
                    self.memberships.retain(|other| other != row);
                    assert_eq!(self.memberships.len() + 1, before);
                }
                Deed::Unlink => {
                    let mut parents = self.memberships.iter().filter(|row| row.member == oid);
                    let linked =
                        |id: u32| self.roles.iter().any(|role| role.name.id == id && role.link.is_some());
                    assert!(!parents.any(|row| linked(row.role)), "{oid} is a member of an Azure AD role");
                    self.role(oid).link = None;
                }
                Deed::Remember(synced) => {
                    self.mark(oid).synced.clone_from(synced);
                    assert!(self.mark(oid).fits());
                }
            }
        }
    }
}

/// A row, as a text.
pub(crate) fn text(row: &Row) -> String {
    let parts = [
        row.role_name.as_deref(),
        Some(row.action.as_str()),
        row.group_role.as_deref(),
        row.detail.as_deref(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

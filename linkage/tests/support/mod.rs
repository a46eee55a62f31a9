//! A server of a few roles, from which a state is read and on which a plan is carried out.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::ffi::CString;

use entra::{Label, Uuid};
use linkage::guard::{Libraries, Row, Setting, Settings};
use linkage::{
    Change, Held, Marker, Markers, Member, Membership, Notice, Obstacle, Plan, Role, RoleName, Server, State,
    Step, Use, Wanted, plan, without,
};

/// The bootstrap superuser.
pub(crate) const BOOTSTRAP: u32 = 10;
/// A superuser that is not the bootstrap superuser.
pub(crate) const SUPERUSER: u32 = 11;
/// `azure_ad_user`.
pub(crate) const USER: u32 = 100;
/// `azure_ad_admin`.
pub(crate) const ADMIN: u32 = 101;
/// The role that everything is about.
pub(crate) const ROLE: u32 = 200;
/// A linked role.
pub(crate) const LINKED: u32 = 300;
/// A role without a link, which administrators manage.
pub(crate) const MANAGED: u32 = 301;
/// A role without a link, which administrators do not manage.
pub(crate) const LOCAL: u32 = 302;

/// The folder of PostgreSQL's libraries.
pub(crate) const FOLDER: &[u8] = b"/lib/postgresql";

/// The tenant of the server.
pub(crate) const TENANT: Uuid = Uuid::from_u128(1);

/// PostgreSQL 15, and 16 or later.
pub(crate) const SERVERS: [Server; 2] = [server(false), server(true)];

const fn server(has_admin_option_rules: bool) -> Server {
    Server { bootstrap: BOOTSTRAP, has_admin_option_rules, decode }
}

fn decode(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A link to an object of the server's tenant.
pub(crate) fn label(admin: bool) -> Label {
    let object_id = Some(Uuid::from_u128(2));
    Label { object_id, tenant_id: Some(TENANT), admin, ..Label::default() }
}

/// Wants a plain Azure AD role.
pub(crate) fn user() -> Wanted {
    Wanted::Linked(label(false))
}

/// Wants an administrator.
pub(crate) fn administrator() -> Wanted {
    Wanted::Linked(label(true))
}

/// The name of a role of this server.
pub(crate) fn name(id: u32) -> RoleName {
    let shown = match id {
        USER => "azure_ad_user",
        ADMIN => "azure_ad_admin",
        ROLE => "ann",
        LINKED => "ben",
        MANAGED => "app",
        LOCAL => "old",
        _ => "other",
    };
    RoleName { id, raw: CString::new(shown).unwrap(), shown: shown.to_owned() }
}

/// The libraries of these names.
pub(crate) fn libraries(names: &[&str]) -> Libraries {
    Libraries::new(names.iter().map(|name| CString::new(*name).unwrap()), FOLDER)
}

/// A row of settings.
pub(crate) fn row(database: Option<&str>, names: Option<&[&str]>, guard: Option<&str>) -> Row {
    let database = database.map(|name| CString::new(name).unwrap());
    let guard = guard.map(|value| value.as_bytes().to_vec());
    Row { database, settings: Settings { libraries: names.map(libraries), guard } }
}

/// A scene. Fields say what differs from an unlinked role that was just created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    /// Versions differ.
    pub(crate) has_admin_option_rules: bool,
    /// The role.
    pub(crate) role: Role,
    /// The state that its labels ask for.
    pub(crate) wanted: Wanted,
    /// An administrator has created it.
    pub(crate) is_marked: bool,
    /// Every membership there is.
    pub(crate) rows: Vec<Membership>,
    /// The role's settings.
    pub(crate) settings: Vec<Row>,
    /// The libraries that the server's own configuration names.
    pub(crate) servers_own: Libraries,
    /// The other use of `azure_ad_admin`, if it has one.
    pub(crate) used: Option<Use>,
}

impl World {
    /// A role that was just created, and marker roles that are as they should be.
    pub(crate) fn new(server: &Server) -> Self {
        let mut world = Self {
            has_admin_option_rules: server.has_admin_option_rules,
            role: Role {
                name: name(ROLE),
                is_marker: false,
                is_privileged: false,
                can_login: true,
                create_role: false,
                create_db: false,
                inherit: true,
                has_password: false,
            },
            wanted: Wanted::Unlinked,
            is_marked: false,
            rows: Vec::new(),
            settings: Vec::new(),
            servers_own: libraries(&["auto_explain"]),
            used: None,
        };
        world.make(&Change::Join);
        world.rows.push(world.granted(USER, LINKED, true));
        world
    }

    /// Returns the same, with the role as its labels ask.
    pub(crate) fn whole(server: &Server, wanted: Wanted) -> Self {
        let mut world = Self::new(server);
        world.wanted = wanted;
        world.carry_out(&world.plan().unwrap());
        world
    }

    /// The version of the server.
    pub(crate) fn server(&self) -> Server {
        server(self.has_admin_option_rules)
    }

    /// Returns the plan.
    pub(crate) fn plan(&self) -> Result<Plan, Obstacle> {
        plan(&self.server(), &self.state(), &self.wanted)
    }

    /// Returns the changes of the plan in words, and its notices.
    pub(crate) fn words(&self) -> Vec<String> {
        let step = |step: &Step| match step {
            Step::Change(change) => change.to_string(),
            Step::Tell(notice) => format!("notice {notice:?}"),
        };
        self.plan().unwrap().steps.iter().map(step).collect()
    }

    /// A row as GRANT without options makes it.
    pub(crate) fn granted(&self, role: u32, member: u32, inherit: bool) -> Membership {
        let inherit_and_set = self.has_admin_option_rules.then_some((inherit, true));
        Membership { role, member, grantor: BOOTSTRAP, admin_option: false, inherit_and_set }
    }

    fn between(&self, member: u32, role: u32) -> Vec<Membership> {
        let is_between = |row: &&Membership| row.member == member && row.role == role;
        self.rows.iter().filter(is_between).copied().collect()
    }

    fn of(&self, role: u32) -> Vec<Membership> {
        self.rows.iter().filter(|row| row.role == role).copied().collect()
    }

    fn is_azure(&self, role: u32) -> bool {
        let parents = self.rows.iter().filter(|row| row.member == role);
        parents.into_iter().any(|row| row.role == USER || self.is_azure(row.role))
    }

    fn parents(&self) -> Vec<u32> {
        let mut parents: Vec<_> =
            self.rows.iter().filter(|row| row.member == ROLE).map(|row| row.role).collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// Reads the role, as the extension does.
    pub(crate) fn state(&self) -> State {
        let (as_user, as_admin) = (self.between(ROLE, USER), self.between(ROLE, ADMIN));
        let (below, members) = match self.wanted {
            Wanted::Linked(_) => (self.of(ROLE), self.members()),
            Wanted::Unlinked => (Vec::new(), Vec::new()),
        };
        let stays = matches!(self.wanted, Wanted::Linked(label) if label.admin);
        let held = if as_admin.is_empty() || stays { Vec::new() } else { self.held() };
        let is_direct = !as_user.is_empty() || !as_admin.is_empty();
        let through = self.parents().into_iter().find(|parent| self.is_azure(*parent));
        let markers = Markers {
            user: Marker { name: name(USER), used: None },
            admin: Marker { name: name(ADMIN), used: self.used },
            joined: self.between(ADMIN, USER),
            as_user,
            as_admin,
            below,
            members,
            held,
            inherits_from: through.filter(|_| self.wanted == Wanted::Unlinked && !is_direct).map(name),
        };
        State {
            role: self.role.clone(),
            tenant: Some(TENANT),
            is_marked: self.is_marked,
            guard: self.settings.clone(),
            servers_own: self.servers_own.clone(),
            markers: Some(markers),
        }
    }

    fn members(&self) -> Vec<Member> {
        let mut ids: Vec<_> = self.of(ROLE).iter().map(|row| row.member).collect();
        ids.sort_unstable();
        ids.dedup();
        let member = |id| Member { name: name(id), is_linked: id == LINKED };
        ids.into_iter().map(member).collect()
    }

    pub(crate) fn held(&self) -> Vec<Held> {
        let managed = self.parents().into_iter().filter(|role| [LINKED, MANAGED].contains(role));
        let superusers = vec![BOOTSTRAP, SUPERUSER];
        let held = |role| Held { name: name(role), rows: self.of(role), superusers: superusers.clone() };
        managed.map(held).collect()
    }

    /// Carries a plan out.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        for change in plan.changes() {
            self.make(change);
        }
        self.rows.sort_by_key(|row| (row.role, row.member, row.grantor));
    }

    fn make(&mut self, change: &Change) {
        match change {
            Change::Join => {
                let row = self.granted(USER, ADMIN, true);
                self.replace(Membership { admin_option: true, ..row });
            }
            Change::NameTenant { tenant, .. } => {
                if let Wanted::Linked(label) = &mut self.wanted {
                    label.tenant_id = Some(*tenant);
                }
            }
            Change::Grant { role, member } => {
                let row = self.granted(role.id, member.id, self.role.inherit);
                self.replace(row);
            }
            Change::Revoke { row, .. } => self.revoke(row),
            Change::TakeBack { taken, .. } => {
                taken.revoked.iter().for_each(|row| self.revoke(row));
                for row in &taken.granted_again {
                    self.replace(Membership { grantor: BOOTSTRAP, ..*row });
                }
            }
            Change::Remember { .. } => self.is_marked = true,
            Change::GiveBack { .. } => {
                self.is_marked = false;
                self.replace(Membership {
                    admin_option: true,
                    inherit_and_set: Some((false, false)),
                    ..self.granted(ROLE, ADMIN, false)
                });
            }
            Change::Alter { attributes, .. } => {
                let is_administrator = *attributes == "CREATEROLE CREATEDB";
                self.role.create_role = is_administrator;
                self.role.create_db = is_administrator;
            }
            Change::SetGuard { rows, .. } | Change::RemoveGuard { rows, .. } => {
                for row in rows {
                    row.settings.iter().for_each(|setting| self.set(row.database.as_ref(), setting));
                }
            }
            Change::RemovePassword { .. } => self.role.has_password = false,
            other => panic!("no plan of a role has {other:?}"),
        }
    }

    fn replace(&mut self, row: Membership) {
        let is_same = |old: &Membership| {
            old.role == row.role
                && old.member == row.member
                && (old.grantor == row.grantor || !self.has_admin_option_rules)
        };
        // Before 16 GRANT leaves a row that has what is asked for as it is (AddRoleMems, user.c).
        let is_enough = |old: &Membership| old.admin_option || !row.admin_option;
        if !self.has_admin_option_rules && self.rows.iter().any(|old| is_same(old) && is_enough(old)) {
            return;
        }
        self.rows.retain(|old| !is_same(old));
        self.rows.push(row);
    }

    fn revoke(&mut self, row: &Membership) {
        let rows = self.of(row.role);
        if rows.contains(row) {
            let left = without(&self.server(), &rows, row);
            self.rows.retain(|other| other.role != row.role || left.contains(other));
        }
    }

    fn set(&mut self, database: Option<&CString>, setting: &Setting) {
        let place = self.settings.iter().position(|row| row.database.as_ref() == database);
        let place = place.unwrap_or_else(|| {
            self.settings.push(Row { database: database.cloned(), settings: Settings::default() });
            self.settings.len() - 1
        });
        let settings = &mut self.settings[place].settings;
        match setting {
            Setting::GuardOn => settings.guard = Some(b"on".to_vec()),
            Setting::ResetGuard => settings.guard = None,
            Setting::Libraries(names) => {
                settings.libraries = Some(Libraries::new(names.iter().cloned(), FOLDER));
            }
            Setting::ResetLibraries => settings.libraries = None,
        }
        // PostgreSQL keeps no row that says nothing.
        if *settings == Settings::default() {
            self.settings.remove(place);
        }
    }
}

/// The notices of a plan.
pub(crate) fn notices(plan: &Plan) -> Vec<Notice> {
    let notice = |step: &Step| match step {
        Step::Tell(notice) => Some(notice.clone()),
        Step::Change(_) => None,
    };
    plan.steps.iter().filter_map(notice).collect()
}

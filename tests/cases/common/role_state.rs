//! What the catalogs have about a role: everything that follows from a link.

use serde_json::Value;
use testbed::cluster::Cluster;

/// A membership of a role in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) role: String,
    pub(crate) grantor: String,
    pub(crate) has_admin_option: bool,
}

/// The state of a role. Labels are compared separately, because there are several equivalent ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the attributes of a role are booleans")]
pub(crate) struct RoleState {
    /// The roles of which it is a member, by name.
    pub(crate) memberships: Vec<Membership>,
    /// Its settings for all databases, as `name=value`.
    pub(crate) settings: Vec<String>,
    pub(crate) has_password: bool,
    pub(crate) can_create_roles: bool,
    pub(crate) can_create_databases: bool,
    pub(crate) can_log_in: bool,
}

impl Membership {
    /// Returns a membership that the bootstrap superuser has granted.
    pub(crate) fn of(role: &str) -> Self {
        Self { role: role.to_owned(), grantor: "postgres".to_owned(), has_admin_option: false }
    }
}

impl RoleState {
    /// Returns the state of a role that can log in, and nothing else.
    pub(crate) const fn unlinked() -> Self {
        Self {
            memberships: Vec::new(),
            settings: Vec::new(),
            has_password: false,
            can_create_roles: false,
            can_create_databases: false,
            can_log_in: true,
        }
    }

    /// Returns the state of a role that is linked.
    pub(crate) fn linked() -> Self {
        Self {
            memberships: vec![Membership::of("azure_ad_user")],
            settings: ["azure_ad_auth.guard=on", "session_preload_libraries=azure_ad_auth"]
                .map(str::to_owned)
                .to_vec(),
            ..Self::unlinked()
        }
    }

    /// Returns the state of a role that is linked as an administrator.
    pub(crate) fn administrator() -> Self {
        Self {
            memberships: vec![Membership::of("azure_ad_admin")],
            can_create_roles: true,
            can_create_databases: true,
            ..Self::linked()
        }
    }

    /// Returns the same state with a further membership, after those that there are.
    pub(crate) fn and_member_of(mut self, role: &str) -> Self {
        self.memberships.push(Membership::of(role));
        self
    }

    /// Reads the state of a role.
    pub(crate) fn of(cluster: &Cluster, role: &str) -> Self {
        let text = cluster.sql(&format!(
            "SELECT json_build_object( \
               'memberships', (SELECT json_agg(json_build_object('role', m.roleid::regrole, \
                  'grantor', m.grantor::regrole, 'has_admin_option', m.admin_option) \
                  ORDER BY m.roleid::regrole::text) FROM pg_auth_members m WHERE m.member = a.oid), \
               'settings', (SELECT array_to_json(s.setconfig) FROM pg_db_role_setting s \
                  WHERE s.setrole = a.oid AND s.setdatabase = 0), \
               'has_password', rolpassword IS NOT NULL, 'can_create_roles', rolcreaterole, \
               'can_create_databases', rolcreatedb, 'can_log_in', rolcanlogin) \
             FROM pg_authid a WHERE rolname = '{role}'"
        ));
        let state: Value =
            serde_json::from_str(&text).unwrap_or_else(|fault| panic!("role {role}: {fault}: {text}"));
        let flag = |name: &str| state[name].as_bool().expect("a boolean");
        Self {
            memberships: rows(&state["memberships"]).iter().map(membership).collect(),
            settings: rows(&state["settings"]).iter().map(text_of).collect(),
            has_password: flag("has_password"),
            can_create_roles: flag("can_create_roles"),
            can_create_databases: flag("can_create_databases"),
            can_log_in: flag("can_log_in"),
        }
    }
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn membership(value: &Value) -> Membership {
    Membership {
        role: text_of(&value["role"]),
        grantor: text_of(&value["grantor"]),
        has_admin_option: value["has_admin_option"].as_bool().expect("a boolean"),
    }
}

/// Returns the labels of a role, as `provider: label`.
pub(crate) fn labels(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT string_agg(provider || ': ' || label, '; ' ORDER BY provider) FROM pg_shseclabel \
         WHERE objoid = '{role}'::regrole"
    ))
}

/// Returns the label that names the tenant of the administrators; empty without an administrator.
pub(crate) fn tenant_label(cluster: &Cluster) -> String {
    cluster.sql("SELECT label FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole")
}

/// Returns the object id to which a role is linked.
pub(crate) fn linked_object(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!("SELECT object_id FROM azure_ad_auth.principals WHERE role_name = '{role}'"))
}

//! Everything that is read before anything is decided: a role, and what a link asks about it.

use std::ffi::CString;

use entra::{Label, Uuid};

use crate::guard;
use crate::membership::Membership;
use crate::obstacle::Use;

/// The rules for memberships on this server, and the way its texts are read.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// The bootstrap superuser. Memberships that come with a link are granted by it.
    pub bootstrap: u32,
    /// From PostgreSQL 16 on a membership has a grantor of its own and the options INHERIT and
    /// SET, REVOKE takes the rows of one grantor and those that depend on them, and CREATEROLE
    /// changes only roles on which its holder has the ADMIN option.
    pub has_admin_option_rules: bool,
    /// Decodes a text of the server's, for messages.
    pub decode: fn(&[u8]) -> String,
}

/// The state that a role's labels ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The role is linked as this label says.
    Linked(Label),
    /// The role is not linked.
    Unlinked,
}

/// Names a role, in statements and in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName {
    /// Its oid.
    pub id: u32,
    /// The name in its own bytes.
    pub raw: CString,
    /// The name for messages.
    pub shown: String,
}

/// A row of pg_authid, as far as a link asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as the catalog has them")]
pub struct Role {
    /// Its oid and name.
    pub name: RoleName,
    /// It is `azure_ad_user` or `azure_ad_admin`.
    pub is_marker: bool,
    /// SUPERUSER, REPLICATION or BYPASSRLS: it could step around its guard.
    pub is_privileged: bool,
    /// LOGIN.
    pub can_login: bool,
    /// CREATEROLE.
    pub create_role: bool,
    /// CREATEDB.
    pub create_db: bool,
    /// INHERIT.
    pub inherit: bool,
    /// A password is stored.
    pub has_password: bool,
}

/// One of the two marker roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Its oid and name.
    pub name: RoleName,
    /// Its other use, if it is used for something else.
    pub used: Option<Use>,
}

/// A direct member of the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its oid and name.
    pub name: RoleName,
    /// Its labels name a directory object.
    pub is_linked: bool,
}

/// A role that administrators manage, of which the role is a direct member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its oid and name.
    pub name: RoleName,
    /// The rows by which it has members.
    pub rows: Vec<Membership>,
    /// Those of the grantors of `rows` that are superusers, or roles that are not there any more.
    pub superusers: Vec<u32>,
}

/// The marker roles, and the memberships that have to do with them and with the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// `azure_ad_user`.
    pub user: Marker,
    /// `azure_ad_admin`.
    pub admin: Marker,
    /// The rows that make `azure_ad_admin` a member of `azure_ad_user`.
    pub joined: Vec<Membership>,
    /// The rows that make the role a member of `azure_ad_user`.
    pub as_user: Vec<Membership>,
    /// The rows that make the role a member of `azure_ad_admin`.
    pub as_admin: Vec<Membership>,
    /// The rows that make others members of the role. Read for a role that is to be linked.
    pub below: Vec<Membership>,
    /// The roles that these rows are of, by oid. Read for a role that is to be linked.
    pub members: Vec<Member>,
    /// Roles that administrators manage, of which the role is a member, by oid. Read for an
    /// administrator that is to be demoted.
    pub held: Vec<Held>,
    /// The first of the roles through which a role that is to be unlinked is a member of
    /// `azure_ad_user`. Read for one that is no direct member of a marker role any more.
    pub inherits_from: Option<RoleName>,
}

/// A role, as it was read, once, under the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The role itself.
    pub role: Role,
    /// The tenant that the server is configured for.
    pub tenant: Option<Uuid>,
    /// A label says that an administrator has created the role.
    pub is_marked: bool,
    /// The rows of the role's settings.
    pub guard: Vec<guard::Row>,
    /// The libraries that the server's own configuration names. Read when a row of `guard` asks
    /// for them ([`guard::Settings::may_have_copies`]).
    pub servers_own: guard::Libraries,
    /// None: the extension's roles are not there.
    pub markers: Option<Markers>,
}

impl State {
    /// Returns whether the role is a direct member of a marker role, as linked roles are.
    #[must_use]
    pub fn was_linked(&self) -> bool {
        self.was_administrator() || self.markers.as_ref().is_some_and(|markers| !markers.as_user.is_empty())
    }

    /// Returns whether the role is a direct member of `azure_ad_admin`.
    #[must_use]
    pub fn was_administrator(&self) -> bool {
        self.markers.as_ref().is_some_and(|markers| !markers.as_admin.is_empty())
    }
}

//! One thing that is to be changed, and a plan: changes in their order, and what the client is told
//! on the way.

use std::ffi::CString;
use std::fmt;

use entra::Uuid;

use crate::demotion::Taken;
use crate::guard::Setting;
use crate::membership::Membership;
use crate::state::RoleName;

/// Something that is to be changed. Displays as what was done, for `repair()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create a marker role.
    Create {
        /// Its name.
        role: RoleName,
    },
    /// Make `azure_ad_admin` a member of `azure_ad_user`, with the ADMIN option.
    Join,
    /// Say in the role's second label which tenant its link is of.
    NameTenant {
        /// The role.
        role: RoleName,
        /// The tenant.
        tenant: Uuid,
    },
    /// Grant a role without options.
    Grant {
        /// The role to grant.
        role: RoleName,
        /// The role that becomes a member.
        member: RoleName,
    },
    /// Revoke one membership.
    Revoke {
        /// The role to revoke.
        role: RoleName,
        /// The role that is a member.
        member: RoleName,
        /// The row.
        row: Membership,
    },
    /// Revoke what administrators have granted of a role that they manage.
    TakeBack {
        /// The role to revoke.
        role: RoleName,
        /// The former administrator.
        member: RoleName,
        /// The rows that are revoked for that, and those that are granted anew.
        taken: Taken,
    },
    /// Label a role that becomes an administrator as one that administrators manage, for the time
    /// after it has stopped being one.
    Remember {
        /// The role.
        role: RoleName,
    },
    /// Give a role that was labelled so to the administrators again, if they could have it.
    GiveBack {
        /// The role.
        role: RoleName,
    },
    /// Label a role as one that administrators manage, before PostgreSQL 16.
    Mark {
        /// The role.
        role: RoleName,
    },
    /// Give a role to all administrators, from PostgreSQL 16 on.
    Give {
        /// The role.
        role: RoleName,
    },
    /// Change attributes.
    Alter {
        /// The role.
        role: RoleName,
        /// The attributes, as a statement has them.
        attributes: &'static str,
    },
    /// Put the guard into the role's settings.
    SetGuard {
        /// The role.
        role: RoleName,
        /// The settings to change, by row.
        rows: Vec<RowChange>,
        /// None: there was no guard, or a part of it was missing. Otherwise there was one of the
        /// first kind, and these libraries stay beside this one: they are set for the role, or are
        /// copies of what the server's setting does not name any more.
        kept: Option<Vec<String>>,
    },
    /// Take the guard out of the role's settings.
    RemoveGuard {
        /// The role.
        role: RoleName,
        /// The settings to change, by row.
        rows: Vec<RowChange>,
    },
    /// Remove the password.
    RemovePassword {
        /// The role.
        role: RoleName,
    },
    /// Associate the server with a tenant.
    Associate(Uuid),
    /// Remove the association.
    Disassociate,
}

/// The changes in one row of a role's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// None: the row for all databases.
    pub database: Option<CString>,
    /// The settings that are written, in this order.
    pub settings: Vec<Setting>,
}

/// The attributes of an administrator.
pub(crate) const ADMINISTRATOR: &str = "CREATEROLE CREATEDB";
/// The attributes of a role that is no administrator any more.
pub(crate) const NO_ADMINISTRATOR: &str = "NOCREATEROLE NOCREATEDB";

impl Change {
    /// Returns whether `repair()` reports the change. What only puts something back, or goes along
    /// with another change, is not reported.
    #[must_use]
    pub const fn is_reported(&self) -> bool {
        !matches!(self, Self::Remember { .. } | Self::GiveBack { .. } | Self::RemoveGuard { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { role } => write!(f, "created role \"{}\"", role.shown),
            Self::Join => {
                f.write_str("granted \"azure_ad_user\" to role \"azure_ad_admin\" with admin option")
            }
            Self::NameTenant { role, tenant } => {
                write!(f, "named tenant {tenant} in the label of role \"{}\"", role.shown)
            }
            Self::Grant { role, member } => {
                write!(f, "granted \"{}\" to role \"{}\"", role.shown, member.shown)
            }
            Self::Revoke { role, member, .. } | Self::TakeBack { role, member, .. } => {
                write!(f, "revoked \"{}\" from role \"{}\"", role.shown, member.shown)
            }
            Self::Remember { role } | Self::Mark { role } => {
                write!(f, "marked role \"{}\" as one that Azure AD administrators manage", role.shown)
            }
            Self::GiveBack { role } | Self::Give { role } => {
                write!(f, "granted \"{}\" to role \"azure_ad_admin\" with admin option", role.shown)
            }
            Self::Alter { role, attributes } => {
                write!(f, "made role \"{}\" {attributes}", role.shown)
            }
            Self::SetGuard { role, kept: None, .. } => {
                write!(f, "set the guard of role \"{}\"", role.shown)
            }
            Self::SetGuard { role, kept: Some(kept), .. } => {
                write!(f, "renewed the guard of role \"{}\"", role.shown)?;
                for (n, library) in kept.iter().enumerate() {
                    let before = if n == 0 { ", which still loads" } else { "," };
                    write!(f, "{before} \"{library}\"")?;
                }
                Ok(())
            }
            Self::RemoveGuard { role, .. } => {
                write!(f, "removed the guard of role \"{}\"", role.shown)
            }
            Self::RemovePassword { role } => {
                write!(f, "removed the password of role \"{}\"", role.shown)
            }
            Self::Associate(tenant) => write!(f, "associated the server with tenant {tenant}"),
            Self::Disassociate => {
                f.write_str("removed the association with the tenant: there is no administrator")
            }
        }
    }
}

/// Something the client is told. The extension has the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The role is no longer an administrator.
    NoAdministrator,
    /// The former administrator has lost its membership in these roles.
    TakenBack(Vec<RoleName>),
    /// The former administrator is still a member of these roles, which administrators manage.
    StillMember(Vec<RoleName>),
    /// The password was removed.
    PasswordRemoved,
    /// The role is linked, and is not permitted to log in.
    NoLogin,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Change something.
    Change(Change),
    /// Tell the client something.
    Tell(Notice),
}

/// Everything that has to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Returns what has to change. Nothing: the role is whole.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().filter_map(|step| match step {
            Step::Change(change) => Some(change),
            Step::Tell(_) => None,
        })
    }

    /// Returns whether nothing has to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.steps.push(Step::Change(change));
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        self.steps.push(Step::Tell(notice));
    }
}

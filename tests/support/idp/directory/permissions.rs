//! What the server's application may read.

use std::collections::BTreeSet;

use super::objects::ObjectType;

/// The permissions that docs/directory.md asks an administrator to grant.
pub const RECOMMENDED: [&str; 3] = ["User.Read.All", "GroupMember.Read.All", "Application.Read.All"];

/// The permissions that have been granted, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Permissions(BTreeSet<String>);

impl Permissions {
    pub(super) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    pub(super) fn grant(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    pub(super) fn withdraw(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn any(&self, names: &[&str]) -> bool {
        self.has_directory() || names.iter().any(|name| self.0.contains(*name))
    }

    /// Returns whether everything may be read but hidden memberships.
    pub(super) fn has_directory(&self) -> bool {
        self.0.contains("Directory.Read.All")
    }

    /// Returns whether objects of a type may be read.
    pub(super) fn can_read(&self, object_type: ObjectType) -> bool {
        match object_type {
            // User.ReadBasic.All is not enough.
            ObjectType::User => self.any(&["User.Read.All"]),
            ObjectType::Group => self.any(&["GroupMember.Read.All", "Group.Read.All"]),
            ObjectType::ServicePrincipal | ObjectType::Application => self.any(&["Application.Read.All"]),
            ObjectType::Other => self.any(&["Device.Read.All"]),
        }
    }

    /// Returns whether the groups of objects of a type may be read.
    pub(super) fn can_read_groups_of(&self, object_type: ObjectType) -> bool {
        self.can_read(object_type) && self.can_read(ObjectType::Group)
    }

    /// Returns whether deleted objects of a type may be read.
    pub(super) fn can_read_deleted(&self, object_type: ObjectType) -> bool {
        match object_type {
            ObjectType::Group => self.any(&["Group.Read.All"]),
            _ => self.can_read(object_type),
        }
    }

    /// Returns whether hidden memberships may be read.
    pub(super) fn can_read_hidden(&self) -> bool {
        self.0.contains("Member.Read.Hidden")
    }

    /// Returns whether anything may be read at all.
    pub(super) fn can_read_anything(&self) -> bool {
        [ObjectType::User, ObjectType::Group, ObjectType::ServicePrincipal]
            .into_iter()
            .any(|object_type| self.can_read(object_type))
    }
}

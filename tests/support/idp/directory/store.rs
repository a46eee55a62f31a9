//! The objects of a directory and who is a member of what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::objects::{Object, ObjectType};

/// What a directory holds at one moment. Ids are in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    objects: BTreeMap<String, Object>,
    deleted: BTreeMap<String, Object>,
    /// The direct members of each group, also those that are deleted: they return when restored.
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Store {
    pub(super) fn add(&mut self, object: Object) {
        self.deleted.remove(&object.id);
        self.objects.insert(object.id.clone(), object);
    }

    pub(super) fn object(&self, id: &str) -> Option<&Object> {
        self.objects.get(&id.to_ascii_lowercase())
    }

    pub(super) fn object_mut(&mut self, id: &str) -> Option<&mut Object> {
        self.objects.get_mut(&id.to_ascii_lowercase())
    }

    pub(super) fn deleted(&self, id: &str) -> Option<&Object> {
        self.deleted.get(&id.to_ascii_lowercase())
    }

    /// Returns all objects of a type, by id.
    pub(super) fn of_type(&self, object_type: ObjectType) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(move |object| object.kind == object_type)
    }

    /// Returns all objects that have been deleted and can be restored, by id.
    pub(super) fn all_deleted(&self) -> impl Iterator<Item = &Object> {
        self.deleted.values()
    }

    /// Deletes an object so that it can be restored.
    pub(super) fn delete(&mut self, id: &str) {
        if let Some(object) = self.objects.remove(&id.to_ascii_lowercase()) {
            self.deleted.insert(object.id.clone(), object);
        }
    }

    /// Deletes an object for good.
    pub(super) fn purge(&mut self, id: &str) {
        let id = id.to_ascii_lowercase();
        self.objects.remove(&id);
        self.deleted.remove(&id);
        self.members.remove(&id);
        for members in self.members.values_mut() {
            members.remove(&id);
        }
    }

    pub(super) fn restore(&mut self, id: &str) {
        if let Some(object) = self.deleted.remove(&id.to_ascii_lowercase()) {
            self.objects.insert(object.id.clone(), object);
        }
    }

    pub(super) fn add_member(&mut self, group: &str, id: &str) {
        self.members.entry(group.to_ascii_lowercase()).or_default().insert(id.to_ascii_lowercase());
    }

    pub(super) fn remove_member(&mut self, group: &str, id: &str) {
        if let Some(members) = self.members.get_mut(&group.to_ascii_lowercase()) {
            members.remove(&id.to_ascii_lowercase());
        }
    }

    /// Returns the direct members of a group, by id.
    pub(super) fn members(&self, group: &str) -> impl Iterator<Item = &Object> {
        let members = self.members.get(&group.to_ascii_lowercase());
        members.into_iter().flatten().filter_map(|id| self.objects.get(id))
    }

    /// Returns the members of a group and of the groups in it, by id.
    pub(super) fn transitive_members(&self, group: &str) -> Vec<&Object> {
        let mut found = BTreeMap::new();
        let mut groups = VecDeque::from([group.to_ascii_lowercase()]);
        while let Some(group) = groups.pop_front() {
            for member in self.members(&group) {
                if found.insert(member.id.as_str(), member).is_none() {
                    groups.push_back(member.id.clone());
                }
            }
        }
        found.into_values().collect()
    }

    /// Returns the groups that an object is in directly, by id.
    pub(super) fn groups_of(&self, id: &str) -> Vec<&Object> {
        let id = id.to_ascii_lowercase();
        let holding = self.members.iter().filter(|(_, members)| members.contains(&id));
        holding.filter_map(|(group, _)| self.objects.get(group)).collect()
    }

    /// Returns the groups that an object is in directly or through other groups, by id.
    pub(super) fn transitive_groups_of(&self, id: &str) -> Vec<&Object> {
        let mut found = BTreeMap::new();
        let mut ids = VecDeque::from([id.to_ascii_lowercase()]);
        while let Some(id) = ids.pop_front() {
            for group in self.groups_of(&id) {
                if found.insert(group.id.as_str(), group).is_none() {
                    ids.push_back(group.id.clone());
                }
            }
        }
        found.into_values().collect()
    }
}

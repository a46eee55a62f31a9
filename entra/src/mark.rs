//! The text of this extension's own label of a role: what it remembers about the role.
//!
//! The text has items between commas, each at most once and in any order:
//!
//! - `managed`: an administrator has created the role;
//! - `member=<uuid>`: group synchronisation has acted on the role for this directory object;
//! - `linked`: and it has made the role's link;
//! - `groups=<uuid>+...`: and it has granted the roles that serve these groups;
//! - `serves=<uuid>+...`: group synchronisation has granted the role itself, to members of these
//!   groups.
//!
//! The last two say together what synchronisation has granted, and so what it may revoke: a
//! membership whose member has a group among its `groups` and whose role has it among those that it
//! `serves`. Groups are named by their ids, which are the same after a dump is restored; oids are
//! not.

use std::collections::BTreeSet;
use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::limits::MAX_LABEL_BYTES;

/// What this extension's own label says about a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// An administrator has created the role.
    pub is_managed: bool,
    /// What synchronisation has done for a member of groups.
    pub synced: Option<Synced>,
    /// The groups to whose members synchronisation has granted the role.
    pub serves: BTreeSet<Uuid>,
}

/// What group synchronisation has done for a member of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The directory object: a user or an application.
    pub member: Uuid,
    /// Synchronisation has made the role's link.
    pub has_linked: bool,
    /// The groups whose roles it has granted. None: the member has left all of them.
    pub groups: BTreeSet<Uuid>,
}

impl Mark {
    /// Reads the text; none if it does not have this form, or is longer than a label may be.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LABEL_BYTES {
            return None;
        }
        let mut mark = Self::default();
        let (mut member, mut has_linked, mut groups, mut serves) = (None, false, None, None);
        for item in text.split(',') {
            let is_first = match item.split_once('=') {
                Some(("member", id)) => member.replace(parse_uuid(id)?).is_none(),
                Some(("groups", ids)) => groups.replace(parse_ids(ids)?).is_none(),
                Some(("serves", ids)) => serves.replace(parse_ids(ids)?).is_none(),
                None if item == "managed" => !std::mem::replace(&mut mark.is_managed, true),
                None if item == "linked" => !std::mem::replace(&mut has_linked, true),
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        mark.serves = serves.unwrap_or_default();
        mark.synced = match member {
            Some(member) => Some(Synced { member, has_linked, groups: groups.unwrap_or_default() }),
            None if has_linked || groups.is_some() => return None,
            None => None,
        };
        Some(mark)
    }

    /// Returns the text of the label; none: there is nothing to say, and so no label.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (*self != Self::default()).then(|| self.to_string())
    }

    /// Returns whether the text is short enough for a label. About 25 groups fit.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.to_string().len() <= MAX_LABEL_BYTES
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        if self.is_managed {
            items.push("managed".to_owned());
        }
        if let Some(synced) = &self.synced {
            items.push(format!("member={}", synced.member));
            if synced.has_linked {
                items.push("linked".to_owned());
            }
            items.extend(list("groups", &synced.groups));
        }
        items.extend(list("serves", &self.serves));
        f.write_str(&items.join(","))
    }
}

fn list(name: &str, ids: &BTreeSet<Uuid>) -> Option<String> {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    (!ids.is_empty()).then(|| format!("{name}={}", ids.join("+")))
}

/// Reads ids, each of them once.
fn parse_ids(text: &str) -> Option<BTreeSet<Uuid>> {
    let mut ids = BTreeSet::new();
    text.split('+').all(|id| parse_uuid(id).is_some_and(|id| ids.insert(id))).then_some(ids)
}

#[cfg(test)]
mod tests;

//! Graph: who is in which group.

use serde_json::{Value, json};

use super::graph::{Graph, Shape, check_ids};
use super::objects::{Object, ObjectType};
use super::query::{Question, bad};
use super::reply::{Answer, denied, refusal};
use super::trouble::{STRANGER, Trouble};

/// Most ids in one question.
const MAX_IDS: usize = 20;

/// Most groups that an answer to getMemberGroups has.
const MAX_GROUPS: usize = 11_000;

impl Graph<'_> {
    /// Answers checkMemberGroups, checkMemberObjects and getMemberGroups: groups in groups count.
    pub(super) fn groups_among(
        &self,
        question: &Question,
        collection: &str,
        id: &str,
        action: &str,
    ) -> Result<Answer, Answer> {
        let asked = match action {
            "checkMemberGroups" => Some(question.list("groupIds")?),
            "checkMemberObjects" => Some(question.list("ids")?),
            "getMemberGroups" => None,
            _ => return Err(bad(&format!("Resource not found for the segment '{action}'."))),
        };
        let groups = self.visible_groups(self.holder(collection, id)?, true);
        let only_security = question.body.get("securityEnabledOnly").is_some_and(|value| value == true);
        let found: Vec<&str> = match &asked {
            Some(ids) if ids.len() > MAX_IDS => {
                return Err(bad(&format!("Too many ids: {}. The limit is {MAX_IDS}.", ids.len())));
            }
            Some(ids) => {
                check_ids(ids)?;
                let asked = |group: &Object| ids.iter().any(|id| id.eq_ignore_ascii_case(&group.id));
                groups.iter().filter(|group| asked(group)).map(|group| group.id.as_str()).collect()
            }
            None if groups.len() > MAX_GROUPS => {
                return Err(refusal(400, "Directory_ResultSizeLimitExceeded", "Too many groups."));
            }
            None => {
                let listed = groups.iter().filter(|group| !only_security || group.is_security_enabled());
                listed.map(|group| group.id.as_str()).collect()
            }
        };
        let context = format!("{}/$metadata#Collection(Edm.String)", self.base);
        let value = match self.trouble {
            Some(Trouble::Nulls) => Value::Null,
            _ => json!(self.falsified_ids(found)),
        };
        Ok(Answer::ok(json!({ "@odata.context": context, "value": value })))
    }

    /// Returns a list of ids as a fault changes it.
    fn falsified_ids(&self, found: Vec<&str>) -> Vec<Value> {
        let mut list: Vec<Value> = found.into_iter().map(Value::from).collect();
        match self.trouble {
            Some(Trouble::SomebodyElse) => list.iter_mut().for_each(|id| *id = json!(STRANGER)),
            Some(Trouble::Unasked) => list.push(json!(STRANGER)),
            Some(Trouble::Truncated) => list.truncate(list.len() / 2),
            _ => {}
        }
        list
    }

    /// Finds the object whose groups are asked for.
    fn holder(&self, collection: &str, id: &str) -> Result<&Object, Answer> {
        let object_type = match collection {
            "directoryObjects" => self.store.object(id).map_or(ObjectType::User, |object| object.kind),
            _ => self.readable_type(collection)?,
        };
        if !self.permissions.can_read_groups_of(object_type) {
            return Err(denied());
        }
        self.named(object_type, id)
    }

    /// Returns the groups of an object. Those with hidden membership are left out unless they may
    /// be read.
    fn visible_groups(&self, holder: &Object, transitive: bool) -> Vec<&Object> {
        let groups = if transitive {
            self.store.transitive_groups_of(&holder.id)
        } else {
            self.store.groups_of(&holder.id)
        };
        let shown = |group: &&Object| self.permissions.can_read_hidden() || !group.has_hidden_membership();
        groups.into_iter().filter(shown).filter(|group| !self.hides(group)).collect()
    }

    /// Lists the groups of an object.
    pub(super) fn groups_of(
        &self,
        question: &Question,
        collection: &str,
        id: &str,
        relation: &str,
    ) -> Result<Answer, Answer> {
        let query = question.query_for(None)?;
        let groups = self.visible_groups(self.holder(collection, id)?, relation == "transitiveMemberOf");
        self.page(question, &query, &groups, Shape::Mixed)
    }

    /// Lists the members of a group. Service principals are left out, as v1.0 does it, unless the
    /// test wants them.
    pub(super) fn members(&self, question: &Question, id: &str, relation: &str) -> Result<Answer, Answer> {
        let group = self.named(self.readable_type("groups")?, id)?;
        let query = question.query_for(None)?;
        let shown = self.permissions.can_read_hidden() || !group.has_hidden_membership();
        let members = match relation {
            _ if !shown => Vec::new(),
            "members" => self.store.members(&group.id).collect(),
            _ => self.store.transitive_members(&group.id),
        };
        let lists_all = self.options.lists_service_principals;
        let left_out = |object: &Object| {
            (object.kind == ObjectType::ServicePrincipal && !lists_all) || self.hides(object)
        };
        let members: Vec<&Object> = members.into_iter().filter(|object| !left_out(object)).collect();
        self.page(question, &query, &members, Shape::Mixed)
    }
}

//! Graph: which answer a request gets.

use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::objects::{Object, ObjectType};
use super::permissions::Permissions;
use super::query::{Query, Question, bad};
use super::record::Kind;
use super::reply::{Answer, denied, not_found, refusal};
use super::store::Store;
use super::trouble::{STRANGER, Trouble};

/// What one request to Graph sees.
pub(super) struct Graph<'a> {
    pub(super) store: &'a Store,
    pub(super) permissions: &'a Permissions,
    pub(super) options: &'a Options,
    /// The object id of the application that asks: it may always read itself.
    pub(super) own_id: &'a str,
    /// The address of Graph with the version, as the client wrote it.
    pub(super) base: &'a str,
    pub(super) trouble: Option<&'a Trouble>,
}

/// In what tenants and versions of Graph differ.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The length of a page if the request asks for none or a longer one; none: as Graph has it.
    pub(super) page_length: Option<usize>,
    /// Whether getByIds shows when sessions were revoked.
    pub(super) session_times_in_get_by_ids: bool,
    /// Whether getByIds wants Directory.Read.All, as its page says.
    pub(super) get_by_ids_needs_directory: bool,
    /// Whether lists of members have service principals.
    pub(super) lists_service_principals: bool,
    /// The ids of objects that advanced queries do not find.
    pub(super) not_indexed: Vec<String>,
}

/// Whether a list holds objects of one type or of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Typed(ObjectType),
    Mixed,
    /// The answer to getByIds.
    ByIds,
}

/// Returns the kind of a request to Graph.
pub(super) fn kind_of(question: &Question) -> Kind {
    match question.segments().as_slice() {
        ["$batch"] => Kind::Batch,
        ["directoryObjects", "getByIds"] => Kind::GetByIds,
        ["directory", "deletedItems", ..] => Kind::Deleted,
        [_, _, last] if last.starts_with("check") || last.starts_with("get") => Kind::Membership,
        [_, _, "memberOf" | "transitiveMemberOf"] => Kind::Membership,
        [_, _, "members" | "transitiveMembers"] => Kind::Members,
        [collection, ..] if ObjectType::of_collection(collection).is_some() => Kind::Lookup,
        // By another key than the id, in parentheses.
        [object] if object.split('(').next().and_then(ObjectType::of_collection).is_some() => Kind::Lookup,
        ["directoryObjects", ..] => Kind::Lookup,
        _ => Kind::Other,
    }
}

impl Graph<'_> {
    /// Answers a request that is no batch.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        let path = question.segments();
        let outcome = match (question.method.as_str(), path.as_slice()) {
            ("POST", ["directoryObjects", "getByIds"]) => self.get_by_ids(question),
            ("GET", ["directoryObjects", id]) => self.any_object(question, id),
            ("GET", ["directory", "deletedItems", name]) if name.starts_with("microsoft.graph.") => {
                self.deleted_items(question, name)
            }
            ("GET", ["directory", "deletedItems", id]) => self.deleted_item(question, id),
            ("POST", [collection, id, action]) if kind_of(question) == Kind::Membership => {
                self.groups_among(question, collection, id, action)
            }
            ("GET", [collection, id, relation @ ("memberOf" | "transitiveMemberOf")]) => {
                self.groups_of(question, collection, id, relation)
            }
            ("GET", ["groups", id, relation @ ("members" | "transitiveMembers")]) => {
                self.members(question, id, relation)
            }
            ("GET", [collection, "$count"]) => self.count(question, collection),
            ("GET", [collection]) => self.list_of_type(question, collection),
            ("GET", [collection, id]) => self.object_of_type(question, collection, id),
            _ => Err(bad(&format!("Resource not found for {} {}.", question.method, question.raw_path))),
        };
        outcome.unwrap_or_else(|refusal| refusal)
    }

    /// Returns an object unless it is hidden by a fault.
    pub(super) fn object(&self, id: &str) -> Option<&Object> {
        self.store.object(id).filter(|object| !self.hides(object))
    }

    pub(super) fn hides(&self, object: &Object) -> bool {
        match self.trouble {
            Some(Trouble::Empty) => true,
            Some(Trouble::Hide(ids)) => ids.iter().any(|id| id.eq_ignore_ascii_case(&object.id)),
            _ => false,
        }
    }

    /// Returns the type that a path begins with, if it may be read.
    pub(super) fn readable_type(&self, collection: &str) -> Result<ObjectType, Answer> {
        let unknown = || bad(&format!("Resource not found for the segment '{collection}'."));
        let object_type = ObjectType::of_collection(collection).ok_or_else(unknown)?;
        if self.permissions.can_read(object_type) { Ok(object_type) } else { Err(denied()) }
    }

    /// Finds what a path names: by id, a user also by name.
    pub(super) fn named(&self, object_type: ObjectType, id: &str) -> Result<&Object, Answer> {
        let by_name =
            |object: &&Object| object_type == ObjectType::User && object.has("userPrincipalName", id);
        let found = self.object(id).filter(|object| object.kind == object_type);
        let found = found
            .or_else(|| self.store.of_type(object_type).find(by_name).filter(|object| !self.hides(object)));
        found.ok_or_else(|| not_found(id))
    }

    fn object_of_type(&self, question: &Question, collection: &str, id: &str) -> Result<Answer, Answer> {
        let object_type = self.readable_type(collection)?;
        let query = question.query_for(Some(object_type))?;
        Ok(self.one(self.named(object_type, id)?, &query, Shape::Typed(object_type)))
    }

    fn any_object(&self, question: &Question, id: &str) -> Result<Answer, Answer> {
        let query = question.query_for(None)?;
        if !self.permissions.can_read_anything() {
            return Err(denied());
        }
        Ok(self.one(self.object(id).ok_or_else(|| not_found(id))?, &query, Shape::Mixed))
    }

    fn deleted_item(&self, question: &Question, id: &str) -> Result<Answer, Answer> {
        let query = question.query_for(None)?;
        if !self.permissions.can_read_anything() {
            return Err(denied());
        }
        let object = self.store.deleted(id).filter(|object| !self.hides(object));
        let object = object.ok_or_else(|| not_found(id))?;
        if !self.permissions.can_read_deleted(object.kind) {
            return Err(denied());
        }
        Ok(self.one(object, &query, Shape::Mixed))
    }

    /// Lists the deleted objects of a type.
    fn deleted_items(&self, question: &Question, name: &str) -> Result<Answer, Answer> {
        let query = question.query_for(None)?;
        let found: Vec<&Object> = self
            .store
            .all_deleted()
            .filter(|object| object.kind.name() == name && !self.hides(object))
            .collect();
        if !found.iter().all(|object| self.permissions.can_read_deleted(object.kind)) {
            return Err(denied());
        }
        self.page(question, &query, &found, Shape::Mixed)
    }

    fn list_of_type(&self, question: &Question, collection: &str) -> Result<Answer, Answer> {
        if let Some((collection, client_id)) = by_client_id(collection) {
            let object_type = self.readable_type(collection)?;
            let query = question.query_for(Some(object_type))?;
            let mut all = self.store.of_type(object_type).filter(|object| !self.hides(object));
            let found = all.find(|object| object.has("appId", client_id));
            let found = found.ok_or_else(|| not_found(client_id))?;
            return Ok(self.one(found, &query, Shape::Typed(object_type)));
        }
        let object_type = self.readable_type(collection)?;
        let query = question.query_for(Some(object_type))?;
        let found = self.filtered(object_type, &query);
        self.page(question, &query, &found, Shape::Typed(object_type))
    }

    fn count(&self, question: &Question, collection: &str) -> Result<Answer, Answer> {
        let object_type = self.readable_type(collection)?;
        if !question.eventual {
            return Err(bad("$count is not supported without ConsistencyLevel: eventual."));
        }
        let query = Query { count: true, ..question.query_for(Some(object_type))? };
        Ok(Answer::ok(json!(self.filtered(object_type, &query).len())))
    }

    /// Returns the objects of a type that a filter finds. Advanced queries ask an index that lags.
    fn filtered(&self, object_type: ObjectType, query: &Query) -> Vec<&Object> {
        let indexed = |object: &Object| !query.count || !self.options.not_indexed.contains(&object.id);
        let finds = |object: &Object| query.filter.as_ref().is_none_or(|filter| filter.finds(object));
        let shown = |object: &&Object| !self.hides(object) && indexed(object) && finds(object);
        // A filter by id does not go through all: the benchmarks have 100,000 of them.
        let Some(ids) = query.filter.as_ref().and_then(Filter::ids) else {
            return self.store.of_type(object_type).filter(shown).collect();
        };
        let named = ids.into_iter().filter_map(|id| self.store.object(id));
        let mut found: Vec<_> = named.filter(|object| object.kind == object_type).filter(shown).collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found.dedup_by(|one, other| one.id == other.id);
        found
    }

    fn get_by_ids(&self, question: &Question) -> Result<Answer, Answer> {
        let query = question.query_for(None)?;
        let ids = question.list("ids")?;
        if ids.len() > 1_000 {
            return Err(bad("The number of ids exceeds the limit of 1000."));
        }
        check_ids(&ids)?;
        let types = if question.body.get("types").is_some() { Some(question.list("types")?) } else { None };
        let permitted = if self.options.get_by_ids_needs_directory {
            self.permissions.has_directory()
        } else {
            self.permissions.can_read_anything()
        };
        if !permitted {
            return Err(denied());
        }
        let wanted = |object: &Object| {
            let name = object.kind.name();
            types
                .as_ref()
                .is_none_or(|types| types.iter().any(|wanted| name.ends_with(&format!(".{wanted}"))))
        };
        let found = ids.iter().filter_map(|id| self.object(id)).filter(|object| wanted(object));
        let found = found.map(|object| self.show(object, &query, Shape::ByIds)).collect();
        let mut body = json!({ "@odata.context": self.context(), "value": self.falsified(found) });
        if let Some(Trouble::NextLink(address)) = self.trouble {
            body["@odata.nextLink"] = json!(address);
        }
        Ok(Answer::ok(body))
    }

    /// Answers with one object.
    fn one(&self, object: &Object, query: &Query, shape: Shape) -> Answer {
        let mut shown = self.show(object, query, shape);
        shown["@odata.context"] = json!(self.context());
        Answer::ok(shown)
    }

    pub(super) fn context(&self) -> String {
        format!("{}/$metadata#directoryObjects", self.base)
    }

    /// Returns an object as an answer shows it. What may not be read is null.
    pub(super) fn show(&self, object: &Object, query: &Query, shape: Shape) -> Value {
        let readable = self.permissions.can_read(object.kind) || object.id == self.own_id;
        let readable = readable && self.trouble != Some(&Trouble::Nulls);
        let mut shown = Map::new();
        if !matches!(shape, Shape::Typed(_)) {
            shown.insert("@odata.type".to_owned(), json!(object.odata_type));
            shown.insert("id".to_owned(), json!(object.id));
        }
        let known = object.kind.properties();
        let selected: Vec<&str> = match &query.select {
            Some(names) => names.iter().map(String::as_str).filter(|name| known.contains(name)).collect(),
            None => object.kind.default_properties().to_vec(),
        };
        for name in selected {
            let session_time = name == "signInSessionsValidFromDateTime";
            if session_time && shape == Shape::ByIds && !self.options.session_times_in_get_by_ids {
                continue;
            }
            let value = object.properties.get(name).cloned().unwrap_or(Value::Null);
            let value = if readable || name == "id" { value } else { Value::Null };
            shown.insert(name.to_owned(), value);
        }
        match self.trouble {
            Some(Trouble::SomebodyElse) => drop(shown.insert("id".to_owned(), json!(STRANGER))),
            Some(Trouble::Lacks(name)) => drop(shown.remove(*name)),
            Some(Trouble::Says(name, value)) if shown.contains_key(*name) => {
                shown.insert((*name).to_owned(), value.clone());
            }
            _ => {}
        }
        Value::Object(shown)
    }

    /// Returns a list as a fault changes it.
    pub(super) fn falsified(&self, mut list: Vec<Value>) -> Vec<Value> {
        match self.trouble {
            Some(Trouble::Truncated) => list.truncate(list.len() / 2),
            Some(Trouble::Unasked) => list.push(json!({
                "@odata.type": "#microsoft.graph.user", "id": STRANGER, "accountEnabled": false,
            })),
            _ => {}
        }
        list
    }
}

/// Takes `collection(appId='client id')` apart.
fn by_client_id(segment: &str) -> Option<(&str, &str)> {
    let (collection, rest) = segment.split_once("(appId='")?;
    Some((collection, rest.strip_suffix("')")?))
}

/// Checks that ids are uuids. One that is not fails all.
pub(super) fn check_ids(ids: &[String]) -> Result<(), Answer> {
    let is_uuid = |id: &String| {
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && id.chars().all(|next| next == '-' || next.is_ascii_hexdigit())
    };
    let wrong = ids.iter().find(|id| !is_uuid(id));
    wrong.map_or(Ok(()), |id| {
        Err(refusal(400, "Request_BadRequest", &format!("Invalid object identifier '{id}'.")))
    })
}

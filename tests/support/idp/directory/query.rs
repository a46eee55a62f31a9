//! What a request to Graph asks: its path, its query options, its body.

use serde_json::Value;

use super::filter::{Fault, Filter};
use super::objects::ObjectType;
use super::reply::{Answer, refusal};
use crate::idp::http::{decoded, decoded_path};

/// A request to Graph, or an item of a batch, taken apart.
pub(super) struct Question {
    pub(super) method: String,
    /// The segments of the path after the version, decoded.
    pub(super) path: Vec<String>,
    /// The path after the version, as it came.
    pub(super) raw_path: String,
    pub(super) options: Vec<(String, String)>,
    /// Whether the header `ConsistencyLevel: eventual` is there.
    pub(super) eventual: bool,
    /// The body; null if there is none, or if it is not JSON.
    pub(super) body: Value,
}

/// The query options of a request for a list or an object.
pub(super) struct Query {
    pub(super) select: Option<Vec<String>>,
    pub(super) filter: Option<Filter>,
    pub(super) top: Option<usize>,
    pub(super) skip_token: Option<String>,
    pub(super) count: bool,
}

impl Question {
    /// Takes apart a path and a query, relative to the version.
    pub(super) fn new(method: &str, target: &str, eventual: bool, body: Value) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let options = query.split('&').filter(|option| !option.is_empty()).map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            (decoded(name), decoded(value))
        });
        Self {
            method: method.to_owned(),
            path: segments.map(decoded_path).collect(),
            raw_path: path.to_owned(),
            options: options.collect(),
            eventual,
            body,
        }
    }

    /// Returns the segments of the path, to be matched.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Reads its query options and checks them against the type of what is asked for, if there is
    /// one.
    pub(super) fn query_for(&self, object_type: Option<ObjectType>) -> Result<Query, Answer> {
        let query = self.query()?;
        let Some(object_type) = object_type else { return Ok(query) };
        query.filter.as_ref().map_or(Ok(()), |filter| filter.check(object_type)).map_err(refused)?;
        let mut selected = query.select.iter().flatten();
        match selected.find(|name| !object_type.properties().contains(&name.as_str())) {
            None => Ok(query),
            Some(name) => {
                let on = object_type.name();
                Err(bad(&format!("Could not find a property named '{name}' on type '{on}'.")))
            }
        }
    }

    /// Reads its query options. An option that is unknown or comes twice is refused.
    fn query(&self) -> Result<Query, Answer> {
        let mut query = Query { select: None, filter: None, top: None, skip_token: None, count: false };
        for (index, (name, value)) in self.options.iter().enumerate() {
            if self.options.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(bad(&format!("Query option '{name}' was specified more than once.")));
            }
            match name.as_str() {
                "$select" => query.select = Some(names(value)),
                "$filter" => query.filter = Some(Filter::parse(value).map_err(refused)?),
                "$top" => query.top = Some(page_size(value)?),
                "$skiptoken" => query.skip_token = Some(value.clone()),
                "$count" => query.count = value == "true",
                "$search" | "$orderby" | "$expand" => {
                    return Err(unsupported(&format!("The query option '{name}' is not supported here.")));
                }
                _ => return Err(bad(&format!("The query option '{name}' is not known."))),
            }
        }
        if query.filter.as_ref().is_some_and(Filter::is_advanced) && !(self.eventual && query.count) {
            return Err(unsupported("Operator is not supported without ConsistencyLevel and $count."));
        }
        Ok(query)
    }

    /// Returns the options of its query without `$skiptoken`, as they are written in a link.
    pub(super) fn options_for_next_page(&self) -> String {
        let others = self.options.iter().filter(|(name, _)| name != "$skiptoken");
        others.fold(String::new(), |text, (name, value)| text + name + "=" + &encoded(value) + "&")
    }

    /// Returns the texts of a list in the body.
    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, Answer> {
        let items = self.body.get(name).and_then(Value::as_array);
        let texts = items.and_then(|items| {
            items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| bad(&format!("The parameter '{name}' is missing or is no list of texts.")))
    }
}

fn names(value: &str) -> Vec<String> {
    value.split(',').map(|name| name.trim().to_owned()).collect()
}

fn page_size(value: &str) -> Result<usize, Answer> {
    let size = value.parse().ok().filter(|size| (1..=999).contains(size));
    size.ok_or_else(|| {
        bad(&format!("Invalid page size specified: '{value}'. Must be between 1 and 999 inclusive."))
    })
}

/// Percent-encodes all that is not unreserved in RFC 3986.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(encode).collect()
}

/// Refuses a filter.
fn refused(fault: Fault) -> Answer {
    match fault {
        Fault::Syntax(problem) => bad(&format!("Invalid filter clause: {problem}")),
        Fault::Unsupported(problem) => unsupported(&problem),
    }
}

/// Refuses a request that is wrong.
pub(super) fn bad(problem: &str) -> Answer {
    refusal(400, "Request_BadRequest", problem)
}

fn unsupported(problem: &str) -> Answer {
    refusal(400, "Request_UnsupportedQuery", problem)
}

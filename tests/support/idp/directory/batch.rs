//! Graph: batches.

use serde_json::{Map, Value, json};

use super::query::{Question, bad};
use super::reply::Answer;
use super::trouble::Trouble;

/// Most items of a batch.
const MAX_ITEMS: usize = 20;

/// An item of a batch.
pub(super) struct Item {
    pub(super) id: String,
    /// What it asks, or why it asks nothing.
    pub(super) question: Result<Question, Answer>,
}

/// Takes a batch apart. A batch that is wrong as a whole is refused.
pub(super) fn items(body: &Value) -> Result<Vec<Item>, Answer> {
    let requests = body.get("requests").and_then(Value::as_array);
    let requests = requests.ok_or_else(|| bad("Invalid batch payload format."))?;
    if requests.is_empty() || requests.len() > MAX_ITEMS {
        return Err(bad(&format!(
            "Number of batch request steps: {}; the limit is {MAX_ITEMS}.",
            requests.len()
        )));
    }
    let mut items: Vec<Item> = Vec::new();
    for request in requests {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let wrong = || bad("Every request of a batch has an id of its own, a method and a url.");
        let id = text("id").filter(|id| !items.iter().any(|item| item.id == *id)).ok_or_else(wrong)?;
        let (method, url) = text("method").zip(text("url")).ok_or_else(wrong)?;
        items.push(Item { id: id.to_owned(), question: question(method, url, request) });
    }
    Ok(items)
}

fn question(method: &str, url: &str, request: &Value) -> Result<Question, Answer> {
    if !url.starts_with('/') || url.starts_with("/$batch") {
        return Err(bad("The url of a request in a batch is relative to the version."));
    }
    let empty = Map::new();
    let headers = request.get("headers").and_then(Value::as_object).unwrap_or(&empty);
    let header = |name: &str| {
        let found = headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str())
    };
    let body = request.get("body").cloned().unwrap_or(Value::Null);
    let is_json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !body.is_null() && !is_json {
        return Err(bad("A request of a batch with a body has the header Content-Type."));
    }
    Ok(Question::new(method, url, header("consistencylevel") == Some("eventual"), body))
}

/// Joins the answers to the items, in another order than they were asked in.
pub(super) fn answer(answers: Vec<(String, Answer)>, trouble: Option<&Trouble>) -> Answer {
    let first = answers.first().map(|(id, _)| id.clone()).unwrap_or_default();
    let mut responses: Vec<Value> = answers.into_iter().rev().map(response).collect();
    match trouble {
        Some(Trouble::LosesItem) => responses.retain(|response| response["id"] != json!(first)),
        Some(Trouble::RepeatsItem) => responses.push(json!({ "id": first, "status": 404, "body": {} })),
        _ => {}
    }
    Answer::ok(json!({ "responses": responses }))
}

fn response((id, answer): (String, Answer)) -> Value {
    let mut headers = json!({ "Content-Type": "application/json" });
    for (name, value) in answer.headers {
        headers[name] = json!(value);
    }
    json!({ "id": id, "status": answer.status, "headers": headers, "body": answer.body })
}

//! What a provider answers to requests for keys.

use std::sync::atomic::Ordering;
use std::thread;

use serde_json::{Value, json};

use super::http::{date_line, response};
use super::{Behavior, State};
use crate::issuer::{OTHER_TENANT, TENANT, unix_now, with};
use crate::mutex::lock;

/// Returns the answer to a request for keys; none if the client is to wait in vain.
pub(super) fn answer_for_keys(behavior: &Behavior, path: &str, state: &State) -> Option<String> {
    match behavior {
        Behavior::Hang | Behavior::Silent | Behavior::Drip | Behavior::EndlessHead => None,
        Behavior::Slow(delay) => {
            thread::sleep(*delay);
            Some(key_document(path, state))
        }
        Behavior::Good | Behavior::HangUp | Behavior::Plain => Some(key_document(path, state)),
        Behavior::Status(status, lines) => Some(response(*status, lines, "{\"error\":\"no\"}")),
        Behavior::Body(body) => Some(response(200, "", body)),
        Behavior::Cut => {
            let whole = key_document(path, state);
            let cut = whole.get(..whole.len() - 40).unwrap_or_default().to_owned();
            Some(cut.replacen("\r\n", "\r\nconnection: close\r\n", 1))
        }
    }
}

/// Returns the response with the keys of the tenant. Documents of version 1.0 name no issuers.
fn key_document(path: &str, state: &State) -> String {
    let known = [TENANT, OTHER_TENANT].iter().any(|tenant| path.starts_with(&format!("/{tenant}/")));
    if !known && path != "/keys" {
        return response(400, "", "{\"error\":\"invalid_tenant\"}");
    }
    let v2 = path.contains("/v2.0/");
    let keys: Vec<Value> = lock(&state.keys)
        .iter()
        .map(|key| if v2 { key.jwk() } else { with(key.jwk(), "issuer", Value::Null) })
        .collect();
    let ahead = state.clock_ahead.load(Ordering::SeqCst);
    response(200, &date_line(unix_now() + ahead), &json!({ "keys": keys }).to_string())
}

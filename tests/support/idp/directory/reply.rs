//! What the directory sends back.

use serde_json::{Value, json};

use super::time::rfc3339;
use crate::idp::http::{date_line, head_of_response};
use crate::issuer::unix_now;

/// What is sent to the client.
pub(in crate::idp) enum Reply {
    /// A response.
    Whole(Vec<u8>),
    /// A response that may be cut, after which the connection is closed.
    Last(Vec<u8>),
    /// An opening, and then the same again and again, until a fault is mended.
    Endless {
        /// What is sent first.
        opening: String,
        /// What is sent afterwards.
        more: String,
        /// The fault.
        fault: u64,
    },
}

/// An answer of Graph, of the token endpoint or of an identity endpoint: alone or in a batch.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Header lines besides those of every response.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns it as a response of HTTP. `now`: what time it is there, in Unix seconds.
    pub(super) fn bytes(&self, now: i64) -> Vec<u8> {
        let lines = self
            .headers
            .iter()
            .fold(String::new(), |lines, (name, value)| lines + name + ": " + value + "\r\n");
        whole(self.status, now, &lines, "application/json; charset=utf-8", self.body.to_string().as_bytes())
    }
}

/// Returns a response with a body of any kind. `now`: what time it is there, in Unix seconds.
pub(super) fn whole(status: u16, now: i64, lines: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let date = date_line(now);
    let lines = format!("{lines}{date}content-type: {content_type}\r\nrequest-id: {REQUEST_ID}\r\n");
    let mut bytes = head_of_response(status, &lines, body.len()).into_bytes();
    bytes.extend(body);
    bytes
}

/// The `request-id` of every answer.
pub const REQUEST_ID: &str = "0e9d1f2a-aaaa-bbbb-cccc-0000000000ff";

/// Returns an error of Graph.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let inner = json!({
        "date": rfc3339(unix_now()).trim_end_matches('Z'), "request-id": REQUEST_ID,
        "client-request-id": REQUEST_ID,
    });
    let error = json!({ "code": code, "message": message, "innerError": inner });
    Answer { status, headers: Vec::new(), body: json!({ "error": error }) }
}

/// Returns what Graph says about an id that it does not know.
pub(super) fn not_found(id: &str) -> Answer {
    let message = format!(
        "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
    );
    refusal(404, "Request_ResourceNotFound", &message)
}

/// Returns what Graph says when a permission is missing.
pub(super) fn denied() -> Answer {
    refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

/// Returns an error of the token endpoint. The description has several lines, as Entra's has.
pub(super) fn token_refusal(status: u16, error: &str, number: u32, description: &str) -> Answer {
    let time = rfc3339(unix_now());
    let description = format!(
        "AADSTS{number}: {description}\r\nTrace ID: {REQUEST_ID}\r\nCorrelation ID: {REQUEST_ID}\r\n\
         Timestamp: {time}"
    );
    let body = json!({
        "error": error, "error_description": description, "error_codes": [number], "timestamp": time,
        "trace_id": REQUEST_ID, "correlation_id": REQUEST_ID,
    });
    Answer { status, headers: Vec::new(), body }
}

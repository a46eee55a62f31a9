//! The little of HTTP/1.1 that a provider and a proxy need.

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

/// The longest body that is read. A client that announces a longer one is not answered.
const MAX_BODY: usize = 4 * 1_024 * 1_024;

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path and the query, as they came.
    pub target: String,
    /// The first line and the header lines.
    pub head: String,
    /// The body; what is not UTF-8 in it is replaced.
    pub body: String,
}

impl Request {
    /// Returns the path, as it came.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the query, as it came.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map(|(_, query)| query).unwrap_or_default()
    }

    /// Returns the value of a header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns the decoded value of a member of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        value_of(self.query(), name)
    }

    /// Returns the decoded value of a field of the form that the body is.
    pub fn field(&self, name: &str) -> Option<String> {
        value_of(&self.body, name)
    }
}

fn value_of(form: &str, name: &str) -> Option<String> {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(found, _)| decoded(found) == name).map(|(_, value)| decoded(value))
}

/// Reads the next request. Returns none when the client sends no more, or too much.
pub(super) fn read_request(stream: &mut impl Read) -> Option<Request> {
    let head = read_head(stream)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut request = Request { method, target, head, body: String::new() };
    let length = request.header("content-length").map_or(Some(0), |value| value.parse().ok())?;
    if length > MAX_BODY {
        return None;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

/// Reads the head of the next request. Returns none when the client sends no more.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16_384 || stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Returns the header line `Date` for a time in Unix seconds.
pub(super) fn date_line(now: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
    format!("date: {}\r\n", httpdate::fmt_http_date(time))
}

/// Returns a response of JSON with further header lines.
pub(super) fn response(status: u16, lines: &str, body: &str) -> String {
    let kind = "content-type: application/json; charset=utf-8\r\n";
    format!("{}{body}", head_of_response(status, &format!("{lines}{kind}"), body.len()))
}

/// Returns the head of a response, with these header lines and the length of its body.
pub(super) fn head_of_response(status: u16, lines: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} Whatever\r\n{lines}content-length: {length}\r\n\r\n")
}

/// Decodes a value of a form or of a query.
pub(super) fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code =
            more.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        let (byte, taken) = match (first, code) {
            (b'%', Some(byte)) => (byte, 3),
            (b'+', _) => (b' ', 1),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = rest.get(taken..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes a part of a path, where a plus sign stands for itself.
pub(super) fn decoded_path(value: &str) -> String {
    decoded(&value.replace('+', "%2B"))
}

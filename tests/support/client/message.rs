//! Messages of the protocol.

use std::collections::BTreeMap;

/// An error as the server reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// `S`: FATAL, ERROR, …
    pub severity: String,
    /// `C`.
    pub sqlstate: String,
    /// `M`.
    pub message: String,
    /// `D`.
    pub detail: Option<String>,
    /// `H`.
    pub hint: Option<String>,
}

/// The first column of a query's rows, or the error.
pub type Answer = Result<Vec<Option<String>>, ServerError>;

pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("a message of a test");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

pub(super) fn first_column(body: &[u8]) -> Option<String> {
    let length = i32::from_be_bytes(*body.get(2..)?.first_chunk()?);
    let value = body.get(6..)?.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Reads the fields of an error or a notice.
pub fn parse_error(body: &[u8]) -> ServerError {
    let fields: BTreeMap<u8, String> = body
        .split(|byte| *byte == 0)
        .filter_map(|field| field.split_first())
        .map(|(kind, text)| (*kind, String::from_utf8_lossy(text).into_owned()))
        .collect();
    let field = |kind: u8| fields.get(&kind).cloned();
    ServerError {
        severity: field(b'V').or_else(|| field(b'S')).unwrap_or_default(),
        sqlstate: field(b'C').unwrap_or_default(),
        message: field(b'M').unwrap_or_default(),
        detail: field(b'D'),
        hint: field(b'H'),
    }
}

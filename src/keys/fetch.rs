//! Fetches the key documents of an origin, or reads them from a file. Knows no PostgreSQL and no
//! shared memory: it runs in a thread beside the worker's main loop.

use entra::{KeySet, KeySource, limits};

use crate::net::https::{Client, Failure, Request};
use crate::pg::file;
use crate::settings::KeyOrigin;

/// The result of a fetch.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The keys of all documents.
    pub(super) keys: KeySet,
    /// By how many seconds the provider's clock is ahead of this machine's; none if it did not say
    /// what time it is.
    pub(super) clock_ahead: Option<i64>,
}

/// Fetches all documents of an origin and joins them: all or none.
pub(super) fn fetch(origin: &KeyOrigin) -> Result<Fetched, Failure> {
    match &origin.source {
        KeySource::File(path) => {
            let keys = keys_in_file(path).map_err(|fault| format!("{path}: {fault}"))?;
            Ok(Fetched { keys, clock_ahead: None })
        }
        KeySource::Urls(urls) => fetch_urls(origin, urls),
    }
}

fn fetch_urls(origin: &KeyOrigin, urls: &[String]) -> Result<Fetched, Failure> {
    let client = Client::new(origin.ca_file.as_deref(), origin.proxy.as_deref())?;
    let max_bytes = limits::MAX_KEY_DOCUMENT_BYTES as u64;
    let requests: Vec<_> = urls.iter().map(|url| Request { url, max_bytes }).collect();
    let mut joined: Option<KeySet> = None;
    let mut clock_ahead = None;
    for (url, document) in urls.iter().zip(client.get_all(&requests)) {
        let document = document?;
        clock_ahead = clock_ahead.or(document.clock_ahead);
        let keys = keys_in(&document.body).map_err(|fault| format!("{url}: {fault}"))?;
        joined = Some(match joined {
            None => keys,
            Some(others) => others.join(keys).map_err(|fault| format!("{url}: {fault}"))?,
        });
    }
    let keys = joined.ok_or_else(|| "no key document is configured".to_owned())?;
    Ok(Fetched { keys, clock_ahead })
}

/// Returns the keys in a file that an administrator has put there.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn keys_in_file(path: &str) -> Result<KeySet, String> {
    let limit = limits::MAX_KEY_DOCUMENT_BYTES as u64 + 1;
    keys_in(&file::read(path, limit, 0).map_err(|fault| fault.to_string())?)
}

fn keys_in(document: &[u8]) -> Result<KeySet, String> {
    KeySet::parse(file::without_mark(document)?).map_err(|fault| fault.to_string())
}

//! How to reach Microsoft: a bounded request for each document, or a file. Knows no PostgreSQL and no shared memory.
//!
//! Runs in threads of its own beside the worker's main loop, so that a provider that hangs holds up nobody.

mod trouble;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use entra::{KeySet, KeySource, Untrusted, limits};
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use crate::pg::file;
use crate::settings::{self, KeyOrigin};

/// One request may take no longer, from name resolution to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connecting, TLS included, may take no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest head of a response. Entra's have under 2 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Why there are no new keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchFault {
    /// In words, fit for the log.
    pub(super) problem: String,
    /// The status that the provider answered with, where that is the problem.
    pub(super) status: Option<u16>,
    /// What the provider asked us to wait (RFC 9110 section 10.2.3).
    pub(super) retry_after: Option<Duration>,
}

impl From<String> for FetchFault {
    fn from(problem: String) -> Self {
        Self { problem, status: None, retry_after: None }
    }
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The keys of all documents.
    pub(super) keys: KeySet,
    /// By how many seconds the provider's clock is ahead of ours; none: it did not say what time it is.
    pub(super) clock_ahead: Option<i64>,
}

/// A document, as it came.
struct Document {
    content: Vec<u8>,
    clock_ahead: Option<i64>,
}

/// Fetches all documents of an origin and joins them. All or none.
pub(crate) fn fetch(origin: &KeyOrigin) -> Result<Fetched, FetchFault> {
    match &origin.source {
        KeySource::File(path) => {
            let keys = keys_in_file(path).map_err(|fault| format!("{path}: {fault}"))?;
            Ok(Fetched { keys, clock_ahead: None })
        }
        KeySource::Urls(urls) => {
            let agent = agent(origin)?;
            let mut joined: Option<KeySet> = None;
            let mut clock_ahead = None;
            for (url, document) in urls.iter().zip(get_all(&agent, urls)) {
                let about = |fault| FetchFault::from(format!("{url}: {fault}"));
                let document = document?;
                clock_ahead = clock_ahead.or(document.clock_ahead);
                let keys = keys_in(&document.content)
                    .map_err(|fault| FetchFault::from(format!("{url}: {fault}")))?;
                joined = Some(match joined {
                    None => keys,
                    Some(others) => others.join(keys).map_err(about)?,
                });
            }
            let keys = joined.ok_or_else(|| "no key document is configured".to_owned())?;
            Ok(Fetched { keys, clock_ahead })
        }
    }
}

/// The keys in a file of an administrator's.
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

fn agent(origin: &KeyOrigin) -> Result<Agent, FetchFault> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&trust_anchors(origin.ca_file.as_deref())?))
        .build();
    let proxy = origin.proxy.as_deref().map(Proxy::new).transpose();
    let config = Config::builder()
        .tls_config(tls)
        // Not the environment's: it is the postmaster's, and nobody looks there.
        .proxy(proxy.map_err(|_| "https_proxy is not the address of a proxy".to_owned())?)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_response_header_size(MAX_HEAD_BYTES)
        .user_agent(concat!("azure_ad_auth/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build();
    Ok(Agent::new_with_config(config))
}

/// The system's certificate authorities, and those of `ca_file`.
fn trust_anchors(ca_file: Option<&str>) -> Result<Vec<Certificate<'static>>, FetchFault> {
    let system = rustls_native_certs::load_native_certs();
    let mut anchors: Vec<_> =
        system.certs.iter().map(|anchor| Certificate::from_der(anchor.as_ref()).to_owned()).collect();
    if let Some(path) = ca_file {
        anchors.extend(settings::anchors_in(path).map_err(|fault| format!("{path}: {fault}"))?);
    }
    if anchors.is_empty() {
        let problem = "no certificate authorities are installed; install ca-certificates or set ca_file";
        return Err(problem.to_owned().into());
    }
    Ok(anchors)
}

/// Gets all at the same time: logins may be waiting.
fn get_all(agent: &Agent, urls: &[String]) -> Vec<Result<Document, FetchFault>> {
    let fault = |_| Err(FetchFault::from("a fault while fetching".to_owned()));
    thread::scope(|scope| {
        let gets: Vec<_> = urls.iter().map(|url| scope.spawn(|| get(agent, url))).collect();
        gets.into_iter().map(|get| get.join().unwrap_or_else(fault)).collect()
    })
}

fn get(agent: &Agent, url: &str) -> Result<Document, FetchFault> {
    let failed = |fault: &ureq::Error| {
        let advice = trouble::advice(fault).map(|advice| format!(" ({advice})")).unwrap_or_default();
        format!("{url}: {}{advice}", Untrusted::new(&fault.to_string()))
    };
    let mut response = agent.get(url).call().map_err(|fault| failed(&fault))?;
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if status.as_u16() != 200 {
        let elsewhere = if status.is_redirection() { ", and redirects are not followed" } else { "" };
        return Err(FetchFault {
            problem: format!("{url}: answered with status {}{elsewhere}", status.as_u16()),
            status: Some(status.as_u16()),
            retry_after: header("retry-after").and_then(|value| wait_asked_for(value, SystemTime::now())),
        });
    }
    let clock_ahead = header("date").and_then(|value| clock_ahead(value, SystemTime::now()));
    let limit = limits::MAX_KEY_DOCUMENT_BYTES as u64;
    let content = response.body_mut().with_config().limit(limit).read_to_vec();
    Ok(Document { content: content.map_err(|fault| failed(&fault))?, clock_ahead })
}

/// What `Retry-After` asks for: seconds, or a point in time.
fn wait_asked_for(value: &str, now: SystemTime) -> Option<Duration> {
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()))
}

/// By how many seconds the clock that wrote a `Date` is ahead of ours.
fn clock_ahead(value: &str, now: SystemTime) -> Option<i64> {
    let theirs = httpdate::parse_http_date(value).ok()?;
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Some(theirs.duration_since(now).map_or_else(|behind| -seconds(behind.duration()), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_provider_are_seconds_or_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let date = |ahead: i64| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs((1_700_000_000 + ahead).unsigned_abs());
            httpdate::fmt_http_date(time)
        };
        for (value, wait) in [
            ("7", Some(7)),
            (date(90).as_str(), Some(90)),
            (date(-90).as_str(), Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait_asked_for(value, now), wait.map(Duration::from_secs), "{value}");
        }
        for ahead in [-3_600, 0, 90] {
            assert_eq!(clock_ahead(&date(ahead), now), Some(ahead));
        }
        assert_eq!(clock_ahead("today", now), None);
    }
}

//! Requests over HTTPS: bounded in time and size, with certificates checked against the system's
//! authorities and those of `azure_ad_auth.ca_file`, and through `azure_ad_auth.https_proxy` if
//! that is set. Knows no PostgreSQL and no shared memory: requests are made in threads of their
//! own.
//!
//! Two kinds of addresses are asked in clear text, without a proxy: loopback addresses, and that of
//! the metadata service of Azure's machines. Redirects are never followed.
//!
//! Headers and bodies may hold secrets. None of them is ever in the text of a fault, and neither is
//! what follows a `?` in an address. What this library owns of them is wiped. The HTTP library and
//! the TLS library copy what is sent into buffers, which go back to the allocator unwiped when the
//! connection or the client is dropped.

mod advice;
mod exchange;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use entra::Untrusted;
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;
use ureq::{Agent, Proxy};

pub(crate) use self::exchange::{Exchange, Reply};
use crate::settings;

/// One request may take no longer, from name resolution to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connecting, TLS included, may take no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest head of a response. Entra's have under 2 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Why a request has brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words, fit for the log.
    pub(crate) problem: String,
    /// The status that the server answered with, where that is the problem.
    pub(crate) status: Option<u16>,
    /// How long the server asks to wait (RFC 9110 section 10.2.3).
    pub(crate) retry_after: Option<Duration>,
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self { problem, status: None, retry_after: None }
    }
}

/// A document to be fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    /// A longer document is refused.
    pub(crate) max_bytes: u64,
}

/// A document, as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) body: Vec<u8>,
    /// By how many seconds the server's clock is ahead of this machine's; none if the server did
    /// not say what time it is.
    pub(crate) clock_ahead: Option<i64>,
}

/// Makes requests, with its own trust anchors, proxy and connections.
pub(crate) struct Client {
    agent: Agent,
    /// Whether it asks this machine only, in clear text.
    is_near: bool,
}

impl Client {
    /// Returns the client for an address: of [`Client::new`], or of [`Client::near`] for one in
    /// clear text.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub(crate) fn for_address(
        url: &str,
        ca_file: Option<&str>,
        proxy: Option<&str>,
    ) -> Result<Self, Failure> {
        if url.starts_with("http://") { Ok(Self::near()) } else { Self::new(ca_file, proxy) }
    }

    /// Asks this machine and its metadata service only, in clear text and without a proxy.
    pub(crate) fn near() -> Self {
        Self { agent: Agent::new_with_config(bounded().proxy(None).build()), is_near: true }
    }

    /// Trusts the system's certificate authorities and those in `ca_file`.
    ///
    /// # Errors
    /// The file of authorities or the address of the proxy cannot be used.
    pub(crate) fn new(ca_file: Option<&str>, proxy: Option<&str>) -> Result<Self, Failure> {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::new_with_certs(&trust_anchors(ca_file)?))
            .build();
        let proxy = proxy.map(Proxy::new).transpose();
        let config = bounded()
            .tls_config(tls)
            // The proxy of the environment is not used: an administrator does not look into the
            // postmaster's environment.
            .proxy(proxy.map_err(|_| "https_proxy is not the address of a proxy".to_owned())?)
            .build();
        Ok(Self { agent: Agent::new_with_config(config), is_near: false })
    }

    /// Gets a document.
    ///
    /// # Errors
    /// No connection, no acceptable certificate, too slow, too long, or a status other than 200.
    pub(crate) fn get(&self, request: Request<'_>) -> Result<Response, Failure> {
        let url = request.url;
        let failed = |fault: &ureq::Error| {
            let advice = advice::advice(fault).map(|advice| format!(" ({advice})")).unwrap_or_default();
            format!("{url}: {}{advice}", Untrusted::new(&fault.to_string()))
        };
        let mut response = self.agent.get(url).call().map_err(|fault| failed(&fault))?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        if status.as_u16() != 200 {
            let elsewhere = if status.is_redirection() { ", and redirects are not followed" } else { "" };
            return Err(Failure {
                problem: format!("{url}: answered with status {}{elsewhere}", status.as_u16()),
                status: Some(status.as_u16()),
                retry_after: header("retry-after").and_then(|value| retry_after(value, SystemTime::now())),
            });
        }
        let clock_ahead = header("date").and_then(|value| clock_ahead(value, SystemTime::now()));
        let body = response.body_mut().with_config().limit(request.max_bytes).read_to_vec();
        Ok(Response { body: body.map_err(|fault| failed(&fault))?, clock_ahead })
    }

    /// Gets all documents at the same time: logins may be waiting.
    pub(crate) fn get_all(&self, requests: &[Request<'_>]) -> Vec<Result<Response, Failure>> {
        let fault = |_| Err(Failure::from("a fault while fetching".to_owned()));
        thread::scope(|scope| {
            let gets: Vec<_> = requests.iter().map(|request| scope.spawn(|| self.get(*request))).collect();
            gets.into_iter().map(|get| get.join().unwrap_or_else(fault)).collect()
        })
    }
}

/// Returns what holds for all requests.
fn bounded() -> ConfigBuilder<AgentScope> {
    Config::builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_response_header_size(MAX_HEAD_BYTES)
        .user_agent(concat!("azure_ad_auth/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
}

/// Returns the system's certificate authorities, and those of `ca_file`.
fn trust_anchors(ca_file: Option<&str>) -> Result<Vec<Certificate<'static>>, Failure> {
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

/// Returns the wait that `Retry-After` asks for: seconds, or until a point in time.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()))
}

/// Returns by how many seconds the clock that wrote a `Date` is ahead of this machine's.
fn clock_ahead(value: &str, now: SystemTime) -> Option<i64> {
    let server_time = httpdate::parse_http_date(value).ok()?;
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Some(server_time.duration_since(now).map_or_else(|behind| -seconds(behind.duration()), seconds))
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
            assert_eq!(retry_after(value, now), wait.map(Duration::from_secs), "{value}");
        }
        for ahead in [-3_600, 0, 90] {
            assert_eq!(clock_ahead(&date(ahead), now), Some(ahead));
        }
        assert_eq!(clock_ahead("today", now), None);
    }
}

//! Requests whose answer is more than a document: any method, headers, a body, and whatever status
//! the server answers with.

use std::io::Read;
use std::time::{Duration, SystemTime};

use entra::Untrusted;
use entra::directory::hosts;
use ureq::http::header::HeaderName;
use ureq::http::{HeaderValue, Method, Request};
use ureq::{Agent, AsSendBody};
use zeroize::Zeroizing;

use crate::net::https::{Client, Failure, REQUEST_TIMEOUT, advice, clock_ahead, retry_after};

/// An answer of up to this size is read without moving it, so that no copy of a token is left
/// behind.
const USUAL_BYTES: u64 = 128 * 1024;

/// Longest `WWW-Authenticate` that is looked at.
const MAX_CHALLENGE_BYTES: usize = 4_096;

/// A request.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// `https`, or `http` for an address of this machine.
    pub(crate) url: &'a str,
    /// What is sent; none: GET, otherwise POST.
    pub(crate) body: Option<&'a [u8]>,
    /// Names and values.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// A longer answer is refused.
    pub(crate) max_bytes: u64,
}

/// An answer, whatever its status.
pub(crate) struct Reply {
    /// The status of HTTP. A redirection is not followed.
    pub(crate) status: u16,
    /// The body, as it came.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// How long the server asks to wait (RFC 9110 section 10.2.3).
    pub(crate) retry_after: Option<Duration>,
    /// By how many seconds the server's clock is ahead of this machine's.
    pub(crate) clock_ahead: Option<i64>,
    /// What the server demands to be authenticated by (`WWW-Authenticate`).
    pub(crate) challenge: Option<String>,
}

impl Client {
    /// Sends a request and returns the answer.
    ///
    /// # Errors
    /// No connection, no acceptable certificate, too slow, too long.
    pub(crate) fn exchange(&self, exchange: &Exchange<'_>) -> Result<Reply, Failure> {
        self.exchange_within(exchange, REQUEST_TIMEOUT)
    }

    /// Does the same within this time, if it is less than any request may take.
    ///
    /// # Errors
    /// As for [`Self::exchange`].
    pub(crate) fn exchange_within(&self, exchange: &Exchange<'_>, limit: Duration) -> Result<Reply, Failure> {
        let limit = limit.min(REQUEST_TIMEOUT);
        // What stands behind it may be long, and the name of a person.
        let place = exchange.url.split('?').next().unwrap_or_default();
        let failed = |fault: &ureq::Error| {
            let advice = advice::advice(fault).map(|advice| format!(" ({advice})")).unwrap_or_default();
            Failure::from(format!("{place}: {}{advice}", Untrusted::new(&fault.to_string())))
        };
        if !self.may_ask(exchange.url) {
            return Err(format!("{place}: is not asked without TLS").into());
        }
        let method = if exchange.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(exchange.url);
        for (name, value) in exchange.headers {
            let unusable = || format!("{place}: the header \"{name}\" cannot be sent");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
            value.set_sensitive(true);
            request = request.header(header, value);
        }
        let unusable = |_| format!("{place}: is no usable address");
        let response = match exchange.body {
            None => self.agent.run(within(&self.agent, request.body(()).map_err(unusable)?, limit)),
            Some(body) => self.agent.run(within(&self.agent, request.body(body).map_err(unusable)?, limit)),
        };
        let mut response = response.map_err(|fault| failed(&fault))?;
        let now = SystemTime::now();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let challenge = header("www-authenticate").filter(|text| text.len() <= MAX_CHALLENGE_BYTES);
        let reply = Reply {
            status: response.status().as_u16(),
            body: Zeroizing::default(),
            retry_after: header("retry-after").and_then(|value| retry_after(value, now)),
            clock_ahead: header("date").and_then(|value| clock_ahead(value, now)),
            challenge: challenge.map(str::to_owned),
        };
        // One byte more than is accepted, so that a longer one is noticed.
        let limit = exchange.max_bytes.saturating_add(1);
        let reader = response.body_mut().with_config().limit(limit.saturating_add(1)).reader();
        let body = read(reader, limit).map_err(|fault| failed(&ureq::Error::from(fault)))?;
        if body.len() as u64 > exchange.max_bytes {
            return Err(format!("{place}: the answer has more than {} bytes", exchange.max_bytes).into());
        }
        Ok(Reply { body, ..reply })
    }

    fn may_ask(&self, url: &str) -> bool {
        if !self.is_near {
            return url.starts_with("https://");
        }
        // The root, without the path: what the setting of identity endpoints accepts.
        let end = url.match_indices('/').nth(2).map_or(url.len(), |(end, _)| end);
        url.get(..end).is_some_and(|root| hosts::parse_identity_url(root).is_ok_and(|root| root.is_some()))
    }
}

/// Limits the time that a request may take.
fn within<B: AsSendBody>(agent: &Agent, request: Request<B>, limit: Duration) -> Request<B> {
    agent.configure_request(request).timeout_global(Some(limit)).build()
}

/// Reads up to `limit` bytes.
fn read(reader: impl Read, limit: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Reading to the end asks for some more room than there are bytes.
    let room = usize::try_from(limit.min(USUAL_BYTES)).unwrap_or_default() + 64;
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    reader.take(limit).read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_in_clear_text() {
        let near = Client::near();
        for url in [
            "http://127.0.0.1:40342/x?y",
            "http://169.254.169.254/metadata",
            "http://[::1]:1",
            "http://localhost/",
        ] {
            assert!(near.may_ask(url), "{url}");
        }
        for url in [
            "https://127.0.0.1/",
            "http://10.0.0.1/",
            "http://127.0.0.1@evil.example/",
            "http:///",
            "",
            "http://",
        ] {
            assert!(!near.may_ask(url), "{url}");
        }
        let fault = near.exchange(&Exchange {
            url: "http://login.example/token?secret=1",
            body: Some(b"secret"),
            headers: &[("authorization", "secret")],
            max_bytes: 1,
        });
        let problem = fault.err().map(|fault| fault.problem).expect("a fault");
        assert_eq!(problem, "http://login.example/token: is not asked without TLS");
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_not_shown() {
        let fault = Client::near().exchange(&Exchange {
            url: "http://127.0.0.1:1/",
            body: None,
            headers: &[("authorization", "sec\nret")],
            max_bytes: 1,
        });
        let problem = fault.err().map(|fault| fault.problem).expect("a fault");
        assert_eq!(problem, "http://127.0.0.1:1/: the header \"authorization\" cannot be sent");
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        assert_eq!(read(&b"abc"[..], 2).expect("bytes").as_slice(), b"ab");
        let endless = std::io::repeat(b'x');
        assert_eq!(read(endless, USUAL_BYTES * 2).expect("bytes").len() as u64, USUAL_BYTES * 2);
    }
}

//! A provider and a client of it, with the HTTP library that the extension uses.

use std::fmt::Write;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use serde_json::Value;
use testbed::ca::Authority;
use testbed::idp::Provider;
use testbed::idp::directory::{Directory, SERVER_CLIENT, SERVER_SECRET};
use testbed::issuer::{Signer, TENANT};
use ureq::config::Config;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

/// A key that takes a while to make.
pub(crate) static KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-1")));

/// How long the client waits for an answer that should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A provider and its client.
pub(crate) struct Bed {
    authority: Authority,
    pub(crate) provider: Provider,
    agent: Agent,
    token: OnceLock<String>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// Null if it is not JSON.
    pub(crate) body: Value,
    response: Response<Body>,
}

impl Answer {
    fn new(mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let bytes = response.body_mut().with_config().limit(20_000_000).read_to_vec()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self { status: response.status().as_u16(), text, body, response })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the code of an error of Graph.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// Returns the status and the AADSTS number of an error of the token endpoint.
    pub(crate) fn number(&self) -> (u16, u64) {
        (self.status, self.body["error_codes"][0].as_u64().unwrap_or(0))
    }

    /// Returns one property of each object of a list.
    pub(crate) fn all(&self, property: &str) -> Vec<&str> {
        let list = self.body["value"].as_array().expect("a list");
        list.iter().map(|item| item[property].as_str().unwrap_or_default()).collect()
    }

    /// Returns a list of texts.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let list = self.body["value"].as_array().expect("a list");
        list.iter().map(|item| item.as_str().expect("a text")).collect()
    }
}

/// Starts a provider.
pub(crate) fn bed() -> Bed {
    let authority = Authority::new("provider tests");
    let provider = Provider::start(&authority, vec![Arc::clone(&KEY)], 0);
    let agent = agent(&authority, PATIENCE);
    Bed { authority, provider, agent, token: OnceLock::new() }
}

fn agent(authority: &Authority, patience: Duration) -> Agent {
    let anchor = Certificate::from_pem(authority.pem().as_bytes()).expect("a certificate");
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[anchor]))
        .build();
    let config = Config::builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .build();
    Agent::new_with_config(config)
}

impl Bed {
    pub(crate) fn directory(&self) -> &Directory {
        self.provider.directory()
    }

    /// Makes the client give up soon.
    pub(crate) fn impatient(mut self) -> Self {
        self.agent = agent(&self.authority, Duration::from_millis(700));
        self
    }

    /// Sends a request.
    pub(crate) fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let builder = Request::builder().method(method).uri(url);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let response = match method {
            "GET" => self.agent.run(builder.body(()).expect("a request")),
            _ => self.agent.run(builder.body(body).expect("a request")),
        };
        Answer::new(response?)
    }

    pub(crate) fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_send(method, url, headers, body).expect("an answer")
    }

    /// Asks for a token at a tenant, with the fields of a form.
    pub(crate) fn token_at(&self, tenant: &str, fields: &[(&str, &str)]) -> Answer {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.provider.url());
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", &url, &headers, &form(fields))
    }

    /// Asks for a token with the usual fields, some of them replaced, and with these.
    pub(crate) fn token_with(&self, fields: &[(&str, &str)]) -> Answer {
        let scope = format!("{}/.default", self.directory().graph_url());
        let usual =
            [("client_id", SERVER_CLIENT), ("scope", scope.as_str()), ("grant_type", "client_credentials")];
        let given = |name: &str| fields.iter().any(|(found, _)| *found == name);
        let mut all: Vec<_> = usual.into_iter().filter(|(name, _)| !given(name)).collect();
        all.extend(fields);
        self.token_at(TENANT, &all)
    }

    /// Returns a new token.
    pub(crate) fn new_token(&self) -> String {
        let answer = self.token_with(&[("client_secret", SERVER_SECRET)]);
        answer.body["access_token"].as_str().expect("a token").to_owned()
    }

    /// Asks Graph with the token that was got first.
    pub(crate) fn graph(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.try_graph(method, path, headers, body).expect("an answer")
    }

    pub(crate) fn try_graph(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, ureq::Error> {
        let authorization = format!("Bearer {}", self.token.get_or_init(|| self.new_token()));
        let url = format!("{}/v1.0{path}", self.directory().graph_url());
        let mut all = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        self.try_send(method, &url, &all, &body.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.graph("GET", path, &[], &Value::Null)
    }

    pub(crate) fn try_get(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.try_graph("GET", path, &[], &Value::Null)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.graph("POST", path, &[], body)
    }

    /// Gets a list by filter, with these properties.
    pub(crate) fn find(&self, collection: &str, filter: &str, select: &str) -> Answer {
        self.get(&format!("/{collection}?$filter={}&$select={select}", encoded(filter)))
    }
}

/// Percent-encodes a value.
pub(crate) fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
}

/// Returns an object id that ends in a number.
pub(crate) fn id(number: usize) -> String {
    format!("99999999-aaaa-bbbb-cccc-{number:012}")
}

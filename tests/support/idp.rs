//! A local identity provider: HTTPS, the document shapes of Entra, and bad manners on demand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::ca::{Authority, Identity};
use crate::issuer::{OTHER_TENANT, Signer, TENANT, unix_now, with};

/// How the provider answers a request for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manners {
    /// As Entra does.
    Good,
    /// Good, but only after a while.
    Slow(Duration),
    /// Takes the request and never answers.
    Hang,
    /// A status, with further header lines.
    Status(u16, &'static str),
    /// This body, whatever it is.
    Body(String),
    /// Announces more than it sends.
    Cut,
    /// Hangs up before the TLS handshake.
    HangUp,
    /// Takes the connection and neither reads nor says anything.
    Silent,
    /// Answers in clear where a TLS handshake is expected.
    Plain,
    /// Sends its body a byte at a time, and never ends.
    Drip,
    /// Never ends the head of its answer.
    EndlessHead,
}

/// What has come of acquiring a token by the device flow (RFC 8628).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFlow {
    /// The client that began it last.
    pub client: String,
    /// The scope it asked for.
    pub scope: String,
    /// How often it has asked whether the user has signed in.
    pub polls: usize,
    token: String,
}

struct State {
    /// By how many seconds its clock is ahead.
    clock_ahead: AtomicI64,
    port: u16,
    device_flow: Mutex<DeviceFlow>,
    manners: Mutex<Manners>,
    tls: Mutex<Arc<ServerConfig>>,
    keys: Mutex<Vec<Arc<Signer>>>,
    requests: AtomicUsize,
    stopped: AtomicBool,
}

/// A running provider. Stops when dropped.
pub struct Provider {
    state: Arc<State>,
    port: u16,
}

impl Provider {
    /// Starts one on a free port of 127.0.0.1, or on a given one.
    pub fn start(authority: &Authority, keys: Vec<Arc<Signer>>, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            clock_ahead: AtomicI64::new(0),
            port,
            device_flow: Mutex::default(),
            manners: Mutex::new(Manners::Good),
            tls: Mutex::new(authority.identity().server()),
            keys: Mutex::new(keys),
            requests: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(connection, &shared));
            }
        });
        Self { state, port }
    }

    /// Its address, as a setting takes it.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The issuer that its discovery document names.
    pub fn issuer(&self) -> String {
        issuer(self.port)
    }

    /// The access token that a device flow ends with from now on.
    pub fn grant(&self, token: &str) {
        token.clone_into(&mut lock(&self.state.device_flow).token);
    }

    /// Has its clock be ahead of the machine's by so many seconds.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.state.clock_ahead.store(seconds, Ordering::SeqCst);
    }

    /// How the last device flow has gone.
    pub fn device_flow(&self) -> DeviceFlow {
        lock(&self.state.device_flow).clone()
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How many requests for keys it has seen.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, manners: Manners) {
        *lock(&self.state.manners) = manners;
    }

    /// Changes the certificate it shows from now on.
    pub fn show(&self, identity: &Identity) {
        *lock(&self.state.tls) = identity.server();
    }

    /// Changes the keys it publishes from now on.
    pub fn publish(&self, keys: Vec<Arc<Signer>>) {
        *lock(&self.state.keys) = keys;
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // So that the listening thread looks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn issuer(port: u16) -> String {
    format!("{}/{TENANT}/v2.0", url(port))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut connection: TcpStream, state: &State) {
    let _ = connection.set_read_timeout(Some(Duration::from_mins(1)));
    if *lock(&state.manners) == Manners::Silent {
        state.requests.fetch_add(1, Ordering::SeqCst);
        return detain(&mut connection, &Manners::Silent, state);
    }
    if *lock(&state.manners) == Manners::HangUp {
        state.requests.fetch_add(1, Ordering::SeqCst);
        return;
    }
    if *lock(&state.manners) == Manners::Plain {
        state.requests.fetch_add(1, Ordering::SeqCst);
        // What the client said first is read, or closing would reset the connection before the answer is.
        let _ = connection.read(&mut [0; 4_096]);
        let _ = connection.write_all(response(400, "", "no TLS here").as_bytes());
        return;
    }
    let tls = Arc::clone(&lock(&state.tls));
    let Ok(session) = ServerConnection::new(tls) else { return };
    let mut stream = StreamOwned::new(session, connection);
    while let Some((path, form)) = read_request(&mut stream) {
        let manners = lock(&state.manners).clone();
        let answer = if path.contains("/discovery/") || path.contains("/keys") {
            state.requests.fetch_add(1, Ordering::SeqCst);
            answer_for_keys(&manners, &path, state)
        } else {
            Some(answer_to_client(&path, &form, state))
        };
        let Some(answer) = answer else {
            return detain(&mut stream, &manners, state);
        };
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        if answer.contains("connection: close") {
            stream.conn.send_close_notify();
            let _ = stream.flush();
            return;
        }
    }
}

/// Sends nothing, or never enough, until these are no longer the provider's manners or the client is gone.
fn detain(stream: &mut impl Write, manners: &Manners, state: &State) {
    let (opening, more) = match manners {
        Manners::Drip => ("HTTP/1.1 200 Whatever\r\ncontent-length: 1000000\r\n\r\n{", " ".to_owned()),
        Manners::EndlessHead => ("HTTP/1.1 200 Whatever\r\nx-endless: ", "x".repeat(1_024)),
        _ => ("", String::new()),
    };
    let mut next = opening;
    while !state.stopped.load(Ordering::SeqCst) && *lock(&state.manners) == *manners {
        if stream.write_all(next.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        next = &more;
        thread::sleep(Duration::from_millis(20));
    }
}

/// The path and the body of the next request; none when the client is done.
fn read_request(stream: &mut impl Read) -> Option<(String, String)> {
    let head = read_head(stream)?;
    let path = head.split(' ').nth(1)?.to_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8_lossy(&body).into_owned()))
}

/// The head of the next request; none when the client is done.
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

fn answer_for_keys(manners: &Manners, path: &str, state: &State) -> Option<String> {
    match manners {
        Manners::Hang | Manners::Silent | Manners::Drip | Manners::EndlessHead => None,
        Manners::Slow(delay) => {
            thread::sleep(*delay);
            Some(key_document(path, state))
        }
        Manners::Good | Manners::HangUp | Manners::Plain => Some(key_document(path, state)),
        Manners::Status(status, lines) => Some(response(*status, lines, "{\"error\":\"no\"}")),
        Manners::Body(body) => Some(response(200, "", body)),
        Manners::Cut => {
            let whole = key_document(path, state);
            let cut = whole.get(..whole.len() - 40).unwrap_or_default().to_owned();
            Some(cut.replacen("\r\n", "\r\nconnection: close\r\n", 1))
        }
    }
}

/// The keys of the tenant. Version 1.0 documents do not say which issuer a key is for.
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
    let time = UNIX_EPOCH + Duration::from_secs((unix_now() + ahead).unsigned_abs());
    let date = format!("date: {}\r\n", httpdate::fmt_http_date(time));
    response(200, &date, &json!({ "keys": keys }).to_string())
}

const DEVICE_CODE: &str = "device-code-1";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a client that acquires a token is answered: OpenID Connect Discovery 1.0, then RFC 8628.
fn answer_to_client(path: &str, form: &str, state: &State) -> String {
    let base = format!("{}/{TENANT}", url(state.port));
    let Some(path) = path.strip_prefix(&format!("/{TENANT}")) else { return response(404, "", "{}") };
    let field = |name: &str| {
        let mut fields = form.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(found, _)| *found == name).map(|(_, value)| decoded(value)).unwrap_or_default()
    };
    let refusal = |error: &str| response(400, "", &json!({ "error": error }).to_string());
    let mut flow = lock(&state.device_flow);
    let body = match path {
        "/v2.0/.well-known/openid-configuration" => json!({
            "issuer": issuer(state.port),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "grant_types_supported": ["authorization_code", DEVICE_GRANT],
            "response_types_supported": ["code"],
        }),
        "/oauth2/v2.0/devicecode" => {
            let token = std::mem::take(&mut flow.token);
            *flow = DeviceFlow { client: field("client_id"), scope: field("scope"), polls: 0, token };
            json!({
                "device_code": DEVICE_CODE, "user_code": "ABCD1234",
                "verification_uri": format!("{base}/devicelogin"), "interval": 1, "expires_in": 900,
                "message": "sign in",
            })
        }
        "/oauth2/v2.0/token" => {
            let expected = [DEVICE_GRANT, DEVICE_CODE, &flow.client];
            if ["grant_type", "device_code", "client_id"].map(field) != expected || flow.client.is_empty() {
                return refusal("invalid_grant");
            }
            flow.polls += 1;
            if flow.polls == 1 {
                return refusal("authorization_pending");
            }
            json!({
                "token_type": "Bearer", "scope": flow.scope, "expires_in": 3_600, "access_token": flow.token,
            })
        }
        _ => return response(404, "", "{}"),
    };
    response(200, "", &body.to_string())
}

/// A value of a form as it was before it was encoded.
fn decoded(value: &str) -> String {
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

fn response(status: u16, lines: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Whatever\r\n{lines}content-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

//! A local identity provider: HTTPS, documents of the shapes of Entra, and faulty behavior on
//! demand.

mod device_flow;
pub mod directory;
mod http;
mod keys;
mod sign_in;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::ca::{Authority, Identity};
use crate::issuer::{Signer, TENANT};
use crate::listener::{Bound, Listener};
use crate::mutex::lock;

use directory::{Directory, Reply};
use http::{read_request, response};
use sign_in::SignIn;

pub use device_flow::{DeviceFlow, USER_NAME, USER_PASSWORD};
pub use http::Request;
pub(crate) use http::read_head;

/// How the provider answers a request for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behavior {
    /// Answers as Entra does.
    Good,
    /// Answers as Entra does, after a delay.
    Slow(Duration),
    /// Reads the request and never answers.
    Hang,
    /// Answers with a status and further header lines.
    Status(u16, &'static str),
    /// Answers with this body.
    Body(String),
    /// Announces more than it sends.
    Cut,
    /// Hangs up before the TLS handshake.
    HangUp,
    /// Accepts the connection and neither reads nor writes.
    Silent,
    /// Answers in clear text where a TLS handshake is expected.
    Plain,
    /// Sends its body a byte at a time, and never ends.
    Drip,
    /// Never ends the head of its answer.
    EndlessHead,
}

struct State {
    /// By how many seconds its clock is ahead.
    clock_ahead: AtomicI64,
    port: u16,
    device_flow: Mutex<DeviceFlow>,
    sign_ins: Mutex<Vec<SignIn>>,
    directory: Directory,
    behavior: Mutex<Behavior>,
    tls: Mutex<Arc<ServerConfig>>,
    keys: Mutex<Vec<Arc<Signer>>>,
    requests: AtomicUsize,
    stopped: AtomicBool,
}

/// A running provider. Stops when dropped.
pub struct Provider {
    state: Arc<State>,
    listener: Listener,
}

impl Provider {
    /// Starts a provider on a port of 127.0.0.1, or on a free one if `port` is 0.
    pub fn start(authority: &Authority, keys: Vec<Arc<Signer>>, port: u16) -> Self {
        let bound = Bound::new(port);
        let state = Arc::new(State {
            clock_ahead: AtomicI64::new(0),
            port: bound.port(),
            device_flow: Mutex::default(),
            sign_ins: Mutex::default(),
            directory: Directory::new(bound.port()),
            behavior: Mutex::new(Behavior::Good),
            tls: Mutex::new(authority.identity().server()),
            keys: Mutex::new(keys),
            requests: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let listener = bound.serve(move |connection| serve(connection, &shared));
        Self { state, listener }
    }

    /// Returns its address, as a setting takes it.
    pub fn url(&self) -> String {
        url(self.port())
    }

    /// Returns the issuer that its discovery document names.
    pub fn issuer(&self) -> String {
        issuer(self.port())
    }

    /// Sets the access token with which users' sign-ins end from now on.
    pub fn grant(&self, token: &str) {
        token.clone_into(&mut lock(&self.state.device_flow).token);
    }

    /// Lets clients of device flows ask again at once from now on, whether the user has signed in.
    /// Without that they wait for a second, and libpq does so anyway unless it is debugged.
    pub fn hurry(&self) {
        lock(&self.state.device_flow).hurried = true;
    }

    /// Sets its clock ahead of the machine's by so many seconds.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.state.clock_ahead.store(seconds, Ordering::SeqCst);
        self.state.directory.set_clock_ahead(seconds);
    }

    /// Returns the state of the last device flow.
    pub fn device_flow(&self) -> DeviceFlow {
        lock(&self.state.device_flow).clone()
    }

    /// Returns the directory behind it: what it holds, and how it answers.
    pub fn directory(&self) -> &Directory {
        &self.state.directory
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Returns how many requests for keys it has received.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Changes how it answers requests for keys from now on. [`Behavior::Silent`],
    /// [`Behavior::HangUp`] and [`Behavior::Plain`] concern every connection, because what is asked
    /// is not known before TLS.
    pub fn behave(&self, behavior: Behavior) {
        *lock(&self.state.behavior) = behavior;
    }

    /// Changes the certificate that it presents from now on.
    pub fn present(&self, identity: &Identity) {
        *lock(&self.state.tls) = identity.server();
    }

    /// Changes the keys that it publishes from now on.
    pub fn publish(&self, keys: Vec<Arc<Signer>>) {
        *lock(&self.state.keys) = keys;
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn issuer(port: u16) -> String {
    format!("{}/{TENANT}/v2.0", url(port))
}

fn serve(mut connection: TcpStream, state: &State) {
    let behavior = lock(&state.behavior).clone();
    if [Behavior::Silent, Behavior::HangUp, Behavior::Plain].contains(&behavior) {
        state.requests.fetch_add(1, Ordering::SeqCst);
    }
    match behavior {
        Behavior::Silent => detain(&mut connection, &Behavior::Silent, state),
        Behavior::HangUp => {}
        Behavior::Plain => {
            // What the client sent is read first, or closing would reset the connection before the
            // client has read the answer.
            let _ = connection.read(&mut [0; 4_096]);
            let _ = connection.write_all(response(400, "", "no TLS here").as_bytes());
        }
        _ => serve_tls(connection, state),
    }
}

fn serve_tls(connection: TcpStream, state: &State) {
    let tls = Arc::clone(&lock(&state.tls));
    let Ok(session) = ServerConnection::new(tls) else { return };
    let mut stream = StreamOwned::new(session, connection);
    while let Some(request) = read_request(&mut stream) {
        if let Some(reply) = state.directory.answer(&request) {
            if send(&mut stream, reply, state) {
                continue;
            }
            return;
        }
        let path = &request.target;
        let behavior = lock(&state.behavior).clone();
        let answer = if path.contains("/discovery/") || path.contains("/keys") {
            state.requests.fetch_add(1, Ordering::SeqCst);
            keys::answer_for_keys(&behavior, path, state)
        } else {
            Some(device_flow::answer_to_client(&request, state))
        };
        let Some(answer) = answer else {
            return detain(&mut stream, &behavior, state);
        };
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        if answer.contains("connection: close") {
            return close(&mut stream);
        }
    }
}

/// Sends what the directory answers. Returns whether the connection can be used again.
fn send(stream: &mut StreamOwned<ServerConnection, TcpStream>, reply: Reply, state: &State) -> bool {
    if let Reply::Endless { opening, more, fault } = reply {
        let goes_on = || !state.stopped.load(Ordering::SeqCst) && state.directory.still_suffers_from(fault);
        send_endlessly(stream, &opening, &more, goes_on);
        return false;
    }
    let (Reply::Whole(bytes) | Reply::Last(bytes)) = &reply else { return false };
    let sent = stream.write_all(bytes).and_then(|()| stream.flush()).is_ok();
    if sent && matches!(reply, Reply::Last(_)) {
        close(stream);
    }
    sent && matches!(reply, Reply::Whole(_))
}

/// Tells the client that no more will come, as TLS wants it.
fn close(stream: &mut StreamOwned<ServerConnection, TcpStream>) {
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// Sends nothing, or never enough, until the provider's behavior changes or the client is gone.
fn detain(stream: &mut impl Write, behavior: &Behavior, state: &State) {
    let (opening, more) = match behavior {
        Behavior::Drip => ("HTTP/1.1 200 Whatever\r\ncontent-length: 1000000\r\n\r\n{", " ".to_owned()),
        Behavior::EndlessHead => ("HTTP/1.1 200 Whatever\r\nx-endless: ", "x".repeat(1_024)),
        _ => ("", String::new()),
    };
    let goes_on = || !state.stopped.load(Ordering::SeqCst) && *lock(&state.behavior) == *behavior;
    send_endlessly(stream, opening, &more, goes_on);
}

/// Sends an opening, and then more and more of the same as long as a condition holds.
fn send_endlessly(stream: &mut impl Write, opening: &str, more: &str, goes_on: impl Fn() -> bool) {
    let mut next = opening;
    while goes_on() {
        if stream.write_all(next.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        next = more;
        thread::sleep(Duration::from_millis(20));
    }
}

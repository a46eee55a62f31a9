//! A forward proxy on 127.0.0.1: CONNECT (RFC 9110 section 9.3.6), and a password if one is wanted.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::idp::read_head;
use crate::listener::{Bound, Listener};
use crate::mutex::lock;

struct State {
    /// The line that a client must send; none if every client is served.
    authorization: Option<String>,
    requests: AtomicUsize,
    tunnels: AtomicUsize,
    /// The first line of each request.
    asked: Mutex<Vec<String>>,
}

/// A running proxy. Takes no more connections when dropped.
pub struct Proxy {
    state: Arc<State>,
    listener: Listener,
}

impl Proxy {
    /// Starts a proxy that serves every client, or only those that send `user:password`.
    pub fn start(credentials: Option<&str>) -> Self {
        let authorization = credentials
            .map(|credentials| format!("Proxy-Authorization: Basic {}", STANDARD.encode(credentials)));
        let state = Arc::new(State {
            authorization,
            requests: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let listener = Bound::new(0).serve(move |client| serve(client, &shared));
        Self { state, listener }
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Returns how many requests it has received, served or not.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Returns the first line of each request that it has received.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state.asked).clone()
    }

    /// Returns how many tunnels it has opened.
    pub fn tunnels(&self) -> usize {
        self.state.tunnels.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, state: &State) {
    let Some(head) = read_head(&mut client) else { return };
    state.requests.fetch_add(1, Ordering::SeqCst);
    lock(&state.asked).extend(head.lines().next().map(str::to_owned));
    let (answer, target) = match destination(&head, state) {
        Ok(target) => ("200 Connection established\r\n\r\n", Some(target)),
        Err(refusal) => (refusal, None),
    };
    let answered = client.write_all(format!("HTTP/1.1 {answer}").as_bytes());
    if let (Ok(()), Some(target)) = (answered, target) {
        state.tunnels.fetch_add(1, Ordering::SeqCst);
        tunnel(&client, &target);
    }
}

/// Connects to where the client wants to go, or returns the status and the head of a refusal.
fn destination(head: &str, state: &State) -> Result<TcpStream, &'static str> {
    let (request, lines) = head.split_once("\r\n").unwrap_or_default();
    let admitted =
        state.authorization.as_ref().is_none_or(|wanted| lines.split("\r\n").any(|line| line == wanted));
    if !admitted {
        return Err("407 Proxy Authentication Required\r\n\
                    proxy-authenticate: Basic realm=\"test\"\r\ncontent-length: 0\r\n\r\n");
    }
    let target = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let target = target.ok_or("405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")?;
    TcpStream::connect(target).map_err(|_| "502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
}

/// Carries bytes both ways until both sides are done.
fn tunnel(client: &TcpStream, target: &TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| carry(client, target));
        carry(target, client);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

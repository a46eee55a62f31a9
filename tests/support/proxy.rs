//! A forward proxy on 127.0.0.1: CONNECT (RFC 9110 section 9.3.6), and a password if one is wanted.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::idp::read_head;

struct State {
    /// The line a client must send; none: anyone is served.
    authorization: Option<String>,
    requests: AtomicUsize,
    tunnels: AtomicUsize,
    stopped: AtomicBool,
}

/// A running proxy. Takes no more connections when dropped.
pub struct Proxy {
    state: Arc<State>,
    port: u16,
}

impl Proxy {
    /// Starts one that serves anyone, or only who brings `user:password`.
    pub fn start(credentials: Option<&str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let authorization = credentials
            .map(|credentials| format!("Proxy-Authorization: Basic {}", STANDARD.encode(credentials)));
        let state = Arc::new(State {
            authorization,
            requests: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
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

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it has seen, served or not.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// How many tunnels it has opened.
    pub fn tunnels(&self) -> usize {
        self.state.tunnels.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // So that the listening thread looks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut client: TcpStream, state: &State) {
    let _ = client.set_read_timeout(Some(Duration::from_mins(1)));
    let Some(head) = read_head(&mut client) else { return };
    state.requests.fetch_add(1, Ordering::SeqCst);
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

/// A connection to where the client wants to go, or the status and head lines of a refusal.
fn destination(head: &str, state: &State) -> Result<TcpStream, &'static str> {
    let (request, lines) = head.split_once("\r\n").unwrap_or_default();
    let admitted =
        state.authorization.as_ref().is_none_or(|wanted| lines.split("\r\n").any(|line| line == wanted));
    if !admitted {
        return Err("407 Proxy Authentication Required\r\n\
                    proxy-authenticate: Basic realm=\"trial\"\r\ncontent-length: 0\r\n\r\n");
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

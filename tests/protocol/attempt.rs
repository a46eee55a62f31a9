//! One connection, from its first byte until the server has hung up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use testbed::client::parse_error;

use crate::answer::{acknowledgement, answer, later};
use crate::opening::{Prelude, TLS, prelude, request, startup};
use crate::random::Random;
use crate::tokens::Tokens;
use crate::wire::{Message, Wire};

/// What all connections need.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) roles: Vec<String>,
    pub(crate) tokens: Tokens,
    /// A process that cancel requests name. They do not know its key.
    pub(crate) process: i32,
    pub(crate) seed: u64,
}

/// How far connections came, and how many messages they sent.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) messages: usize,
    /// The number of connections for each end.
    pub(crate) ends: BTreeMap<String, usize>,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }
}

/// A connection that goes on.
struct Attempt<'t> {
    target: &'t Target,
    random: Random,
    messages: usize,
}

/// Makes the connection of a number.
pub(crate) fn attempt(target: &Target, number: u64) -> Report {
    let mut attempt = Attempt { target, random: Random::of(target.seed, number), messages: 0 };
    let end = attempt.run().unwrap_or_else(|_| "connection broken".to_owned());
    Report { messages: attempt.messages, ends: BTreeMap::from([(end, 1)]) }
}

impl Attempt<'_> {
    /// Makes the connection. Returns how it ended.
    fn run(&mut self) -> io::Result<String> {
        let mut wire = Wire::new(self.target.port)?;
        let requests = match prelude(&mut self.random, self.target.process) {
            Prelude::None => Vec::new(),
            Prelude::Requests(requests) => requests,
            Prelude::Last(bytes) => {
                let _ = self.send(&mut wire, &bytes);
                return Ok(ended(wire, "no startup packet"));
            }
        };
        for code in requests {
            self.send(&mut wire, &request(code, 8))?;
            match wire.read_byte() {
                Some(b'S') if code == TLS => wire = wire.encrypt(&self.target.tls)?,
                Some(b'N') => {}
                _ => return Ok(ended(wire, "refused a request for encryption")),
            }
        }
        let end = self.log_in(&mut wire);
        Ok(ended(wire, &end))
    }

    fn send(&mut self, wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
        self.messages += 1;
        wire.send(bytes)
    }

    /// Sends the startup packet and what the server asks for. Returns how that ended. What cannot
    /// be sent is no matter: the server has hung up, and what it said before can still be read.
    fn log_in(&mut self, wire: &mut Wire) -> String {
        let startup = startup(&mut self.random, &self.target.roles);
        if self.random.percent(8) {
            // All at once, before the server has asked.
            let is_bearer = self.random.percent(30);
            let answer = answer(&mut self.random, &self.target.tokens, is_bearer);
            let _ = self.send(wire, &[startup.bytes, answer.bytes].concat());
            return "sent at once".to_owned();
        }
        let _ = self.send(wire, &startup.bytes);
        if !startup.is_whole {
            return "startup packet of a wrong length".to_owned();
        }
        let is_bearer = match until_asked(wire) {
            Asked::Password => false,
            Asked::Bearer => true,
            other => return other.name("before a token was asked for"),
        };
        if self.random.percent(3) {
            return "hung up at the request".to_owned();
        }
        let answer = answer(&mut self.random, &self.target.tokens, is_bearer);
        let _ = self.send(wire, &answer.bytes);
        if !answer.is_whole {
            return "answer of a wrong length".to_owned();
        }
        let mut asked = until_asked(wire);
        if matches!(asked, Asked::More) {
            let answer = acknowledgement(&mut self.random, &self.target.tokens);
            let _ = self.send(wire, &answer.bytes);
            if !answer.is_whole {
                return "acknowledgement of a wrong length".to_owned();
            }
            asked = until_asked(wire);
        }
        if matches!(asked, Asked::Nothing) {
            for _ in 0..self.random.below(4) {
                let message = later(&mut self.random);
                let _ = self.send(wire, &message);
            }
        }
        asked.name("after the token")
    }
}

/// What a server wants next.
enum Asked {
    Password,
    Bearer,
    /// An answer to the error of OAUTHBEARER.
    More,
    /// The client is in.
    Nothing,
    /// Refused with an SQLSTATE.
    Refused(String),
    HungUp,
    Other,
}

impl Asked {
    fn name(self, when: &str) -> String {
        match self {
            Self::Nothing => format!("admitted {when}"),
            Self::Refused(sqlstate) => format!("refused with {sqlstate} {when}"),
            Self::HungUp => format!("hung up {when}"),
            Self::Password | Self::Bearer | Self::More | Self::Other => format!("asked again {when}"),
        }
    }
}

fn until_asked(wire: &mut Wire) -> Asked {
    loop {
        let Some(Message { kind, body }) = wire.message() else { return Asked::HungUp };
        match (kind, body.first_chunk().map(|code| i32::from_be_bytes(*code))) {
            (b'R', Some(0)) => {}
            (b'R', Some(3)) => return Asked::Password,
            (b'R', Some(10)) => return Asked::Bearer,
            (b'R', Some(11)) => return Asked::More,
            (b'R', _) => return Asked::Other,
            (b'E', _) => return Asked::Refused(parse_error(&body).sqlstate),
            (b'Z', _) => return Asked::Nothing,
            _ => {}
        }
    }
}

/// Ends a connection. A server that does not hang up has a name that the run looks for.
fn ended(wire: Wire, end: &str) -> String {
    if wire.finish() { end.to_owned() } else { format!("{HANGS} {end}") }
}

/// What the end of a connection begins with that the server has not ended.
pub(crate) const HANGS: &str = "NOT ENDED";

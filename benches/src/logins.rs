//! The kinds of login that are compared.

use std::time::{Duration, Instant};

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use testbed::client::{AuthRequest, Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::installation::Installation;

/// The password of the role that has one.
pub(crate) const SECRET: &str = "correct horse battery staple";

/// How a client logs in. Each kind has a role, and so a line, of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By a line of pg_hba.conf.
    Trust,
    /// By a password.
    Scram,
    /// By a token.
    Token(Door),
}

impl Kind {
    /// Returns the kinds that a server has, in the order of all tables.
    pub(crate) fn all(installation: &Installation) -> Vec<Self> {
        let doors = Door::all(installation).into_iter().map(Self::Token);
        [Self::Trust, Self::Scram].into_iter().chain(doors).collect()
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Trust => "`trust`",
            Self::Scram => "SCRAM-SHA-256",
            Self::Token(Door::Password) => "token, `trust`",
            Self::Token(Door::Pam) => "token, `pam`",
            Self::Token(Door::OAuth) => "token, `oauth`",
        }
    }

    /// Returns the role, which the doors' lines name.
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Trust => "trusted",
            Self::Scram => "secretive",
            Self::Token(door) => door.name(),
        }
    }
}

/// Returns a pg_hba.conf with a line for each of these kinds.
pub(crate) fn hba(kinds: &[Kind], service: &str) -> String {
    let lines = kinds.iter().map(|kind| {
        let method = match kind {
            Kind::Trust => "trust".to_owned(),
            Kind::Scram => "scram-sha-256".to_owned(),
            Kind::Token(door) => door.clause(service),
        };
        format!("hostssl all {} 127.0.0.1/32 {method}\n", kind.role())
    });
    format!("local all postgres trust\n{}", lines.collect::<String>())
}

/// Where to log in, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Logins<'s> {
    pub(crate) cluster: &'s Cluster,
    pub(crate) token: &'s str,
}

impl Logins<'_> {
    /// Logs in, and out.
    pub(crate) fn once(&self, kind: Kind) -> Outcome {
        match kind {
            Kind::Trust => self.login(kind.role(), ""),
            Kind::Scram => self.scram_login(kind.role(), SECRET),
            Kind::Token(_) => self.login(kind.role(), self.token),
        }
    }

    /// Returns the time until a client is ready for queries.
    pub(crate) fn timed(&self, kind: Kind) -> Duration {
        let begin = Instant::now();
        assert_eq!(self.once(kind), Outcome::Ready);
        begin.elapsed()
    }

    fn login(&self, role: &str, password: &str) -> Outcome {
        self.cluster.client().login(&[("user", role), ("database", "postgres")], password)
    }

    /// Logs in by SCRAM (RFC 5802), without channel binding.
    fn scram_login(&self, role: &str, password: &str) -> Outcome {
        let mut client = self.cluster.client();
        client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Other(10), "SASL");
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let first = scram.message().to_vec();
        let length = i32::try_from(first.len()).expect("a short message").to_be_bytes();
        send(&mut client, &[SCRAM_SHA_256.as_bytes(), &[0], &length, &first].concat());
        scram.update(&client.challenge(11)).expect("the server's first message");
        let last = scram.message().to_vec();
        send(&mut client, &last);
        scram.finish(&client.challenge(12)).expect("the server's signature");
        match client.auth_request() {
            AuthRequest::Finished(outcome) => outcome,
            request => panic!("the server asks again: {request:?}"),
        }
    }
}

fn send(client: &mut RawClient, body: &[u8]) {
    client.send(b'p', body).expect("a connection");
}

/// Returns the median, in milliseconds.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

/// How long logins took, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    /// A quarter of them took no longer.
    pub(crate) low: f64,
    pub(crate) median: f64,
    /// A quarter of them took longer.
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |place: usize| times.get(place).map_or(0.0, Duration::as_secs_f64) * 1_000.0;
        Self { low: at(times.len() / 4), median: at(times.len() / 2), high: at(times.len() * 3 / 4) }
    }
}

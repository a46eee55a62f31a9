//! The kinds of login that are compared.

use std::time::{Duration, Instant};

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use trial::client::{Asked, Outcome, RawClient};
use trial::cluster::Cluster;

/// The password of the role that has one.
pub(crate) const SECRET: &str = "correct horse battery staple";

/// Each kind has a role of its own.
pub(crate) const HBA: &str = "\
local all postgres trust
hostssl all trusted 127.0.0.1/32 trust
hostssl all secretive 127.0.0.1/32 scram-sha-256
hostssl all +azure_ad_user 127.0.0.1/32 trust
";

/// The kinds, in the order of all tables.
pub(crate) const KINDS: [Kind; 3] = [Kind::Trust, Kind::Scram, Kind::Token];

/// How somebody logs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By a line of pg_hba.conf.
    Trust,
    /// By a password.
    Scram,
    /// By a token.
    Token,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Trust => "`trust`",
            Self::Scram => "SCRAM-SHA-256",
            Self::Token => "token",
        }
    }
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
            Kind::Trust => self.login("trusted", ""),
            Kind::Scram => self.scram_login("secretive", SECRET),
            Kind::Token => self.login("ann", self.token),
        }
    }

    /// The time until a client is ready for queries.
    pub(crate) fn timed(&self, kind: Kind) -> Duration {
        let begin = Instant::now();
        assert_eq!(self.once(kind), Outcome::Ready);
        begin.elapsed()
    }

    fn login(&self, role: &str, password: &str) -> Outcome {
        self.cluster.client().login(&[("user", role), ("database", "postgres")], password)
    }

    /// RFC 5802, without channel binding.
    fn scram_login(&self, role: &str, password: &str) -> Outcome {
        let mut client = self.cluster.client();
        client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.asked(), Asked::Other(10), "SASL");
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let first = scram.message().to_vec();
        let length = i32::try_from(first.len()).expect("a short message").to_be_bytes();
        send(&mut client, &[SCRAM_SHA_256.as_bytes(), &[0], &length, &first].concat());
        scram.update(&client.challenge(11)).expect("the server's first message");
        let last = scram.message().to_vec();
        send(&mut client, &last);
        scram.finish(&client.challenge(12)).expect("the server's signature");
        match client.asked() {
            Asked::Nothing(outcome) => outcome,
            asked => panic!("the server asks again: {asked:?}"),
        }
    }
}

fn send(client: &mut RawClient, body: &[u8]) {
    client.send(b'p', body).expect("a connection");
}

/// In milliseconds.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

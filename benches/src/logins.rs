//! The kinds of login that are compared.

use std::time::{Duration, Instant};

use testbed::client::Outcome;
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

/// Returns a pg_hba.conf with a line for each of these kinds. `clause`: how the line of a door
/// ends.
pub(crate) fn hba(kinds: &[Kind], clause: impl Fn(Door) -> String) -> String {
    let lines = kinds.iter().map(|kind| {
        let method = match kind {
            Kind::Trust => "trust".to_owned(),
            Kind::Scram => "scram-sha-256".to_owned(),
            Kind::Token(door) => clause(*door),
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

    /// Logs in by SCRAM, without channel binding.
    fn scram_login(&self, role: &str, password: &str) -> Outcome {
        self.cluster.client().scram_login(&[("user", role), ("database", "postgres")], password)
    }
}

/// Returns the median, in milliseconds.
pub(crate) fn median(times: Vec<Duration>) -> f64 {
    Spread::of(times).median
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

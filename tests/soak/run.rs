//! What all threads of a run share, and how each repeats its story.

use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::Signer;
use testbed::mutex::lock;
use testbed::scene::KEY;
use testbed::waits::eventually;
use testbed::watch::Pieces;

use crate::gate::Gate;
use crate::scenery::Scenery;
use crate::tally::Tally;

/// What a story comes to: an error says what should have been different.
pub(crate) type Told = Result<(), String>;

/// A run.
pub(crate) struct Run {
    pub(crate) scenery: Scenery,
    pub(crate) gate: Gate,
    pub(crate) tally: Tally,
    pub(crate) pieces: Mutex<Pieces>,
    /// The key that tokens are signed by.
    key: Mutex<Arc<Signer>>,
    /// The process of the session that lasts as long as the server is up; 0 if there is none.
    pub(crate) resident: AtomicI32,
}

impl Run {
    pub(crate) fn new(scenery: Scenery, length: Duration) -> Self {
        Self {
            scenery,
            gate: Gate::new(length),
            tally: Tally::default(),
            pieces: Mutex::default(),
            key: Mutex::new(Arc::clone(&KEY)),
            resident: AtomicI32::new(0),
        }
    }

    pub(crate) const fn cluster(&self) -> &Cluster {
        &self.scenery.cluster
    }

    /// Tells a story again and again.
    pub(crate) fn repeat(&self, name: &'static str, pause: Duration, mut story: impl FnMut(&Self) -> Told) {
        while self.gate.goes_on() {
            self.tell(name, &mut story);
            self.pause(pause);
        }
    }

    /// Tells a story. One that fails while the server crashes has not failed.
    pub(crate) fn tell(&self, name: &'static str, mut story: impl FnMut(&Self) -> Told) {
        let count = self.gate.pass();
        match story(self) {
            Ok(()) => self.tally.done(name),
            Err(_) if !self.gate.was_open_since(count) => self.tally.interrupted(name),
            Err(how) => self.tally.failed(name, &how),
        }
    }

    /// Does nothing for so long, or until the run is over.
    pub(crate) fn pause(&self, length: Duration) {
        sleep(length.min(self.gate.left()));
    }

    /// Returns a token with these claims, signed by the present key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_by(&self.key(), claims)
    }

    /// Returns a token that a key has signed.
    pub(crate) fn token_by(&self, key: &Signer, claims: &Value) -> String {
        let token = key.token(claims);
        lock(&self.pieces).add(&token);
        token
    }

    /// Returns the key that tokens are signed by.
    pub(crate) fn key(&self) -> Arc<Signer> {
        Arc::clone(&lock(&self.key))
    }

    /// Has tokens signed by another key from now on.
    pub(crate) fn sign_by(&self, key: &Arc<Signer>) {
        *lock(&self.key) = Arc::clone(key);
    }

    /// Logs in. Returns the session, and what came of the login.
    pub(crate) fn login(&self, role: &str, token: &str) -> Result<(RawClient, Outcome), String> {
        let tls = self.cluster().template.authority.client();
        let client = RawClient::tcp(self.cluster().port, Some(tls));
        let mut client = client.map_err(|fault| format!("{role}: {fault}"))?;
        let outcome = client.login(&[("user", role), ("database", "postgres")], token);
        Ok((client, outcome))
    }

    /// Logs in, and returns the session, in which a first statement has been run.
    pub(crate) fn session(&self, role: &str, token: &str) -> Result<RawClient, String> {
        let (mut client, outcome) = self.login(role, token)?;
        if outcome != Outcome::Ready {
            return Err(format!("{role} was not admitted: {outcome:?}"));
        }
        match client.query("SELECT session_user") {
            Ok(rows) if rows == [Some(role.to_owned())] => Ok(client),
            other => Err(format!("{role}: a first statement came to {other:?}")),
        }
    }

    /// Expects a login to be refused, with an SQLSTATE that begins so.
    pub(crate) fn refused(&self, role: &str, token: &str, sqlstate: &str) -> Told {
        match self.login(role, token)?.1 {
            Outcome::Refused(error) if error.sqlstate.starts_with(sqlstate) => Ok(()),
            other => Err(format!("{role} was not refused with {sqlstate}: {other:?}")),
        }
    }

    /// Runs a statement as the superuser, in a session of its own. Returns the first value.
    pub(crate) fn ask(&self, statement: &str) -> Result<String, String> {
        let client = RawClient::unix(self.cluster().folder().path(), self.cluster().port);
        let mut client = client.map_err(|fault| format!("{statement}: {fault}"))?;
        let outcome = client.login(&[("user", "postgres"), ("database", "postgres")], "");
        if outcome != Outcome::Ready {
            return Err(format!("{statement}: {outcome:?}"));
        }
        let rows = client.query(statement).map_err(|error| format!("{statement}: {error:?}"))?;
        client.disconnect();
        Ok(rows.into_iter().next().flatten().unwrap_or_default())
    }
}

/// Expects a session to be ended by the server.
pub(crate) fn ends(mut session: RawClient) -> Told {
    match session.last_error() {
        Some(error) if error.sqlstate == "57P01" => Ok(()),
        other => Err(format!("a session was not ended as it should have been: {other:?}")),
    }
}

/// Tries again until something succeeds. Returns what it came to, or how the last try failed.
pub(crate) fn wait_for<T>(mut attempt: impl FnMut() -> Result<T, String>, what: &str) -> Result<T, String> {
    let mut last = Err(String::new());
    eventually(|| {
        last = attempt();
        last.is_ok()
    });
    last.map_err(|how| format!("{what}: {how}"))
}

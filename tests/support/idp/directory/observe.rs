//! What a test learns about the requests that have arrived.

use super::Directory;
use super::record::Kind;
use crate::idp::Request;
use crate::mutex::lock;

impl Directory {
    /// Returns how many requests of a kind have arrived. A batch is one request.
    pub fn requests(&self, kind: Kind) -> usize {
        lock(&self.data).record.requests(kind)
    }

    /// Returns how many requests of a kind have arrived, alone or in batches.
    pub fn questions(&self, kind: Kind) -> usize {
        lock(&self.data).record.questions(kind)
    }

    /// Returns the resource units that Graph has counted for throttling.
    pub fn units(&self) -> usize {
        lock(&self.data).record.units()
    }

    /// Returns the last request of a kind.
    pub fn last(&self, kind: Kind) -> Option<Request> {
        lock(&self.data).record.last(kind)
    }

    /// Returns the last thousand requests of the provider in the order of their arrival, those for
    /// keys and by device flows included.
    pub fn arrived(&self) -> Vec<(Kind, Request)> {
        lock(&self.data).record.kept()
    }

    /// Forgets the requests that have arrived: counts begin at 0 again.
    pub fn forget_requests(&self) {
        lock(&self.data).record.forget();
    }

    /// Says where a secret, an assertion or a token has arrived at a place that it must not be
    /// sent to. The texts do not show the secrets.
    pub fn misplaced_secrets(&self) -> Vec<String> {
        lock(&self.data).record.leaks()
    }

    /// Returns every text that no log line, error or view may hold: secrets, assertions and tokens
    /// that have been used so far.
    pub fn secrets(&self) -> Vec<String> {
        lock(&self.data).record.secrets()
    }
}

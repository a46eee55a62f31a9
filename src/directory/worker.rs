//! The background worker that asks the directory.

use std::time::Duration;

use entra::Uuid;
use entra::directory::look;

use crate::directory::memory::publish;
use crate::pg::worker::{self, Task, Worker};
use crate::pg::{environment, process};
use crate::settings;

/// A session that logged in with a token, as far as the worker must know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenSession {
    /// The token's own object.
    pub(crate) person: Uuid,
    /// Whether that is a user's or a service's.
    pub(crate) kind: entra::TokenKind,
    /// The group by which it was let in, if it was by one.
    pub(crate) group: Option<Uuid>,
    /// `iat` of its token, Unix seconds.
    pub(crate) issued_at: i64,
    /// `exp` of its token, Unix seconds.
    pub(crate) expires_at: i64,
}

/// Who is to be looked at. Asked in a transaction.
pub(crate) trait Polled {
    /// Returns what roles are linked to.
    fn linked() -> Vec<look::Polled>;
    /// Returns the ids that administrators are linked to.
    fn administrators() -> Vec<Uuid>;
    /// Returns the sessions that logged in with a token.
    fn open_sessions() -> Vec<OpenSession>;
}

/// Its row in the table of workers.
pub(crate) const fn worker<P: Polled>() -> Worker {
    Worker { name: "azure_ad_auth directory", reads_catalogs: true, run: run::<P> }
}

fn run<P: Polled>() {
    process::end_without_destructors();
    environment::remove(&["SSL_CERT_FILE", "SSL_CERT_DIR"]);
    publish::worker_started();
    worker::run(&mut DirectoryWorker);
}

struct DirectoryWorker;

impl Task for DirectoryWorker {
    fn work(&mut self) -> Duration {
        publish::note_heartbeat();
        Duration::from_mins(1)
    }

    fn reload(&mut self) {
        settings::reload();
    }
}

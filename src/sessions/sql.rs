//! The SQL functions about sessions.

use pgrx::Uuid;
use pgrx::prelude::*;

use crate::catalog;
use crate::pg::acl::may_monitor;
use crate::pg::argument::Argument;
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::library::{self, Preloaded};
use crate::pg::process;
use crate::pg::text::{self, Json, Text};
use crate::pg::values::uuid;
use crate::sessions::{memory, own};

/// Returns the sessions that logged in with a token: all of them to members of `pg_monitor`, to
/// others their own.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_sessions() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(role_name, Option<Text>),
        name!(object_id, Uuid),
        name!(tenant_id, Uuid),
        name!(kind, &'static str),
        name!(via_group, Option<Uuid>),
        name!(client_app, Option<Uuid>),
        name!(display_name, Option<Text>),
        name!(token_id, Option<Text>),
        name!(key_id, Text),
        name!(logged_in_at, f64),
        name!(token_issued_at, f64),
        name!(token_expires_at, f64),
        name!(door, Text),
    ),
> {
    or_raise(library::require());
    // A caller that may see only its own session does not take the lock of the list, for which
    // logins wait.
    let visible =
        if may_monitor() { memory::sessions() } else { memory::own_session().into_iter().collect() };
    let rows = visible.into_iter().map(|session| {
        let bearer = session.bearer;
        (
            session.pid,
            catalog::role_of(session.role).map(|role| Text::name(&role.name)),
            uuid(bearer.object_id),
            uuid(bearer.tenant),
            bearer.kind.as_str(),
            bearer.group.map(uuid),
            bearer.application.map(uuid),
            session.display_name.map(|name| Text::shown(&name.text())),
            session.token_id.map(|id| Text::shown(&id.text())),
            Text::shown(&session.key_id.text()),
            seconds(session.logged_in_at),
            seconds(session.issued_at),
            seconds(session.expires_at),
            Text::shown(&session.door.text()),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Returns the claims of the token this session logged in with; null if it logged in with none.
#[pg_extern(sql = false)]
fn session_claims() -> Option<Json> {
    or_raise(require_own_token());
    own::with_token(|token| Json::exact(&token.shown_claims()))
}

/// Returns one claim as text: a string as it is, anything else as JSON.
#[pg_extern(sql = false)]
fn session_claim(name: Argument<'_>) -> Option<Text> {
    or_raise(require_own_token());
    // No token is longer, and so no name of a claim is.
    let name = name.within(entra::limits::MAX_TOKEN_BYTES)?;
    let claim = own::with_token(|token| token.shown_claim(&text::decode(name))).flatten()?;
    Some(Text::exact(&claim))
}

/// Checks that null means: this session logged in without a token. Another copy of the library does
/// not know how the session was authenticated; where the server has loaded none, no session logged
/// in with a token. A parallel worker does not know the token of its leader: the planner keeps
/// calls that it sees away from the worker, but not those in a function that claims to be PARALLEL
/// SAFE.
fn require_own_token() -> Result<()> {
    if library::status() == Preloaded::AnotherFile {
        library::require()?;
    }
    if process::is_parallel_worker() {
        return Err(Fault::prerequisite("the claims of a session cannot be read in a parallel worker")
            .hint("A function that reads them must not be PARALLEL SAFE."));
    }
    Ok(())
}

//! The SQL functions about sessions.

use pgrx::Uuid;
use pgrx::prelude::*;

use crate::catalog;
use crate::pg::argument::Argument;
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::library::{self, Preloaded};
use crate::pg::text::{self, Json, Text};
use crate::sessions::{Session, memory, own};

/// Sessions that logged in with a token: all of them to members of `pg_monitor`, one's own to everybody.
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
    // Who sees their own only has no business with the list, which logins wait for.
    let visible = if monitors() { memory::sessions() } else { memory::own_session().into_iter().collect() };
    TableIterator::new(visible.iter().map(row).collect::<Vec<_>>())
}

#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn row(
    session: &Session,
) -> (
    i32,
    Option<Text>,
    Uuid,
    Uuid,
    &'static str,
    Option<Uuid>,
    Option<Uuid>,
    Option<Text>,
    Option<Text>,
    Text,
    f64,
    f64,
    f64,
    Text,
) {
    (
        session.pid,
        catalog::role_of(session.role).map(|role| Text::name(&role.name)),
        uuid(session.bearer.object_id),
        uuid(session.bearer.tenant),
        session.bearer.kind.as_str(),
        session.bearer.group.map(uuid),
        session.bearer.application.map(uuid),
        session.display_name.as_deref().map(Text::shown),
        session.token_id.as_deref().map(Text::shown),
        Text::shown(&session.key_id),
        seconds(session.logged_in_at),
        seconds(session.issued_at),
        seconds(session.expires_at),
        Text::shown(&session.door),
    )
}

/// The claims of the token this session logged in with; null if it logged in with none.
#[pg_extern(sql = false)]
fn session_claims() -> Option<Json> {
    or_raise(require_own_token());
    own::with_token(|token| Json::exact(&token.shown_claims()))
}

/// One of them as text: a string as it is, anything else as JSON.
#[pg_extern(sql = false)]
fn session_claim(name: Argument<'_>) -> Option<Text> {
    or_raise(require_own_token());
    // No token is longer, nor then the name of a claim.
    let name = name.within(entra::limits::MAX_TOKEN_BYTES)?;
    let claim = own::with_token(|token| token.shown_claim(&text::decode(name))).flatten()?;
    Some(Text::exact(&claim))
}

/// That null means: this session came in without a token. Another copy of the library knows nothing of how it came in; where none is
/// loaded by the server, no session came in with one. A parallel worker does not know what its leader came in with: the planner keeps
/// calls that it sees away from it, a user's function that claims to be PARALLEL SAFE does not.
fn require_own_token() -> Result<()> {
    if library::status() == Preloaded::AnotherFile {
        library::require()?;
    }
    #[expect(unsafe_code, reason = "reads the state of the process")]
    // SAFETY: a plain value of the process, set at its start.
    if unsafe { pg_sys::ParallelWorkerNumber } >= 0 {
        return Err(Fault::prerequisite("the claims of a session cannot be read in a parallel worker")
            .hint("A function that reads them must not be PARALLEL SAFE."));
    }
    Ok(())
}

/// Whether the current user may see what others do.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn monitors() -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_MONITOR)) }
}

fn uuid(id: entra::Uuid) -> Uuid {
    Uuid::from_bytes(id.into_bytes())
}

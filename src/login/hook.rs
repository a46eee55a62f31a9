//! The decision about a connection: PostgreSQL's ClientAuthentication hook, which is called once a method of pg_hba.conf has had
//! its say, and can only refuse. A token arrives by one of three doors:
//!
//! - password: the line says `trust`, and the hook itself asks for the token, in [`crate::login::door::password`];
//! - pam: the line says `pam`, and PAM has asked this library, in [`crate::login::door::pam`];
//! - oauth: the line says `oauth`, and PostgreSQL 18 has asked this library, in `crate::login::door::oauth`.
//!
//! Behind the last two the verdict is there before the hook is called; [`crate::login::decision`] keeps it so long.
//!
//! A connection is accepted, as far as this library is concerned, if
//!
//! A1. it asks for a role that is none of ours: whatever the method decided stands. For a superuser
//!     who is no member of `azure_ad_user`, by a method that is no door, that is decided without a
//!     look at labels: pg_shseclabel may be locked or damaged, and somebody must be able to mend
//!     it;
//! A2. it asks for a linked role, was matched by a door's method, and brought a token by that door that [`crate::login::admit`] accepts;
//! A3. it asks for a role that is an Azure AD role by inheritance only and another method than `trust` authenticated it;
//!     a warning is logged. No GRANT can lock out a superuser.
//!
//! A connection is refused, with a line in the log unless it says otherwise, if
//!
//! R1. the method refused it and no verdict of ours says why: its reason stands and nothing is added, in the log neither;
//! R2. it asks for `azure_ad_user` or `azure_ad_admin`; or, behind `trust`, for a name that is no
//!     role's. Core would say that a moment later, if there is no such role then either; what has
//!     come to be one meanwhile was judged by nobody;
//! R3. it asks for a linked role and was matched by another method, even one that would let it in; a success of `pam` or
//!     `oauth` that is not ours is one (`wrong_method`);
//! R4. it is not protected by TLS or a Unix-domain socket (`tls_required`);
//! R5. the settings are incomplete or wrong, or name another tenant than the administrators', or the `oauth` line sends clients to
//!     another one (`not_configured`);
//! R6. there is no administrator (`no_admin`);
//! R7. the role is privileged (`privileged_role`) or has no LOGIN;
//!
//! and only after these is the token asked for (by `oauth` it is there already):
//!
//! R8. the client hangs up: silently, as core does;
//! R9. the answer is no password message, or has a NUL in it: core's own errors;
//! R10. the token is not believed, or the keys to judge it are missing;
//! R11. the name no longer belongs to the role it belonged to when pg_hba.conf's line was chosen or the token was asked for, or R4 to
//!      R7 hold now;
//! R12. the role is not linked, or not to this token's object; by `pam` and `oauth` that includes roles that are none of ours, and
//!      names that are no role's.
//!
//! What was accepted is looked at once more by [`crate::login::seal`], at the end of the startup
//! transaction: after core has looked the name up for itself, and before anything the client says
//! in its session is read, be it a session, a walsender of a database or one of none. The session
//! is ended, with a line in the log whose door is `seal`, if
//!
//! S1. its role is not the one that was accepted here, by whatever method;
//! S2. it was accepted with a token, and its role is no longer linked to the same object; or tokens
//!     like its own have been revoked; or there is no administrator any more, where sessions end
//!     for that;
//! S3. it was accepted without a token, and its role is an Azure AD role now; A3 stands. A
//!     superuser who was accepted without a look at labels is let be;
//! S4. this hook has accepted no role, for another library's hook did not call it or there was no
//!     such role, and the role is an Azure AD role, or a `trust` line let the client in that would
//!     not be chosen for it now.
//!
//! S1 to S3 are asked again before the session's first statement, for what changes between the two.
//!
//! Hooks that were installed before ours see the true result: OK only after A1 to A3, EOF after R8, ERROR otherwise. Hooks
//! installed after ours call us and see nothing of a refusal, which is why azure_ad_auth is named last in
//! shared_preload_libraries.

use std::cell::Cell;
use std::ffi::c_int;
use std::panic::AssertUnwindSafe;

use entra::Code;
use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::catalog::{self, Role, Standing};
use crate::login::decision::{self, Objection};
use crate::login::door::password;
use crate::login::preconditions::marker_refused;
use crate::login::{Admission, Door, Refused, Visitor, attempt, attend, guard, record};
use crate::pg::wire::{self, Connection, Method, Port, STATUS_EOF, STATUS_ERROR, STATUS_OK};
use crate::report::{self, Attempt, Denial};
use crate::sessions;
use crate::sessions::own::{self, Authentication};

thread_local! {
    /// The hook that was there before ours. Set once, in the postmaster, and inherited by every backend.
    static PREVIOUS: Cell<wire::ClientAuthentication_hook_type> = const { Cell::new(None) };
}

/// Installs the hook.
#[expect(unsafe_code, reason = "installs a C hook")]
pub(crate) fn install() {
    // SAFETY: runs once, in the postmaster, before any backend is forked.
    unsafe {
        PREVIOUS.set(wire::ClientAuthentication_hook);
        wire::ClientAuthentication_hook = Some(on_client_authentication);
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of the hook")]
unsafe extern "C-unwind" fn on_client_authentication(port: *mut Port, status: c_int) {
    // SAFETY: core calls the hook with the connection it is authenticating.
    let connection = unsafe { Connection::new(port) };
    receive(connection, status);
}

/// Decides about a connection after the method of pg_hba.conf has.
fn receive(connection: Connection, status: c_int) {
    guard::note_servers_libraries();
    let door = Door::behind(connection.method());
    let verdict = decision::take(door);
    let attempt = attempt(connection, door.unwrap_or(Door::Password));
    match (status, verdict) {
        // After an error nothing goes on, whatever others have said.
        (STATUS_OK | STATUS_ERROR, Some(Err(Objection::Failed(error)))) => {
            call_previous(connection, STATUS_ERROR);
            report::raise_again(*error)
        }
        (STATUS_ERROR, Some(Err(Objection::Refused(refused)))) => raise(connection, &attempt, refused),
        // Somebody else refused it all the same: another module of PAM's, or the map of identities.
        (STATUS_ERROR, None | Some(Ok(_))) => call_previous(connection, STATUS_ERROR),
        (STATUS_OK, Some(Ok(admission))) => token_admits(connection, &attempt, admission),
        (STATUS_OK, Some(Err(Objection::Refused(refused)))) => {
            method_admits(connection, &attempt, Some(refused));
        }
        (STATUS_OK, None) => method_admits(connection, &attempt, None),
        _ => call_previous(connection, status),
    }
}

/// A2 behind a method that has asked us. The token opened a linked role; if that is no longer what goes by this name, the
/// method has said nothing about what does.
fn token_admits(connection: Connection, attempt: &Attempt, admission: Admission) {
    match Visitor::of(connection).role {
        Some((role, Standing::Linked(_))) if role.id == admission.role => {
            welcome(connection, attempt, admission);
        }
        _ => {
            let problem = "the role was unlinked, renamed or dropped after its token was accepted";
            refuse(connection, attempt, no_longer_linked(attempt, problem))
        }
    }
}

/// The method lets the client in, and no token of ours does: A1 to A3, R2 to R12. `refused`: what we have said to the method.
fn method_admits(connection: Connection, attempt: &Attempt, refused: Option<Refused>) {
    let method = connection.method();
    if method == Method::Other
        && let Some(role) = superuser_apart(connection)
    {
        own::note(Authentication::Superuser { role });
        return accept(connection);
    }
    let visitor = Visitor::of(connection);
    let Some((role, standing)) = &visitor.role else {
        return match method {
            Method::Trust => refuse(connection, attempt, Refused::NoRole),
            // Core says next that there is no such role. If there is one by then, the method has
            // authenticated it.
            Method::Pam | Method::OAuth | Method::Other => accept(connection),
        };
    };
    match (standing, method) {
        // The line may have let in an Azure AD role, to be asked for its token here, that is none any more.
        (Standing::Local, Method::Trust) if !is_matched_as(connection, role) => {
            let problem = "the role was unlinked or renamed after a line of pg_hba.conf had matched it";
            refuse(connection, attempt, no_longer_linked(attempt, problem))
        }
        (Standing::Local, _) => let_pass(connection, role, method),
        (Standing::Inherited, Method::Pam | Method::OAuth | Method::Other) => {
            report::warn_inherited(attempt);
            let_pass(connection, role, method);
        }
        (Standing::Marker, _) => refuse(connection, attempt, marker_refused(&visitor, role)),
        (Standing::Linked(_) | Standing::Inherited, Method::Trust) => match judge(connection, &visitor) {
            Ok(admission) => welcome(connection, attempt, admission),
            Err(refused) => refuse(connection, attempt, refused),
        },
        (Standing::Linked(_), Method::Pam | Method::OAuth | Method::Other) => {
            admitted_by_other(connection, attempt, refused)
        }
    }
}

/// The first door. Of a fault of ours no text reaches anyone; an error of PostgreSQL's goes its way.
fn judge(connection: Connection, visitor: &Visitor) -> Result<Admission, Refused> {
    PgTryBuilder::new(AssertUnwindSafe(|| attend(visitor, |_| password::ask(connection))))
        .catch_others(|error| match error {
            CaughtError::RustPanic { .. } => Err(decision::fault(&visitor.display_name()).into()),
            error => error.rethrow(),
        })
        .execute()
}

/// R3: a method other than `trust` lets a linked role in, and it was not we who said so.
fn admitted_by_other(connection: Connection, attempt: &Attempt, refused: Option<Refused>) -> ! {
    match refused {
        Some(refused) => raise(connection, attempt, refused),
        None => refuse(connection, attempt, Denial::new(Code::WrongMethod, &attempt.role, vec![]).into()),
    }
}

fn no_longer_linked(attempt: &Attempt, problem: &str) -> Refused {
    Denial::new(Code::NotLinked, &attempt.role, vec![("problem", problem.to_owned())]).into()
}

/// Whether the line of pg_hba.conf would be chosen again for this very role.
fn is_matched_as(connection: Connection, role: &Role) -> bool {
    catalog::holds_while_named(role.id, &connection.role_name(), || connection.is_matched_again())
}

/// The role that is asked for, if it is a superuser and no Azure AD role. Reads no label.
fn superuser_apart(connection: Connection) -> Option<pg_sys::Oid> {
    catalog::accept_changes();
    let role = catalog::role_named(&connection.role_name())?;
    catalog::is_superuser_apart(&role).then_some(role.id)
}

/// A1, A3: the method's decision stands.
fn let_pass(connection: Connection, role: &Role, method: Method) {
    own::note(Authentication::Method { role: role.id, trusted: method == Method::Trust });
    accept(connection);
}

/// A2.
fn welcome(connection: Connection, attempt: &Attempt, admission: Admission) {
    let Admission { role, principal, token, took } = admission;
    own::note(Authentication::Token { role, object_id: principal.object_id });
    connection.set_identity(&token.object_id.to_string());
    sessions::enter(role, &principal, &token, attempt.door);
    accept(connection);
    record::admission(attempt, &token, took);
    own::note_token(token);
}

/// Tells the hooks before ours. What they, pg_hba.conf and we have asked about memberships is
/// forgotten: it may have changed while the client was asked for its token or password.
fn accept(connection: Connection) {
    call_previous(connection, STATUS_OK);
    catalog::forget_memberships();
}

/// Logs, and raises.
fn refuse(connection: Connection, attempt: &Attempt, refused: Refused) -> ! {
    if let Refused::Denied(denial) = &refused {
        record::refusal(attempt, denial);
    }
    raise(connection, attempt, refused)
}

/// Tells the hooks before ours, and raises.
fn raise(connection: Connection, attempt: &Attempt, refused: Refused) -> ! {
    let status = if matches!(refused, Refused::HungUp) { STATUS_EOF } else { STATUS_ERROR };
    call_previous(connection, status);
    match refused {
        Refused::Denied(denial) => report::refuse(denial),
        Refused::NoLogin => report::refuse_nologin(&attempt.role),
        Refused::NoRole => report::refuse_no_role(&attempt.role),
        Refused::HungUp => wire::end_quietly(),
    }
}

/// Tells the hook that was there before ours.
pub(super) fn call_previous(connection: Connection, status: c_int) {
    wire::call_previous(PREVIOUS.get(), connection, status);
}

//! The decision about a connection: PostgreSQL's ClientAuthentication hook, which is called once a
//! method of pg_hba.conf has had its say, and can only refuse. A token arrives by one of three
//! doors:
//!
//! - password: the line says `trust`, and the hook itself asks for the token, in
//!   [`crate::login::door::password`];
//! - pam: the line says `pam`, and PAM has asked this library, in [`crate::login::door::pam`];
//! - oauth: the line says `oauth`, and PostgreSQL (18 or later) has asked this library, in
//!   `crate::login::door::oauth`.
//!
//! Behind the last two the verdict is there before the hook is called; [`crate::login::decision`]
//! keeps it so long.
//!
//! A connection is accepted, as far as this library is concerned, if
//!
//! A1. it asks for a role that is none of ours: whatever the method decided stands. For a superuser
//!     who is no member of `azure_ad_user`, by a method that is no door, that is decided without a
//!     look at labels: pg_shseclabel may be locked or damaged, and somebody must be able to mend
//!     it;
//! A2. it asks for a linked role, was matched by a door's method, and brought a token by that door
//!     that [`crate::login::authenticate::authenticate`] accepts;
//! A3. it asks for a role that is an Azure AD role by inheritance only and another method than
//!     `trust` authenticated it; a warning is logged. No GRANT can lock out a superuser.
//!
//! A connection is refused, with a line in the log unless it says otherwise, if
//!
//! R1. the method refused it and no verdict of ours says why: its reason stands and nothing is
//!     added, in the log neither;
//! R2. it asks for `azure_ad_user` or `azure_ad_admin`; or, behind `trust`, for a name that is no
//!     role's. Core would say that a moment later, if there is no such role then either; what has
//!     come to be one meanwhile was judged by nobody;
//! R3. it asks for a linked role and was matched by another method, even one that would let it in;
//!     a success of `pam` or `oauth` that is not ours is one (`wrong_method`);
//! R4. it is not protected by TLS or a Unix-domain socket (`tls_required`);
//! R5. the settings are incomplete or wrong, or name another tenant than the administrators', or
//!     the `oauth` line sends clients to another one or has an option that is not valid
//!     (`not_configured`);
//! R6. there is no administrator (`no_admin`);
//! R7. the role is privileged (`privileged_role`) or has no LOGIN;
//!
//! and only after these is the token asked for (by `oauth` it is there already):
//!
//! R8. the client hangs up: silently, as core does;
//! R9. the answer is no password message, or has a NUL in it: core's own errors;
//! R10. the token is not believed, or the keys to judge it are missing;
//! R11. the name no longer belongs to the role it belonged to when pg_hba.conf's line was chosen or
//!      the token was asked for, or R4 to R7 hold now;
//! R12. the role is not linked, or not to this token's object; by `pam` and `oauth` that includes
//!      roles that are none of ours, and names that are no role's.
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
//! Hooks that were installed before ours see the true result: OK only after A1 to A3, EOF after R8,
//! ERROR otherwise. Hooks installed after ours call us and see nothing of a refusal, which is why
//! azure_ad_auth is named last in shared_preload_libraries.

use std::ffi::c_int;

use entra::Code;
use pgrx::prelude::*;

use crate::catalog::{self, Role, Standing};
use crate::login::authenticate::authenticate;
use crate::login::decision;
use crate::login::door::{Door, password};
use crate::login::guard;
use crate::login::outcome::{Admission, Refused, Rejection};
use crate::login::preconditions::marker_role_refused;
use crate::login::refusal::{log_and_raise, raise};
use crate::login::request::{LoginRequest, attempt};
use crate::pg::connection::{Connection, Method};
use crate::pg::hook::authentication::{self, Decide, STATUS_ERROR, STATUS_OK, call_previous};
use crate::report::{self, Attempt, Denial};
use crate::sessions::own::{self, Authentication};
use crate::{sessions, stat};

/// Installs the hook. In the postmaster only, while it loads its libraries.
pub(crate) fn install() {
    authentication::install::<TokenLogin>();
}

struct TokenLogin;

impl Decide for TokenLogin {
    fn decide(connection: Connection, status: c_int) {
        guard::note_server_libraries();
        let door = Door::behind(connection.method());
        let decision = decision::take(door);
        let attempt = attempt(connection, door.unwrap_or(Door::Password));
        match (status, decision) {
            // After an error the login does not go on, whatever the method has decided.
            (STATUS_OK | STATUS_ERROR, Some(Err(Rejection::Failed(error)))) => {
                call_previous(connection, STATUS_ERROR);
                report::raise_again(*error)
            }
            (STATUS_ERROR, Some(Err(Rejection::Refused(refused)))) => raise(connection, &attempt, refused),
            // Another module of PAM or the map of identities refused what was accepted here.
            (STATUS_ERROR, None | Some(Ok(_))) => call_previous(connection, STATUS_ERROR),
            (STATUS_OK, Some(Ok(admission))) => accepted_by_token(connection, &attempt, admission),
            (STATUS_OK, Some(Err(Rejection::Refused(refused)))) => {
                accepted_by_method(connection, &attempt, Some(refused));
            }
            (STATUS_OK, None) => accepted_by_method(connection, &attempt, None),
            _ => call_previous(connection, status),
        }
    }
}

/// A2 behind a method that has asked this library. The token was accepted for a linked role; if the
/// name now belongs to another role, the method has not authenticated that one.
fn accepted_by_token(connection: Connection, attempt: &Attempt, admission: Admission) {
    match LoginRequest::of(connection).role {
        Some((role, Standing::Linked(_))) if role.id == admission.role => {
            accept(connection, attempt, admission);
        }
        _ => {
            let problem = "the role was unlinked, renamed or dropped after its token was accepted";
            log_and_raise(connection, attempt, no_longer_linked(attempt, problem))
        }
    }
}

/// The method accepted the client without a token that this library has accepted: A1 to A3, R2 to
/// R12. `refused` is what this library has answered the method, if it was asked.
fn accepted_by_method(connection: Connection, attempt: &Attempt, refused: Option<Refused>) {
    let method = connection.method();
    if method == Method::Other
        && let Some(role) = unlabelled_superuser(connection)
    {
        own::note(Authentication::Superuser { role });
        return tell_success(connection);
    }
    let request = LoginRequest::of(connection);
    let Some((role, standing)) = &request.role else {
        return match method {
            Method::Trust => log_and_raise(connection, attempt, Refused::NoRole),
            // Core says next that there is no such role. If there is one by then, the method has
            // authenticated it.
            Method::Pam | Method::OAuth | Method::Other => tell_success(connection),
        };
    };
    match (standing, method) {
        // The line may have matched because of an Azure AD role, which would be asked for its token
        // here, and the role may have been unlinked since.
        (Standing::Local, Method::Trust) if !is_matched_as(connection, role) => {
            let problem = "the role was unlinked or renamed after a line of pg_hba.conf had matched it";
            log_and_raise(connection, attempt, no_longer_linked(attempt, problem))
        }
        (Standing::Local, _) => accept_without_token(connection, role, method),
        (Standing::Inherited, Method::Pam | Method::OAuth | Method::Other) => {
            report::warn_inherited(attempt);
            accept_without_token(connection, role, method);
        }
        (Standing::Marker, _) => log_and_raise(connection, attempt, marker_role_refused(&request, role)),
        (Standing::Linked(_) | Standing::Inherited, Method::Trust) => {
            ask_for_token(connection, attempt, &request);
        }
        (Standing::Linked(_), Method::Pam | Method::OAuth | Method::Other) => {
            if let Some(refused) = refused {
                raise(connection, attempt, refused);
            }
            // R3: the method has accepted a linked role without asking this library.
            let denial = Denial::new(Code::WrongMethod, &attempt.role, vec![]);
            log_and_raise(connection, attempt, denial.into())
        }
    }
}

/// Asks for the token behind a `trust` line, and decides by it. An error that PostgreSQL raises on
/// the way passes as it is.
fn ask_for_token(connection: Connection, attempt: &Attempt, request: &LoginRequest) {
    let run = || authenticate(request, |_| password::ask(connection));
    match decision::decide(&attempt.role, run) {
        Ok(admission) => accept(connection, attempt, admission),
        Err(Rejection::Refused(refused)) => log_and_raise(connection, attempt, refused),
        Err(Rejection::Failed(error)) => report::raise_again(*error),
    }
}

fn no_longer_linked(attempt: &Attempt, problem: &str) -> Refused {
    Denial::new(Code::NotLinked, &attempt.role, vec![("problem", problem.to_owned())]).into()
}

/// Returns whether the line of pg_hba.conf would be chosen again for this very role.
fn is_matched_as(connection: Connection, role: &Role) -> bool {
    catalog::holds_while_named(role.id, &connection.role_name(), || connection.is_matched_again())
}

/// Returns the role that is asked for, if it is a superuser and no Azure AD role. Reads no label.
fn unlabelled_superuser(connection: Connection) -> Option<pg_sys::Oid> {
    catalog::accept_changes();
    let role = catalog::role_named(&connection.role_name())?;
    catalog::is_superuser_apart(&role).then_some(role.id)
}

/// A1, A3: the method's decision stands.
fn accept_without_token(connection: Connection, role: &Role, method: Method) {
    own::note(Authentication::Method { role: role.id, trusted: method == Method::Trust });
    tell_success(connection);
}

/// A2: records the session, tells the hooks that were installed before, counts the login and logs
/// it.
fn accept(connection: Connection, attempt: &Attempt, admission: Admission) {
    let Admission { role, principal, token, took } = admission;
    own::note(Authentication::Token { role, object_id: principal.object_id });
    connection.set_identity(&token.object_id.to_string());
    sessions::enter(role, &principal, &token, attempt.door);
    tell_success(connection);
    stat::count_admission(attempt.door, token.kind, took);
    report::log_admission(attempt, &token);
    own::note_token(token);
}

/// Tells the hooks that were installed before that the login goes on. Then makes core forget the
/// memberships that it has looked up for them, for pg_hba.conf and for this library: these may have
/// changed while the client was asked for its token or password.
fn tell_success(connection: Connection) {
    call_previous(connection, STATUS_OK);
    catalog::forget_memberships();
}

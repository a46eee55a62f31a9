//! The first door: a `trust` line in pg_hba.conf, `hostssl all +azure_ad_user all trust`, behind which the hook itself asks
//! for the token, as a password in clear text over TLS.
//!
//! A connection is accepted, as far as this file is concerned, if
//!
//! A1. it asks for a role that is none of ours: whatever the method decided stands;
//! A2. it asks for a linked role, was matched by `trust`, and brings a token that [`super::admit`] accepts;
//! A3. it asks for a role that is an Azure AD role by inheritance only and another method than `trust` authenticated it;
//!     a warning is logged. No GRANT can lock out a superuser.
//!
//! A connection is refused, with a line in the log, if
//!
//! R1. the method refused it: its reason stands and nothing is added;
//! R2. it asks for `azure_ad_user` or `azure_ad_admin`;
//! R3. it asks for a linked role and was matched by another method, even one that would let it in (`wrong_method`);
//! R4. it is not protected by TLS or a Unix-domain socket (`tls_required`);
//! R5. the settings are incomplete or wrong, or name another tenant than the administrators' (`not_configured`);
//! R6. there is no administrator (`no_admin`);
//! R7. the role is privileged (`privileged_role`) or has no LOGIN;
//!
//!     and only after these is the token asked for:
//!
//! R8. the client hangs up: silently, as core does;
//! R9. the answer is no password message, or has a NUL in it: core's own errors;
//! R10. the token is not believed, or the keys to judge it are missing;
//! R11. the name no longer belongs to the role it belonged to when the token was asked for, or R4 to R7 hold now;
//! R12. the role is not linked, or not to this token's object.
//!
//! Hooks that were installed before ours see the true result: OK only after A1 to A3, EOF after R8, ERROR otherwise. Hooks
//! installed after ours call us and see nothing of a refusal, which is why azure_ad_auth is named last in
//! shared_preload_libraries.

use std::cell::Cell;
use std::ffi::c_int;

use entra::Code;
use pgrx::prelude::*;

use super::{Admission, Refused, Visitor, admit, check_standing, rules_for};
use crate::principal::catalog::{self, Role, Standing};
use crate::report::{self, Attempt, Denial};
use crate::session::{self, Passage};
use crate::wire::{self, Connection, Method, Port, Reply, STATUS_EOF, STATUS_ERROR, STATUS_OK};

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
    let name = connection.role_name();
    let Some(role) = catalog::role_named(&name).filter(|_| status == STATUS_OK) else {
        // R1, or a role that does not exist, which core says next.
        return call_previous(connection, status);
    };
    let method = connection.method();
    let attempt = Attempt {
        role: name.to_string_lossy().into_owned(),
        door: "password",
        method: connection.method_name(),
    };
    match (catalog::standing_of(&role), method) {
        (Standing::Local, _) => let_pass(connection, &role, method),
        (Standing::Inherited, Method::Other) => {
            report::warn_inherited(&attempt);
            let_pass(connection, &role, method);
        }
        (Standing::Anchor, _) => refuse(connection, &attempt, anchor_refused(&role, &attempt)),
        (Standing::Linked(_), Method::Other) => {
            refuse(connection, &attempt, Denial::new(Code::WrongMethod, &attempt.role, vec![]).into());
        }
        (Standing::Linked(_) | Standing::Inherited, Method::Trust) => {
            let protected = connection.is_tls() || connection.is_unix_socket();
            let visitor = Visitor { name, role: role.id, protected };
            match attend(connection, &visitor, &role) {
                Ok(admission) => welcome(connection, &attempt, &admission),
                Err(refused) => refuse(connection, &attempt, refused),
            }
        }
    }
}

/// A1, A3: the method's decision stands.
fn let_pass(connection: Connection, role: &Role, method: Method) {
    session::note(Passage::Method { role: role.id, trusted: method == Method::Trust });
    call_previous(connection, STATUS_OK);
}

fn anchor_refused(role: &Role, attempt: &Attempt) -> Refused {
    if role.can_login {
        let problem = "this role stands for all Azure AD roles and is nobody's".to_owned();
        Denial::new(Code::NotLinked, &attempt.role, vec![("problem", problem)]).into()
    } else {
        Refused::NoLogin
    }
}

/// Checks, asks, and judges. The token is wiped when this returns or raises.
fn attend(connection: Connection, visitor: &Visitor, role: &Role) -> Result<Admission, Refused> {
    let rules = rules_for(visitor)?;
    check_standing(visitor, &rules, role)?;
    match connection.ask_for_token() {
        Reply::Token(token) => admit(visitor, &rules, &token),
        Reply::HungUp => {
            call_previous(connection, STATUS_EOF);
            wire::end_quietly()
        }
        Reply::WrongType(found) => {
            call_previous(connection, STATUS_ERROR);
            report::refuse_message_type(found)
        }
        Reply::WrongLength => {
            call_previous(connection, STATUS_ERROR);
            report::refuse_message_length()
        }
    }
}

/// A2.
fn welcome(connection: Connection, attempt: &Attempt, admission: &Admission) {
    session::note(Passage::Token { role: admission.role, object_id: admission.object_id });
    connection.set_identity(&admission.token.object_id.to_string());
    call_previous(connection, STATUS_OK);
    report::log_admission(attempt, &admission.token);
}

/// Logs, tells the hooks before ours, and raises.
fn refuse(connection: Connection, attempt: &Attempt, refused: Refused) -> ! {
    if let Refused::Denied(denial) = &refused {
        report::log_denial(attempt, denial);
    }
    call_previous(connection, STATUS_ERROR);
    match refused {
        Refused::Denied(denial) => report::refuse(denial),
        Refused::NoLogin => report::refuse_nologin(&attempt.role),
    }
}

fn call_previous(connection: Connection, status: c_int) {
    wire::call_previous(PREVIOUS.get(), connection, status);
}

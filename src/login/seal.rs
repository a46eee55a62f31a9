//! The seal: checks that a session is of the role that was let in, and, if that is an Azure AD
//! role, that a token let it in. S1 to S4 at the head of [`crate::login::hook`] say when it ends a
//! session.
//!
//! Between the hook's decision and the session, core looks the role name up once more; a role
//! renamed in between would turn one person's token into another one's session. A link may be
//! removed in between. Another extension's hook may not have called this library's. In all these
//! cases the session was not authenticated as the role it runs as, and ends before it has done
//! anything.
//!
//! The seal is checked twice.
//!
//! First at the end of the startup transaction (InitPostgres, postinit.c). The role is known by
//! then, and no message of the session has been read. Every process that serves a client commits
//! this transaction: sessions, walsenders of a database, and walsenders of none, in which no
//! database is selected and only what [`catalog`] reads in logins can be read. So nothing that the
//! protocol has can come before it: replication commands and Describe pass no hook at all. What
//! does come before it are the settings of the startup packet and of the role, and the libraries of
//! session_preload_libraries.
//!
//! Then once more before the session's first action, for what has changed meanwhile: where a text
//! is parsed, in ExecutorStart, in ProcessUtility, and in function calls by the fast path, which
//! show in the object access hook. After that each of these costs one comparison, as does the end
//! of every transaction.
//!
//! Parallel workers and other background workers have no client, and are not checked.

use std::cell::Cell;

use entra::directory::admission::judge_session;
use entra::{Code, Label, Principal, Token};
use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, Standing};
use crate::login::knowledge::{Asking, denial_of, known};
use crate::login::refusal;
use crate::pg::clock::unix_now;
use crate::pg::connection::{Connection, Method};
use crate::pg::hook::actions::{self, Check};
use crate::pg::process;
use crate::pg::text::decode;
use crate::pg::transaction::{self, Event, Observer};
use crate::report::{self, Denial};
use crate::sessions::own::{self, Authentication};
use crate::{sessions, settings};

/// How far the session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// In its startup transaction.
    Starting,
    /// The seal was checked at the end of the startup transaction.
    Started,
    /// The seal was checked before the first action, too.
    Acting,
}

thread_local! {
    /// Never changed in the postmaster, so every process begins with the first.
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Starting) };
}

/// Installs the hooks. In the postmaster only, while it loads its libraries.
pub(crate) fn install() {
    transaction::observe::<Seal>();
    actions::install::<Seal>();
}

struct Seal;

impl Observer for Seal {
    fn notice(event: Event) {
        if STAGE.get() == Stage::Starting && event == Event::BeforeCommit {
            check_at_start();
        }
    }
}

impl Check for Seal {
    /// Checks the seal before the session's first action. Costs one comparison after that.
    fn check() {
        if STAGE.get() == Stage::Acting || !process::has_client() || !transaction::can_read_catalogs() {
            return;
        }
        catalog::accept_changes();
        end_unless_sound(check_session(own::authentication(), own::role()));
        STAGE.set(Stage::Acting);
    }
}

/// Checks the seal at the end of the startup transaction. A transaction that ends before core knows
/// the role is passed over: another library has run it in its hook.
fn check_at_start() {
    let role = own::role();
    if !process::has_client() || role == pg_sys::InvalidOid {
        return;
    }
    // The first transaction to end with a role is the startup transaction.
    let connection = Connection::of_starting_session();
    catalog::accept_changes();
    end_unless_sound(check_session(own::authentication(), role).and_then(|()| check_line(connection)));
    // Memberships that another library has asked about before initialize_acl() would stay in core's
    // cache for as long as the session lasts.
    catalog::forget_memberships();
    own::with_token(|token| warn_of_expiry(token.expires_at));
    STAGE.set(Stage::Started);
}

/// Warns the client if its token is about to expire, where the settings ask for that.
fn warn_of_expiry(expires_at: i64) {
    let within = settings::expiry_warning();
    if within == 0 || expires_at.saturating_sub(unix_now()) >= within {
        return;
    }
    let detail = match settings::session_expiry() {
        Some(grace) => {
            format!("This session ends at {}.", report::timestamp(expires_at.saturating_add(grace)))
        }
        None => "This session does not end then, but the next login needs another token.".to_owned(),
    };
    report::warn_of_expiry(expires_at, &detail);
}

/// Why a session ends, and its role's name.
type Broken = (String, Denial);

fn end_unless_sound(checked: Result<(), Broken>) {
    if let Err((role, denial)) = checked {
        refusal::end_session("seal", role, &denial);
    }
}

fn broken<T>(name: &str, code: Code, problem: &str) -> Result<T, Broken> {
    Err((name.to_owned(), Denial::new(code, name, vec![("problem", problem.to_owned())])))
}

/// Checks that a client that was authenticated as `authentication` says may have a session of
/// `role`, as the catalogs are now.
fn check_session(authentication: Option<Authentication>, role: pg_sys::Oid) -> Result<(), Broken> {
    let found = catalog::role_of(role);
    let name = found.as_ref().map_or_else(|| role.to_string(), Role::display_name);
    if authentication.is_some_and(|authentication| authentication.role() != role) {
        return broken(&name, Code::OidMismatch, "the session is not of the role that was admitted");
    }
    let is_superuser = found.as_ref().is_some_and(|role| role.superuser);
    match authentication {
        Some(Authentication::Token { object_id, .. }) => check_link(role, object_id, &name),
        Some(Authentication::Superuser { .. }) if is_superuser => Ok(()),
        _ => match found.as_ref().map(catalog::standing_of) {
            None | Some(Standing::Local) => Ok(()),
            Some(Standing::Inherited) if is_authenticated(authentication) => Ok(()),
            _ => broken(&name, Code::NotLinked, "the session was not admitted by a token"),
        },
    }
}

/// Returns whether the hook saw the client authenticated without a token, by a method other than
/// `trust`.
const fn is_authenticated(authentication: Option<Authentication>) -> bool {
    matches!(
        authentication,
        Some(Authentication::Method { trusted: false, .. } | Authentication::Superuser { .. })
    )
}

/// Checks that a role is linked to the object that it was linked to when the client's token was
/// accepted, and that the token would still be accepted.
fn check_link(role: pg_sys::Oid, object_id: entra::Uuid, name: &str) -> Result<(), Broken> {
    match catalog::link_of(role) {
        Link::Bound(label) if label.object_id == Some(object_id) => {
            let check = |token: &Token| {
                check_terms(token, &label, name)?;
                check_administrators_remain(token, name)
            };
            own::with_token(check).unwrap_or(Ok(())).map_err(|denial| (name.to_owned(), denial))
        }
        Link::Bound(_) => broken(name, Code::OidMismatch, "the role was linked to another object meanwhile"),
        _ => broken(name, Code::NotLinked, "the link was removed meanwhile"),
    }
}

/// Checks that a connection behind `trust` that the hook has not seen is still matched by the same
/// line: that line may have been for an Azure AD role, which had the name before.
fn check_line(connection: Option<Connection>) -> Result<(), Broken> {
    let Some(connection) = connection.filter(|_| own::authentication().is_none()) else { return Ok(()) };
    let name = connection.role_name();
    let is_matched = || catalog::holds_while_named(own::role(), &name, || connection.is_matched_again());
    if connection.method() != Method::Trust || is_matched() {
        return Ok(());
    }
    let problem = "the role was unlinked or renamed after a line of pg_hba.conf had matched it, and \
                   another library's hook did not call azure_ad_auth's";
    broken(&decode(name.to_bytes()), Code::NotLinked, problem)
}

/// Checks whether the role, which is linked to the same object, would accept the token now: by the
/// terms of its link, by what has been revoked, and by what is known of the directory, which is not
/// asked.
fn check_terms(token: &Token, label: &Label, name: &str) -> Result<(), Denial> {
    let accepts = |principal: Principal| {
        let knowledge = known(token.object_id, &principal, Asking::Done);
        let revocations = catalog::revocations();
        judge_session(&principal, token, revocations.as_ref(), &knowledge, sessions::own_group())
    };
    Principal::of(label).map_or(Ok(()), accepts).map_err(|refusal| denial_of(&refusal, name))
}

/// Checks that there is still an administrator of the token's tenant, where sessions end without
/// one. The reaper ends those sessions that are on its list already.
fn check_administrators_remain(token: &Token, name: &str) -> Result<(), Denial> {
    let is_lost = settings::session_expiry().is_some() && catalog::associated_tenant() != Some(token.tenant);
    if is_lost { Err(Denial::new(Code::NoAdmin, name, vec![])) } else { Ok(()) }
}

//! The first door: a `trust` line in pg_hba.conf, `hostssl all +azure_ad_user all trust`, behind
//! which the hook itself asks for the token, as a password in clear text over TLS.

use crate::catalog;
use crate::directory;
use crate::login::outcome::{Received, Refused};
use crate::pg::connection::Connection;
use crate::pg::wire::{self, Reply};

/// Asks for the token.
pub(in crate::login) fn ask(connection: Connection) -> Result<Received, Refused> {
    match wire::ask_for_token(connection, rehearse) {
        Reply::Token(token) => Ok(Received::now(token)),
        Reply::HungUp => Err(Refused::HungUp),
        Reply::WrongType(found) => Err(Refused::MessageType(found)),
        Reply::WrongLength => Err(Refused::MessageLength),
    }
}

/// Runs while the client answers, so that the client does not have to wait for this work
/// afterwards. A process that has just begun gets its code and the catalogs' pages one by one, when
/// it first uses them. So this verifies a token that is known to be good, and reads what the login
/// will read. The results are dropped; for the client's token everything is done anew.
fn rehearse() {
    let _ = entra::rehearse();
    let _ = catalog::revocations();
    catalog::forget_memberships();
    directory::rehearse();
}

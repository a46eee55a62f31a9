//! The first door: a `trust` line in pg_hba.conf, `hostssl all +azure_ad_user all trust`, behind which the hook itself asks for
//! the token, as a password in clear text over TLS.

use crate::login::{Refused, Sent, hook};
use crate::pg::wire::{Connection, Reply, STATUS_ERROR};
use crate::{catalog, report};

/// Asks for the token. What core would not take for a password is refused in core's words, here and now.
pub(in crate::login) fn ask(connection: Connection) -> Result<Sent, Refused> {
    match connection.ask_for_token(rehearse) {
        Reply::Token(token) => Ok(Sent::now(token)),
        Reply::HungUp => Err(Refused::HungUp),
        Reply::WrongType(found) => {
            hook::call_previous(connection, STATUS_ERROR);
            report::refuse_message_type(found)
        }
        Reply::WrongLength => {
            hook::call_previous(connection, STATUS_ERROR);
            report::refuse_message_length()
        }
    }
}

/// Done while the client answers, who would otherwise wait for it afterwards: a process that has just begun gets its code and
/// the catalogs' pages one by one, as it first comes by them. So it judges a token that is known to be good, and looks where it
/// will look. Nothing of this counts; for the client's token all is done anew.
fn rehearse() {
    let _ = entra::rehearse();
    let _ = catalog::revocations();
    catalog::forget_memberships();
}

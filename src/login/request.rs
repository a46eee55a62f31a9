//! A request to log in: the role that a client asks for, and how the client is connected.

use std::ffi::CString;

use entra::LineOptions;

use crate::catalog::{self, Role, Standing};
use crate::login::door::Door;
use crate::pg::connection::Connection;
use crate::pg::text::decode;
use crate::report::Attempt;
use crate::stat;

/// A request to log in, as it was when the token had not been asked for yet.
pub(super) struct LoginRequest {
    /// The role's name, as the client gave it.
    pub(super) role_name: CString,
    /// The role that had this name then, and whether it was an Azure AD role; none if there was no
    /// such role.
    pub(super) role: Option<(Role, Standing)>,
    /// The connection is encrypted by TLS or is a Unix-domain socket.
    pub(super) is_protected: bool,
    /// What the line of pg_hba.conf asks of the token besides the settings.
    pub(super) line: LineOptions,
    /// Keys that are missing may be fetched and waited for.
    pub(super) may_wait: bool,
}

impl LoginRequest {
    /// Returns what the client of a connection asks for, as the catalogs are now. If the role is
    /// linked, an admission or refusal will be counted for it.
    pub(super) fn of(connection: Connection) -> Self {
        catalog::accept_changes();
        let is_protected = connection.is_tls() || connection.is_unix_socket();
        let request = Self { is_protected, may_wait: true, ..Self::named(connection.role_name()) };
        if let Some((role, Standing::Linked(_))) = &request.role {
            stat::is_for(role.id);
        }
        request
    }

    /// Returns a request for a role by its name, without a connection. No keys are fetched for it,
    /// and it is counted nowhere.
    pub(super) fn named(role_name: CString) -> Self {
        let role = catalog::role_named(&role_name).map(|role| {
            let standing = catalog::standing_of(&role);
            (role, standing)
        });
        Self { role_name, role, is_protected: true, line: LineOptions::default(), may_wait: false }
    }

    /// Returns the role's name, for messages.
    pub(super) fn display_name(&self) -> String {
        decode(self.role_name.to_bytes())
    }
}

/// Returns the circumstances of a login, for the log.
pub(super) fn attempt(connection: Connection, door: Door) -> Attempt {
    let role = decode(connection.role_name().to_bytes());
    Attempt { role, door: door.name(), method: connection.method_name() }
}

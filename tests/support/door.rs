//! The doors: which lines of pg_hba.conf lead to azure_ad_auth, and how the server asks for a token
//! there.

use crate::client::AuthRequest;
use crate::installation::Installation;
use crate::issuer::TENANT;

/// A way for a token to reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A `trust` line, behind which the library asks for a password.
    Password,
    /// A `pam` line, whose service has the library for its module.
    Pam,
    /// An `oauth` line, with the library as validator.
    OAuth,
}

impl Door {
    /// Returns the doors that an installation has.
    pub fn all(installation: &Installation) -> Vec<Self> {
        let pam = installation.pg_config("--configure").contains("--with-pam");
        let doors = [(Self::Password, true), (Self::Pam, pam), (Self::OAuth, installation.major >= 18)];
        doors.into_iter().filter(|(_, there)| *there).map(|(door, _)| door).collect()
    }

    /// Returns its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Pam => "pam",
            Self::OAuth => "oauth",
        }
    }

    /// Returns the method of its lines in pg_hba.conf.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Password => "trust",
            Self::Pam => "pam",
            Self::OAuth => "oauth",
        }
    }

    /// Returns how it asks for a token.
    pub const fn auth_request(self) -> AuthRequest {
        match self {
            Self::Password | Self::Pam => AuthRequest::Password,
            Self::OAuth => AuthRequest::Bearer,
        }
    }

    /// Returns the length of the longest token that its message can hold: 65,535 bytes with their
    /// length, less what surrounds the token.
    pub const fn longest_token(self) -> usize {
        match self {
            Self::Password | Self::Pam => 65_530,
            Self::OAuth => 65_497,
        }
    }

    /// Returns the method and its options, as a line of pg_hba.conf ends. Only PAM has a service.
    pub fn clause(self, service: &str) -> String {
        match self {
            Self::Password => "trust".to_owned(),
            Self::Pam => format!("pam pamservice={service}"),
            Self::OAuth => format!(
                "oauth issuer=\"https://login.microsoftonline.com/{TENANT}/v2.0\" scope=\"api://postgres/access\" \
                 delegate_ident_mapping=1"
            ),
        }
    }

    /// Returns a pg_hba.conf with `clause` for Azure AD roles, encrypted or not, and passwords for
    /// others.
    pub fn hba(clause: &str) -> String {
        format!(
            "local all,replication postgres trust\n\
             local all +azure_ad_user {clause}\n\
             host all +azure_ad_user 127.0.0.1/32 {clause}\n\
             host all all 127.0.0.1/32 password\n"
        )
    }

    /// Returns what postgresql.conf needs for it.
    pub const fn settings(self) -> &'static str {
        match self {
            Self::Password | Self::Pam => "",
            Self::OAuth => "oauth_validator_libraries = 'azure_ad_auth'",
        }
    }
}

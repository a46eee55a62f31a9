//! The settings whose value is one word of a list.

use pgrx::PostgresGucEnum;

/// The national cloud of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub(super) enum Cloud {
    #[name = c"public"]
    Public,
    #[name = c"usgov"]
    UsGov,
    #[name = c"china"]
    China,
}

impl From<Cloud> for entra::Cloud {
    fn from(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Public => Self::Public,
            Cloud::UsGov => Self::UsGov,
            Cloud::China => Self::China,
        }
    }
}

/// What happens to a session whose token has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub(super) enum SessionExpiry {
    #[name = c"off"]
    Off,
    #[name = c"terminate"]
    Terminate,
}

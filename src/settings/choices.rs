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

/// How the server proves to Entra who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub(super) enum Proof {
    #[name = c"off"]
    Off,
    #[name = c"client_secret"]
    ClientSecret,
    #[name = c"certificate"]
    Certificate,
    #[name = c"federated_token"]
    FederatedToken,
    #[name = c"managed_identity"]
    ManagedIdentity,
    #[name = c"arc"]
    Arc,
}

/// When a login asks the directory about a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum GroupLookup {
    /// Never.
    #[name = c"off"]
    Off,
    /// When the token says that it lists no groups because there are too many.
    #[name = c"overage"]
    Overage,
    /// Whenever the token does not list the group.
    #[name = c"always"]
    Always,
}

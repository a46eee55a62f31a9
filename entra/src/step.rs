//! The checks of a login by name, and how a caller is told which of them are made.
//!
//! Every function that checks takes an [`Observer`] and names each check before making it. A login
//! observes nothing: its observer is `()`. `explain_token()` records the checks in a [`Trail`].

/// Lists the steps once, with their names, in their order.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident $name:literal,)*) => {
        /// A check of a login.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Step { $($(#[$doc])* $step,)* }

        impl Step {
            /// Every step, in the order in which a login takes them.
            pub const ALL: &[Self] = &[$(Self::$step,)*];

            /// Returns the name under which the step is shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$step => $name,)* }
            }
        }
    };
}

steps! {
    /// The server's settings are complete and valid.
    Configuration "configuration",
    /// There is an administrator, of the configured tenant.
    Administrator "administrator",
    /// The role may log in and is not privileged. Like the two steps above, it is checked before
    /// the token is asked for.
    Role "role",
    /// The token is not too large.
    Size "size",
    /// The token has three parts of base64url.
    Parts "parts",
    /// The header is a JSON object without duplicate members.
    Header "header",
    /// `alg` is RS256.
    Algorithm "algorithm",
    /// There is a usable `kid`, and no `crit`.
    KeyId "key_id",
    /// A signing key of that id is known.
    Key "key",
    /// The key made the signature.
    Signature "signature",
    /// The claims are a JSON object without duplicate members.
    Claims "claims",
    /// `ver` is known.
    Version "version",
    /// `tid` is the configured tenant.
    Tenant "tenant",
    /// `iss` is accepted, and so is the issuer of the key.
    Issuer "issuer",
    /// `aud` is accepted.
    Audience "audience",
    /// `nbf`, `iat` and `exp` fit the time.
    Validity "validity",
    /// The token is a bearer's access token: no `cnf`, no other `typ`, the `ver` of its issuer.
    Bearer "bearer",
    /// The client application is allowed.
    Client "client",
    /// The required scope or app role is there.
    Permission "permission",
    /// The token is either a user's or a service's.
    Kind "kind",
    /// `oid` is a uuid, and the other claims about the object have the right form.
    Object "object",
    /// The role is linked to a directory object.
    Link "link",
    /// The token was issued for that object.
    Principal "principal",
    /// The second factor was used, if the link demands it.
    Mfa "mfa",
    /// The token has not been revoked.
    NotBefore "not_before",
    /// The directory has nothing against the token's owner, nor against the owner's membership.
    /// Only where the directory is on.
    Directory "directory",
}

/// Is told of each check before it is made.
pub trait Observer {
    /// Called before the check `step` is made.
    fn step(&mut self, step: Step);
}

/// Observes nothing.
impl Observer for () {
    fn step(&mut self, _step: Step) {}
}

/// Records which checks were made.
#[derive(Debug, Default)]
pub struct Trail(Vec<Step>);

impl Observer for Trail {
    fn step(&mut self, step: Step) {
        self.0.push(step);
    }
}

impl Trail {
    /// Returns the checks in the order in which they were made.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

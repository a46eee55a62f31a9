//! The table of settings: a row has the name, the kind with default and bounds, and the
//! descriptions that pg_settings shows. To add a setting is to add a row, and to use its value.

use std::cell::{Cell, RefCell};

use crate::pg::guc;
use crate::settings::checks;
use crate::settings::choices::{Cloud, GroupLookup, Proof, SessionExpiry};
use crate::settings::row::{Choice, Flag, Number, Text, settings};

const DAY: i32 = 86_400;

settings! {
    kept_in VALUES; then tell;

    tenant_id: Text = Text::checked_by(|text| entra::parse_tenant(text).map(drop)),
        c"The Azure AD tenant whose people, applications and groups may log in.",
        c"The tenant's uuid. While it is empty, every Azure AD login is refused.";
    audience: Text = Text::checked_by(|text| entra::parse_list(text).map(drop)),
        c"The resources an access token may have been issued for.",
        c"Accepted \"aud\" values, separated by commas. While it is empty, every Azure AD login is refused.";
    authority_url: Text = Text::checked_by(checks::authority),
        c"Replaces the cloud's login host for signing keys and for tokens of the server's own.",
        c"An https URL, or plain http to a loopback address. Does not change which issuers are accepted.";
    issuers: Text = Text::checked_by(|text| entra::parse_issuers(text, None).map(drop)),
        c"The issuers whose tokens are accepted.",
        c"https URLs with the tenant or {tenantid} in them, separated by commas. Empty: the cloud's own.";
    key_source: Text = Text::checked_by(checks::key_source),
        c"Replaces the address of the signing keys.",
        c"An https URL, or the absolute path of a file on a server without a way out.";
    ca_file: Text = Text::checked_by(checks::certificates),
        c"Extra trust anchors for our own HTTPS requests.",
        c"The absolute path of a PEM file, read besides the system's certificate authorities.";
    https_proxy: Text = Text::checked_by(checks::proxy).for_superusers(),
        c"A proxy for our own HTTPS requests.",
        c"As http://[user:password@]host:port. The environment's proxy variables are not looked at.";
    allowed_clients: Text = Text::checked_by(|text| entra::parse_clients(text).map(drop)),
        c"The client applications whose tokens are accepted.",
        c"Application ids, separated by commas. Empty: any.";
    required_permission: Text = Text::checked_by(|text| entra::parse_permission(text).map(drop)),
        c"A permission that every token must carry.",
        c"A scope in a user's token, an app role in an application's. Empty: none.";
    cloud: Choice<Cloud> = Choice::new(Cloud::Public),
        c"The national cloud of the tenant.",
        c"Decides the login host and the issuers.";
    key_refresh_interval: Number = Number::seconds(3_600, 1..=DAY),
        c"Time between two fetches of the signing keys.",
        c"Microsoft asks for an hour.";
    key_max_age: Number = Number::seconds(DAY, 1..=30 * DAY),
        c"Signing keys are not used for longer than this without a successful fetch.",
        c"How long logins survive an outage of the provider, and a withdrawn key an outage of the network.";
    key_refresh_cooldown: Number = Number::seconds(300, 1..=DAY),
        c"Least time between two fetches caused by unknown key ids.",
        c"Whoever can reach the server can send an unknown key id; this bounds what that costs.";
    unknown_key_wait: Number = Number::milliseconds(2_000, 0..=30_000),
        c"How long a login waits for signing keys that are being fetched.",
        c"Zero: not at all.";
    clock_skew: Number = Number::seconds(60, 0..=300),
        c"Leeway for a clock that differs from the issuer's.",
        c"Applies to \"nbf\", \"iat\" and \"exp\", either way.";
    require_tls: Flag = Flag::new(true),
        c"Refuse an Azure AD login before asking for the token unless TLS protects it.",
        c"A Unix-domain socket counts as protected, GSS encryption does not.";
    preload_pam_modules: Flag = Flag::new(true).at_start(),
        c"Load the modules of PAM when the server starts, if a file of PAM is named azure_ad_auth.",
        c"A login by pam is then as fast as one by another door. Off: each such login loads them.";
    session_expiry_grace: Number = Number::seconds(300, 0..=DAY),
        c"How long after its token a session ends.",
        c"Only where session_expiry says that it ends. Less than clock_skew: a token accepted within clock_skew may be ended immediately.";
    expiry_warning: Number = Number::seconds(0, 0..=DAY),
        c"A login warns its client when its token expires within this time.",
        c"Zero: never. The warning goes to the client and not to the log.";
    session_expiry: Choice<SessionExpiry> = Choice::new(SessionExpiry::Off),
        c"What becomes of a session whose token has expired.",
        c"off: nothing. terminate: it ends, and so do all when there is no administrator any more.";
    directory: Choice<Proof> = Choice::new(Proof::Off).of_directory(),
        c"How the server proves to Entra who it is when it asks the directory.",
        c"off: the directory is not asked. client_secret, certificate, federated_token, managed_identity or arc.";
    directory_client_id: Text = Text::checked_by(checks::client_id),
        c"The client id of the application that the server asks the directory as.",
        c"A uuid. With managed_identity or arc it may be empty: the machine's own identity.";
    directory_secret_file: Text = Text::checked_by(checks::path),
        c"The file that holds the client secret.",
        c"For directory = client_secret. An absolute path; read at each use, and refused if others can read it.";
    directory_certificate_file: Text = Text::checked_by(checks::path),
        c"The file that holds the application's certificate.",
        c"For directory = certificate. A PEM file, with the private key unless directory_key_file names another.";
    directory_key_file: Text = Text::checked_by(checks::path),
        c"The file that holds the private key of the application's certificate.",
        c"A PEM file with an RSA key, PKCS#8 or PKCS#1, without a passphrase; refused if others can read it.";
    directory_token_file: Text = Text::checked_by(checks::path),
        c"The file that holds a token of a federated identity.",
        c"For directory = federated_token. An absolute path; read at each use, so it may be renewed at any time.";
    directory_url: Text = Text::checked_by(checks::directory_url),
        c"Replaces the address of Microsoft Graph.",
        c"An https URL without a path. Empty: the cloud's own. The DoD cloud needs it.";
    directory_identity_url: Text = Text::checked_by(checks::identity_url),
        c"Replaces the address of the machine's identity endpoint.",
        c"An http URL of a loopback address or 169.254.169.254, without a path.";
    directory_refresh_interval: Number = Number::seconds(300, 0..=DAY).of_directory(),
        c"Time between two looks at every linked object and open session.",
        c"Zero: none but those that refresh_directory() makes.";
    directory_wait: Number = Number::milliseconds(10_000, 100..=60_000).of_directory(),
        c"How long a statement waits for an answer of the directory.",
        c"It waits before it takes locks, and can be cancelled.";
    group_lookup: Choice<GroupLookup> = Choice::new(GroupLookup::Overage).of_directory(),
        c"When a login asks the directory whether the token's owner is in the role's group.",
        c"off: never. overage: when the token has too many groups to list. always: when it does not list the group.";
    group_lookup_wait: Number = Number::milliseconds(3_000, 0..=30_000).of_directory(),
        c"How long a login waits for an answer of the directory.",
        c"Zero: not at all; only what is known already counts.";
    group_lookup_cache: Number = Number::seconds(300, 1..=DAY).of_directory(),
        c"How long an answer that somebody is in a group counts.",
        c"Never past the end of the token. The answer that somebody is not counts for a tenth of it.";
    group_sync: Flag = Flag::new(false).of_directory(),
        c"Whether members of linked groups get roles of their own.",
        c"Switched off, everything stays as it is.";
    group_sync_interval: Number = Number::seconds(1_800, 1..=DAY).of_directory(),
        c"Time between two rounds of the synchronisation of groups.",
        c"sync_group_members() makes one at any time.";
    group_sync_database: Text = Text::with_default(c"postgres", checks::database),
        c"The database that the synchronisation of groups connects to.",
        c"It changes roles, which all databases share.";
}

/// A setting of roles (see `login/guard.rs`). In a file it does nothing, and does no harm.
const OF_ROLES: &str = "guard";

thread_local! {
    /// Every process inherits the values from the postmaster, and keeps them up to date itself.
    static VALUES: RefCell<Values> = RefCell::default();
    static LISTENER: Cell<fn(&Values)> = const { Cell::new(|_| {}) };
}

/// Defines every setting of the server. From now on `listener` is called whenever one has changed.
pub(super) fn define(listener: fn(&Values)) {
    LISTENER.set(listener);
    for define in DEFINE {
        define();
    }
    guc::reserve_prefix(c"azure_ad_auth");
}

fn tell(values: &Values) {
    LISTENER.get()(values);
}

/// Reads the values in force.
pub(super) fn values<T>(read: impl FnOnce(&Values) -> T) -> T {
    VALUES.with_borrow(read)
}

/// Returns whether a name without the prefix is one of this library's settings.
pub(super) fn is_known(name: &str) -> bool {
    let names = ROWS.iter().map(|setting| setting.name).chain([OF_ROLES]);
    names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns what is wrong with a value that is text. PostgreSQL checks other values, and names that
/// are unknown are found elsewhere.
pub(super) fn problem_of(name: &str, value: &str) -> Option<String> {
    let setting = ROWS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))?;
    (setting.check_text)(value).err()
}

#[cfg(test)]
mod tests {
    use super::{is_known, problem_of};

    #[test]
    fn names_are_known_in_any_case() {
        assert!(is_known("tenant_id") && is_known("Clock_Skew") && is_known("guard"));
        assert!(!is_known("tenant") && !is_known("") && !is_known("azure_ad_auth.tenant_id"));
    }

    #[test]
    fn a_text_is_checked_by_its_row() {
        assert_eq!(problem_of("tenant_id", " x ").as_deref(), Some("is not a uuid"));
        assert_eq!(problem_of("Tenant_ID", " "), None);
        assert_eq!(problem_of("ca_file", "ca.pem").as_deref(), Some("is not an absolute path"));
        assert_eq!(problem_of("clock_skew", "never"), None, "PostgreSQL says so");
        assert_eq!(problem_of("unknown", "x"), None);
    }
}

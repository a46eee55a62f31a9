//! The definitions: names, defaults, bounds, descriptions, checks.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use ureq::ProxyProtocol;

use crate::pg::text::reported;
use crate::settings::{PREFIX, anchors_in};

/// Longest value of a setting that decides whose keys are ours; they all must fit in key memory together.
const MAX_ORIGIN_BYTES: usize = 1_000;

/// The national cloud of the tenant.
#[derive(Clone, Copy, Debug, PostgresGucEnum)]
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

/// What becomes of a session whose token has expired.
#[derive(Clone, Copy, Debug, PostgresGucEnum)]
pub(super) enum SessionExpiry {
    #[name = c"off"]
    Off,
    #[name = c"terminate"]
    Terminate,
}

impl SessionExpiry {
    pub(super) const fn terminates(self) -> bool {
        matches!(self, Self::Terminate)
    }
}

/// A setting that is text.
pub(super) struct TextSetting(GucSetting<Option<CString>>);

impl TextSetting {
    const fn new() -> Self {
        Self(GucSetting::<Option<CString>>::new(Some(c"")))
    }

    /// The value as it stands, without blanks around it.
    pub(super) fn text(&self) -> String {
        // What is not UTF-8 parses as none of our texts; the replacement character says so in the message.
        self.0.get().map(|value| value.to_string_lossy().trim().to_owned()).unwrap_or_default()
    }
}

pub(super) static TENANT_ID: TextSetting = TextSetting::new();
pub(super) static AUDIENCE: TextSetting = TextSetting::new();
pub(super) static CLOUD: GucSetting<Cloud> = GucSetting::<Cloud>::new(Cloud::Public);
pub(super) static AUTHORITY_URL: TextSetting = TextSetting::new();
pub(super) static ISSUERS: TextSetting = TextSetting::new();
pub(super) static KEY_SOURCE: TextSetting = TextSetting::new();
pub(super) static CA_FILE: TextSetting = TextSetting::new();
pub(super) static HTTPS_PROXY: TextSetting = TextSetting::new();
pub(super) static KEY_REFRESH_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(3_600);
pub(super) static KEY_MAX_AGE: GucSetting<i32> = GucSetting::<i32>::new(86_400);
pub(super) static KEY_REFRESH_COOLDOWN: GucSetting<i32> = GucSetting::<i32>::new(300);
pub(super) static UNKNOWN_KEY_WAIT: GucSetting<i32> = GucSetting::<i32>::new(2_000);
pub(super) static CLOCK_SKEW: GucSetting<i32> = GucSetting::<i32>::new(60);
pub(super) static REQUIRE_TLS: GucSetting<bool> = GucSetting::<bool>::new(true);
pub(super) static SESSION_EXPIRY: GucSetting<SessionExpiry> =
    GucSetting::<SessionExpiry>::new(SessionExpiry::Off);
pub(super) static SESSION_EXPIRY_GRACE: GucSetting<i32> = GucSetting::<i32>::new(300);
pub(super) static ALLOWED_CLIENTS: TextSetting = TextSetting::new();
pub(super) static REQUIRED_PERMISSION: TextSetting = TextSetting::new();

/// The settings that are not text, whose value at server start was not valid. One bit each, by place in [`TYPED`].
static FAULTS_AT_START: AtomicU32 = AtomicU32::new(0);

/// The settings that are not text.
const TYPED: [&str; 9] = [
    "cloud",
    "key_refresh_interval",
    "key_max_age",
    "key_refresh_cooldown",
    "unknown_key_wait",
    "clock_skew",
    "require_tls",
    "session_expiry",
    "session_expiry_grace",
];

/// What is wrong with a text.
type Parse = fn(&str) -> Result<(), String>;

/// The settings that are text, each with what tells whether it parses.
const TEXT: [(&str, Parse); 9] = [
    ("tenant_id", |text| entra::parse_tenant(text).map(drop)),
    ("audience", |text| entra::parse_list(text).map(drop)),
    ("authority_url", check_authority),
    ("issuers", |text| entra::parse_issuers(text, None).map(drop)),
    ("key_source", check_source),
    ("ca_file", check_anchors),
    ("https_proxy", check_proxy),
    ("allowed_clients", |text| entra::parse_clients(text).map(drop)),
    ("required_permission", |text| entra::parse_permission(text).map(drop)),
];

/// A setting of roles (see `door::guard`). In a file it does nothing, and harms nobody.
const OF_ROLES: [&str; 1] = ["guard"];

/// Whether a name, without the prefix, is one of ours.
pub(super) fn is_known(name: &str) -> bool {
    let text = TEXT.iter().map(|(known, _)| known);
    TYPED.iter().chain(text).chain(&OF_ROLES).any(|known| known.eq_ignore_ascii_case(name))
}

/// What is wrong with a value of a setting that is text; none: nothing, or it is no such setting.
pub(super) fn problem_of(name: &str, value: &str) -> Option<String> {
    let (_, parse) = TEXT.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    parse(value.trim()).err()
}

/// A setting that is not text and had a value at server start that PostgreSQL put its default in place of.
pub(super) fn fault_at_start() -> Option<&'static str> {
    let faults = FAULTS_AT_START.load(Ordering::Relaxed);
    TYPED.iter().enumerate().find(|(place, _)| faults & (1 << place) != 0).map(|(_, name)| *name)
}

/// An absolute path, or nothing.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() || path.starts_with('/') {
        within(path)
    } else {
        Err("is not an absolute path".into())
    }
}

/// A file of certificates, or nothing.
fn check_anchors(path: &str) -> Result<(), String> {
    check_path(path)?;
    if path.is_empty() {
        return Ok(());
    }
    anchors_in(path).map(drop).map_err(|fault| format!("is not a file of certificates: {fault}"))
}

/// The address of a proxy, or nothing.
pub(super) fn check_proxy(proxy: &str) -> Result<(), String> {
    let spoken = |proxy: ureq::Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    if proxy.is_empty() || ureq::Proxy::new(proxy).is_ok_and(spoken) {
        within(proxy)
    } else {
        Err("is not the http or https address of a proxy".into())
    }
}

/// The address of an authority, or nothing.
pub(super) fn check_authority(url: &str) -> Result<(), String> {
    entra::parse_authority(url).map(drop).and_then(|()| within(url))
}

/// The address of the keys, or nothing.
pub(super) fn check_source(source: &str) -> Result<(), String> {
    entra::parse_key_source(source).map(drop).and_then(|()| within(source))
}

fn within(text: &str) -> Result<(), String> {
    if text.len() > MAX_ORIGIN_BYTES { Err("is too long".into()) } else { Ok(()) }
}

/// Refuses a bad text at reload and by ALTER SYSTEM, with the reason; lets it stand at server start,
/// and in a parallel worker, which takes over what its leader has whatever has become of a file
/// since.
fn check_text(value: *mut *mut c_char, name: &str) -> bool {
    if starting() || starting_in_parallel() {
        return true;
    }
    #[expect(unsafe_code, reason = "a check hook is handed C strings")]
    // SAFETY: guc.c hands its check hooks a pointer to a valid value, null only where the default is null, which ours
    // is not.
    let text = unsafe { value.as_ref().filter(|text| !text.is_null()).map(|text| CStr::from_ptr(*text)) };
    let text = text.map(CStr::to_string_lossy).unwrap_or_default();
    let problem = problem_of(name, &text);
    problem.inspect(|problem| set_check_detail(&format!("The value {problem}."))).is_none()
}

/// While the postmaster loads its libraries, values of configuration files and the command line arrive.
fn starting() -> bool {
    #[expect(unsafe_code, reason = "reads a flag of the server")]
    // SAFETY: written by the main thread only, which is where check hooks run.
    unsafe {
        pg_sys::process_shared_preload_libraries_in_progress
    }
}

/// A parallel worker takes over its leader's settings, one by one through their check hooks.
fn starting_in_parallel() -> bool {
    #[expect(unsafe_code, reason = "reads a flag of the server")]
    // SAFETY: as above.
    unsafe {
        pg_sys::InitializingParallelWorker
    }
}

/// What GUC_check_errdetail() does.
pub(super) fn set_check_detail(detail: &str) {
    let Ok(detail) = CString::new(reported(detail.to_owned())) else { return };
    #[expect(unsafe_code, reason = "a check hook reports through a variable of guc.c")]
    // SAFETY: guc.c frees nothing here; it copies the text while its memory context lives, as for its own hooks.
    unsafe {
        pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(detail.as_ptr());
    }
}

/// A value is set after server start: whatever was wrong then is mended. Values that are only tried, as `pg_file_settings` does
/// with all there are in files, are no such thing.
fn note_accepted(place: usize) {
    if !starting() {
        FAULTS_AT_START.fetch_and(!(1 << place), Ordering::Relaxed);
    }
}

macro_rules! check_hooks {
    ($($hook:ident $name:literal;)*) => { $(
        #[pg_guard]
        #[expect(unsafe_code, reason = "the signature of a check hook")]
        unsafe extern "C-unwind" fn $hook(
            value: *mut *mut c_char,
            _extra: *mut *mut c_void,
            _source: pg_sys::GucSource::Type,
        ) -> bool {
            check_text(value, $name)
        }
    )* };
}

check_hooks! {
    check_tenant_id "tenant_id";
    check_audience "audience";
    check_authority_url "authority_url";
    check_issuers "issuers";
    check_key_source "key_source";
    check_ca_file "ca_file";
    check_https_proxy "https_proxy";
    check_allowed_clients "allowed_clients";
    check_required_permission "required_permission";
}

macro_rules! assign_hooks {
    ($($hook:ident($value:ty) $place:literal;)*) => { $(
        #[pg_guard]
        #[expect(unsafe_code, reason = "the signature of an assign hook")]
        unsafe extern "C-unwind" fn $hook(_value: $value, _extra: *mut c_void) {
            note_accepted($place);
        }
    )* };
}

assign_hooks! {
    accepted_cloud(c_int) 0;
    accepted_key_refresh_interval(c_int) 1;
    accepted_key_max_age(c_int) 2;
    accepted_key_refresh_cooldown(c_int) 3;
    accepted_unknown_key_wait(c_int) 4;
    accepted_clock_skew(c_int) 5;
    accepted_require_tls(bool) 6;
    accepted_session_expiry(c_int) 7;
    accepted_session_expiry_grace(c_int) 8;
}

/// Defines every setting of the server.
pub(super) fn define() {
    define_text_settings();
    define_typed_settings();
    define_session_settings();
    #[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
    // SAFETY: a constant C string; called once, in the postmaster.
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"azure_ad_auth".as_ptr());
    }
}

fn define_text_settings() {
    let text = |name, short, long, setting: &'static TextSetting, check, flags| {
        #[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
        // SAFETY: every hook carries #[pg_guard].
        unsafe {
            GucRegistry::define_string_guc_with_hooks(
                name,
                short,
                long,
                &setting.0,
                GucContext::Sighup,
                flags,
                Some(check),
                None,
                None,
            );
        }
    };
    let none = GucFlags::default();
    text(
        c"azure_ad_auth.tenant_id",
        c"The Azure AD tenant whose people, applications and groups may log in.",
        c"The tenant's uuid. While it is empty, every Azure AD login is refused.",
        &TENANT_ID,
        check_tenant_id,
        none,
    );
    text(
        c"azure_ad_auth.audience",
        c"The resources an access token may have been issued for.",
        c"Accepted \"aud\" values, separated by commas. While it is empty, every Azure AD login is refused.",
        &AUDIENCE,
        check_audience,
        none,
    );
    text(
        c"azure_ad_auth.authority_url",
        c"Replaces the cloud's login host when signing keys are fetched.",
        c"An https URL, or plain http to a loopback address. Does not change which issuers are accepted.",
        &AUTHORITY_URL,
        check_authority_url,
        none,
    );
    text(
        c"azure_ad_auth.issuers",
        c"The issuers whose tokens are accepted.",
        c"https URLs with the tenant or {tenantid} in them, separated by commas. Empty: the cloud's own.",
        &ISSUERS,
        check_issuers,
        none,
    );
    text(
        c"azure_ad_auth.key_source",
        c"Replaces the address of the signing keys.",
        c"An https URL, or the absolute path of a file on a server without a way out.",
        &KEY_SOURCE,
        check_key_source,
        none,
    );
    text(
        c"azure_ad_auth.ca_file",
        c"Extra trust anchors for our own HTTPS requests.",
        c"The absolute path of a PEM file, read besides the system's certificate authorities.",
        &CA_FILE,
        check_ca_file,
        none,
    );
    text(
        c"azure_ad_auth.https_proxy",
        c"A proxy for our own HTTPS requests.",
        c"As http://[user:password@]host:port. The environment's proxy variables are not looked at.",
        &HTTPS_PROXY,
        check_https_proxy,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"azure_ad_auth.allowed_clients",
        c"The client applications whose tokens are accepted.",
        c"Application ids, separated by commas. Empty: any.",
        &ALLOWED_CLIENTS,
        check_allowed_clients,
        none,
    );
    text(
        c"azure_ad_auth.required_permission",
        c"A permission that every token must carry.",
        c"A scope in a user's token, an app role in an application's. Empty: none.",
        &REQUIRED_PERMISSION,
        check_required_permission,
        none,
    );
}

#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
fn define_typed_settings() {
    guarding_start(c"azure_ad_auth.cloud", || {
        // SAFETY: every hook carries #[pg_guard].
        unsafe {
            GucRegistry::define_enum_guc_with_hooks(
                c"azure_ad_auth.cloud",
                c"The national cloud of the tenant.",
                c"Decides the login host and the issuers.",
                &CLOUD,
                GucContext::Sighup,
                GucFlags::default(),
                None,
                Some(accepted_cloud),
                None,
            );
        }
    });
    int(
        c"azure_ad_auth.key_refresh_interval",
        c"Time between two fetches of the signing keys.",
        c"Microsoft asks for an hour.",
        &KEY_REFRESH_INTERVAL,
        1,
        86_400,
        GucFlags::UNIT_S,
        accepted_key_refresh_interval,
    );
    int(
        c"azure_ad_auth.key_max_age",
        c"Signing keys are not used for longer than this without a successful fetch.",
        c"How long logins survive an outage of the provider, and a withdrawn key an outage of the network.",
        &KEY_MAX_AGE,
        1,
        30 * 86_400,
        GucFlags::UNIT_S,
        accepted_key_max_age,
    );
    int(
        c"azure_ad_auth.key_refresh_cooldown",
        c"Least time between two fetches caused by unknown key ids.",
        c"Whoever can reach the server can send an unknown key id; this bounds what that costs.",
        &KEY_REFRESH_COOLDOWN,
        1,
        86_400,
        GucFlags::UNIT_S,
        accepted_key_refresh_cooldown,
    );
    int(
        c"azure_ad_auth.unknown_key_wait",
        c"How long a login waits for signing keys that are being fetched.",
        c"Zero: not at all.",
        &UNKNOWN_KEY_WAIT,
        0,
        30_000,
        GucFlags::UNIT_MS,
        accepted_unknown_key_wait,
    );
    int(
        c"azure_ad_auth.clock_skew",
        c"Leeway for a clock that differs from the issuer's.",
        c"Applies to \"nbf\", \"iat\" and \"exp\", either way.",
        &CLOCK_SKEW,
        0,
        300,
        GucFlags::UNIT_S,
        accepted_clock_skew,
    );
    guarding_start(c"azure_ad_auth.require_tls", || {
        // SAFETY: every hook carries #[pg_guard].
        unsafe {
            GucRegistry::define_bool_guc_with_hooks(
                c"azure_ad_auth.require_tls",
                c"Refuse an Azure AD login before asking for the token unless TLS protects it.",
                c"A Unix-domain socket counts as protected, GSS encryption does not.",
                &REQUIRE_TLS,
                GucContext::Sighup,
                GucFlags::default(),
                None,
                Some(accepted_require_tls),
                None,
            );
        }
    });
}

#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
fn define_session_settings() {
    int(
        c"azure_ad_auth.session_expiry_grace",
        c"How long after its token a session ends.",
        c"Only where session_expiry says that it ends. Less than clock_skew: a token that is let in late may be thrown out at once.",
        &SESSION_EXPIRY_GRACE,
        0,
        86_400,
        GucFlags::UNIT_S,
        accepted_session_expiry_grace,
    );
    guarding_start(c"azure_ad_auth.session_expiry", || {
        // SAFETY: every hook carries #[pg_guard].
        unsafe {
            GucRegistry::define_enum_guc_with_hooks(
                c"azure_ad_auth.session_expiry",
                c"What becomes of a session whose token has expired.",
                c"off: nothing. terminate: it ends, and so do all when there is no administrator any more.",
                &SESSION_EXPIRY,
                GucContext::Sighup,
                GucFlags::default(),
                None,
                Some(accepted_session_expiry),
                None,
            );
        }
    });
}

/// Defines a number. The hook carries #[pg_guard].
#[expect(unsafe_code, clippy::too_many_arguments, reason = "as pgrx has it")]
fn int(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<i32>,
    min: i32,
    max: i32,
    unit: GucFlags,
    accepted: unsafe extern "C-unwind" fn(c_int, *mut c_void),
) {
    guarding_start(name, || {
        // SAFETY: see above.
        unsafe {
            GucRegistry::define_int_guc_with_hooks(
                name,
                short,
                long,
                setting,
                min,
                max,
                GucContext::Sighup,
                unit,
                None,
                Some(accepted),
                None,
            );
        }
    });
}

/// Defines a setting and remembers if the value written for it is not valid, which PostgreSQL only warns about.
#[expect(unsafe_code, reason = "guc.c has no safe wrapper for this")]
fn guarding_start(name: &'static CStr, define: impl FnOnce()) {
    let option = |name: &CStr| {
        // SAFETY: missing names are allowed for; the text lives until the setting changes, and is copied at once.
        unsafe {
            let text = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_owned())
        }
    };
    let written = option(name);
    define();
    let (Some(written), Some(default)) = (written, option(name)) else { return };
    // SAFETY: C strings that outlive the calls. The first call only tries the value; the second sets the default as if a
    // file had, so that removing the bad line from the file resets the setting, and the reset is noticed.
    unsafe {
        let accepted = pg_sys::set_config_option(
            name.as_ptr(),
            written.as_ptr(),
            pg_sys::GucContext::PGC_POSTMASTER,
            pg_sys::GucSource::PGC_S_FILE,
            pg_sys::GucAction::GUC_ACTION_SET,
            false,
            PgLogLevel::DEBUG5 as i32,
            false,
        );
        if accepted == 0 {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                default.as_ptr(),
                pg_sys::GucContext::PGC_POSTMASTER,
                pg_sys::GucSource::PGC_S_FILE,
            );
            note_fault(name);
        }
    }
}

fn note_fault(name: &CStr) {
    let name = name.to_str().ok().and_then(|name| name.strip_prefix(PREFIX)?.strip_prefix('.'));
    if let Some(place) = TYPED.iter().position(|typed| Some(*typed) == name) {
        FAULTS_AT_START.fetch_or(1 << place, Ordering::Relaxed);
    }
}

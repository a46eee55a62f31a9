//! Describes to Rust what pgrx leaves out of PostgreSQL: the connection being authenticated.
//!
//! The description is made from the headers of the very server the library is for. With another major version's the
//! fields would lie elsewhere, and the first login would crash; so that is refused here, with what to install instead.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// postgres.h says what the server was built with. The GSS and OpenSSL headers are then kept out: `Port` has the same
/// layout without them (libpq/libpq-be.h keeps a pointer in their place), and they need not be installed.
const HEADERS: &str = r#"
#include "postgres.h"
#undef ENABLE_GSS
#undef USE_OPENSSL
#include "miscadmin.h"
#include "libpq/auth.h"
#include "libpq/hba.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "libpq/pqformat.h"
#include "postmaster/postmaster.h"
#if PG_VERSION_NUM >= 180000
#include "libpq/oauth.h"
#include "tcop/backend_startup.h"
#endif
#if PG_VERSION_NUM >= 190000
#include "nodes/pg_list.h"
#endif
"#;

/// The first major version that has the method `oauth` and validators for it.
const FIRST_WITH_VALIDATORS: u16 = 18;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // cargo-pgrx reads the SQL entities from a section of the library that nothing refers to.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-gc-sections");
    if let Err(fault) = describe_server() {
        println!("cargo:warning=azure_ad_auth cannot be built: {fault}");
        panic!("azure_ad_auth cannot be built: {fault}");
    }
}

fn describe_server() -> Result<(), Box<dyn Error>> {
    let (wanted, pg_config) = pgrx_bindgen::detect_pg_config()
        .map_err(|fault| format!("no pg_config for the chosen pgNN feature ({fault}). Run: cargo pgrx init"))?
        .pop()
        .ok_or("no PostgreSQL version was chosen. Add --features pgNN")?;
    let headers = pg_config.includedir_server().map_err(|fault| fault.to_string())?;
    let found = major_version_of(&headers).map_err(|fault| {
        format!(
            "the server headers of PostgreSQL {wanted} are missing in {} ({fault}). \
             Debian and Ubuntu: apt-get install postgresql-server-dev-{wanted}. \
             Red Hat: dnf install postgresql{wanted}-devel",
            headers.display()
        )
    })?;
    if found != u32::from(wanted) {
        return Err(format!(
            "the headers in {} are those of PostgreSQL {found}, but the feature pg{wanted} was chosen. \
             A library built like this would crash the server at the first login. \
             Choose pg{found}, or the pg_config of PostgreSQL {wanted}",
            headers.display()
        )
        .into());
    }
    clang_sys::load().map_err(|fault| {
        format!(
            "libclang is missing ({fault}). Debian and Ubuntu: apt-get install libclang-dev. \
             Red Hat: dnf install clang-devel"
        )
    })?;
    let flags = pg_config.cppflags().map_err(|fault| fault.to_string())?;
    let flags = flags.to_string_lossy().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // The door `oauth`: PostgreSQL has validators of OAUTHBEARER tokens.
    if wanted >= FIRST_WITH_VALIDATORS {
        println!("cargo:rustc-cfg=oauth");
    }
    bind(&headers, &flags)
}

/// The major version a server's headers are for.
fn major_version_of(headers: &Path) -> Result<u32, Box<dyn Error>> {
    let config = headers.join("pg_config.h");
    if !headers.join("postgres.h").exists() {
        return Err("no postgres.h".into());
    }
    println!("cargo:rerun-if-changed={}", config.display());
    let text = fs::read_to_string(config)?;
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("#define PG_VERSION_NUM "))
        .ok_or("no PG_VERSION_NUM in pg_config.h")?;
    Ok(number.trim().parse::<u32>()? / 10_000)
}

fn bind(headers: &Path, flags: &[String]) -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?).join("server.rs");
    bindgen::Builder::default()
        .header_contents("server.h", HEADERS)
        .clang_arg(format!("-I{}", headers.display()))
        .clang_args(flags)
        .allowlist_type("Port|HbaLine|UserAuth|ClientConnectionInfo|LogConnectionOption|OAuthValidatorCallbacks|TokenizedAuthLine")
        .allowlist_var("PqCommMethods|MyClientConnectionInfo|ClientAuthentication_hook|log_connections|MyProcPort|ClientAuthInProgress|PG_OAUTH_VALIDATOR_MAGIC")
        .allowlist_function("sendAuthRequest|pq_startmsgread|pq_getbyte|pq_getmessage|hba_authname|hba_getauthmethod|open_auth_file|tokenize_auth_file|parse_hba_line|free_auth_file|RegisterOAuthHBAOptions|GetOAuthHBAOption")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .use_core()
        .size_t_is_usize(true)
        .override_abi(bindgen::Abi::CUnwind, ".*")
        .layout_tests(true)
        .generate_comments(false)
        .merge_extern_blocks(true)
        .wrap_unsafe_ops(true)
        .generate()
        .map_err(|fault| format!("the server headers could not be read: {fault}"))?
        .write_to_file(out)?;
    Ok(())
}

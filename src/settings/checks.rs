//! Checks whether the text of a setting parses. An empty text always does: nothing is set.

use entra::directory::hosts;
use ureq::ProxyProtocol;

use crate::settings::ca_file::anchors_in;

/// The longest value of a setting that decides where keys come from. All of them must fit in key
/// memory together.
const MAX_ORIGIN_BYTES: usize = 1_000;

/// The longest name of a database (NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// Checks an absolute path.
pub(super) fn path(path: &str) -> Result<(), String> {
    if path.is_empty() || path.starts_with('/') {
        within(path)
    } else {
        Err("is not an absolute path".into())
    }
}

/// Checks a file of certificates, and reads it.
pub(super) fn certificates(file: &str) -> Result<(), String> {
    path(file)?;
    if file.is_empty() {
        return Ok(());
    }
    anchors_in(file).map(drop).map_err(|fault| format!("is not a file of certificates: {fault}"))
}

/// Checks the address of a proxy.
pub(super) fn proxy(proxy: &str) -> Result<(), String> {
    let spoken = |proxy: ureq::Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    if proxy.is_empty() || ureq::Proxy::new(proxy).is_ok_and(spoken) {
        within(proxy)
    } else {
        Err("is not the http or https address of a proxy".into())
    }
}

/// Checks the address of an authority.
pub(super) fn authority(url: &str) -> Result<(), String> {
    entra::parse_authority(url).map(drop).and_then(|()| within(url))
}

/// Checks the address of the keys.
pub(super) fn key_source(source: &str) -> Result<(), String> {
    entra::parse_key_source(source).map(drop).and_then(|()| within(source))
}

/// Checks the client id of an application.
pub(super) fn client_id(id: &str) -> Result<(), String> {
    if id.is_empty() || entra::parse_uuid(id).is_some() { Ok(()) } else { Err("is not a uuid".into()) }
}

/// Checks the address that replaces Graph's.
pub(super) fn directory_url(url: &str) -> Result<(), String> {
    hosts::parse_directory_url(url).map(drop).and_then(|()| within(url))
}

/// Checks the address that replaces that of the machine's identity endpoint.
pub(super) fn identity_url(url: &str) -> Result<(), String> {
    hosts::parse_identity_url(url).map(drop).and_then(|()| within(url))
}

/// Checks the name of a database.
pub(super) fn database(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("names no database".into());
    }
    if name.len() > MAX_NAME_BYTES { Err("is longer than any name".into()) } else { Ok(()) }
}

fn within(text: &str) -> Result<(), String> {
    if text.len() > MAX_ORIGIN_BYTES { Err("is too long".into()) } else { Ok(()) }
}

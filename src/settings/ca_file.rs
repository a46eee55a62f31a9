//! The file of extra trust anchors. It is read when the setting changes, and by every fetch.

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::pg::file;

/// The most bytes that are read of the file. That of the system has about 220 KiB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The beginning of a certificate that is not in PEM: a long sequence (DER).
const DER: &[u8] = &[0x30, 0x82];

/// Returns the certificates in a PEM file, at least one.
///
/// # Errors
/// Why they cannot be used.
pub(crate) fn anchors_in(path: &str) -> Result<Vec<Certificate<'static>>, String> {
    let content = file::read(path, MAX_FILE_BYTES, 0).map_err(|fault| fault.to_string())?;
    if content.starts_with(DER) {
        let advice = "it is in DER, and must be in PEM: openssl x509 -inform der makes it one";
        return Err(advice.to_owned());
    }
    let mut anchors = Vec::new();
    for item in parse_pem(file::without_mark(&content)?) {
        match item {
            Ok(PemItem::Certificate(anchor)) => anchors.push(anchor),
            Ok(_) => {}
            Err(_) => return Err("not a PEM file".to_owned()),
        }
    }
    if anchors.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(anchors) }
}

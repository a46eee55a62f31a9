//! Advice for an administrator whose server's certificate is not accepted.

use rustls::{CertificateError, Error};

/// The name that the library's own text has for a certificate with the basic constraint CA:TRUE
/// that a server has shown. The error has no variant of its own.
const SHOWN_BY_A_SERVER: &str = "CaUsedAsEndEntity";

/// Returns what can be done about a fault; none if its text says all there is to say.
pub(super) fn advice(fault: &ureq::Error) -> Option<&'static str> {
    let fault = match fault {
        ureq::Error::Rustls(fault) => fault,
        // A fault of the handshake comes as one of the connection.
        ureq::Error::Io(fault) => fault.get_ref()?.downcast_ref::<Error>()?,
        _ => return None,
    };
    let Error::InvalidCertificate(fault) = fault else { return None };
    match fault {
        CertificateError::UnknownIssuer => Some(
            "nobody who is trusted here has signed it: add its authority's certificate to azure_ad_auth.ca_file",
        ),
        CertificateError::Other(other) if format!("{other:?}").contains(SHOWN_BY_A_SERVER) => Some(
            "it is an authority's own, as openssl req -x509 makes it: give the server one that says CA:FALSE (-addext \
             basicConstraints=critical,CA:FALSE), and name that one in azure_ad_auth.ca_file",
        ),
        _ => None,
    }
}

//! How the server's application proves who it is: what is registered for it, and certificates to
//! register.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
    date_time_ymd,
};

use crate::issuer::{Signer, b64};

/// The client id of the server's application, which every directory holds from the start.
pub const SERVER_CLIENT: &str = "aaaaaaaa-aaaa-bbbb-cccc-0000000000a1";
/// The object id of the server's application, as the tenant knows it.
pub const SERVER_PRINCIPAL: &str = "aaaaaaaa-aaaa-bbbb-cccc-0000000000a2";
/// The client secret of the server's application at first.
pub const SERVER_SECRET: &str = "first~secret+of/the=server&100%";

/// The bytes before the PKCS#1 key in a PKCS#8 key: version, algorithm, head of the octet string.
const PKCS8_PREFIX: usize = 26;

/// A certificate and its key, by which an application proves who it is.
pub struct ClientCertificate {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key in PKCS#8.
    pub key_pem: String,
    key_der: Vec<u8>,
    registered: RegisteredCertificate,
}

/// What Entra keeps of a certificate.
#[derive(Debug, Clone)]
pub(super) struct RegisteredCertificate {
    pub(super) thumbprint: String,
    /// SubjectPublicKeyInfo.
    pub(super) public_key: Vec<u8>,
    pub(super) is_in_time: bool,
    pub(super) is_revoked: bool,
}

impl RegisteredCertificate {
    /// Returns what Entra keeps of a certificate that is in its time.
    pub(super) fn of(der: &[u8], public_key: &[u8]) -> Self {
        Self {
            thumbprint: b64(digest(&SHA256, der)),
            public_key: public_key.to_vec(),
            is_in_time: true,
            is_revoked: false,
        }
    }
}

impl ClientCertificate {
    /// Makes a self-signed certificate with an RSA key of 2048 bits.
    #[expect(clippy::new_without_default, reason = "every certificate is another one")]
    pub fn new() -> Self {
        Self::until(2_099)
    }

    /// Makes one that has expired.
    pub fn expired() -> Self {
        Self::until(2_020)
    }

    /// Makes one whose key is not an RSA key.
    pub fn elliptic() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key pair");
        Self::of_key(&key, 2_099)
    }

    fn until(year: i32) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key pair");
        Self::of_key(&key, year)
    }

    fn of_key(key: &KeyPair, year: i32) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.distinguished_name.push(DnType::CommonName, "database server");
        parameters.not_before = date_time_ymd(2_019, 1, 1);
        parameters.not_after = date_time_ymd(year, 1, 1);
        let certificate = parameters.self_signed(key).expect("a certificate");
        Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
            registered: RegisteredCertificate {
                is_in_time: year > 2_020,
                ..RegisteredCertificate::of(certificate.der(), &key.subject_public_key_info())
            },
        }
    }

    /// Returns the private key in PKCS#1, which only an RSA key has.
    pub fn key_pem_pkcs1(&self) -> String {
        let key = self.key_der.get(PKCS8_PREFIX..).expect("a PKCS#8 key");
        let text = STANDARD.encode(key);
        let (mut lines, mut rest) = (String::new(), text.as_str());
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            lines = lines + line + "\n";
            rest = more;
        }
        format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}-----END RSA PRIVATE KEY-----\n")
    }

    /// Returns `x5t#S256`.
    pub fn thumbprint(&self) -> &str {
        &self.registered.thumbprint
    }

    pub(super) fn registered(&self) -> RegisteredCertificate {
        self.registered.clone()
    }
}

/// A federated credential: whose tokens prove who the application is.
#[derive(Clone)]
pub struct Federation {
    /// `iss` of these tokens.
    pub issuer: String,
    /// `sub` of these tokens.
    pub subject: String,
    /// `aud` of these tokens.
    pub audience: String,
    /// The key that signs them.
    pub key: Arc<Signer>,
}

/// Everything that is registered for the server's application.
#[derive(Default)]
pub(super) struct Credentials {
    /// Each secret, and whether it has expired.
    pub(super) secrets: Vec<(String, bool)>,
    pub(super) certificates: Vec<RegisteredCertificate>,
    pub(super) federations: Vec<Federation>,
    /// `jti` of the assertions that have brought a token.
    pub(super) used: BTreeSet<String>,
}

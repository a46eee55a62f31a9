//! The certificate of the application, and assertions that its key signs.
//!
//! The key is an RSA key: Entra takes no other for assertions that are signed with PS256. A file of
//! several certificates is searched for that of the key.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra::Uuid;
use entra::directory::certificate::{self, Certificate};
use entra::directory::credential::{assertion_claims, assertion_header, signing_input};
use zeroize::Zeroizing;

use crate::directory::credential::pem::{Section, sections};
use crate::directory::credential::{NotGiven, file};

/// The number by which Entra says that it does not know a certificate.
const NOT_REGISTERED: u32 = 700_027;

/// A certificate with its key.
pub(super) struct Signer {
    key: KeyPair,
    /// The SHA-256 of the certificate.
    thumbprint: [u8; 32],
    /// When the certificate ends, in Unix seconds.
    pub(super) expires_at: i64,
}

impl Signer {
    /// Reads a certificate and its key. They may be in one file.
    ///
    /// # Errors
    /// Why they cannot be used, in words.
    pub(super) fn read(certificate_file: &str, key_file: &str) -> Result<Self, String> {
        let about_certificate =
            |fault: String| format!("the file of the certificate, {certificate_file}, {fault}");
        let about_key = |fault: String| format!("the file of the private key, {key_file}, {fault}");
        let is_one_file = certificate_file == key_file;
        let certificates = file::pem(certificate_file, is_one_file).map_err(about_certificate)?;
        let certificates = sections(&certificates).map_err(|fault| about_certificate(fault.to_owned()))?;
        let key = if is_one_file {
            key_in(&certificates)
        } else {
            let content = file::pem(key_file, true).map_err(about_key)?;
            sections(&content).map_err(str::to_owned).and_then(|sections| key_in(&sections))
        };
        let key = key.map_err(about_key)?;
        let (thumbprint, expires_at) = certificate_of(&key, &certificates).map_err(about_certificate)?;
        Ok(Self { key, thumbprint, expires_at })
    }

    /// Returns a signed assertion ("Microsoft identity platform application authentication
    /// certificate credentials").
    ///
    /// # Errors
    /// The cryptography fails, in words.
    pub(super) fn assertion(
        &self,
        client_id: Uuid,
        token_url: &str,
        now: i64,
    ) -> Result<Zeroizing<String>, String> {
        let fault = |_| "an assertion cannot be signed on this machine".to_owned();
        let mut unique = [0; 16];
        rand::fill(&mut unique).map_err(fault)?;
        let claims = assertion_claims(client_id, token_url, Uuid::from_bytes(unique), now);
        let input = signing_input(&assertion_header(&self.thumbprint), &claims);
        let mut signature = Zeroizing::new(vec![0; self.key.public_modulus_len()]);
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .map_err(fault)?;
        let signature = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*signature));
        Ok(Zeroizing::new([input.as_str(), ".", signature.as_str()].concat()))
    }

    /// Adds the certificate's thumbprint, by which an administrator finds it at the application, to
    /// a fault that may be the certificate's.
    pub(super) fn explain(&self, fault: NotGiven) -> NotGiven {
        let number = fault.problem.as_ref().and_then(|problem| problem.number);
        if number != Some(NOT_REGISTERED) {
            return fault;
        }
        let thumbprint: String = self.thumbprint.iter().map(|byte| format!("{byte:02X}")).collect();
        NotGiven { text: format!("{} (its SHA-256 thumbprint is {thumbprint})", fault.text), ..fault }
    }
}

/// Returns the only private key of a file.
fn key_in(sections: &[Section<'_>]) -> Result<KeyPair, String> {
    let mut keys = sections.iter().filter(|section| section.label.ends_with(b"PRIVATE KEY"));
    let key = keys.next().ok_or("holds no private key")?;
    if keys.next().is_some() {
        return Err("holds more than one private key".to_owned());
    }
    let is_encrypted = key.label.starts_with(b"ENCRYPTED");
    let content = key.content.as_ref().filter(|_| !is_encrypted);
    let content = content.ok_or("holds a private key with a passphrase, which the server does not have")?;
    let key = match key.label {
        b"PRIVATE KEY" => KeyPair::from_pkcs8(content),
        b"RSA PRIVATE KEY" => KeyPair::from_der(content),
        _ => return Err(NO_RSA_KEY.to_owned()),
    };
    key.map_err(|_| NO_RSA_KEY.to_owned())
}

const NO_RSA_KEY: &str = "holds no usable RSA key of 2048 bits or more, which Entra demands";

/// Returns the thumbprint and the end of the certificate that belongs to a key.
fn certificate_of(key: &KeyPair, sections: &[Section<'_>]) -> Result<([u8; 32], i64), String> {
    let mut is_there = false;
    for section in sections.iter().filter(|section| section.label == b"CERTIFICATE") {
        is_there = true;
        let content = section.content.as_ref();
        let Some((content, certificate)) =
            content.and_then(|content| Some((content, certificate::parse(content)?)))
        else {
            return Err("holds a certificate that cannot be read".to_owned());
        };
        let Certificate { public_key, not_after } = certificate;
        if public_key == key.public_key().as_ref()
            && let Ok(thumbprint) = digest(&SHA256, content).as_ref().try_into()
        {
            return Ok((thumbprint, not_after));
        }
    }
    let fault = if is_there { "holds no certificate of the private key" } else { "holds no certificate" };
    Err(fault.to_owned())
}

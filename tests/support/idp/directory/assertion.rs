//! Client assertions: signed by a registered certificate, or by a federated issuer.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::credentials::{Credentials, SERVER_CLIENT};
use super::reply::{Answer, token_refusal};

/// By how much clocks may differ, in seconds.
const SKEW: i64 = 300;
/// The longest life of an assertion by certificate, in seconds. Entra takes longer ones; the
/// server must not make any.
const LONGEST_LIFE: i64 = 600;

struct Assertion<'a> {
    header: Value,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Checks an assertion. `address` is that of the token endpoint, as the client has used it.
pub(super) fn check(
    text: &str,
    credentials: &mut Credentials,
    address: &str,
    now: i64,
) -> Result<(), Answer> {
    let malformed = || token_refusal(400, "invalid_request", 50_027, "JWT token is invalid or malformed.");
    let assertion = Assertion::parse(text).ok_or_else(malformed)?;
    let names_certificate = ["x5t", "x5t#S256"].iter().any(|name| assertion.header.get(name).is_some());
    if !names_certificate && assertion.claim("iss") != SERVER_CLIENT {
        return assertion.check_federated(credentials, now);
    }
    assertion.check_certificate(credentials)?;
    if assertion.claim("iss") != SERVER_CLIENT || assertion.claim("sub") != SERVER_CLIENT {
        let problem = "Client assertion application identifier doesn't match 'client_id' parameter.";
        return Err(invalid_client(700_021, problem));
    }
    if assertion.claims["aud"] != json!(address) {
        return Err(invalid_client(700_023, "Client assertion audience claim does not match Realm issuer."));
    }
    assertion.check_times(now, Some(LONGEST_LIFE))?;
    let id = assertion.claim("jti");
    if id.len() < 16 || !credentials.used.insert(id.to_owned()) {
        return Err(malformed());
    }
    Ok(())
}

fn invalid_client(number: u32, problem: &str) -> Answer {
    token_refusal(401, "invalid_client", number, problem)
}

impl<'a> Assertion<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let document = |part: &str| serde_json::from_slice(&bytes(part)?).ok();
        Some(Self {
            header: document(header)?,
            claims: document(claims)?,
            signed,
            signature: bytes(signature)?,
        })
    }

    fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }

    fn is_signed_by(&self, public_key: &[u8], algorithm: &'static RsaParameters) -> bool {
        UnparsedPublicKey::new(algorithm, public_key).verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// Checks that a registered certificate has signed it, with PS256.
    fn check_certificate(&self, credentials: &Credentials) -> Result<(), Answer> {
        // Microsoft's own libraries pad it.
        let thumbprint = self.header["x5t#S256"].as_str().unwrap_or_default().trim_end_matches('=');
        let invalid = |reason: &str| {
            let reason = format!("[Reason - {reason} Thumbprint: '{thumbprint}']");
            let problem = format!("Client assertion contains an invalid signature. {reason}");
            invalid_client(700_027, &problem)
        };
        let known = credentials.certificates.iter().find(|known| known.thumbprint == thumbprint);
        let certificate = known.ok_or_else(|| invalid("The key was not found."))?;
        let is_signed = self.is_signed_by(&certificate.public_key, &RSA_PSS_2048_8192_SHA256);
        if self.header["alg"] != "PS256" || self.header["typ"] != "JWT" || !is_signed {
            return Err(invalid("The signature does not match."));
        }
        if certificate.is_revoked {
            return Err(invalid_client(7_000_214, "Certificate has been revoked."));
        }
        if !certificate.is_in_time {
            return Err(invalid_client(
                1_000_502,
                "The provided certificate is not within its specified validity window.",
            ));
        }
        Ok(())
    }

    /// Checks that a federated issuer has signed it. Names are compared with their case.
    fn check_federated(&self, credentials: &Credentials, now: i64) -> Result<(), Answer> {
        let mut known: Vec<_> = credentials.federations.iter().collect();
        let unmatched = |number: u32, what: &str| {
            let problem =
                format!("No matching federated identity record found for presented assertion {what}.");
            invalid_client(number, &problem)
        };
        if known.is_empty() {
            return Err(unmatched(70_021, "of any issuer"));
        }
        known.retain(|federation| federation.issuer == self.claim("iss"));
        if known.is_empty() {
            return Err(unmatched(700_211, &format!("issuer '{}'", self.claim("iss"))));
        }
        known.retain(|federation| federation.subject == self.claim("sub"));
        if known.is_empty() {
            return Err(unmatched(700_213, &format!("subject '{}'", self.claim("sub"))));
        }
        let audience = match self.claims["aud"].as_array().map(Vec::as_slice) {
            Some([only]) => only.as_str().unwrap_or_default(),
            Some(_) => "",
            None => self.claim("aud"),
        };
        known.retain(|federation| federation.audience == audience);
        if known.is_empty() {
            return Err(unmatched(700_212, &format!("audience '{audience}'")));
        }
        let signed = |key: &[u8]| self.is_signed_by(key, &RSA_PKCS1_2048_8192_SHA256);
        let is_signed = known.iter().any(|federation| signed(&federation.key.public_der()));
        if self.header["alg"] != "RS256" || !is_signed {
            return Err(invalid_client(50_013, "Assertion failed signature validation."));
        }
        self.check_times(now, None)
    }

    fn check_times(&self, now: i64, longest: Option<i64>) -> Result<(), Answer> {
        // A NumericDate may have a fraction; Microsoft's own libraries write one.
        let time =
            |name: &str| self.claims[name].as_number()?.to_string().split('.').next()?.parse::<i64>().ok();
        let end = time("exp").filter(|end| *end > now - SKEW);
        let start = time("nbf").or_else(|| time("iat")).filter(|start| *start <= now + SKEW);
        let is_in_time = start.zip(end).is_some_and(|(start, end)| {
            longest.is_none_or(|longest| end - start <= longest && time("iat").is_some())
        });
        let problem = "Client assertion is not within its valid time range.";
        if is_in_time { Ok(()) } else { Err(invalid_client(700_024, problem)) }
    }
}

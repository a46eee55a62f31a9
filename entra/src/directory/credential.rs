//! How the server proves to Entra who it is, and the token that it gets for it.
//!
//! Everything secret is wiped when it is dropped: request bodies, assertions, tokens. The token for
//! Graph is opaque; nothing in it is looked at.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::request::percent_encoded;
use crate::freshness::Millis;
use crate::ids::parse_uuid;
use crate::json::{self, Json};
use crate::limits::{MAX_TOKEN_ANSWER_BYTES, MAX_TOKEN_BYTES, MAX_TOKEN_VALUES};
use crate::untrusted::Untrusted;

/// How long an assertion that this server signs is valid, in seconds: Entra takes up to ten
/// minutes.
const ASSERTION_SECONDS: i64 = 540;

/// A token is renewed so long before its end, in milliseconds.
const RENEW_BEFORE: Millis = 300_000;

/// A token that lives for longer than this is renewed at half its life, in milliseconds.
const LONG_LIFE: Millis = 7_200_000;

/// So many bytes in a text that were sent before it came are no coincidence.
const ECHO_BYTES: usize = 8;

/// What the server shows to the token endpoint.
pub enum Proof<'s> {
    /// The secret of the application.
    Secret(&'s str),
    /// A signed assertion: of the server's own, by its certificate, or a federated token.
    Assertion(&'s str),
}

/// Builds the body of a request for a token, form-encoded ("OAuth 2.0 client credentials flow",
/// Microsoft).
#[must_use]
pub fn token_request(client_id: Uuid, scope: &str, proof: &Proof<'_>) -> Zeroizing<String> {
    let (name, value, kind) = match proof {
        Proof::Secret(secret) => ("client_secret", *secret, ""),
        Proof::Assertion(assertion) => (
            "client_assertion",
            *assertion,
            "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
        ),
    };
    let value = Zeroizing::new(percent_encoded(value));
    // Room for all of it, so that no copy is left behind by growing.
    let mut body = Zeroizing::new(String::with_capacity(value.len() + scope.len() * 3 + 256));
    body.push_str("grant_type=client_credentials&client_id=");
    body.push_str(&client_id.hyphenated().to_string());
    body.push_str("&scope=");
    body.push_str(&percent_encoded(scope));
    body.push_str(kind);
    body.push('&');
    body.push_str(name);
    body.push('=');
    body.push_str(&value);
    body
}

/// Returns the claims of an assertion by which a certificate proves who the application is
/// ("Microsoft identity platform application authentication certificate credentials"). `token_url`:
/// the address that it is sent to. `unique`: random, so that no two assertions are the same.
#[must_use]
pub fn assertion_claims(client_id: Uuid, token_url: &str, unique: Uuid, now: i64) -> String {
    let client_id = client_id.hyphenated().to_string();
    json!({
        "aud": token_url,
        "iss": client_id,
        "sub": client_id,
        "jti": unique.hyphenated().to_string(),
        "nbf": now,
        "iat": now,
        "exp": now.saturating_add(ASSERTION_SECONDS),
    })
    .to_string()
}

/// Returns the header of such an assertion. `thumbprint`: the SHA-256 of the certificate's DER
/// form, by which Entra finds it (RFC 7515 section 4.1.8).
#[must_use]
pub fn assertion_header(thumbprint: &[u8; 32]) -> String {
    json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) }).to_string()
}

/// Returns the text that is signed, and that stands before the signature in the assertion (RFC 7515
/// section 5.1).
#[must_use]
pub fn signing_input(header: &str, claims: &str) -> String {
    [URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)].join(".")
}

/// What a federated token says, so that an administrator can compare it with the credential that is
/// registered with the application. It is shown and never believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federated {
    /// `iss`.
    pub issuer: Option<Untrusted>,
    /// `sub`.
    pub subject: Option<Untrusted>,
    /// `aud`: the first one.
    pub audience: Option<Untrusted>,
    /// `exp`, in Unix seconds.
    pub expires_at: Option<i64>,
}

impl fmt::Display for Federated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = [("iss", &self.issuer), ("sub", &self.subject), ("aud", &self.audience)];
        for (number, (name, value)) in members.into_iter().enumerate() {
            let separator = if number > 0 { ", " } else { "" };
            match value {
                Some(value) => write!(f, "{separator}{name} \"{value}\"")?,
                None => write!(f, "{separator}no {name}")?,
            }
        }
        Ok(())
    }
}

/// Reads the claims of a federated token; none if it is no JWT. Nothing of its signature is looked
/// at.
#[must_use]
pub fn describe_federated(token: &str) -> Option<Federated> {
    let mut parts = token.trim().split('.');
    let (claims, is_whole) = (parts.nth(1)?, parts.next().is_some() && parts.next().is_none());
    if !is_whole || token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims = json::parse_object(&claims, MAX_TOKEN_VALUES).ok()?;
    let audience = match claims.get("aud") {
        Some(Json::Array(all)) => all.first(),
        other => other,
    };
    let text = |value: Option<&Json>| value.and_then(Json::as_text).map(Untrusted::new);
    Some(Federated {
        issuer: text(claims.get("iss")),
        subject: text(claims.get("sub")),
        audience: text(audience),
        expires_at: claims.get("exp").and_then(Json::as_integer),
    })
}

/// A token for Graph.
pub struct AccessToken {
    /// What is sent as `Authorization: Bearer`.
    pub text: Zeroizing<String>,
    /// How long it lives, in milliseconds.
    pub lifetime: Millis,
    /// After how much of its life the endpoint advises to fetch a new one, in milliseconds.
    pub refresh_in: Option<Millis>,
    /// The client id of the identity that it was issued to, where the endpoint says so.
    pub client_id: Option<Uuid>,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken {{ lifetime: {} }}", self.lifetime)
    }
}

impl AccessToken {
    /// After how much of its life a new one is fetched, in milliseconds.
    #[must_use]
    pub const fn renew_after(&self) -> Millis {
        let half = self.lifetime / 2;
        let ahead = self.lifetime.saturating_sub(RENEW_BEFORE);
        // A token that lives for minutes only must not be fetched for every request.
        let own = if self.lifetime > LONG_LIFE || ahead < half { half } else { ahead };
        match self.refresh_in {
            Some(refresh_in) if refresh_in < own => refresh_in,
            _ => own,
        }
    }
}

/// Why something that came is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It is not JSON of the strict kind, or too large.
    Unreadable,
    /// It has no text that a header could carry as a token.
    NoToken,
    /// It does not say how long the token lives.
    NoLifetime,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the answer cannot be read",
            Self::NoToken => "the answer has no usable \"access_token\"",
            Self::NoLifetime => "the answer has no usable \"expires_in\"",
        })
    }
}

/// Reads the answer of a token endpoint or of an identity endpoint. The latter write numbers as
/// texts.
///
/// # Errors
/// Why it is none.
pub fn parse_token(bytes: &[u8]) -> Result<AccessToken, TokenFault> {
    if bytes.len() > MAX_TOKEN_ANSWER_BYTES {
        return Err(TokenFault::Unreadable);
    }
    let mut members = json::parse_object(bytes, MAX_TOKEN_VALUES).map_err(|_| TokenFault::Unreadable)?;
    let seconds = |name: &str| match members.get(name) {
        Some(Json::Number(digits) | Json::Text(digits)) => {
            digits.parse::<u32>().ok().filter(|seconds| *seconds > 0)
        }
        _ => None,
    };
    let (expires_in, refresh_in) = (seconds("expires_in"), seconds("refresh_in"));
    let client_id = members.get("client_id").and_then(Json::as_text).and_then(parse_uuid);
    let text = match members.remove("access_token") {
        Some(Json::Text(text)) => Zeroizing::new(text),
        _ => return Err(TokenFault::NoToken),
    };
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_TOKEN_BYTES || !is_printable {
        return Err(TokenFault::NoToken);
    }
    let millis = |seconds: u32| Millis::from(seconds) * 1_000;
    let lifetime = expires_in.map(millis).ok_or(TokenFault::NoLifetime)?;
    Ok(AccessToken { text, lifetime, refresh_in: refresh_in.map(millis), client_id })
}

/// What a token endpoint says instead of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenProblem {
    /// The status of HTTP.
    pub status: u16,
    /// Entra's number: what stands after AADSTS.
    pub number: Option<u32>,
    /// The first line of Entra's description; the others repeat ids.
    pub description: Option<Untrusted>,
}

impl fmt::Display for TokenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, &self.description) {
            (Some(number), _) => write!(f, "AADSTS{number}")?,
            (None, Some(description)) => description.fmt(f)?,
            (None, None) => write!(f, "status {}", self.status)?,
        }
        match self.number.and_then(advice) {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

/// Reads what a token endpoint, or a proxy in between, says instead of a token.
#[must_use]
pub fn parse_token_problem(status: u16, bytes: &[u8]) -> TokenProblem {
    let members = bytes.get(..MAX_TOKEN_ANSWER_BYTES.min(bytes.len())).unwrap_or_default();
    let members = json::parse_object(members, MAX_TOKEN_VALUES).unwrap_or_default();
    let number = match members.get("error_codes") {
        Some(Json::Array(numbers)) => numbers.first().and_then(Json::as_integer),
        _ => None,
    };
    let description =
        members.get("error_description").or_else(|| members.get("error")).and_then(Json::as_text);
    let description = description.and_then(|text| text.lines().next());
    let number = number.or_else(|| {
        let digits = description?.split_once("AADSTS")?.1;
        let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    });
    TokenProblem {
        status,
        number: number.and_then(|number| u32::try_from(number).ok()),
        description: description.map(Untrusted::new),
    }
}

impl TokenProblem {
    /// Leaves out a description that repeats a piece of what was sent, as a proxy or an endpoint
    /// that is not Entra's may write one.
    #[must_use]
    pub fn without_echo(self, sent: &Proof<'_>) -> Self {
        let (Proof::Secret(sent) | Proof::Assertion(sent)) = sent;
        let encoded = Zeroizing::new(percent_encoded(sent));
        let length = sent.len().clamp(1, ECHO_BYTES);
        let is_sent = |piece: &[u8]| {
            [sent.as_bytes(), encoded.as_bytes()]
                .iter()
                .any(|form| form.windows(length).any(|sent| sent == piece))
        };
        let is_plain = |text: &Untrusted| !text.raw().as_bytes().windows(length).any(is_sent);
        Self { description: self.description.filter(is_plain), ..self }
    }

    /// Whether the same request may succeed soon: the service is at fault, not the request.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.number {
            Some(90_000..=90_001 | 90_003..=90_022 | 90_024..=90_037 | 90_039..=90_099) => true,
            Some(_) => false,
            None => matches!(self.status, 408 | 429 | 500..=599),
        }
    }

    /// Whether Entra says that this server asks in a loop, and must be silent for minutes.
    #[must_use]
    pub const fn is_loop(&self) -> bool {
        matches!(self.number, Some(50_196))
    }
}

/// Says what to do about one of Entra's numbers ("Microsoft Entra authentication and authorization
/// error codes").
#[must_use]
pub const fn advice(number: u32) -> Option<&'static str> {
    Some(match number {
        7_000_215 => "the client secret is wrong; the file must have the secret's value, not its id",
        7_000_222 => "the client secret has expired",
        700_016 => "the tenant has no application of this client id",
        90_002 | 900_023 => "there is no such tenant",
        90_038 | 900_382 => "the tenant is in another national cloud",
        500_011 => {
            "the tenant does not know Microsoft Graph at this address; see the settings cloud and directory_url"
        }
        700_027 => "the certificate is not registered with the application",
        1_000_502 | 7_000_214 => "the certificate is outside its validity or revoked",
        700_024 => "the assertion is outside its time: a clock is wrong, or the token file is stale",
        70_021 | 700_211 | 700_212 | 700_213 | 7_002_131 => {
            "no federated credential of the application matches the token's issuer, subject and audience"
        }
        7_000_112 => "the application is disabled in the tenant",
        50_196 => "the server asks too often; it waits for minutes",
        _ => return None,
    })
}

//! A known-answer test: a fixed token, whose private key no longer exists, is verified at a fixed
//! time.
//!
//! It runs when the library is loaded. It shows that this machine verifies a good signature and
//! refuses a wrong one. The cryptographic library does its preparations on first use; here they are
//! done once, before the postmaster starts processes that inherit them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::code::Code;
use crate::jws::Unverified;
use crate::keyset::{Key, KeySet};
use crate::policy::{Misconfigured, Policy, RawPolicy};
use crate::verify::{KeyLookup, verify};

/// The tenant of the token.
const TENANT: &str = "00000000-0000-4000-8000-000000000001";

/// A time at which the token was valid, in Unix seconds.
const THEN: i64 = 1;

/// The modulus of the key, as in a key document.
const MODULUS: &str = concat!(
    "yEzkA8Cl7pVej8JcBMTun-QwPMzbkGCVZnTv5xh8ru04J1eVIeAOPPCbJHUSHZG-9DTs3T_djlIqy0uL9Xu4zRCEw1j7q6Mi",
    "s4dZPkwL-jo3vCFr4fv-dLyM3HaTYHV3TSlC6nKyZxyLxJrxjkk2ZpTbhqdyoStCgrj2R0172T3EhYOYOyeKJMj-y2-0nIoU",
    "wlFeSyOISRJvRW2FUBGB0KvcL1wcSfL-uq9u4Vl7WMi6-_8mjIw7eKWyM_JpIMCs0RPaZoZjINKA0PFLXvttP7BUcxvLE7pg",
    "3fK4roa4VQ2bdCOzdkdx2FFPszyO3QbsD5KWf28-eeKO3Rg424N1ow",
);

/// The exponent of the key; a key document has it as `AQAB`.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// The token.
const TOKEN: &str = concat!(
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6InNlbGYtdGVzdCJ9.eyJhdWQiOiJzZWxmLXRlc3QiLCJpc3MiOiJ",
    "odHRwczovL3N0cy53aW5kb3dzLm5ldC8wMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEvIiwiaWF0IjoxLCJ",
    "uYmYiOjEsImV4cCI6MiwiYXBwaWQiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDMiLCJncm91cHMiOls",
    "iMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDA0Il0sIm9pZCI6IjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTA",
    "wMDAwMDAwMDAwMiIsInNjcCI6InNlbGYtdGVzdCIsInN1YiI6InNlbGYiLCJ0aWQiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODA",
    "wMC0wMDAwMDAwMDAwMDEiLCJ1cG4iOiJzZWxmQHRlc3QuaW52YWxpZCIsInV0aSI6InNlbGYiLCJ2ZXIiOiIxLjAifQ.ekKb",
    "0wTU822IdNvccIgVNDFJ81vsCEn9Ls9qwkPsHBimSWhxRi9Qvrsu1GDscflSV6OUL9In-nZMSbzN_KOrlj4GsiLgknllbW_t",
    "hJqSTxs6dlVwcsFZpNKnivLxceiCK0b7lxYVW6bX_W2XPl9SdHFTQlh16pNuvFi3PcbGLqEZVdhcPHqDaUw1z4A4T0MJTuPy",
    "284VZgltBaCLvyRsFQvY4P5yVbOxBYPaXzBld5Yeh9en5WykhY31FQDmCUl1hkSqoIWXj1hD68LzYhdBcwu1EbAoqWnE-XWQ",
    "mI1a7z7z054TcwtbD5LJCds9dzdY0vhZanDlXIR2Xil7BL7rww",
);

/// Returns whether a good token is accepted and a changed one is refused.
#[must_use]
pub fn self_test() -> bool {
    let document =
        format!(r#"{{"keys":[{{"kty":"RSA","use":"sig","kid":"self-test","n":"{MODULUS}","e":"AQAB"}}]}}"#);
    let (Ok(keys), Ok(policy)) = (KeySet::parse(document.as_bytes()), policy()) else { return false };
    let verified =
        |text: &str| verify(text.as_bytes(), &keys, &policy, THEN).map_err(|refusal| refusal.code());
    // Another first character leaves the signature base64url and makes it wrong.
    let (signed, signature) = TOKEN.rsplit_once('.').unwrap_or_default();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed: String = signed.chars().chain(['.', first]).chain(signature.chars().skip(1)).collect();
    keys.find("self-test").as_ref().map(Key::id) == Some("self-test")
        && verified(TOKEN).is_ok()
        && verified(&changed).err() == Some(Code::BadSignature)
}

/// Verifies the good token once more and returns whether that succeeded. A login calls it while it
/// waits for the token, so that the code and data are in the caches when the token arrives.
#[must_use]
pub fn rehearse() -> bool {
    let modulus = URL_SAFE_NO_PAD.decode(MODULUS).ok();
    let key = modulus.and_then(|modulus| Key::new("self-test", &modulus, &EXPONENT, None));
    let (Some(key), Ok(policy)) = (key, policy()) else { return false };
    Unverified::parse(TOKEN.as_bytes()).and_then(|token| token.verify(&key, &policy, THEN)).is_ok()
}

fn policy() -> Result<Policy, Misconfigured> {
    Policy::parse(&RawPolicy { clock_skew: 0, ..RawPolicy::for_tenant(TENANT, "self-test") })
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {
        assert!(super::self_test());
        assert!(super::rehearse());
    }
}

//! A known answer: a token whose key was thrown away, verified at a time long past.
//!
//! Run when the library is loaded, it shows that this machine verifies signatures, and that it refuses a wrong one; and
//! whatever is prepared on first use is prepared before there are processes to inherit it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::authority::Cloud;
use crate::jws::Unverified;
use crate::keyset::{Key, KeyLookup, KeySet};
use crate::policy::{Policy, RawPolicy};
use crate::refusal::Code;
use crate::verify;

/// The tenant of the token.
const TENANT: &str = "00000000-0000-4000-8000-000000000001";

/// When the token was valid, in Unix seconds.
const THEN: i64 = 1;

/// The modulus of the key, as a key document has it.
const MODULUS: &str = concat!(
    "yEzkA8Cl7pVej8JcBMTun-QwPMzbkGCVZnTv5xh8ru04J1eVIeAOPPCbJHUSHZG-9DTs3T_djlIqy0uL9Xu4zRCEw1j7q6Mi",
    "s4dZPkwL-jo3vCFr4fv-dLyM3HaTYHV3TSlC6nKyZxyLxJrxjkk2ZpTbhqdyoStCgrj2R0172T3EhYOYOyeKJMj-y2-0nIoU",
    "wlFeSyOISRJvRW2FUBGB0KvcL1wcSfL-uq9u4Vl7WMi6-_8mjIw7eKWyM_JpIMCs0RPaZoZjINKA0PFLXvttP7BUcxvLE7pg",
    "3fK4roa4VQ2bdCOzdkdx2FFPszyO3QbsD5KWf28-eeKO3Rg424N1ow",
);

/// Its exponent, which the document has as `AQAB`.
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

/// Whether a good token is believed and a changed one is not.
#[must_use]
pub fn self_test() -> bool {
    let document =
        format!(r#"{{"keys":[{{"kty":"RSA","use":"sig","kid":"self-test","n":"{MODULUS}","e":"AQAB"}}]}}"#);
    let (Ok(keys), Ok(policy)) = (KeySet::parse(document.as_bytes()), policy()) else { return false };
    let believed =
        |text: &str| verify(text.as_bytes(), &keys, &policy, THEN).map_err(|refusal| refusal.code());
    // Another first character of the signature: still base64url, no longer the signature.
    let (signed, signature) = TOKEN.rsplit_once('.').unwrap_or_default();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed: String = signed.chars().chain(['.', first]).chain(signature.chars().skip(1)).collect();
    keys.find("self-test").as_ref().map(Key::id) == Some("self-test")
        && believed(TOKEN).is_ok()
        && believed(&changed).err() == Some(Code::BadSignature)
}

/// Judges the good token once more, so that what this takes is at hand when it counts.
#[must_use]
pub fn rehearse() -> bool {
    let modulus = URL_SAFE_NO_PAD.decode(MODULUS).ok();
    let key = modulus.and_then(|modulus| Key::new("self-test", &modulus, &EXPONENT, None));
    let (Some(key), Ok(policy)) = (key, policy()) else { return false };
    Unverified::parse(TOKEN.as_bytes()).and_then(|token| token.verify(&key, &policy, THEN)).is_ok()
}

fn policy() -> Result<Policy, crate::policy::Misconfigured> {
    Policy::parse(&RawPolicy {
        tenant_id: TENANT,
        audience: "self-test",
        cloud: Cloud::Public,
        issuers: "",
        allowed_clients: "",
        required_permission: "",
        clock_skew: 0,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {
        assert!(super::self_test());
        assert!(super::rehearse());
    }
}

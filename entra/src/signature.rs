//! The only caller of the cryptography.

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::keyset::Key;

/// Returns whether `key` made `signature` over `signed` by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518
/// section 3.3).
///
/// The algorithm is fixed here and not taken from the token; [`Key`] cannot hold a key of another
/// family.
pub(crate) fn fits(signed: &[u8], signature: &Vec<u8>, key: &Key) -> bool {
    let key = DecodingKey::from_rsa_raw_components(key.modulus(), key.exponent());
    (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&Algorithm::RS256, &key)
        .is_ok_and(|verifier| verifier.verify(signed, signature).is_ok())
}

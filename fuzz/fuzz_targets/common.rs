// The helpers that the targets share.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra::{Policy, RawPolicy};

/// Joins two parts to a token with a signature of the usual size.
#[allow(dead_code)]
pub fn token_of(header: &[u8], claims: &[u8]) -> String {
    [URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode([1; 256])]
        .join(".")
}

/// Checks whether a token would be accepted for a role of a server with this policy.
#[allow(dead_code)]
pub fn could_pass(token: &entra::Unverified<'_>) -> Result<(), entra::Refusal> {
    let label = "aadauth,oid=22222222-aaaa-bbbb-cccc-000000000002,type=group,mfa";
    let principal =
        entra::Label::parse(label).ok().and_then(|label| entra::Principal::of(&label)).expect("a link");
    token.could_pass(&policy(), 1_700_000_000, &principal, Some(&entra::Revocations::default()), |_| {
        entra::directory::login::Knowledge::OFF
    })
}

/// Returns a server's policy.
#[allow(dead_code)]
pub fn policy() -> Policy {
    Policy::parse(&RawPolicy::for_tenant("11111111-aaaa-bbbb-cccc-000000000001", "api://postgres"))
        .expect("a policy")
}

//! Any bytes as an answer of the token endpoint or of an identity endpoint, as a challenge of Azure
//! Arc, as a federated token, as a certificate and as a Retry-After.
#![no_main]

use entra::directory::certificate;
use entra::directory::credential::{describe_federated, parse_token, parse_token_problem};
use entra::directory::identity::{ARC_FOLDER, answer_challenge, parse_challenge};
use entra::directory::retry::{MAX_WAIT, parse_retry_after};
use entra::directory::token::{Step, TokenState};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = parse_token(bytes) {
        assert!(token.text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(token.renew_after() < token.lifetime);
        let mut state = TokenState::default();
        state.fetched(0, &token);
        assert_eq!(state.step(token.lifetime), Step::Fetch);
    }
    let problem = parse_token_problem(400, bytes).to_string();
    assert!(problem.bytes().all(|byte| byte >= b' '));
    if let Some(header) = answer_challenge(bytes) {
        assert!(header.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
    }
    let _ = certificate::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = parse_challenge(text, ARC_FOLDER) {
        assert!(path.starts_with("/var/opt/azcmagent/tokens/") && path.ends_with(".key"));
        assert!(!path.contains(".."));
    }
    let _ = describe_federated(text).map(|shown| shown.to_string());
    assert!(parse_retry_after(text, 1_700_000_000).is_none_or(|wait| wait <= MAX_WAIT));
});

//! Tokens that the clients send, and pieces of which the log must not have.

use std::sync::Mutex;

use serde_json::json;
use testbed::issuer::{APPLICATION, OTHER_TENANT, Signer, unix_now, user_v1, user_v2, with};
use testbed::mutex::lock;
use testbed::scene::KEY;
use testbed::watch::Pieces;

/// The tokens of a run.
pub(crate) struct Tokens {
    /// A good one first, which is there several times.
    pub(crate) all: Vec<String>,
    pieces: Mutex<Pieces>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let now = unix_now();
        // They live longer than a run.
        let person = with(user_v1(now), "exp", json!(now + 86_400));
        let mut all = vec![KEY.token(&person); 6];
        all.extend([
            KEY.token(&with(user_v2(now), "exp", json!(now + 86_400))),
            KEY.token(&with(user_v1(now - 7_200), "exp", json!(now - 3_600))),
            KEY.token(&with(person.clone(), "oid", json!(APPLICATION))),
            KEY.token(&with(person.clone(), "aud", json!("api://another"))),
            KEY.token(&with(person.clone(), "tid", json!(OTHER_TENANT))),
            Signer::new("unpublished").token(&person),
            // A fault of the library, if it was built with the feature fault_injection.
            Signer::new("panic").token(&person),
            KEY.token_of(br#"{"alg":"none","typ":"JWT"}"#, person.to_string().as_bytes()),
            KEY.token_of(KEY.header().to_string().as_bytes(), b"{\"exp\":1e999,\"groups\":[[[["),
        ]);
        all.extend([16_000, 65_497, 65_530].map(|length| KEY.token_of_length(&person, length)));
        let tokens = Self { all, pieces: Mutex::default() };
        for token in &tokens.all {
            tokens.note(token.as_bytes());
        }
        tokens
    }

    /// Returns the good token.
    pub(crate) fn good(&self) -> &str {
        &self.all[0]
    }

    /// Notes what is sent as a token.
    pub(crate) fn note(&self, token: &[u8]) {
        self.with_pieces(|pieces| pieces.add(&String::from_utf8_lossy(token)));
    }

    /// Calls a function with the pieces of all tokens so far.
    pub(crate) fn with_pieces<T>(&self, function: impl FnOnce(&mut Pieces) -> T) -> T {
        function(&mut lock(&self.pieces))
    }
}

//! The order of the checks: of two defects, the one that is checked first is the reason given.

use entra::{Policy, RawPolicy, verify};
use serde_json::{Value, json};

use crate::support::*;

/// A token that a forger can make freely, and the server it is sent to.
struct Attempt {
    header: String,
    claims: Value,
    /// Further members of the claims object, as text.
    more_claims: &'static str,
    signer: &'static Signer,
    /// Text after the three parts.
    rest: String,
    keys: Keys,
    policy: RawPolicy<'static>,
}

impl Attempt {
    fn good() -> Self {
        Self {
            header: SIGNER.header().to_string(),
            claims: user_v1(),
            more_claims: "",
            signer: &SIGNER,
            rest: String::new(),
            keys: Keys::usual(),
            policy: RawPolicy { allowed_clients: CLIENT, ..raw_policy() },
        }
    }

    fn change_header(&mut self, from: &str, to: &str) {
        assert!(self.header.contains(from), "{}", self.header);
        self.header = self.header.replacen(from, to, 1);
    }

    fn claim(&mut self, name: &str, value: Value) {
        self.claims = with(self.claims.take(), name, value);
    }

    /// Returns the code and the first fact, which says more than the code.
    fn outcome(&self) -> Result<(), String> {
        let claims = self.claims.to_string().replacen('{', &format!("{{{}", self.more_claims), 1);
        let token = self.signer.token_of(self.header.as_bytes(), claims.as_bytes()) + &self.rest;
        let policy = Policy::parse(&self.policy).unwrap();
        verify(token.as_bytes(), &self.keys, &policy, NOW)
            .map(|_| ())
            .map_err(|refusal| format!("{} {}", refusal.code(), refusal.facts()[0].1))
    }
}

type Defect = fn(&mut Attempt);

/// One defect for each check, in the order of the checks, and the beginning of its refusal.
const DEFECTS: [(&str, Defect); 25] = [
    ("invalid_format too long", |it| it.claim("xms_pad", json!("x".repeat(65_530)))),
    ("invalid_format 4 parts", |it| it.rest.push_str(".AAAA")),
    ("invalid_format signature is not base64url", |it| it.rest.insert_str(0, "AAA")),
    ("invalid_format header: a member occurs twice", |it| it.change_header("{", r#"{"x":1,"x":2,"#)),
    ("unsupported_algorithm none", |it| it.change_header("RS256", "none")),
    // The text is the same for both, because both are faults of the header.
    ("invalid_format header: ", |it| it.change_header("\"kid\"", "\"kit\"")),
    ("invalid_format header: ", |it| it.change_header("{", r#"{"crit":["exp"],"#)),
    ("unknown_key key-1", |it| it.keys = Keys(Vec::new())),
    ("bad_signature key-1", |it| it.signer = &OTHER),
    ("invalid_format claims: a member occurs twice", |it| it.more_claims = r#""x":1,"x":2,"#),
    ("invalid_claims ver", |it| it.claim("ver", json!("3.0"))),
    ("wrong_tenant", |it| it.claim("tid", json!(OTHER_TENANT))),
    ("wrong_issuer token", |it| it.claim("iss", json!("https://evil.example/"))),
    ("wrong_issuer key", |it| it.keys = Keys(vec![key_of(&SIGNER, Some("https://evil.example/"))])),
    ("wrong_audience", |it| it.claim("aud", json!("api://other"))),
    ("invalid_claims exp", |it| it.claim("exp", json!(1e10))),
    ("not_yet_valid nbf", |it| it.claim("nbf", json!(NOW + 61))),
    ("not_yet_valid iat", |it| it.claim("iat", json!(NOW + 61))),
    ("expired", |it| it.claim("exp", json!(NOW - 61))),
    ("invalid_claims cnf", |it| it.claim("cnf", json!({"kid": "k"}))),
    ("invalid_claims typ", |it| it.change_header("\"JWT\"", "\"pop\"")),
    ("invalid_claims ver", |it| {
        it.claim("iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0")));
    }),
    ("client_not_allowed", |it| it.claim("appid", json!(PERSON))),
    ("permission_missing scp", |it| it.policy.required_permission = "Db.Login"),
    ("invalid_claims scp", |it| it.claim("scp", Value::Null)),
];

#[test]
fn the_first_check_that_fails_is_the_reason() {
    let outcome = |defects: &[Defect]| {
        let mut attempt = Attempt::good();
        for defect in defects {
            defect(&mut attempt);
        }
        attempt.outcome()
    };
    assert_eq!(outcome(&[]), Ok(()));
    for (place, (expected, first)) in DEFECTS.iter().enumerate() {
        let alone = outcome(&[*first]).unwrap_err();
        assert!(alone.starts_with(expected), "{expected}: {alone}");
        for (later, second) in &DEFECTS[place + 1..] {
            let both = outcome(&[*second, *first]).unwrap_err();
            assert!(both.starts_with(expected), "{expected}, then {later}: {both}");
        }
    }
}

//! Which tokens are believed: valid ones first, then one defect each.

#[path = "../support/mod.rs"]
mod support;

use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256};
use aws_lc_rs::{hmac, rsa};
use entra::{
    Cloud, Code, FormatFault, Label, Policy, Principal, RawPolicy, Refusal, Revocations, TokenKind,
    Unverified, verify,
};
use serde_json::{Value, json};
use support::*;

fn code_of(token: &str) -> Result<(), Code> {
    judged(token.as_bytes(), &policy())
}

fn judged(token: &[u8], policy: &Policy) -> Result<(), Code> {
    verify(token, &Keys::usual(), policy, NOW).map(|_| ()).map_err(|refusal| refusal.code())
}

#[test]
fn tokens_of_both_versions_and_kinds_are_believed() {
    for (claims, kind, name) in [
        (user_v1(), TokenKind::User, Some("ann@contoso.example")),
        (user_v2(), TokenKind::User, Some("ann@contoso.example")),
        (app_v1(), TokenKind::Application, None),
        (app_v2(), TokenKind::Application, None),
    ] {
        let token = verify(SIGNER.token(&claims).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap();
        assert_eq!(token.kind, kind);
        assert_eq!(token.tenant.to_string(), TENANT);
        assert_eq!(token.object_id.to_string(), claims["oid"].as_str().unwrap());
        assert_eq!(token.application.unwrap().to_string(), CLIENT);
        assert_eq!(token.display_name.map(|name| name.to_string()).as_deref(), name);
        assert_eq!(token.key_id, "key-1");
        assert_eq!((token.issued_at, token.expires_at), (NOW - 300, claims["exp"].as_i64().unwrap()));
    }
}

#[test]
fn tokens_of_every_cloud() {
    for (cloud, v1, v2) in [
        (Cloud::Public, "https://sts.windows.net/", "https://login.microsoftonline.com/"),
        (Cloud::UsGov, "https://sts.windows.net/", "https://login.microsoftonline.us/"),
        (Cloud::China, "https://sts.chinacloudapi.cn/", "https://login.partner.microsoftonline.cn/"),
    ] {
        let policy = Policy::parse(&RawPolicy { cloud, ..raw_policy() }).unwrap();
        let keys = Keys(vec![key_of(&SIGNER, Some(&format!("{v2}{{tenantid}}/v2.0")))]);
        for (claims, issuer) in
            [(user_v1(), format!("{v1}{TENANT}/")), (user_v2(), format!("{v2}{TENANT}/v2.0"))]
        {
            let token = SIGNER.token(&with(claims, "iss", json!(issuer)));
            assert!(verify(token.as_bytes(), &keys, &policy, NOW).is_ok(), "{cloud:?} {issuer}");
        }
    }
}

#[test]
fn one_defect_in_the_form() {
    let good = SIGNER.token(&user_v1());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let cases = [
        ("nothing", String::new()),
        ("a password", "correct horse battery staple".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, a JWE", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("JSON serialisation", json!({"payload": claims, "signature": signature}).to_string()),
        ("a blank before", format!(" {good}")),
        ("a newline after", format!("{good}\n")),
        ("a carriage return after", format!("{good}\r")),
        ("padding", format!("{signed}.{signature}==")),
        ("a NUL", format!("{good}\0")),
        ("the standard alphabet", good.replace(['-', '_'], "+")),
        ("Bearer", format!("Bearer {good}")),
        ("an empty header", format!(".{claims}.{signature}")),
        ("no JSON in the header", format!("{}.{claims}.{signature}", b64("{"))),
    ];
    for (name, token) in cases {
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
    for (name, token) in [
        ("an empty signature", format!("{signed}.")),
        ("a short signature", format!("{signed}.{}", b64([1; 255]))),
        ("a long signature", format!("{signed}.{}", b64([1; 257]))),
        ("the signature of another", format!("{signed}.{}", "A".repeat(signature.len()))),
        ("other claims", format!("{header}.{}.{signature}", b64(user_v2().to_string()))),
    ] {
        assert_eq!(code_of(&token), Err(Code::BadSignature), "{name}");
    }
}

#[test]
fn stray_bits_at_the_end_of_a_part_are_refused() {
    // 256 bytes of signature leave four stray bits in the last character; a lenient decoder ignores them.
    let mut twisted = SIGNER.token(&user_v1());
    twisted.pop();
    twisted.push('B');
    assert_eq!(code_of(&twisted), Err(Code::InvalidFormat));
}

#[test]
fn size_is_limited_before_anything_else() {
    assert_eq!(code_of(&"A".repeat(65_531)), Err(Code::InvalidFormat));
    let of_length = |length| SIGNER.token_of_length(&user_v1(), length);
    assert_eq!(code_of(&of_length(65_530)), Ok(()), "the largest that fits is read");
    assert_eq!(code_of(&of_length(65_531)), Err(Code::InvalidFormat));
    let refusal = verify(of_length(65_531).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::InvalidFormat { fault: FormatFault::TooLong, length: 65_531 }));
}

/// A token as raw as a forger makes it, and the server it is sent to.
struct Attempt {
    header: String,
    claims: Value,
    /// What the claims object has besides: members as text.
    more_claims: &'static str,
    signer: &'static Signer,
    /// What follows the three parts.
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

    /// The code, and the first fact, which tells what the code leaves open.
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

/// One defect for each check, in the order of the contract, and how its refusal begins.
const DEFECTS: [(&str, Defect); 25] = [
    ("invalid_format too long", |it| it.claim("xms_pad", json!("x".repeat(65_530)))),
    ("invalid_format 4 parts", |it| it.rest.push_str(".AAAA")),
    ("invalid_format signature is not base64url", |it| it.rest.insert_str(0, "AAA")),
    ("invalid_format header: a member occurs twice", |it| it.change_header("{", r#"{"x":1,"x":2,"#)),
    ("unsupported_algorithm none", |it| it.change_header("RS256", "none")),
    // Both are faults of the header, and the client cannot tell them apart.
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

#[test]
fn one_defect_in_the_header() {
    let header = |name: &str, value: Value| with(SIGNER.header(), name, value);
    let sign =
        |header: &Value| SIGNER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
    let algorithms = [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(""),
        json!("rs256"),
        json!("RS256 "),
        json!("RS384"),
        json!("RS512"),
        json!("PS256"),
        json!("HS256"),
        json!("ES256"),
        json!("EdDSA"),
        json!(["RS256"]),
        json!(256),
        Value::Null,
    ];
    for algorithm in algorithms {
        let token = sign(&header("alg", algorithm.clone()));
        assert_eq!(code_of(&token), Err(Code::UnsupportedAlgorithm), "{algorithm}");
        // The same without a signature, as `none` wants it.
        let bare = token.rsplit_once('.').unwrap().0;
        assert_eq!(code_of(&format!("{bare}.")), Err(Code::UnsupportedAlgorithm), "{algorithm}");
    }
    let cases = [
        ("crit", header("crit", json!(["exp"])), Err(Code::InvalidFormat)),
        ("empty crit", header("crit", json!([])), Err(Code::InvalidFormat)),
        ("b64", with(header("b64", json!(false)), "crit", json!(["b64"])), Err(Code::InvalidFormat)),
        ("no kid", header("kid", Value::Null), Err(Code::InvalidFormat)),
        ("a number as kid", header("kid", json!(1)), Err(Code::InvalidFormat)),
        ("an array as kid", header("kid", json!(["key-1"])), Err(Code::InvalidFormat)),
        ("an empty kid", header("kid", json!("")), Err(Code::InvalidFormat)),
        ("a kid of 10 kB", header("kid", json!("k".repeat(10_000))), Err(Code::InvalidFormat)),
        ("an unknown kid", header("kid", json!("key-9")), Err(Code::UnknownKey)),
        ("a kid in another case", header("kid", json!("KEY-1")), Err(Code::UnknownKey)),
        ("a path as kid", header("kid", json!("../../../dev/null")), Err(Code::UnknownKey)),
        ("SQL as kid", header("kid", json!("key-1' OR '1'='1")), Err(Code::UnknownKey)),
        ("a NUL in kid", header("kid", json!("key-1\0")), Err(Code::UnknownKey)),
        ("another x5t", header("x5t", json!("elsewhere")), Ok(())),
    ];
    for (name, header, expected) in cases {
        assert_eq!(code_of(&sign(&header)), expected, "{name}");
    }
    for (name, raw) in [
        ("alg twice", r#"{"alg":"RS256","alg":"none","kid":"key-1"}"#),
        ("alg twice, the same", r#"{"alg":"RS256","alg":"RS256","kid":"key-1"}"#),
        ("kid twice", r#"{"alg":"RS256","kid":"key-1","kid":"key-2"}"#),
        ("an array", r#"["RS256"]"#),
        ("bytes after it", r#"{"alg":"RS256","kid":"key-1"}x"#),
    ] {
        let token = SIGNER.token_of(raw.as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
}

#[test]
fn a_key_brought_by_the_token_is_ignored() {
    let own = OTHER.jwk();
    for header in [
        json!({"alg": "RS256", "kid": "key-1", "jwk": own}),
        json!({"alg": "RS256", "kid": "key-1", "jku": "https://evil.example/keys"}),
        json!({"alg": "RS256", "kid": "key-1", "x5u": "https://evil.example/cert"}),
        json!({"alg": "RS256", "kid": "key-1", "x5c": ["MIIC"]}),
    ] {
        let forged = OTHER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&forged), Err(Code::BadSignature), "{header}");
        let honest = SIGNER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&honest), Ok(()), "{header}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let header = json!({"alg": "HS256", "kid": "key-1"}).to_string();
    let signed = format!("{}.{}", b64(header), b64(user_v1().to_string()));
    let jwk = SIGNER.jwk().to_string();
    for secret in [SIGNER.public_der(), SIGNER.modulus(), jwk.into_bytes(), Vec::new()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        assert_eq!(code_of(&format!("{signed}.{}", b64(tag))), Err(Code::UnsupportedAlgorithm));
    }
}

#[test]
fn the_algorithm_is_ours_whatever_made_the_signature() {
    let signed = format!("{}.{}", b64(SIGNER.header().to_string()), b64(user_v1().to_string()));
    for encoding in [&RSA_PKCS1_SHA512 as &'static dyn aws_lc_rs::signature::RsaEncoding, &RSA_PSS_SHA256] {
        let signature = SIGNER.sign_with(encoding, signed.as_bytes());
        assert_eq!(code_of(&format!("{signed}.{}", b64(signature))), Err(Code::BadSignature));
    }
}

#[test]
fn a_key_of_the_largest_size_verifies() {
    let signer = Signer::of_size("key-1", rsa::KeySize::Rsa4096);
    let keys = Keys(vec![key_of(&signer, None)]);
    assert!(verify(signer.token(&user_v1()).as_bytes(), &keys, &policy(), NOW).is_ok());
}

#[test]
fn one_defect_in_the_claims() {
    let invalid = Err(Code::InvalidClaims);
    let v2_issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let cases: Vec<(&str, Value, Result<(), Code>)> = vec![
        ("ver", Value::Null, invalid),
        ("ver", json!("3.0"), invalid),
        ("ver", json!(1), invalid),
        ("tid", Value::Null, invalid),
        ("tid", json!("common"), invalid),
        ("tid", json!("contoso.example"), invalid),
        ("tid", json!([TENANT]), invalid),
        ("tid", json!(OTHER_TENANT), Err(Code::WrongTenant)),
        ("tid", json!("9188040d-6c67-4c5b-b112-36a304b66dad"), Err(Code::WrongTenant)),
        ("tid", json!(TENANT.to_uppercase()), Ok(())),
        ("iss", Value::Null, invalid),
        ("iss", json!(format!("https://sts.windows.net/{OTHER_TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://sts.windows.net/{TENANT}")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://STS.windows.net/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!("https://sts.windows.net/{tenantid}/"), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://evil.example/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("http://sts.windows.net/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0")), Err(Code::WrongIssuer)),
        // The issuer of the other version.
        ("iss", json!(v2_issuer), invalid),
        ("cnf", json!({"jwk": {"kty": "RSA"}}), invalid),
        ("cnf", json!({}), invalid),
        ("cnf", json!(""), invalid),
        ("aud", Value::Null, invalid),
        ("aud", json!([AUDIENCE]), invalid),
        ("aud", json!({"aud": AUDIENCE}), invalid),
        ("aud", json!("https://graph.microsoft.com"), Err(Code::WrongAudience)),
        ("aud", json!("00000003-0000-0000-c000-000000000000"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres2"), Err(Code::WrongAudience)),
        ("aud", json!("API://postgres"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres\0"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres/"), Ok(())),
        ("exp", Value::Null, invalid),
        ("exp", json!((NOW + 3_600).to_string()), invalid),
        ("exp", json!(1_800_000_000.5), invalid),
        ("exp", json!(1_800_000_000.0), invalid),
        ("exp", json!(1e300), invalid),
        ("exp", json!(u64::MAX), invalid),
        ("nbf", json!(0.5), invalid),
        ("iat", json!(-1e300), invalid),
        ("exp", json!(-1), Err(Code::Expired)),
        ("exp", json!(0), Err(Code::Expired)),
        ("exp", json!(i64::MAX), Ok(())),
        ("nbf", Value::Null, invalid),
        ("nbf", json!(i64::MAX), Err(Code::NotYetValid)),
        ("nbf", json!(i64::MIN), Ok(())),
        ("nbf", json!(true), invalid),
        ("iat", Value::Null, invalid),
        ("iat", json!(NOW + 3_000), Err(Code::NotYetValid)),
        ("oid", Value::Null, invalid),
        ("oid", json!("ann@contoso.example"), invalid),
        ("oid", json!(format!("{PERSON}\0")), invalid),
        ("oid", json!([PERSON]), invalid),
        ("appid", Value::Null, Ok(())),
        ("appid", json!("psql"), invalid),
        ("scp", Value::Null, invalid),
        ("scp", json!(""), invalid),
        ("scp", json!(["user_impersonation"]), invalid),
        ("idtyp", json!("user"), Ok(())),
        ("idtyp", json!(1), invalid),
        ("groups", json!(GROUP), invalid),
        ("groups", json!([1]), invalid),
        ("amr", json!("mfa"), invalid),
        ("_claim_names", json!("groups"), invalid),
        ("upn", Value::Null, Ok(())),
        ("upn", json!(1), Ok(())),
        ("unheard_of", json!({"a": [1, {"b": null}]}), Ok(())),
        ("unheard_of", json!([1.5, 1e300, -1e-300, u64::MAX, {"a": 0.1}]), Ok(())),
    ];
    for (name, value, expected) in cases {
        let token = SIGNER.token(&with(user_v1(), name, value.clone()));
        assert_eq!(code_of(&token), expected, "{name}: {value}");
    }
    for (name, raw) in [
        ("a duplicate member", r#"{"tid":"x","tid":"y"}"#),
        ("a duplicate deep inside", r#"{"a":{"b":1,"b":2}}"#),
        ("an array", "[]"),
        ("nothing", ""),
    ] {
        let token = SIGNER.token_of(SIGNER.header().to_string().as_bytes(), raw.as_bytes());
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
}

/// A proof-of-possession token, a token of another kind, a version and an issuer that do not belong together.
#[test]
fn only_a_bearers_access_token_is_believed() {
    let typed = |typ: Value| {
        let header = with(SIGNER.header(), "typ", typ).to_string();
        code_of(&SIGNER.token_of(header.as_bytes(), user_v1().to_string().as_bytes()))
    };
    for good in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        assert_eq!(typed(json!(good)), Ok(()), "{good}");
    }
    assert_eq!(typed(Value::Null), Ok(()), "none");
    for bad in [
        "",
        "pop",
        "dpop+jwt",
        "id+jwt",
        "logout+jwt",
        "secevent+jwt",
        "JOSE",
        "at+jwt;a=b",
        " JWT",
        "application/",
        "application/application/jwt",
        "text/jwt",
        "at jwt",
    ] {
        assert_eq!(typed(json!(bad)), Err(Code::InvalidClaims), "{bad}");
    }
    for bad in [json!(1), json!(["JWT"]), json!({}), json!(true)] {
        assert_eq!(typed(bad.clone()), Err(Code::InvalidClaims), "{bad}");
    }
    // Issuers that are nobody's but one's own say nothing of a version.
    let issuers = "https://sts.example/{tenantid}/";
    let policy = Policy::parse(&RawPolicy { issuers, ..raw_policy() }).unwrap();
    let keys = Keys(vec![key_of(&SIGNER, None)]);
    for claims in [user_v1(), user_v2()] {
        let claims = with(claims, "iss", json!(format!("https://sts.example/{TENANT}/")));
        assert!(verify(SIGNER.token(&claims).as_bytes(), &keys, &policy, NOW).is_ok());
    }
    let swapped = with(user_v2(), "iss", json!(format!("https://sts.windows.net/{TENANT}/")));
    assert_eq!(code_of(&SIGNER.token(&swapped)), Err(Code::InvalidClaims));
}

/// What is shown of a claim is what the token says, whatever the size of a number.
#[test]
fn claims_are_shown_as_they_came() {
    let claims = user_v1().to_string().replacen(
        '{',
        r#"{"level":1.50,"big":1e300,"bigger":18446744073709551616,"huge":1e999999,"list":[0.1,"x",null],"none":null,"#,
        1,
    );
    let token = SIGNER.token_of(SIGNER.header().to_string().as_bytes(), claims.as_bytes());
    let token = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap();
    for (name, shown) in [
        ("level", Some("1.50")),
        ("big", Some("1e300")),
        ("bigger", Some("18446744073709551616")),
        ("huge", Some("1e999999")),
        ("list", Some(r#"[0.1,"x",null]"#)),
        ("none", None),
        ("name", Some("Ann Example")),
        ("aio", None),
        ("nothing", None),
    ] {
        assert_eq!(token.shown_claim(name).as_deref(), shown, "{name}");
    }
    let all = token.shown_claims();
    for part in [r#""level":1.50,"#, r#""big":1e300,"#, r#""huge":"1e999999","#, r#""list":[0.1,"x",null],"#]
    {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!all.contains("aio") && serde_json::from_str::<Value>(&all).is_ok());
}

#[test]
fn what_surrounds_a_token_is_named_and_the_token_refused() {
    let good = SIGNER.token(&user_v1());
    for (token, problem) in [
        (format!("{good}\n"), "a line end after the token"),
        (format!("Bearer {good}"), "the word Bearer and blanks before the token"),
        (format!("\"{good}\""), "quotes before the token, quotes after it"),
        (format!("{good}=="), "other characters after the token"),
        (good.replacen('.', ".\n", 1), "blanks or line ends within the token"),
    ] {
        let refusal = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
        assert_eq!((refusal.code(), refusal.facts()[0].1.as_str()), (Code::InvalidFormat, problem));
    }
}

#[test]
fn clock_edges_one_second_either_side() {
    let at = |claim: &str, value: i64, now: i64| {
        let token = SIGNER.token(&with(user_v1(), claim, json!(value)));
        verify(token.as_bytes(), &Keys::usual(), &policy(), now).map(|_| ()).map_err(|refusal| refusal.code())
    };
    let edge = NOW + 1_000;
    assert_eq!(at("exp", edge, edge + 59), Ok(()), "the last second of the leeway");
    assert_eq!(at("exp", edge, edge + 60), Err(Code::Expired), "at exp plus leeway it has expired");
    assert_eq!(at("nbf", edge, edge - 60), Ok(()));
    assert_eq!(at("nbf", edge, edge - 61), Err(Code::NotYetValid));
    assert_eq!(at("iat", edge, edge - 60), Ok(()));
    assert_eq!(at("iat", edge, edge - 61), Err(Code::NotYetValid));
}

#[test]
fn the_issuer_of_the_key_counts() {
    let judged = |issuer: Option<&str>, claims: &Value| {
        let keys = Keys(vec![key_of(&SIGNER, issuer)]);
        verify(SIGNER.token(claims).as_bytes(), &keys, &policy(), NOW)
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    };
    let wrong = Err(Code::WrongIssuer);
    let personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    assert_eq!(judged(None, &user_v2()), Ok(()));
    assert_eq!(judged(Some("https://login.microsoftonline.com/{tenantid}/v2.0"), &user_v1()), Ok(()));
    assert_eq!(judged(Some("https://sts.windows.net/{tenantid}/"), &user_v2()), Ok(()));
    assert_eq!(judged(Some(personal), &user_v2()), wrong);
    assert_eq!(judged(Some("https://login.microsoftonline.us/{tenantid}/v2.0"), &user_v2()), wrong);
    assert_eq!(judged(Some("{tenantid}"), &user_v2()), wrong);
}

#[test]
fn clients_and_permissions() {
    let judged = |allowed: &str, required: &str, claims: Value| {
        let raw = RawPolicy { allowed_clients: allowed, required_permission: required, ..raw_policy() };
        judged(SIGNER.token(&claims).as_bytes(), &Policy::parse(&raw).unwrap())
    };
    let upper = CLIENT.to_uppercase();
    let denied = Err(Code::ClientNotAllowed);
    let missing = Err(Code::PermissionMissing);
    assert_eq!(judged(&upper, "", user_v1()), Ok(()));
    assert_eq!(judged(CLIENT, "", user_v2()), Ok(()));
    assert_eq!(judged(PERSON, "", user_v1()), denied);
    assert_eq!(judged(CLIENT, "", with(user_v1(), "appid", Value::Null)), denied);
    // Each version names its client in its own claim.
    assert_eq!(judged(CLIENT, "", with(user_v1(), "appid", json!(PERSON))), denied);
    let both = with(with(user_v2(), "azp", json!(PERSON)), "appid", json!(CLIENT));
    assert_eq!(judged(CLIENT, "", both), denied);
    assert_eq!(judged("", "user_impersonation", user_v1()), Ok(()));
    assert_eq!(judged("", "access", user_v2()), Ok(()));
    assert_eq!(judged("", "acc", user_v2()), missing);
    assert_eq!(judged("", "Access", user_v2()), missing);
    assert_eq!(judged("", "Db.Login", app_v2()), Ok(()));
    assert_eq!(judged("", "Db.Login", app_v1()), missing);
    assert_eq!(judged("", "Db.Login", with(user_v1(), "roles", json!(["Db.Login"]))), missing);
    assert_eq!(judged("", "Db.Login", with(app_v2(), "roles", json!("Db.Login"))), Err(Code::InvalidClaims));
}

#[test]
fn kinds() {
    let kind = |claims: &Value| {
        verify(SIGNER.token(claims).as_bytes(), &Keys::usual(), &policy(), NOW)
            .map(|token| token.kind)
            .map_err(|refusal| refusal.code())
    };
    let invalid = Err(Code::InvalidClaims);
    assert_eq!(kind(&with(app_v1(), "idtyp", Value::Null)), Ok(TokenKind::Application));
    assert_eq!(kind(&with(app_v2(), "sub", json!(APPLICATION.to_uppercase()))), Ok(TokenKind::Application));
    assert_eq!(kind(&with(app_v2(), "sub", json!("pairwise"))), invalid);
    assert_eq!(kind(&with(user_v1(), "idtyp", json!("app"))), Ok(TokenKind::Application));
    // An ID token: no scope, a pairwise subject, the audience of the client itself.
    let id_token = with(with(user_v2(), "scp", Value::Null), "nonce", json!("n"));
    assert_eq!(kind(&id_token), invalid);
}

#[test]
fn what_could_open_the_role_is_worth_a_request_and_nothing_else_is() {
    let label = persons_label();
    let as_role = |claims: &Value, label: &str| {
        let token = OTHER.token(claims);
        could_open(&Unverified::parse(token.as_bytes()).unwrap(), label).map_err(|refusal| refusal.code())
    };
    let stranger = |claims: &Value| as_role(claims, &label);
    assert_eq!(stranger(&user_v1()), Ok(()));
    assert_eq!(stranger(&with(user_v1(), "aud", json!("other"))), Err(Code::WrongAudience));
    assert_eq!(stranger(&with(user_v1(), "tid", json!(OTHER_TENANT))), Err(Code::WrongTenant));
    assert_eq!(stranger(&with(user_v1(), "exp", json!(NOW - 61))), Err(Code::Expired));
    assert_eq!(stranger(&with(user_v1(), "scp", Value::Null)), Err(Code::InvalidClaims));
    // Fine by themselves, and not for this role.
    assert_eq!(stranger(&with(user_v1(), "oid", json!(APPLICATION))), Err(Code::OidMismatch));
    assert_eq!(stranger(&app_v1()), Err(Code::WrongKind));
    let group = |id: &str| format!("aadauth,oid={id},type=group,tenant_id={TENANT}");
    assert_eq!(as_role(&user_v1(), &group(GROUP)), Ok(()));
    assert_eq!(as_role(&user_v1(), &group(APPLICATION)), Err(Code::NotAMember));
    let stricter = format!("{label},not_before={}", NOW + 1);
    assert_eq!(as_role(&user_v1(), &stricter), Err(Code::TokenRevoked));
    let mfa = label.replace(",tenant_id", ",mfa,tenant_id");
    assert_eq!(as_role(&with(user_v1(), "amr", json!(["pwd"])), &mfa), Err(Code::MfaRequired));
    // Nor one whose object is out everywhere.
    let token = OTHER.token(&user_v1());
    let token = Unverified::parse(token.as_bytes()).unwrap();
    let principal = Principal::of(&Label::parse(&label).unwrap()).unwrap();
    let mut revocations = Revocations::default();
    revocations.revoke(principal.object_id, NOW + 1, |_| true);
    let refusal = token.could_pass(&policy(), NOW, &principal, &revocations).unwrap_err();
    assert_eq!(refusal.code(), Code::TokenRevoked);
}

#[test]
fn no_refusal_shows_the_token() {
    let token = SIGNER.token(&with(user_v1(), "aud", json!("evil\n\u{1b}[2J")));
    let refusal = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
    let shown = format!("{refusal:?} {:?}", refusal.facts());
    for part in token.split('.') {
        assert!(!shown.contains(part));
    }
}

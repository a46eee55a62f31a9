//! What a client sends when it is asked for a token, and after that.

use crate::random::Random;
use crate::tokens::Tokens;

/// Characters of tokens.
const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes to send.
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    /// They are a message whose length is what it says, so the server answers.
    pub(crate) is_whole: bool,
}

/// Returns an answer to a request for a password, or by OAUTHBEARER.
pub(crate) fn answer(random: &mut Random, tokens: &Tokens, is_bearer: bool) -> Answer {
    let secret = secret(random, tokens);
    let is_expected = random.percent(92);
    let body = if is_bearer == is_expected { sasl(random, &secret) } else { password(random, secret) };
    let kind = if random.percent(95) { b'p' } else { random.byte() };
    message(random, kind, &body)
}

/// Returns what a client sends as its token: a good one, one that is not, or something else.
fn secret(random: &mut Random, tokens: &Tokens) -> Vec<u8> {
    let mut secret = random.one(&tokens.all).clone().into_bytes();
    match random.below(100) {
        0..45 => return secret,
        45..55 => secret.truncate(random.below(secret.len())),
        55..65 => {
            for _ in 0..=random.below(3) {
                let at = random.below(secret.len());
                secret[at] = if random.percent(50) { random.byte() } else { *random.one(BASE64URL) };
            }
        }
        65..70 => secret.extend(random.one(&tokens.all).bytes()),
        70..74 => {
            let at = random.below(secret.len());
            secret.insert(at, *random.one(b".\0 \r\n=+/\"\x01,\xff"));
        }
        74..78 => {
            let at = random.below(secret.len());
            secret.drain(..at);
        }
        78..90 => {
            let length = random.length();
            secret = token_like(random, length);
            tokens.note(&secret);
        }
        _ => {
            let length = random.length();
            secret = random.bytes(length);
        }
    }
    secret
}

/// Returns text like that of a token: base64url, with points here and there.
fn token_like(random: &mut Random, length: usize) -> Vec<u8> {
    let mut text = random.text(BASE64URL, length);
    for _ in 0..random.below(4) {
        if !text.is_empty() {
            let at = random.below(text.len());
            text[at] = b'.';
        }
    }
    text
}

/// Returns the body of a password message. Its end is a NUL.
fn password(random: &mut Random, mut secret: Vec<u8>) -> Vec<u8> {
    match random.below(100) {
        0..3 => {}
        3..5 => secret.extend([0, 0]),
        _ => secret.push(0),
    }
    secret
}

/// Returns the body of the first message of OAUTHBEARER (RFC 7628, section 3.1).
fn sasl(random: &mut Random, secret: &[u8]) -> Vec<u8> {
    let mechanism: &[u8] = match random.below(100) {
        0..94 => b"OAUTHBEARER\0",
        94..96 => b"SCRAM-SHA-256\0",
        96..98 => b"OAUTHBEARER",
        _ => b"\0",
    };
    let data = bearer(random, secret);
    let right = i32::try_from(data.len()).expect("a length");
    let length = match random.below(100) {
        0..94 => right,
        94..96 => -1,
        96..98 => right - 1,
        _ => random.int(),
    };
    [mechanism, &length.to_be_bytes(), &data].concat()
}

fn bearer(random: &mut Random, secret: &[u8]) -> Vec<u8> {
    if random.percent(4) {
        let length = random.length();
        return random.bytes(length);
    }
    let headers: [&[u8]; 4] = [b"y,,", b"n,a", b"p=t", b",,,"];
    let header = if random.percent(92) { b"n,,".as_slice() } else { random.one(&headers) };
    let scheme: &[u8] = match random.below(100) {
        0..92 => b"auth=Bearer ",
        92..94 => b"auth=bearer  ",
        94..96 => b"auth=",
        96..98 => b"host=localhost\x01port=5432\x01auth=Bearer ",
        _ => b"auth=Basic ",
    };
    let end: &[u8] = match random.below(100) {
        0..94 => b"\x01\x01",
        94..96 => b"\x01",
        96..98 => b"\x01auth=Bearer x\x01\x01",
        _ => b"",
    };
    [header, b"\x01", scheme, secret, end].concat()
}

/// Returns a message after the error of OAUTHBEARER, which is to be one byte.
pub(crate) fn acknowledgement(random: &mut Random, tokens: &Tokens) -> Answer {
    let body = match random.below(100) {
        0..70 => vec![1],
        70..80 => Vec::new(),
        80..90 => random.one(&tokens.all).clone().into_bytes(),
        _ => random.bytes(20),
    };
    message(random, b'p', &body)
}

/// Returns a message of a client that is in. It has no piece of a token, because statements are
/// logged.
pub(crate) fn later(random: &mut Random) -> Vec<u8> {
    let kind = *random.one(b"QQQPBEDCHSFpdcfX\0z");
    let body = if random.percent(50) {
        let texts: [&[u8]; 6] = [
            b"SELECT azure_ad_auth.session_claims()\0",
            b"SELECT count(*) FROM azure_ad_auth.sessions\0",
            b"SET azure_ad_auth.tenant_id = 'x'\0",
            b"SET SESSION AUTHORIZATION postgres\0",
            b"BEGIN\0",
            b"\0",
        ];
        random.one(&texts).to_vec()
    } else {
        let length = random.below(60);
        random.bytes(length)
    };
    message(random, kind, &body).bytes
}

fn message(random: &mut Random, kind: u8, body: &[u8]) -> Answer {
    let right = i32::try_from(body.len() + 4).expect("a length");
    let length = match random.below(100) {
        0..93 => right,
        93..95 => right - 1,
        95..97 => right + 1,
        97 => 65_540,
        _ => random.int(),
    };
    Answer { bytes: [&[kind][..], &length.to_be_bytes(), body].concat(), is_whole: length == right }
}

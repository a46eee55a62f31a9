//! What a client sends before it is asked for anything: requests for encryption, to cancel, and
//! the startup packet.

use crate::random::Random;

/// The request for TLS.
pub(crate) const TLS: i32 = 80_877_103;
/// The request for GSSAPI's encryption.
const GSSAPI: i32 = 80_877_104;
/// The request to cancel.
const CANCEL: i32 = 80_877_102;

/// What a client begins with.
pub(crate) enum Prelude {
    /// Nothing: the startup packet is sent in clear text.
    None,
    /// Requests for encryption in this order, each as the server wants it.
    Requests(Vec<i32>),
    /// Bytes after which nothing follows that makes sense.
    Last(Vec<u8>),
}

/// Returns what a client begins with. `process` is one that a cancel request can name.
pub(crate) fn prelude(random: &mut Random, process: i32) -> Prelude {
    match random.below(100) {
        0..50 => Prelude::Requests(vec![TLS]),
        50..75 => Prelude::None,
        75..79 => Prelude::Requests(vec![GSSAPI]),
        79..83 => Prelude::Requests(vec![GSSAPI, TLS]),
        83..85 => Prelude::Requests(vec![TLS, TLS]),
        85..87 => Prelude::Requests(vec![TLS, GSSAPI]),
        87..89 => Prelude::Requests(vec![GSSAPI, GSSAPI, TLS]),
        // More in the same packet as the request, as an attacker in between puts it there.
        89..91 => Prelude::Last([request(*random.one(&[TLS, GSSAPI]), 8), random.bytes(60)].concat()),
        91..93 => {
            let length = *random.one(&[0, 3, 4, 5, 7, 9, 12, -1, i32::MAX]);
            Prelude::Last(request(*random.one(&[TLS, GSSAPI]), length))
        }
        93..98 => Prelude::Last(cancel(random, process)),
        _ => {
            let length = random.length();
            Prelude::Last(random.bytes(length))
        }
    }
}

/// Returns a request with a length, which may be wrong.
pub(crate) fn request(code: i32, length: i32) -> Vec<u8> {
    [length.to_be_bytes(), code.to_be_bytes()].concat()
}

fn cancel(random: &mut Random, process: i32) -> Vec<u8> {
    let process = if random.percent(50) { process } else { random.int() };
    let key = if random.percent(70) { 4 } else { random.length() };
    let mut body = [CANCEL.to_be_bytes(), process.to_be_bytes()].concat();
    body.extend(random.bytes(key));
    let right = i32::try_from(body.len() + 4).expect("a length");
    let length = if random.percent(80) { right } else { random.int() };
    [&length.to_be_bytes()[..], &body].concat()
}

/// A startup packet.
pub(crate) struct Startup {
    pub(crate) bytes: Vec<u8>,
    /// Its length is what it says, so the server answers.
    pub(crate) is_whole: bool,
}

/// Returns a startup packet. Most name a role that a token can log in to.
pub(crate) fn startup(random: &mut Random, roles: &[String]) -> Startup {
    let version = match random.below(100) {
        0..80 => 0x0003_0000,
        80..90 => 0x0003_0002,
        90..95 => *random.one(&[0x0003_270F, 0x0003_0001, 0x0002_0000, 0x0001_0000, 0x0004_0000]),
        _ => random.int(),
    };
    let mut parameters = vec![(b"user".to_vec(), user(random, roles))];
    if random.percent(90) {
        parameters.push((b"database".to_vec(), database(random)));
    }
    while random.percent(35) {
        parameters.push(parameter(random));
    }
    if random.percent(5) {
        let at = random.below(parameters.len());
        parameters.swap(0, at);
    }
    if random.percent(2) {
        parameters.remove(0);
    }
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([&name[..], &[0], &value, &[0]].concat());
    }
    match random.below(100) {
        // Without its end, or with more after it.
        0..3 => {}
        3..5 => body.extend([0, 0, random.byte(), 0]),
        _ => body.push(0),
    }
    let right = i32::try_from(body.len() + 4).expect("a length");
    let length = match random.below(100) {
        0..94 => right,
        94..96 => right - 1,
        96..98 => right + 1,
        _ => random.int(),
    };
    Startup { bytes: [&length.to_be_bytes()[..], &body].concat(), is_whole: length == right }
}

fn user(random: &mut Random, roles: &[String]) -> Vec<u8> {
    if random.percent(90) {
        return random.one(roles).clone().into_bytes();
    }
    match random.below(4) {
        0 => random
            .one(&["postgres", "azure_ad_user", "admin", "", "nobody", "azure_ad_admin"])
            .as_bytes()
            .to_vec(),
        1 => foreign_text(random),
        2 => [random.one(roles).as_bytes(), b" "].concat(),
        _ => without_nul(random, 80),
    }
}

fn database(random: &mut Random) -> Vec<u8> {
    if random.percent(92) {
        return b"postgres".to_vec();
    }
    match random.below(3) {
        0 => random.one(&["", "template0", "template1", "replication", "none"]).as_bytes().to_vec(),
        1 => foreign_text(random),
        _ => without_nul(random, 80),
    }
}

/// Returns text with quotes, line ends and characters of two bytes.
fn foreign_text(random: &mut Random) -> Vec<u8> {
    let length = random.length().min(9_000);
    random.text(b"ab'\"\\\n\r\t\x1b%$ =,;\xc3\xa4", length)
}

fn without_nul(random: &mut Random, length: usize) -> Vec<u8> {
    random.bytes(length).into_iter().filter(|byte| *byte != 0).collect()
}

const NAMES: [&str; 11] = [
    "options",
    "options",
    "replication",
    "_pq_.azure_ad_auth",
    "_pq_.",
    "client_encoding",
    "application_name",
    "DateStyle",
    "azure_ad_auth.tenant_id",
    "session_authorization",
    "user",
];

const OPTIONS: [&str; 16] = [
    "-c azure_ad_auth.tenant_id=none",
    "-c azure_ad_auth.require_tls=off",
    "-c azure_ad_auth.session_expiry=ignore",
    "-c session_preload_libraries=azure_ad_auth",
    "-c local_preload_libraries=azure_ad_auth",
    "-c log_min_messages=debug5",
    "-c client_min_messages=debug5",
    "-c session_authorization=postgres",
    "-c role=postgres",
    "-c lock_timeout=1",
    "-c statement_timeout=1",
    "-c search_path=azure_ad_auth",
    "-c backtrace_functions=x",
    "-c aad_validate_oids_in_tenant=off",
    "--azure-ad-auth.audience=api://postgres",
    "-f t -P -W 1",
];

const VALUES: [&str; 14] = [
    "true",
    "false",
    "on",
    "database",
    "1",
    "UTF8",
    "LATIN1",
    "SQL_ASCII",
    "EUC_JP",
    "none",
    "",
    "ISO, MDY",
    "postgres",
    "person_password",
];

fn parameter(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let name = if random.percent(95) { random.one(&NAMES).as_bytes().to_vec() } else { foreign_text(random) };
    let value = match random.below(10) {
        0..6 if name == b"options" => random.one(&OPTIONS).as_bytes().to_vec(),
        6 => foreign_text(random),
        7 => without_nul(random, 40),
        _ => random.one(&VALUES).as_bytes().to_vec(),
    };
    (name, value)
}

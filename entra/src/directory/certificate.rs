//! The two things that are read of a certificate (RFC 5280): when it ends, and whose key it is of.
//!
//! Whether it is good for anything is for Entra to say, where it is registered.

use super::time;

/// A certificate, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'d> {
    /// The public key: of an RSA key, RSAPublicKey (RFC 8017 appendix A.1.1).
    pub public_key: &'d [u8],
    /// When it ends, in Unix seconds.
    pub not_after: i64,
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The explicit tag of the version.
const VERSION: u8 = 0xA0;

/// Reads a certificate in DER; none if it is none.
#[must_use]
pub fn parse(der: &[u8]) -> Option<Certificate<'_>> {
    let (certificate, rest) = expect(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (mut fields, _signature) = expect(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = expect(fields, VERSION)?;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        // The serial number, the algorithm of the signature, the issuer.
        (_, fields) = expect(fields, tag)?;
    }
    let (validity, fields) = expect(fields, SEQUENCE)?;
    let (_subject, fields) = expect(fields, SEQUENCE)?;
    let (key, _extensions) = expect(fields, SEQUENCE)?;
    let (_algorithm, key) = expect(key, SEQUENCE)?;
    let (bits, _) = expect(key, BIT_STRING)?;
    // The first byte says how many bits of the last one do not count.
    let public_key = bits.strip_prefix(&[0])?;
    let (_, _not_before, rest) = element(validity)?;
    let (tag, not_after, _) = element(rest)?;
    Some(Certificate { public_key, not_after: parse_time(tag, not_after)? })
}

/// Reads a time as RFC 5280 section 4.1.2.5 demands: in UTC, with seconds.
fn parse_time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = match tag {
        GENERALIZED_TIME => (text.get(..4)?.to_owned(), text.get(4..)?),
        UTC_TIME => {
            let year = text.get(..2)?;
            // Two digits mean the years from 1950 to 2049.
            let century = if year < "50" { "20" } else { "19" };
            ([century, year].concat(), text.get(2..)?)
        }
        _ => return None,
    };
    let pair = |place: usize| rest.get(place..place + 2);
    let (month, day, hour, minute, second) = (pair(0)?, pair(2)?, pair(4)?, pair(6)?, pair(8)?);
    time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}{}", rest.get(10..)?))
}

/// Takes an element of a certain kind. Returns its content, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// Takes an element (X.690 section 8.1). Returns its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("a short element").to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    /// Makes what is read of a certificate, with a validity of these two times.
    fn certificate(version: &[u8], times: [(u8, &str); 2]) -> Vec<u8> {
        let validity: Vec<u8> = times.iter().flat_map(|(tag, text)| made(*tag, text.as_bytes())).collect();
        let key = [made(SEQUENCE, b"rsa"), made(BIT_STRING, b"\0key")].concat();
        let fields = [
            version.to_vec(),
            made(INTEGER, &[1]),
            made(SEQUENCE, b"algorithm"),
            made(SEQUENCE, b"issuer"),
            made(SEQUENCE, &validity),
            made(SEQUENCE, b"subject"),
            made(SEQUENCE, &key),
            made(0xA3, b"extensions"),
        ];
        made(
            SEQUENCE,
            &[made(SEQUENCE, &fields.concat()), made(SEQUENCE, b""), made(BIT_STRING, b"\0")].concat(),
        )
    }

    const BEFORE: (u8, &str) = (UTC_TIME, "200101000000Z");

    #[test]
    fn the_end_and_the_key_are_read() {
        let version = made(VERSION, &made(INTEGER, &[2]));
        for version in [version.as_slice(), &[]] {
            let der = certificate(version, [BEFORE, (UTC_TIME, "491231235959Z")]);
            let expected = Certificate { public_key: b"key", not_after: 2_524_607_999 };
            assert_eq!(parse(&der), Some(expected));
        }
    }

    #[test]
    fn times_have_two_forms() {
        let end = |tag, text: &str| {
            parse(&certificate(&[], [BEFORE, (tag, text)])).map(|certificate| certificate.not_after)
        };
        assert_eq!(end(UTC_TIME, "941106084937Z"), Some(784_111_777));
        assert_eq!(end(GENERALIZED_TIME, "19941106084937Z"), Some(784_111_777));
        assert_eq!(end(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for text in [
            "",
            "Z",
            "941106084937",
            "941306084937Z",
            "9411060849Z",
            "941106084937+0100",
            "94110608493\u{e9}",
        ] {
            assert_eq!(end(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(end(INTEGER, "941106084937Z"), None);
    }

    #[test]
    fn what_breaks_off_is_no_certificate() {
        let der = certificate(&[], [BEFORE, (UTC_TIME, "491231235959Z")]);
        for length in 0..der.len() {
            assert_eq!(parse(&der[..length]), None, "{length}");
        }
        assert_eq!(parse(&[der.as_slice(), b"x"].concat()), None);
        assert_eq!(parse(&[SEQUENCE, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), None);
        assert_eq!(parse(&[SEQUENCE, 0x80, 0, 0]), None);
        // No key of an RSA certificate has bits that do not count.
        let mut odd = der;
        let place = odd.windows(4).position(|bytes| bytes == b"\0key").expect("the key");
        odd[place] = 1;
        assert_eq!(parse(&odd), None);
    }
}

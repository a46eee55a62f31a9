//! Every bound on foreign input, with its unit, reason and source.

/// Longest token, in bytes.
///
/// PostgreSQL reads no password message over 65,535 bytes (`PG_MAX_AUTH_TOKEN_LENGTH`,
/// libpq/auth.h); its length word takes four of them and the closing NUL one.
pub const MAX_TOKEN_BYTES: usize = 65_530;

/// Longest key id, in bytes. Entra's are 27 to 43 characters; a `kid` is never used for anything
/// but comparison.
pub const MAX_KEY_ID_BYTES: usize = 128;

/// Longest issuer, in bytes, in a key document or a setting. Entra's have under 90.
pub const MAX_ISSUER_BYTES: usize = 256;

/// Deepest nesting of a JSON document. Entra's tokens have three levels, its key documents four.
pub const MAX_JSON_DEPTH: usize = 12;

/// Most values in a token's header or claims. A token with 200 groups, Entra's own limit, has about
/// 300.
pub const MAX_TOKEN_VALUES: usize = 4_096;

/// Largest key document, in bytes. Entra's have 10 to 20 KiB.
pub const MAX_KEY_DOCUMENT_BYTES: usize = 1_048_576;

/// Most values in a key document: the keys that are kept, a dozen members each, and as many that
/// are dropped.
pub const MAX_KEY_DOCUMENT_VALUES: usize = 16_384;

/// Largest snapshot of keys, in bytes: as many keys as are kept, each with the longest id and
/// issuer, take half of it.
pub const MAX_SNAPSHOT_BYTES: usize = 2 * 1_048_576;

/// Longest text that names the origin of the kept keys, in bytes: a tenant, up to two addresses and
/// a path of a thousand each.
pub const MAX_ORIGIN_BYTES: usize = 4_096;

/// Most keys kept. A tenant has 5 to 10; Microsoft asks for room for 10 to 1,000
/// ("Signing key rollover in the Microsoft identity platform").
pub const MAX_KEYS: usize = 256;

/// Shortest RSA modulus, in bits (RFC 7518 section 3.3).
pub const MIN_MODULUS_BITS: usize = 2_048;

/// Longest RSA modulus, in bits: twice Entra's; verification time grows with its square.
pub const MAX_MODULUS_BITS: usize = 4_096;

/// Smallest RSA exponent (NIST FIPS 186-5, A.1.1). Entra uses exactly this one.
pub const MIN_EXPONENT: u64 = 65_537;

/// Largest RSA exponent: what the usual libraries accept, and more than anyone uses.
pub const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// Longest label, in bytes. A label that is stored out of line (TOAST) cannot be read during a
/// login.
pub const MAX_LABEL_BYTES: usize = 1_000;

/// Longest list of revoked objects, in bytes: with the other columns of its row it stays under the
/// 2,000 from which on PostgreSQL stores a row's texts out of line (`TOAST_TUPLE_THRESHOLD`,
/// access/heaptoast.h).
pub const MAX_REVOCATIONS_BYTES: usize = 1_800;

/// Latest time that a label may name, in Unix seconds: the last second of the year 9999, which
/// every reader of a time can show.
pub const MAX_UNIX_SECONDS: i64 = 253_402_300_799;

/// Largest leeway on `nbf`, `iat` and `exp`, in seconds: Microsoft's own default in its validation
/// library.
pub const MAX_CLOCK_SKEW_SECONDS: i64 = 300;

/// Longest setting that is a list or an address, in bytes.
pub const MAX_SETTING_BYTES: usize = 4_096;

/// Most text of an unverified token that a log line shows, in characters.
pub const MAX_SHOWN_CHARS: usize = 96;

/// Largest answer of the directory, in bytes. A thousand objects with the properties asked for take
/// about 300 KB; a page of 999 members about the same.
pub const MAX_DIRECTORY_ANSWER_BYTES: usize = 4 * 1_048_576;

/// Most values in an answer of the directory: a thousand objects of a dozen members, and as many
/// more.
pub const MAX_DIRECTORY_ANSWER_VALUES: usize = 32_768;

/// Largest answer of a token endpoint, in bytes: the longest token, and some members.
pub const MAX_TOKEN_ANSWER_BYTES: usize = 131_072;

/// Most pages of a list of the directory. A group of 100,000 members has 101 pages of 999.
pub const MAX_PAGES: usize = 256;

/// Most objects of a list of the directory: those of 200 full pages.
pub const MAX_LISTED_OBJECTS: usize = 200_000;

/// Most principals that are known to be out, and most memberships that are known to have ended, of
/// one tenant at a time. An entry counts for 28 hours at most, the longest life of a token.
pub const MAX_ENDED: usize = 4_096;

/// Largest snapshot of who is out, in bytes: as many entries as are kept take three quarters of it.
pub const MAX_ENDED_SNAPSHOT_BYTES: usize = 1_572_864;

/// Most values in such a snapshot: five for each principal, four for each membership, and few more.
pub const MAX_ENDED_SNAPSHOT_VALUES: usize = 49_152;

/// Most members of all synchronised groups together; one that is in two groups counts twice.
pub const MAX_ROSTER_MEMBERS: usize = 100_000;

/// Longest name of a member that is kept, in bytes of UTF-8. A role's name has 63 at most in the
/// server's encoding (NAMEDATALEN, pg_config_manual.h), each of which takes three in UTF-8 at most,
/// so a name that was cut is still seen to be too long.
pub const MAX_ROSTER_NAME_BYTES: usize = 256;

/// Longest reason why a group's members are not known, in bytes.
pub const MAX_ROSTER_PROBLEM_BYTES: usize = 512;

/// Most groups whose members are asked for.
pub const MAX_ROSTER_GROUPS: usize = 1_000;

/// Largest file of members, in bytes: as many members as are kept, each with two ids, a name whose
/// every byte is escaped, and a membership, take 70 million.
pub const MAX_ROSTER_BYTES: usize = 72 * 1_048_576;

/// Most values in such a file: five for each member, one for each membership, five for each group,
/// and few more.
pub const MAX_ROSTER_VALUES: usize = 700_000;

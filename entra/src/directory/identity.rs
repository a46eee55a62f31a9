//! The identity that the platform gives a machine: Azure's metadata service and Azure Arc.

use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::AccessToken;
use super::request::percent_encoded;

/// Where the metadata service of an Azure machine is ("How to use managed identities for Azure
/// resources on an Azure VM to acquire an access token", Microsoft).
pub const METADATA_URL: &str = "http://169.254.169.254";

/// Where the agent of Azure Arc is ("Authenticate against Azure resources with Azure Arc-enabled
/// servers", Microsoft).
pub const ARC_URL: &str = "http://127.0.0.1:40342";

/// The header that both demand, so that no browser or proxy can be made to ask.
pub const HEADER: (&str, &str) = ("Metadata", "true");

/// Where the agent of Azure Arc puts its challenges.
pub const ARC_FOLDER: &str = "/var/opt/azcmagent/tokens/";

/// Largest challenge, in bytes.
pub const MAX_CHALLENGE_BYTES: usize = 4_096;

/// Returns path and query of a request for a token of an Azure machine. `graph`: the root of Graph.
/// `client_id`: that of a user-assigned identity; none: the machine's own.
#[must_use]
pub fn metadata_path(graph: &str, client_id: Option<Uuid>) -> String {
    path("2018-02-01", graph, client_id)
}

/// Returns path and query of a request for a token of a machine that is connected to Azure Arc.
#[must_use]
pub fn arc_path(graph: &str, client_id: Option<Uuid>) -> String {
    path("2020-06-01", graph, client_id)
}

fn path(version: &str, graph: &str, client_id: Option<Uuid>) -> String {
    let client_id = client_id.map(|id| format!("&client_id={}", id.hyphenated())).unwrap_or_default();
    let resource = percent_encoded(graph);
    format!("/metadata/identity/oauth2/token?api-version={version}&resource={resource}{client_id}")
}

/// Why a challenge of Azure Arc is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeFault {
    /// It is no `Basic realm=…`.
    NoFile,
    /// It names a file that is not directly in the folder of the agent, or no `.key`. To read and
    /// send it would let the process that answers read files of this machine.
    ForeignFile,
}

impl fmt::Display for ChallengeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("the agent of Azure Arc has not named a file"),
            Self::ForeignFile => {
                write!(
                    f,
                    "the agent of Azure Arc has named a file that is not a .key directly in {ARC_FOLDER}"
                )
            }
        }
    }
}

/// Reads the file's path out of `WWW-Authenticate: Basic realm=<file>`. `folder`: [`ARC_FOLDER`],
/// or that of a test; it ends with a slash. The caller must open the file only if it is a regular
/// one, and not follow a symbolic link.
///
/// # Errors
/// Why the file must not be read.
pub fn parse_challenge<'h>(header: &'h str, folder: &str) -> Result<&'h str, ChallengeFault> {
    let path = header.trim().strip_prefix("Basic realm=").ok_or(ChallengeFault::NoFile)?;
    let path = path.strip_prefix('"').and_then(|path| path.strip_suffix('"')).unwrap_or(path);
    let name = path.strip_prefix(folder).ok_or(ChallengeFault::ForeignFile)?;
    let stem = name.strip_suffix(".key").ok_or(ChallengeFault::ForeignFile)?;
    let is_plain = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if stem.is_empty() || !is_plain { Err(ChallengeFault::ForeignFile) } else { Ok(path) }
}

/// Returns the `Authorization` header that repeats a challenge, from the content of its file; none
/// if that is no text which a header can carry.
#[must_use]
pub fn answer_challenge(content: &[u8]) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(content).ok()?.trim();
    let is_usable = !text.is_empty() && content.len() <= MAX_CHALLENGE_BYTES;
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_usable && is_printable).then(|| Zeroizing::new(["Basic ", text].concat()))
}

/// Returns whether a token is that of the identity that was asked for. The agent of Azure Arc
/// ignores a client id that it does not know, and gives the token of the machine's own identity.
#[must_use]
pub fn is_of_identity(token: &AccessToken, client_id: Option<Uuid>) -> bool {
    client_id.is_none() || token.client_id == client_id
}

/// Says what the status of an identity endpoint means ("How to use managed identities for Azure
/// resources on an Azure VM to acquire an access token", Microsoft).
#[must_use]
pub const fn advice(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "this identity is not assigned to the machine",
        401 | 403 => "the endpoint does not let this process have a token",
        404 => "the machine's identity endpoint is not there, or is being updated",
        410 => "the machine's identity endpoint is being updated",
        429 => "the endpoint is asked too often",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_documentation() {
        assert_eq!(
            metadata_path("https://graph.microsoft.com", None),
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com"
        );
        let id = Uuid::try_parse("33333333-aaaa-bbbb-cccc-000000000003").expect("a uuid");
        assert!(arc_path("https://g", Some(id)).ends_with("&client_id=33333333-aaaa-bbbb-cccc-000000000003"));
    }

    #[test]
    fn a_challenge_is_repeated_if_a_header_can_carry_it() {
        assert_eq!(
            answer_challenge(b" c2VjcmV0==\n").as_deref().map(String::as_str),
            Some("Basic c2VjcmV0==")
        );
        for bad in [&b""[..], b" \n", b"a\r\nX: y", b"a b", b"\xff", &[b'a'; MAX_CHALLENGE_BYTES + 1]] {
            assert!(answer_challenge(bad).is_none());
        }
    }

    #[test]
    fn a_challenge_names_a_key_of_the_agent_and_nothing_else() {
        let good = "/var/opt/azcmagent/tokens/3f-9_A.key";
        assert_eq!(parse_challenge(&format!("Basic realm={good}"), ARC_FOLDER), Ok(good));
        assert_eq!(parse_challenge(&format!("Basic realm=\"{good}\""), ARC_FOLDER), Ok(good));
        for (header, fault) in [
            ("", ChallengeFault::NoFile),
            ("Bearer", ChallengeFault::NoFile),
            ("Basic realm=/etc/passwd", ChallengeFault::ForeignFile),
            ("Basic realm=/var/opt/azcmagent/tokens/../x.key", ChallengeFault::ForeignFile),
            ("Basic realm=/var/opt/azcmagent/tokens/a/b.key", ChallengeFault::ForeignFile),
            ("Basic realm=/var/opt/azcmagent/tokens/.key", ChallengeFault::ForeignFile),
            ("Basic realm=/var/opt/azcmagent/tokens/a.txt", ChallengeFault::ForeignFile),
            ("Basic realm=/var/opt/azcmagent/tokens/a\0.key", ChallengeFault::ForeignFile),
            ("Basic realm=var/opt/azcmagent/tokens/a.key", ChallengeFault::ForeignFile),
        ] {
            assert_eq!(parse_challenge(header, ARC_FOLDER), Err(fault), "{header}");
        }
    }
}

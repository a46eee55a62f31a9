//! Audiences: whether two name the same resource, and whether a token can have one at all.

use uuid::Uuid;

use crate::ids::parse_uuid;

/// The beginning of the application id URI that Entra suggests: `api://<client id>`.
pub(crate) const API: &str = "api://";

/// The end of a scope that stands for all permissions.
const DEFAULT_SCOPE: &str = "/.default";

/// The resources that all of Azure's own databases share, by cloud.
const SHARED: [&str; 3] = [
    "https://ossrdbms-aad.database.windows.net",
    "https://ossrdbms-aad.database.usgovcloudapi.net",
    "https://ossrdbms-aad.database.chinacloudapi.cn",
];

/// Characters that stand in no resource and in no permission, but around them in files and shells.
const QUOTING: [char; 9] = ['"', '\'', '`', ';', '<', '>', '\\', '{', '}'];

/// Returns whether an accepted audience and the `aud` of a token are the same resource.
///
/// Entra writes `aud` with or without a slash at the end, depending on how the token was acquired.
/// A client id is compared as an id, in either case, also within the URI that Entra makes of it.
pub(super) fn is_same(accepted: &str, audience: &str) -> bool {
    let (accepted, audience) = (without_slash(accepted), without_slash(audience));
    accepted == audience || client_id(accepted).is_some_and(|id| client_id(audience) == Some(id))
}

fn without_slash(audience: &str) -> &str {
    audience.strip_suffix('/').unwrap_or(audience)
}

/// Returns the client id in an audience, and whether it is within a URI `api://<client id>`.
fn client_id(audience: &str) -> Option<(bool, Uuid)> {
    let bare = audience.strip_prefix(API);
    Some((bare.is_some(), parse_uuid(bare.unwrap_or(audience))?))
}

/// Returns the reason why no token can have this text as its `aud`, if there is one.
pub(super) fn doubt_of_audience(text: &str) -> Option<&'static str> {
    if text.contains(QUOTING) {
        Some("neither quotes nor ; nor brackets are part of a resource")
    } else if without_slash(text).ends_with(DEFAULT_SCOPE) {
        Some("/.default is part of a scope, and the resource is what stands before it")
    } else if has_capital_scheme(text) {
        Some("its scheme is written in small letters in tokens")
    } else if SHARED.iter().any(|shared| is_miswritten(without_slash(text), shared)) {
        Some("it is written in small letters in tokens")
    } else {
        None
    }
}

/// Returns the reason why no token can have this text in its `scp` or `roles`, if there is one.
pub(super) fn doubt_of_permission(text: &str) -> Option<&'static str> {
    if text.contains(['"', '\'', '`', ';', '<', '>', '\\']) {
        Some("neither quotes nor ; are part of a permission")
    } else if text.contains("://") || text.ends_with(DEFAULT_SCOPE) {
        Some("tokens have the name of the permission alone, without the resource before it")
    } else {
        None
    }
}

fn has_capital_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.contains(|c: char| c.is_ascii_uppercase()))
}

fn is_miswritten(text: &str, name: &str) -> bool {
    text != name && text.eq_ignore_ascii_case(name)
}

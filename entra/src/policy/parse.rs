//! Readers of the settings that make a policy. Each error says what is wrong with the setting, in
//! words that follow its name.

use http::Uri;
use uuid::Uuid;

use crate::authority::TENANT_PLACEHOLDER;
use crate::ids::parse_uuid;
use crate::limits;

/// Reads the tenant; none if the setting is empty.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_tenant(text: &str) -> Result<Option<Uuid>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse_uuid(text).map(Some).ok_or_else(|| "is not a uuid".to_owned())
}

/// Reads a list separated by commas. Blanks around an item are ignored.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_list(text: &str) -> Result<Vec<String>, String> {
    if text.len() > limits::MAX_SETTING_BYTES {
        return Err("is too long".to_owned());
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|item| match item.trim() {
            "" => Err("has an empty item".to_owned()),
            item if item.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                Err("has an item with a blank or control character in it".to_owned())
            }
            item => Ok(item.to_owned()),
        })
        .collect()
}

/// Reads issuers: https URLs that name the tenant, or `{tenantid}` in its place.
///
/// Without a tenant, while one setting is checked by itself, an issuer may name any uuid.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_issuers(text: &str, tenant: Option<Uuid>) -> Result<Vec<String>, String> {
    let names_tenant = |issuer: &str| match tenant {
        Some(tenant) => issuer.contains(&tenant.hyphenated().to_string()),
        None => issuer.split(['/', '?', '=', '&']).any(|segment| parse_uuid(segment).is_some()),
    };
    let issuers = parse_list(text)?;
    for issuer in &issuers {
        if issuer.len() > limits::MAX_ISSUER_BYTES {
            return Err("has an item that is too long".to_owned());
        }
        // A URL must not have the braces of the placeholder.
        let url: Uri = issuer
            .replace(TENANT_PLACEHOLDER, "tenantid")
            .parse()
            .map_err(|_| "has an item that is not a URL".to_owned())?;
        if url.scheme_str() != Some("https") || url.authority().is_none() {
            return Err("has an item that is not an https URL".to_owned());
        }
        if !issuer.contains(TENANT_PLACEHOLDER) && !names_tenant(issuer) {
            return Err(format!("has an item that names neither the tenant nor {TENANT_PLACEHOLDER}"));
        }
    }
    Ok(issuers)
}

/// Reads client ids.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_clients(text: &str) -> Result<Vec<Uuid>, String> {
    parse_list(text)?
        .iter()
        .map(|item| parse_uuid(item).ok_or_else(|| "has an item that is not a uuid".to_owned()))
        .collect()
}

/// Reads the permission; none if the setting is empty. Scopes are separated by blanks, so a
/// permission has none.
///
/// # Errors
/// The reason why the setting is not valid.
pub fn parse_permission(text: &str) -> Result<Option<String>, String> {
    match parse_list(text)?.as_slice() {
        [] => Ok(None),
        [permission] => Ok(Some(permission.clone())),
        _ => Err("names more than one permission".to_owned()),
    }
}

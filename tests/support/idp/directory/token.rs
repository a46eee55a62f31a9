//! The token endpoint, and the tokens that Graph accepts.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use serde_json::json;

use super::assertion;
use super::credentials::{Credentials, SERVER_CLIENT, SERVER_PRINCIPAL};
use super::permissions::Permissions;
use super::reply::{Answer, refusal, token_refusal};
use super::store::Store;
use crate::idp::Request;
use crate::issuer::{OTHER_TENANT, TENANT, b64, unix_now};

/// The life of a token from the token endpoint, in seconds.
const USUAL_LIFE: i64 = 3_599;

/// The end of the token endpoint's path, after the tenant.
pub(super) const TOKEN_PATH: &str = "/oauth2/v2.0/token";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The tokens that have been issued, and how further ones are.
#[derive(Default)]
pub(super) struct Tokens {
    issued: BTreeMap<String, Issued>,
    /// Resources besides Graph, and the token that is issued for each.
    pub(super) resources: BTreeMap<String, String>,
    /// The life of further tokens in seconds, if a test has chosen it.
    pub(super) lifetime: Option<i64>,
    /// Whether numbers are written as texts.
    pub(super) numbers_as_strings: bool,
    /// Whether a token lets read what was permitted when it was issued, whatever changed since.
    pub(super) keep_permissions: bool,
}

struct Issued {
    /// The root of Graph that it is for.
    audience: String,
    expires: i64,
    permissions: Permissions,
    revoked: bool,
}

impl Tokens {
    /// Issues a token. Returns its text, and how many seconds it lives.
    pub(super) fn issue(&mut self, audience: &str, usual: i64, permissions: &Permissions) -> (String, i64) {
        if let Some(token) = self.resources.get(audience) {
            return (token.clone(), usual);
        }
        let mut random = [0; 48];
        rand::fill(&mut random).expect("random bytes");
        let text = format!("EwB{}", b64(random));
        let lifetime = self.lifetime.unwrap_or(usual);
        let expires = unix_now() + lifetime;
        let permissions = permissions.clone();
        let issued = Issued { audience: audience.to_owned(), expires, permissions, revoked: false };
        self.issued.insert(text.clone(), issued);
        (text, lifetime)
    }

    /// Returns what a resource is called in tokens, if tokens are issued for it.
    pub(super) fn audience(&self, resource: &str, roots: &[String], port: u16) -> Option<String> {
        let other = self.resources.contains_key(resource).then(|| resource.to_owned());
        other.or_else(|| graph(resource, roots, port))
    }

    /// Returns for how many more seconds a token lives; none if it has expired.
    pub(super) fn life_left(&self, text: &str) -> Option<i64> {
        let left = self.issued.get(text)?.expires - unix_now();
        (left > 0).then_some(left)
    }

    /// Makes Graph reject all tokens that have been issued.
    pub(super) fn revoke(&mut self) {
        for issued in self.issued.values_mut() {
            issued.revoked = true;
        }
    }

    /// Judges the token of a request to the Graph at `audience`. Returns what it may read.
    pub(super) fn check(
        &self,
        request: &Request,
        audience: &str,
        now: &Permissions,
    ) -> Result<Permissions, Answer> {
        let invalid = |problem: &str| refusal(401, "InvalidAuthenticationToken", problem);
        let header = request.header("authorization").unwrap_or_default();
        let text = header.strip_prefix("Bearer ").ok_or_else(|| invalid("Access token is empty."))?;
        let issued = self.issued.get(text).ok_or_else(|| invalid("CompactToken parsing failed."))?;
        if issued.audience != audience {
            return Err(invalid("Access token validation failure. Invalid audience."));
        }
        if issued.expires <= unix_now() {
            return Err(invalid("Lifetime validation failed, the token is expired."));
        }
        if issued.revoked {
            let challenge =
                "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\"";
            let refusal = invalid("Continuous access evaluation resulted in challenge.");
            return Err(refusal.with_header("WWW-Authenticate", challenge));
        }
        Ok(if self.keep_permissions { issued.permissions.clone() } else { now.clone() })
    }
}

/// What the token endpoint knows.
pub(super) struct Endpoint<'a> {
    pub(super) store: &'a Store,
    pub(super) credentials: &'a mut Credentials,
    pub(super) tokens: &'a mut Tokens,
    pub(super) permissions: &'a Permissions,
    /// The path of each root of Graph.
    pub(super) roots: &'a [String],
    pub(super) port: u16,
    pub(super) now: i64,
}

impl Endpoint<'_> {
    /// Answers a request for a token of the server's own.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        self.token(request).unwrap_or_else(|refusal| refusal)
    }

    fn token(&mut self, request: &Request) -> Result<Answer, Answer> {
        let invalid = |number: u32, problem: &str| token_refusal(400, "invalid_request", number, problem);
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if request.method != "POST" {
            return Err(invalid(900_561, "The endpoint only accepts POST requests."));
        }
        let field = |name: &str| {
            let missing = || {
                invalid(900_144, &format!("The request body must contain the following parameter: '{name}'."))
            };
            request.field(name).filter(|value| is_form && !value.is_empty()).ok_or_else(missing)
        };
        check_tenant(request)?;
        if field("grant_type")? != "client_credentials" {
            let problem = "The app requested an unsupported grant type.";
            return Err(token_refusal(400, "unsupported_grant_type", 70_003, problem));
        }
        let client = field("client_id")?;
        self.check_application(&client, request)?;
        let scope = field("scope")?;
        let resource = scope.strip_suffix("/.default").ok_or_else(|| {
            let problem = format!("The scope {scope} is not valid: /.default must follow the resource.");
            token_refusal(400, "invalid_scope", 1_002_012, &problem)
        })?;
        let audience = self.tokens.audience(resource, self.roots, self.port).ok_or_else(|| {
            let problem = format!("The resource principal named {resource} was not found in the tenant.");
            token_refusal(400, "invalid_resource", 500_011, &problem)
        })?;
        self.check_credential(request)?;
        let (token, lifetime) = self.tokens.issue(&audience, USUAL_LIFE, self.permissions);
        let number =
            |value: i64| if self.tokens.numbers_as_strings { json!(value.to_string()) } else { json!(value) };
        let mut body = json!({
            "token_type": "Bearer", "expires_in": number(lifetime), "ext_expires_in": number(lifetime),
            "access_token": token,
        });
        if lifetime > 7_200 {
            body["refresh_in"] = number(lifetime / 2);
        }
        Ok(Answer::ok(body))
    }

    fn check_application(&self, client: &str, request: &Request) -> Result<(), Answer> {
        let principal = self.store.object(SERVER_PRINCIPAL);
        let known = client == SERVER_CLIENT && tenant_of(request) == TENANT;
        let Some(principal) = principal.filter(|_| known) else {
            let problem = format!("Application with identifier '{client}' was not found in the directory.");
            return Err(token_refusal(400, "unauthorized_client", 700_016, &problem));
        };
        if principal.properties.get("accountEnabled").is_some_and(|enabled| enabled == false) {
            let problem = format!("Application '{client}' is disabled.");
            return Err(token_refusal(401, "unauthorized_client", 7_000_112, &problem));
        }
        Ok(())
    }

    fn check_credential(&mut self, request: &Request) -> Result<(), Answer> {
        let invalid = |number: u32, problem: &str| token_refusal(401, "invalid_client", number, problem);
        if let Some(secret) = request.field("client_secret") {
            let known = self.credentials.secrets.iter().find(|(known, _)| *known == secret);
            return match known {
                None => Err(invalid(
                    7_000_215,
                    "Invalid client secret provided. Send the secret's value, not its ID.",
                )),
                Some((_, true)) => Err(invalid(7_000_222, "The provided client secret keys are expired.")),
                Some(_) => Ok(()),
            };
        }
        let kind = request.field("client_assertion_type");
        let assertion = request.field("client_assertion").filter(|_| kind.as_deref() == Some(ASSERTION_TYPE));
        let Some(text) = assertion else {
            return Err(invalid(
                7_000_218,
                "The request body must contain 'client_assertion' or 'client_secret'.",
            ));
        };
        let host = request.header("host").unwrap_or_default();
        let address = format!("https://{host}{}", request.path());
        assertion::check(&text, self.credentials, &address, self.now)
    }
}

fn tenant_of(request: &Request) -> &str {
    request.path().trim_start_matches('/').split('/').next().unwrap_or_default()
}

fn check_tenant(request: &Request) -> Result<(), Answer> {
    let tenant = tenant_of(request);
    let invalid = |number: u32, problem: &str| Err(token_refusal(400, "invalid_request", number, problem));
    if [TENANT, OTHER_TENANT].contains(&tenant) {
        return Ok(());
    }
    if tenant.contains('.') || tenant.len() == 36 {
        return invalid(90_002, &format!("Tenant '{tenant}' not found. Check the tenant ID and the cloud."));
    }
    invalid(
        900_023,
        &format!(
            "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."
        ),
    )
}

/// Returns the root of Graph that a resource is, if this provider is there.
fn graph(resource: &str, roots: &[String], port: u16) -> Option<String> {
    let (host, root) = match resource.strip_prefix("https://")?.split_once('/') {
        Some((host, root)) => (host, format!("/{root}")),
        None => (resource.strip_prefix("https://")?, String::new()),
    };
    let ours = host.ends_with(&format!(":{port}")) && roots.contains(&root);
    ours.then(|| resource.to_owned())
}

//! How a user signs in with a browser: the authorization code of OAuth 2.0, with PKCE (RFC 7636).

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::directory::random_text;
use super::http::{Request, head_of_response};
use super::{State, USER_NAME, USER_PASSWORD, issuer};
use crate::issuer::{PERSON, TENANT, b64, unix_now};
use crate::mutex::lock;

/// A user has signed in, and the code for that has not been redeemed yet.
pub(super) struct SignIn {
    code: String,
    client: String,
    /// Where the browser has been sent with the code.
    address: String,
    challenge: String,
    nonce: String,
    scope: String,
}

/// Returns the page that a user's browser is given: a form for name and password, and then one that
/// takes the code to the application, which real browsers send by themselves.
pub(super) fn answer_to_browser(request: &Request, state: &State) -> String {
    let parameter = |name: &str| request.parameter(name).unwrap_or_default();
    let kind = ["response_type", "response_mode", "code_challenge_method"].map(parameter);
    let (address, challenge) = (parameter("redirect_uri"), parameter("code_challenge"));
    let is_ours = kind == ["code", "form_post", "S256"] && address.starts_with("http://localhost:");
    if !is_ours || challenge.is_empty() {
        return page(400, "This is not how an application on a desktop asks.");
    }
    let given = ["login", "passwd"].map(|name| request.field(name).unwrap_or_default());
    if given != [USER_NAME, USER_PASSWORD] {
        return page(200, &form(&request.target, &[("login", ""), ("passwd", "")]));
    }
    let code = random_text();
    let page = page(200, &form(&address, &[("code", &code), ("state", &parameter("state"))]));
    let [client, nonce, scope] = ["client_id", "nonce", "scope"].map(parameter);
    lock(&state.sign_ins).push(SignIn { code, client, address, challenge, nonce, scope });
    page
}

/// Redeems the code of a request at the token endpoint. Returns what the application is given
/// beside the access token; none if it is not the application that the code was made for, or not
/// for the first time.
pub(super) fn redeem(request: &Request, state: &State) -> Option<Value> {
    let field = |name: &str| request.field(name).unwrap_or_default();
    let mut sign_ins = lock(&state.sign_ins);
    let at = sign_ins.iter().position(|sign_in| sign_in.code == field("code"))?;
    let sign_in = sign_ins.swap_remove(at);
    let challenge = b64(digest(&SHA256, field("code_verifier").as_bytes()));
    let given = [field("client_id"), field("redirect_uri"), challenge];
    if given != [sign_in.client.as_str(), &sign_in.address, &sign_in.challenge] {
        return None;
    }
    let now = unix_now();
    let claims = json!({
        "iss": issuer(state.port), "aud": sign_in.client, "sub": PERSON, "oid": PERSON, "tid": TENANT,
        "preferred_username": USER_NAME, "nonce": sign_in.nonce, "iat": now, "nbf": now, "exp": now + 3_600,
    });
    let id_token = lock(&state.keys).first()?.token(&claims);
    Some(json!({ "scope": sign_in.scope, "id_token": id_token }))
}

/// Returns a form that is sent to an address.
fn form(address: &str, inputs: &[(&str, &str)]) -> String {
    let input =
        |(name, value): &(&str, &str)| format!("<input name=\"{name}\" value=\"{}\">", escaped(value));
    let inputs: String = inputs.iter().map(input).collect();
    format!("<form method=\"post\" action=\"{}\">{inputs}</form>", escaped(address))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

fn page(status: u16, body: &str) -> String {
    let text = format!("<!doctype html><title>Sign in</title>{body}");
    format!("{}{text}", head_of_response(status, "content-type: text/html; charset=utf-8\r\n", text.len()))
}

//! How a user acquires a token: by a device flow, as psql does by itself, by a password, or with a
//! browser.

use serde_json::json;

use super::http::{Request, response};
use super::{State, issuer, sign_in, url};
use crate::issuer::{TENANT, with};
use crate::mutex::lock;

/// The state of the device flow by which a client acquires a token (RFC 8628).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFlow {
    /// The client that began the last one.
    pub client: String,
    /// The scope it asked for.
    pub scope: String,
    /// How often it has asked whether the user has signed in.
    pub polls: usize,
    pub(super) token: String,
    /// Whether clients may ask again at once.
    pub(super) hurried: bool,
}

/// The user who has a password.
pub const USER_NAME: &str = "ann@contoso.example";
/// The password.
pub const USER_PASSWORD: &str = "the user's password";

const DEVICE_CODE: &str = "device-code-1";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Returns the answer to a client that acquires a token: OpenID Connect Discovery 1.0, then RFC
/// 8628.
pub(super) fn answer_to_client(request: &Request, state: &State) -> String {
    let base = format!("{}/{TENANT}", url(state.port));
    let Some(path) = request.path().strip_prefix(&format!("/{TENANT}")) else {
        return response(404, "", "{}");
    };
    let field = |name: &str| request.field(name).unwrap_or_default();
    let refusal = |error: &str| response(400, "", &json!({ "error": error }).to_string());
    let mut flow = lock(&state.device_flow);
    let body = match path {
        "/v2.0/.well-known/openid-configuration" => json!({
            "issuer": issuer(state.port),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "grant_types_supported": ["authorization_code", DEVICE_GRANT],
            "response_types_supported": ["code"],
        }),
        "/oauth2/v2.0/authorize" => return sign_in::answer_to_browser(request, state),
        "/oauth2/v2.0/devicecode" => {
            (flow.client, flow.scope, flow.polls) = (field("client_id"), field("scope"), 0);
            json!({
                "device_code": DEVICE_CODE, "user_code": "ABCD1234",
                "verification_uri": format!("{base}/devicelogin"), "interval": u8::from(!flow.hurried),
                "expires_in": 900, "message": "sign in",
            })
        }
        "/oauth2/v2.0/token" if field("grant_type") == "password" => {
            if ["username", "password"].map(field) != [USER_NAME, USER_PASSWORD] {
                return refusal("invalid_grant");
            }
            json!({
                "token_type": "Bearer", "scope": field("scope"), "expires_in": 3_600, "access_token": flow.token,
            })
        }
        "/oauth2/v2.0/token" if field("grant_type") == "authorization_code" => {
            let Some(given) = sign_in::redeem(request, state) else { return refusal("invalid_grant") };
            let answer = with(given, "access_token", json!(flow.token));
            with(with(answer, "token_type", json!("Bearer")), "expires_in", json!(3_600))
        }
        "/oauth2/v2.0/token" => {
            let expected = [DEVICE_GRANT, DEVICE_CODE, &flow.client];
            if ["grant_type", "device_code", "client_id"].map(field) != expected || flow.client.is_empty() {
                return refusal("invalid_grant");
            }
            flow.polls += 1;
            if flow.polls == 1 {
                return refusal("authorization_pending");
            }
            json!({
                "token_type": "Bearer", "scope": flow.scope, "expires_in": 3_600, "access_token": flow.token,
            })
        }
        _ => return response(404, "", "{}"),
    };
    response(200, "", &body.to_string())
}

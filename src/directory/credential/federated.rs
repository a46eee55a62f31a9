//! The token of another issuer that the application trusts.

use entra::directory::credential::describe_federated;

use crate::directory::credential::NotGiven;

/// Entra's numbers for a token that matches no federated credential, and for one that is outside
/// its time.
const MISMATCHES: [u32; 6] = [70_021, 700_211, 700_212, 700_213, 7_002_131, 700_024];

/// Adds what the token says to a fault that may be the token's, so that an administrator can
/// compare it with the credential of the application. `audience`: the one that the cloud expects.
pub(super) fn explain(fault: NotGiven, token: &str, audience: &str, now: i64) -> NotGiven {
    let number = fault.problem.as_ref().and_then(|problem| problem.number);
    if !number.is_some_and(|number| MISMATCHES.contains(&number)) {
        return fault;
    }
    let said = match describe_federated(token) {
        None => "the file holds no JSON Web Token".to_owned(),
        Some(token) => match token.expires_at {
            Some(time) if time <= now => format!("the file's token has expired; it has {token}"),
            _ => format!("the file's token has {token}; the usual aud is \"{audience}\""),
        },
    };
    NotGiven { text: format!("{} ({said})", fault.text), ..fault }
}

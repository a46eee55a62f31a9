//! The identity that the platform gives this machine: Azure's metadata service, and the agent of
//! Azure Arc. Both are asked in clear text and without a proxy, because they are on this machine.

use entra::Uuid;
use entra::directory::credential::{AccessToken, parse_token, parse_token_problem};
use entra::directory::identity::{
    HEADER, advice, answer_challenge, arc_path, is_of_identity, metadata_path, parse_challenge,
};
use entra::directory::retry::identity_wait;
use entra::limits::MAX_TOKEN_ANSWER_BYTES;

use crate::directory::credential::{NotGiven, file, is_answered, millis};
use crate::net::https::{Client, Exchange, Reply};

/// Asks the metadata service of an Azure machine.
///
/// # Errors
/// Why there is no token.
pub(super) fn of_machine(root: &str, graph: &str, client_id: Option<Uuid>) -> Result<AccessToken, NotGiven> {
    let url = [root, &metadata_path(graph, client_id)].concat();
    let reply = get(&Client::near(), &url, None)?;
    read(root, &reply)
}

/// Asks the agent of Azure Arc. It demands the content of a file that only a process with the right
/// to have a token can read.
///
/// # Errors
/// Why there is no token.
pub(super) fn of_arc(root: &str, graph: &str, client_id: Option<Uuid>) -> Result<AccessToken, NotGiven> {
    let url = [root, &arc_path(graph, client_id)].concat();
    let client = Client::near();
    let mut reply = get(&client, &url, None)?;
    if reply.status == 401 {
        let about = |fault: String| format!("{root}: {fault}");
        let challenge = reply.challenge.unwrap_or_default();
        let path = parse_challenge(&challenge).map_err(|fault| about(fault.to_string()))?;
        let content = file::challenge(path)
            .map_err(|fault| about(format!("{path}, which the agent of Azure Arc has named, {fault}")))?;
        let answer = answer_challenge(&content);
        let answer = answer.ok_or_else(|| about(format!("{path} holds nothing that can be sent")))?;
        reply = get(&client, &url, Some(&answer))?;
    }
    let token = read(root, &reply)?;
    if is_of_identity(&token, client_id) {
        Ok(token)
    } else {
        let problem = "has given a token of another identity than azure_ad_auth.directory_client_id";
        Err(format!("{root}: {problem}").into())
    }
}

fn get(client: &Client, url: &str, authorization: Option<&str>) -> Result<Reply, NotGiven> {
    let mut headers = vec![HEADER];
    headers.extend(authorization.map(|text| ("Authorization", text)));
    let max_bytes = MAX_TOKEN_ANSWER_BYTES as u64;
    Ok(client.exchange(&Exchange { url, body: None, headers: &headers, max_bytes })?)
}

fn read(root: &str, reply: &Reply) -> Result<AccessToken, NotGiven> {
    if is_answered(reply) {
        return Ok(parse_token(&reply.body).map_err(|fault| format!("{root}: {fault}"))?);
    }
    let status = reply.status;
    let advice = advice(status).map(|advice| format!(": {advice}")).unwrap_or_default();
    // What passes by itself is asked for again soon, as the documentation of the endpoint says.
    let wait = identity_wait(status, 1);
    Err(NotGiven {
        text: format!("{root}: answered with status {status}{advice}"),
        problem: wait.is_none().then(|| parse_token_problem(status, &reply.body)),
        retry_after: reply.retry_after.map(millis).max(wait.filter(|_| status == 410)),
    })
}

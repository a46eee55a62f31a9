//! explain_token().

use testbed::client::RawClient;
use testbed::cluster::Cluster;

/// A call with a role as the second parameter.
pub(crate) const EXPLAIN_TOKEN: &str =
    "SELECT concat_ws('|', step, verdict, expected, found) FROM azure_ad_auth.explain_token($1, $2)";
const CALL_WITHOUT_ROLE: &str =
    "SELECT concat_ws('|', step, verdict, expected, found) FROM azure_ad_auth.explain_token($1)";

/// Explains a token in a session. Returns the rows.
pub(crate) fn explain_as(client: &mut RawClient, role: Option<&str>, token: &str) -> Vec<String> {
    let answer = match role {
        Some(role) => client.query_bound(EXPLAIN_TOKEN, &[token, role]),
        None => client.query_bound(CALL_WITHOUT_ROLE, &[token]),
    };
    answer.unwrap_or_else(|error| panic!("{error:?}")).into_iter().flatten().collect()
}

/// Explains a token as the superuser, without the parameters in the log. Returns the rows.
pub(crate) fn explain(cluster: &Cluster, role: Option<&str>, token: &str) -> Vec<String> {
    let mut client = cluster.superuser();
    assert!(client.query("SET log_parameter_max_length = 0; SET timezone = 'UTC'").is_ok());
    explain_as(&mut client, role, token)
}

/// Returns the code in the last row. Expects every step before the one that failed to have passed,
/// and every step after it not to have been reached.
pub(crate) fn code_of(rows: &[String]) -> String {
    let (last, steps) = rows.split_last().expect("rows");
    let verdict = |row: &String| row.split('|').nth(1).unwrap_or_default().to_owned();
    let failed: Vec<_> = steps.iter().filter(|row| verdict(row) == "failed").collect();
    let code = last.rsplit('|').next().unwrap_or_default().to_owned();
    if code == "admitted" {
        assert!(last.starts_with("result|ok|") && failed.is_empty(), "{rows:#?}");
    } else {
        assert!(last.starts_with("result|failed|") && failed.len() == 1, "{rows:#?}");
    }
    let after = steps.iter().skip_while(|row| verdict(row) != "failed").skip(1);
    assert!(after.clone().all(|row| verdict(row) == "not reached"), "{rows:#?}");
    code
}

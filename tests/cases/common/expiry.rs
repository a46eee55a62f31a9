//! Tokens that expire soon, and sessions that end together.

use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::issuer::{unix_now, user_v1, with};

/// Returns claims of a token that expires in so many seconds.
pub(crate) fn short_lived(seconds: i64) -> Value {
    with(user_v1(unix_now()), "exp", json!(unix_now() + seconds))
}

/// Settings by which sessions outlive their token until [`end_together`] sets when they end. The
/// token may have expired when they begin.
pub(crate) const OUTLIVES_TOKEN: &str = "azure_ad_auth.session_expiry = 'terminate'\n\
     azure_ad_auth.session_expiry_grace = '1h'\nazure_ad_auth.clock_skew = '5min'\n\
     log_line_prefix = '%n '";

/// Has sessions whose token has just expired end in a few seconds. Returns that time.
pub(crate) fn end_together(cluster: &Cluster, expires_at: i64) -> i64 {
    let due = unix_now().max(expires_at) + 3;
    cluster.set("azure_ad_auth.session_expiry_grace", &format!("{}s", due - expires_at));
    due
}

/// Expects the log to say of these processes, and of no others, that they have been asked to end:
/// once each, when it was due.
pub(crate) fn ended_in_time(log: &str, mut pids: Vec<i32>, due: i64) {
    let lines = log.lines().filter(|line| line.contains("azure_ad_auth: ended reason=expired "));
    let mut ended: Vec<_> = lines
        .map(|line| {
            let millis = line.split(' ').next().map(|time| time.replace('.', ""));
            let millis = millis.and_then(|time| time.parse::<i64>().ok()).expect("a time");
            // Two seconds are promised; a machine that is busy may be late to begin with.
            assert!((0..10_000).contains(&(millis - due * 1_000)), "{millis}, not {due}: {line}");
            let pid = line.split(" pid=").nth(1).and_then(|rest| rest.split(' ').next());
            pid.and_then(|pid| pid.parse::<i32>().ok()).expect("a process id")
        })
        .collect();
    pids.sort_unstable();
    ended.sort_unstable();
    assert_eq!(ended, pids);
}

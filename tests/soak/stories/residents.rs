//! A session that lasts as long as the server is up, and uses all that the extension has for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use testbed::client::RawClient;
use testbed::issuer::{unix_now, with};
use testbed::scene::ADMIN;

use crate::run::{Run, Told};
use crate::scenery::claims_of;

const NAME: &str = "statement of a long session";

/// How long the session pauses between two statements.
const PAUSE: Duration = Duration::from_millis(50);

/// What the administrator's session runs, in turn.
const STATEMENTS: [&str; 11] = [
    "SELECT count(*) FROM azure_ad_auth.sessions",
    "SELECT count(*) FROM azure_ad_auth.principals",
    "SELECT count(*) FROM azure_ad_auth.signing_keys",
    "SELECT count(*) FROM azure_ad_auth.key_status",
    "SELECT count(*) FROM azure_ad_auth.directory_status",
    "SELECT count(*) FROM azure_ad_auth.stat",
    "SELECT count(*) FROM azure_ad_auth.stat_principals",
    "SELECT azure_ad_auth.session_claims()",
    "SELECT count(*) FROM azure_ad_auth.check_configuration()",
    "SELECT azure_ad_auth.create_principal('resident', '22222222-aaaa-bbbb-cccc-000000000024', 'user')",
    "SELECT azure_ad_auth.drop_principal('resident'); DROP ROLE resident",
];

/// The session, and since when the server has been up that it is a session of.
type Session = (RawClient, u64);

/// Begins a session again whenever a crash has ended it.
pub(super) fn stay(run: &Run) {
    let mut session = None;
    let mut round = 0;
    run.repeat(NAME, PAUSE, |run| {
        let told = next(run, &mut session, round);
        round += 1;
        if told.is_err() {
            run.resident.store(0, Ordering::SeqCst);
            (session, round) = (None, 0);
        }
        told
    });
}

fn next(run: &Run, session: &mut Option<Session>, round: usize) -> Told {
    let count = run.gate.pass();
    let (mut client, _) = match session.take_if(|(_, begun)| *begun == count) {
        Some(old) => old,
        None => (begin(run)?, count),
    };
    let statement = STATEMENTS[round % STATEMENTS.len()];
    client.query(statement).map_err(|error| format!("{statement}: {error:?}"))?;
    *session = Some((client, count));
    Ok(())
}

fn begin(run: &Run) -> Result<RawClient, String> {
    run.resident.store(0, Ordering::SeqCst);
    run.ask("DROP ROLE IF EXISTS resident")?;
    let token = run.token(&with(claims_of(ADMIN), "exp", json!(unix_now() + 86_400)));
    let mut session = run.session("admin", &token)?;
    let pid = session.query("SELECT pg_backend_pid()").map_err(|error| format!("{error:?}"))?;
    let pid = pid.into_iter().flatten().next().and_then(|pid| pid.parse().ok());
    run.resident.store(pid.unwrap_or_default(), Ordering::SeqCst);
    Ok(session)
}

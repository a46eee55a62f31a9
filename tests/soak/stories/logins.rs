//! Logins that must succeed, and logins that must not.

use std::time::Duration;

use serde_json::json;
use testbed::door::Door;
use testbed::issuer::{Signer, unix_now, user_v1, with};

use crate::run::Run;
use crate::scenery::{BRIEF, claims_of, logins};

/// How long a thread pauses between two logins, so that there is time for the others.
const PAUSE: Duration = Duration::from_millis(40);

/// So many rounds use the same tokens, as clients do.
const ROUNDS: usize = 5;

/// Logs in at a door as everybody who can.
pub(super) fn log_in(run: &Run, door: Door) {
    while run.gate.goes_on() {
        run.gate.pass();
        let logins = logins(door).map(|(name, role, claims)| (name, role, run.token(&claims)));
        for _ in 0..ROUNDS {
            for (name, role, token) in &logins {
                once(run, name, |run| {
                    run.session(role, token)?.disconnect();
                    Ok(())
                });
            }
        }
    }
}

/// Tells a story once, unless the run is over.
fn once(run: &Run, name: &'static str, story: impl Fn(&Run) -> Result<(), String>) {
    if run.gate.goes_on() {
        run.tell(name, story);
        run.pause(PAUSE);
    }
}

/// Tries tokens that no server may accept.
pub(super) fn be_refused(run: &Run) {
    let unpublished = Signer::new("unpublished");
    while run.gate.goes_on() {
        let doors = run.scenery.doors.all();
        let door = doors[usize::try_from(unix_now()).expect("a time") % doors.len()];
        let [(_, role, _), ..] = logins(door);
        let now = unix_now();
        let role = role.as_str();
        let expired = run.token(&with(user_v1(now - 7_200), "exp", json!(now - 3_600)));
        once(run, "refused: expired", |run| run.refused(role, &expired, "28P01"));
        let other = run.token(&claims_of(BRIEF));
        once(run, "refused: of somebody else", |run| run.refused(role, &other, "28"));
        let resource = run.token(&with(user_v1(now), "aud", json!("api://another")));
        once(run, "refused: for another resource", |run| run.refused(role, &resource, "28"));
        let unknown = run.token_by(&unpublished, &user_v1(now));
        once(run, "refused: of a key that is not published", |run| run.refused(role, &unknown, "28"));
    }
}

//! Roles and accounts that come and go, and tokens that are taken back or expire.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::issuer::{unix_now, with};

use crate::run::{Run, ends, wait_for};
use crate::scenery::{BRIEF, DISABLED, PASSING, PASSING_NAME, REVOKED, claims_of};

/// How long each thread pauses before it begins again.
const PAUSE: Duration = Duration::from_millis(200);

/// Links a role by a function and by the two statements for it, in turn, and unlinks it.
pub(super) fn link_and_unlink(run: &Run) {
    let by_name = |statement: &str| statement.replace("NAME", PASSING_NAME);
    let forms = [
        ("passing", format!("SELECT azure_ad_auth.create_principal('passing', '{PASSING}', 'user')")),
        (PASSING_NAME, by_name("CREATE ROLE \"NAME\" LOGIN IN ROLE azure_ad_user")),
        (PASSING_NAME, by_name("CREATE ROLE \"NAME\" LOGIN; GRANT azure_ad_user TO \"NAME\"")),
    ];
    let mut round = 0;
    run.repeat("linked and unlinked", PAUSE, |run| {
        // A crash may have left a role.
        run.ask(&format!("DROP ROLE IF EXISTS passing, \"{PASSING_NAME}\""))?;
        round += 1;
        let (role, statement) = &forms[round % forms.len()];
        run.ask(statement)?;
        let token = run.token(&claims_of(PASSING));
        let session = run.session(role, &token)?;
        let unlink = match round % 2 {
            0 => format!("SELECT azure_ad_auth.drop_principal('{role}')"),
            _ => format!("REVOKE azure_ad_user FROM \"{role}\""),
        };
        run.ask(&unlink)?;
        ends(session)?;
        run.refused(role, &token, "28")
    });
}

/// Takes back all tokens of a person, and waits until a newer one is accepted.
pub(super) fn revoke(run: &Run) {
    run.repeat("revoked by revoke_principal()", PAUSE, |run| {
        let fresh = || run.token(&issued_now(claims_of(REVOKED)));
        let mut token = String::new();
        let admitted = || {
            token = fresh();
            run.session("revoked", &token)
        };
        let session = wait_for(admitted, "a newer token is accepted")?;
        run.ask(&format!("SELECT azure_ad_auth.revoke_principal('{REVOKED}')"))?;
        ends(session)?;
        run.refused("revoked", &token, "28P01")
    });
}

fn issued_now(claims: Value) -> Value {
    with(claims, "iat", json!(unix_now()))
}

/// Disables an account in the directory, and enables it again.
pub(super) fn disable(run: &Run) {
    run.repeat("account disabled and enabled", PAUSE, |run| {
        let directory = run.scenery.provider.directory();
        directory.enable(DISABLED);
        let token = run.token(&claims_of(DISABLED));
        let session = wait_for(|| run.session("disabled", &token), "the account is enabled")?;
        directory.disable(DISABLED);
        ends(session)?;
        wait_for(|| run.refused("disabled", &token, "28"), "the account is disabled")
    });
}

/// Keeps a session until its token has expired.
pub(super) fn expire(run: &Run) {
    run.repeat("session expired", PAUSE, |run| {
        let token = run.token(&with(claims_of(BRIEF), "exp", json!(unix_now() + 3)));
        ends(run.session("brief", &token)?)
    });
}

//! Keys that come and go, as the tenant rotates them.

use std::sync::Arc;
use std::time::Duration;

use testbed::issuer::Signer;

use crate::run::{Run, Told, wait_for};

/// How many keys are published. Tokens that an older one has signed are no longer used by then.
const PUBLISHED: usize = 3;

/// Publishes a new key every few seconds, and has tokens signed by it once the server has it.
pub(super) fn rotate(run: &Run) {
    let mut keys = vec![run.key()];
    let mut number = 0;
    run.repeat("key rotated", Duration::from_secs(4), |run| {
        number += 1;
        let new = Arc::new(Signer::new(&format!("rotated-{number}")));
        keys.push(Arc::clone(&new));
        let published = keys.iter().rev().take(PUBLISHED).cloned().collect();
        keys.drain(..keys.len().saturating_sub(PUBLISHED));
        run.scenery.provider.publish(published);
        await_key(run, &new.id)?;
        run.sign_by(&new);
        Ok(())
    });
}

fn await_key(run: &Run, id: &str) -> Told {
    let query = format!("SELECT count(*) FROM azure_ad_auth.signing_keys WHERE key_id = '{id}'");
    let has_come = || match run.ask(&query)?.as_str() {
        "1" => Ok(()),
        count => Err(format!("there are {count}")),
    };
    wait_for(has_come, &format!("the server has key {id}"))
}

/// Fetches the keys by the function for it.
pub(super) fn refresh(run: &Run) {
    run.repeat("keys fetched by refresh_keys()", Duration::from_millis(700), |run| {
        let count = run.ask("SELECT azure_ad_auth.refresh_keys()")?;
        if count == "0" { Err("there are no keys".to_owned()) } else { Ok(()) }
    });
}

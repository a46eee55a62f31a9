//! What a login costs: by `trust`, by a SCRAM-SHA-256 password and by a token at each door, over the same TLS, taking turns in one run.
//!
//! Prints tables of medians and rates, and the ratios the budgets are about. Machines are noisy; only what is taken in one
//! run is worth comparing. With `AGAINST`, the pg_config of another PostgreSQL that has another build of the library, it compares
//! the two and nothing else.

#![allow(clippy::print_stdout, reason = "a report")]

mod compare;
mod cost;
mod decision;
mod key_refresh;
mod logins;
mod rates;
mod reaper;
mod roles;

use std::sync::Arc;

use testbed::cluster::{Cluster, Setup, Workshop};
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::issuer::{PERSON, Signer, unix_now, user_v1};
use testbed::pam::{self, Service};

use cost::Medians;
use logins::{Kind, Logins, SECRET, hba};

fn main() {
    match std::env::var("AGAINST") {
        Ok(other) if !other.is_empty() => compare::report(&other),
        _ => {
            report();
            reaper::report();
        }
    }
}

fn report() {
    let workshop = Arc::new(Workshop::new());
    let key = Arc::new(Signer::new("key-1"));
    let provider = Provider::start(&workshop.authority, vec![Arc::clone(&key)], 0);
    let doors = Door::all(&workshop.installation);
    let service = doors.contains(&Door::Pam).then(|| Service::new(&pam::lines(&workshop.installation)));
    // PostgreSQL's own shared_buffers: the tests' are less than the catalogs of many roles.
    let mut settings = format!(
        "azure_ad_auth.authority_url = '{}'\nlog_min_messages = warning\nlog_statement = none\nlog_connections = off\n\
         shared_buffers = 128MB\n",
        provider.url()
    );
    settings.extend(doors.iter().map(|door| door.settings()));
    let hba = hba(&Kind::all(&workshop.installation), service.as_ref().map_or("none", Service::name));
    let cluster = Cluster::new(&workshop, &Setup { settings, hba, preload: None });
    cluster.start();
    cluster.found();
    cluster.await_keys();
    cluster.sql(&format!("CREATE ROLE trusted LOGIN; CREATE ROLE secretive LOGIN PASSWORD '{SECRET}'"));
    for door in doors {
        let link = format!("SELECT azure_ad_auth.create_principal('{}', '{PERSON}', 'user')", door.name());
        cluster.sql(&link);
    }
    let token = key.token(&user_v1(unix_now()));
    let logins = Logins { cluster: &cluster, token: &token };

    roles::link(&cluster, 1..=roles::FEW - 4);
    let few = Medians::measure(&logins);
    cost::report(&logins, &few);
    decision::report(&cluster, &key);
    rates::report(&logins, roles::FEW);
    key_refresh::report(&logins, &provider);
    roles::link(&cluster, roles::FEW - 3..=roles::MANY - 4);
    let many = Medians::measure(&logins);
    cost::report_growth(&few, &many);
    rates::report(&logins, roles::MANY);
    key_refresh::report_refused(&logins);
}

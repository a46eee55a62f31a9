//! What a login costs: by `trust`, by a SCRAM-SHA-256 password and by a token, over the same TLS, taking turns in one run.
//!
//! Prints tables of medians and rates, and the ratios the budgets are about. Machines are noisy; only what is taken in one
//! run is worth comparing.

#![allow(clippy::print_stdout, reason = "a report")]

mod cost;
mod logins;
mod rates;
mod roles;
mod weather;

use std::sync::Arc;

use trial::cluster::{Cluster, Setup, Workshop};
use trial::idp::Provider;
use trial::issuer::{PERSON, Signer, unix_now, user_v1};

use logins::{HBA, Logins, SECRET};

fn main() {
    let workshop = Arc::new(Workshop::new());
    let key = Arc::new(Signer::new("key-1"));
    let provider = Provider::start(&workshop.authority, vec![Arc::clone(&key)], 0);
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nlog_min_messages = warning\nlog_statement = none\nlog_connections = off\n",
        provider.url()
    );
    let cluster = Cluster::new(&workshop, &Setup { settings, hba: HBA.to_owned(), preload: None });
    cluster.start();
    cluster.found();
    cluster.await_keys();
    cluster.sql(&format!("CREATE ROLE trusted LOGIN; CREATE ROLE secretive LOGIN PASSWORD '{SECRET}'"));
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"));
    let token = key.token(&user_v1(unix_now()));
    let logins = Logins { cluster: &cluster, token: &token };

    roles::link(&cluster, 1..=roles::FEW - 2);
    let few = cost::measure(&logins);
    cost::report(&logins, &few);
    rates::report(&logins, roles::FEW);
    weather::report(&logins, &provider);
    roles::link(&cluster, roles::FEW - 1..=roles::MANY - 2);
    let many = cost::measure(&logins);
    cost::report_growth(&few, &many);
    rates::report(&logins, roles::MANY);
    weather::report_refused(&logins);
}

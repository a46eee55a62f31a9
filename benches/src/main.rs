//! Measures what a login costs: by `trust`, by a SCRAM-SHA-256 password and by a token at each
//! door, over the same TLS, taking turns in one run.
//!
//! Prints tables of medians and rates, and the ratios the budgets are about. Machines are noisy;
//! only what is taken in one run is worth comparing. With `AGAINST`, the pg_config of another
//! PostgreSQL that has another build of the library, it compares the two and nothing else.

#![allow(clippy::print_stdout, reason = "a report")]

mod chart;
mod compare;
mod cost;
mod decision;
mod directory;
mod key_refresh;
mod logins;
mod rates;
mod reaper;
mod roles;

use std::path::Path;

use testbed::doors::Doors;
use testbed::issuer::{PERSON, unix_now, user_v1};
use testbed::scene::{KEY, Scene, provider};
use testbed::template::Template;

use cost::Medians;
use logins::{Kind, Logins, SECRET, hba};

fn main() {
    match std::env::var("AGAINST") {
        Ok(other) if !other.is_empty() => compare::report(&other),
        _ => {
            report();
            reaper::report();
            directory::report();
        }
    }
}

fn report() {
    let template = Template::shared();
    let provider = provider();
    let doors = Doors::of(&template.installation);
    // PostgreSQL's own shared_buffers: those of the tests are smaller than the catalogs of many
    // roles.
    let mut settings =
        "log_min_messages = warning\nlog_statement = none\nlog_connections = off\nshared_buffers = 128MB\n"
            .to_owned();
    settings.push_str(&doors.settings());
    let hba = hba(&Kind::all(&template.installation), |door| doors.clause(door));
    let cluster = Scene::new().settings(settings).hba(hba).start_with(&provider);
    cluster.sql(&format!("CREATE ROLE trusted LOGIN; CREATE ROLE secretive LOGIN PASSWORD '{SECRET}'"));
    for door in doors.all() {
        let link = format!("SELECT azure_ad_auth.create_principal('{}', '{PERSON}', 'user')", door.name());
        cluster.sql(&link);
    }
    let token = KEY.token(&user_v1(unix_now()));
    let logins = Logins { cluster: &cluster, token: &token };

    roles::link(&cluster, 1..=roles::FEW - 4);
    let few = Medians::measure(&logins);
    cost::report(&logins, &few);
    decision::report(&cluster, &KEY);
    let few_rates = rates::report(&logins, roles::FEW);
    key_refresh::report(&logins, &provider);
    roles::link(&cluster, roles::FEW - 3..=roles::MANY - 4);
    let many = Medians::measure(&logins);
    cost::report_growth(&few, &many);
    let many_rates = rates::report(&logins, roles::MANY);
    key_refresh::report_refused(&logins);
    let halves = [(roles::FEW, &few, &few_rates), (roles::MANY, &many, &many_rates)];
    chart::draw(Path::new("target/logins.svg"), template.installation.major, halves).expect("a chart");
    println!("\nwritten: target/logins.svg");
}

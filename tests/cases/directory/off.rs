//! A server whose directory is off: it says how it could be asked, and is as it was without one.

use std::fs;

use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::directory::Kind;
use testbed::issuer::{GROUP, PERSON};
use testbed::process::signal;
use testbed::scene::Scene;

use crate::common::credential::provider_with_admin;
use crate::common::directory::{DIRECTORY_WORKER, overage_token};
use crate::common::login::valid_token;
use crate::common::server::process;
use crate::common::statements::{fails, link};

#[test]
fn a_name_is_an_error_that_says_which_setting_and_which_other_ways() {
    let (cluster, _provider) = Scene::new().start();
    let create = "CREATE ROLE \"ann@contoso.com\" LOGIN IN ROLE azure_ad_user";
    let message =
        "role \"ann@contoso.com\" cannot be a member of role \"azure_ad_user\" because it is not linked";
    let by_password = "CREATE ROLE \"ann@contoso.com\" LOGIN PASSWORD '<object id>' IN ROLE azure_ad_user;";
    let by_function = "SELECT azure_ad_auth.create_principal('ann@contoso.com', '<object id>', 'user');";
    for said in [
        "DETAIL:  The directory cannot be asked for the object id of a name, because azure_ad_auth.directory is off.",
        "SET aad_validate_oids_in_tenant = off;",
        by_password,
        by_function,
    ] {
        fails(&cluster, create, "55000", message, said);
    }
    for call in ["create_principal('ann@contoso.com')", "set_admin('ann@contoso.com')"] {
        let statement = format!("SELECT azure_ad_auth.{call}");
        let message = "the directory cannot be asked for the object id of a name";
        for said in ["DETAIL:  azure_ad_auth.directory is off.", "HINT:  Give the object id: "] {
            fails(&cluster, &statement, "55000", message, said);
        }
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ann%'"), "0");
    // Both ways lead there.
    for statement in [format!("SET aad_validate_oids_in_tenant = off; {by_password}"), by_function.to_owned()]
    {
        cluster.sql(&statement.replace("<object id>", PERSON));
        admitted(&cluster, "ann@contoso.com", &valid_token());
        cluster.sql("DROP ROLE \"ann@contoso.com\"");
    }
}

#[test]
fn nothing_is_asked_or_kept_or_logged() {
    // All that belongs to it is set, so that only the one setting keeps it off.
    let provider = provider_with_admin();
    let scene = Scene::new()
        .directory(&provider)
        .settings("azure_ad_auth.directory = off\nlog_min_messages = debug5\nlog_statement = none");
    let cluster = scene.start_with(&provider);
    provider.directory().add_user(PERSON, "ann@contoso.example");
    provider.directory().add_group(GROUP, "Readers");
    provider.directory().add_member(GROUP, PERSON);
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    cluster.set("azure_ad_auth.group_lookup", "always");
    let message = "the access token does not list its groups because there are too many";
    let overage = Refusal::sqlstate_28p01("groups_overage", message, &[]);
    for how in ["fast", "immediate"] {
        provider.directory().disable(PERSON);
        admitted(&cluster, "ann", &valid_token());
        admitted(&cluster, "readers", &valid_token());
        refused(&cluster, "readers", &overage_token(), &overage);
        cluster.sql("TABLE azure_ad_auth.directory_status; TABLE azure_ad_auth.directory_features; TABLE azure_ad_auth.principals");
        cluster.set("azure_ad_auth.directory_refresh_interval", "2s");
        if let Some(worker) = process(&cluster, DIRECTORY_WORKER) {
            signal(worker, libc::SIGTERM);
        }
        cluster.stop(how);
        cluster.start();
        cluster.await_keys();
    }
    let arrived = provider.directory().arrived();
    assert!(!arrived.is_empty() && arrived.iter().all(|(kind, _)| *kind == Kind::Other), "{arrived:?}");
    let files = fs::read_dir(cluster.data()).expect("a data directory").flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let own: Vec<_> = names.filter(|name| name.starts_with("azure_ad_auth")).collect();
    assert_eq!(own, ["azure_ad_auth.keys"]);
    // PostgreSQL's own lines about the process are all there is, at whatever level.
    let log = cluster.log();
    let is_ours = |line: &&str| line.contains("azure_ad_auth") && line.contains("directory");
    let is_postgres = |line: &str| {
        line.contains("background worker") || line.contains("parameter \"azure_ad_auth.directory")
    };
    let lines: Vec<_> = log.lines().filter(is_ours).filter(|line| !is_postgres(line)).collect();
    assert_eq!(lines, [""; 0]);
}

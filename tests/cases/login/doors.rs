//! Which doors an installation has, and that none of them is open without the library.

use std::process::Command;

use testbed::client::Outcome;
use testbed::cluster::Configuration;
use testbed::door::Door;
use testbed::issuer::PERSON;
use testbed::pam;
use testbed::pam::Service;
use testbed::template::Template;

use crate::common::doors::{at_every_door, flow_library};
use crate::common::login::valid_token;
use crate::common::statements::link;

/// Tests of a door are skipped where it does not exist, so a missing door must be noticed here.
#[test]
fn an_installation_has_the_doors_it_must_have() {
    let installation = &Template::shared().installation;
    let doors = Door::all(installation);
    assert!(doors.contains(&Door::Password));
    assert_eq!(doors.contains(&Door::OAuth), installation.major >= 18);
    let output = Command::new("readelf").arg("-d").arg(installation.program("postgres")).output();
    let needed = String::from_utf8_lossy(&output.expect("readelf").stdout).into_owned();
    assert!(needed.contains("libc.so"), "{needed}");
    assert_eq!(doors.contains(&Door::Pam), needed.contains("libpam.so"), "{needed}");
    if installation.pg_config("--version").contains("(Debian ") {
        assert!(doors.contains(&Door::Pam), "Debian builds with PAM");
        let flows = installation.major < 18 || flow_library(installation).is_some();
        assert!(flows, "Debian builds libpq with curl: apt-get install libpq-oauth");
    }
}

#[test]
fn without_its_file_the_library_opens_no_door() {
    at_every_door("", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        assert_eq!(cluster.login("ann", &token), Outcome::Ready);
        cluster.stop("fast");
        // The library is gone from the server's path and from that of the service.
        let settings = "dynamic_library_path = '/nowhere'".to_owned();
        let service = Service::new(&pam::lines_of("/nowhere/azure_ad_auth.so"));
        let hba = Door::hba(&door.clause(service.name()));
        cluster.configure(&Configuration::new().settings(&settings).hba(hba.clone()));
        assert!(!cluster.try_start(&[]), "the server starts without what it shall preload");
        cluster.configure(&Configuration::new().settings(settings).hba(hba).preload(""));
        cluster.start();
        for token in [token.as_str(), "no-token"] {
            match cluster.login("ann", token) {
                Outcome::Refused(error) => assert_eq!(error.severity, "FATAL", "{error:?}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(cluster.sql("SELECT 1"), "1", "others are left alone");
    });
}

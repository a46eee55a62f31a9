//! Which doors there are, and that none stands open once the library is gone.

use std::path::PathBuf;
use std::process::Command;

use testbed::client::Outcome;
use testbed::cluster::{Installation, Setup};
use testbed::door::Door;
use testbed::issuer::*;
use testbed::pam::{self, Service};

use crate::{KEY, WORKSHOP, at_every_door, link};

/// What libpq acquires tokens with, where it was built with curl.
pub(crate) fn flow_library(installation: &Installation) -> Option<PathBuf> {
    let folder = installation.pg_config("--libdir");
    let files = std::fs::read_dir(folder).ok()?.filter_map(|file| Some(file.ok()?.path()));
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libpq-oauth"))
    };
    files.filter(named).find(|path| path.extension().is_some_and(|extension| extension == "so"))
}

/// Cases for a door run where it is there; so it must not be missing unnoticed.
#[test]
fn an_installation_has_the_doors_it_must_have() {
    let installation = &WORKSHOP.installation;
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
        let token = KEY.token(&user_v1(unix_now()));
        assert_eq!(cluster.login("ann", &token), Outcome::Ready);
        cluster.stop("fast");
        // Where the server looks, and where the service points.
        let settings = "dynamic_library_path = '/nowhere'".to_owned();
        let service = Service::new(&pam::lines_of("/nowhere/azure_ad_auth.so"));
        let hba = Door::hba(&door.clause(service.name()));
        cluster.configure(&Setup { settings: settings.clone(), hba: hba.clone(), preload: None });
        assert!(!cluster.try_start(&[]), "the server starts without what it shall preload");
        cluster.configure(&Setup { settings, hba, preload: Some(String::new()) });
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

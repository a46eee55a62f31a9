//! The modules of PAM that the postmaster loads for its backends.

use std::fs;
use std::process::Command;

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::admitted;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::pam;
use testbed::scene::{Scene, provider};
use testbed::scratch::{Folder, give_to_server};

use crate::common::doors::at_doors;
use crate::common::login::valid_token;
use crate::common::statements::link;

/// What the service `other` has, which libpam reads besides every service.
const OTHER: &str = "auth required pam_deny.so\naccount required pam_deny.so\n";

/// Starts a server that sees `services` as PAM's folder, with a service of this name as the door,
/// and in which `ann` is linked.
fn start(services: &Folder, service: &str, settings: &str) -> (Cluster, Provider) {
    services.write("other", OTHER);
    let provider = provider();
    let hba = Door::hba(&Door::Pam.clause(service));
    let cluster = Scene::new().door(Door::Pam).settings(settings).hba(hba).keys_from(&provider).create();
    services.write(service, pam::lines(cluster.installation()));
    cluster.start_seeing(services.path(), "/etc/pam.d", "/etc/pam.d");
    cluster.create_extension();
    cluster.await_keys();
    link(&cluster, "ann", PERSON, "user");
    (cluster, provider)
}

/// Returns whether the postmaster has loaded a library.
fn has_loaded(cluster: &Cluster, library: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/maps", cluster.pid())).expect("its memory").contains(library)
}

#[test]
fn they_are_loaded_and_their_files_are_read_anew_at_each_login() {
    at_doors(&[Door::Pam], |_| {
        let services = Folder::new("pam");
        let (cluster, _provider) = start(&services, "azure_ad_auth", "");
        assert!(has_loaded(&cluster, "/pam_deny.so") && !has_loaded(&cluster, "/pam_permit.so"));
        admitted(&cluster, "ann", &valid_token());
        let ours = pam::lines(cluster.installation());
        services.write("azure_ad_auth", format!("{ours}account required pam_deny.so\n"));
        assert_ne!(cluster.login("ann", &valid_token()), Outcome::Ready);
        services.write("azure_ad_auth", format!("{ours}account required pam_permit.so\n"));
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn they_are_not_loaded_where_that_is_switched_off_or_no_service_is_there() {
    at_doors(&[Door::Pam], |_| {
        let services = Folder::new("pam");
        let (cluster, _provider) =
            start(&services, "azure_ad_auth", "azure_ad_auth.preload_pam_modules = off");
        assert!(!has_loaded(&cluster, "/pam_deny.so"));
        admitted(&cluster, "ann", &valid_token());
        let says =
            cluster.sql("SELECT context FROM pg_settings WHERE name = 'azure_ad_auth.preload_pam_modules'");
        assert_eq!(says, "postmaster");
        drop(cluster);
        let services = Folder::new("pam");
        let (cluster, _provider) = start(&services, "other_name", "");
        assert!(!has_loaded(&cluster, "/pam_deny.so"));
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn what_they_leave_in_the_postmaster_is_reported() {
    at_doors(&[Door::Pam], |_| {
        for (flag, problem) in [("-DTHREAD", "started a thread"), ("-DFILE", "opened a file")] {
            let services = Folder::new("pam");
            let module = services.path().join("pam_restless.so");
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/pam_restless.c");
            let mut cc = Command::new("cc");
            let output =
                cc.args([flag, "-shared", "-fPIC", "-pthread", "-o"]).arg(&module).arg(source).output();
            let output = output.expect("a C compiler");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            give_to_server(&module);
            services.write("azure_ad_auth-trial", format!("session optional {}\n", module.display()));
            let (cluster, _provider) = start(&services, "azure_ad_auth", "");
            let text = format!(
                "azure_ad_auth has loaded modules of PAM into the postmaster, and one of them has {problem}"
            );
            assert!(cluster.log().contains(&text), "{}", cluster.log());
            assert!(cluster.log().contains("Set azure_ad_auth.preload_pam_modules to off"));
            admitted(&cluster, "ann", &valid_token());
        }
    });
}

//! What check_hba() finds in the files of PAM services.

use std::process::Command;

use testbed::cluster::{Cluster, Configuration};
use testbed::pam::Service;

use crate::common::hba::{TESTS_LINE, elsewhere, expect_hba, hba_scene};

/// Returns whether the server was built with PAM.
fn has_pam(cluster: &Cluster) -> bool {
    let mut pg_config = Command::new(cluster.installation().program("pg_config"));
    let output = pg_config.arg("--configure").output().expect("pg_config");
    String::from_utf8_lossy(&output.stdout).contains("--with-pam")
}

#[test]
fn pam_files_are_read() {
    let (cluster, _provider) = hba_scene();
    let line = |service: &str| format!("hostssl all +azure_ad_user all pam pamservice={service}");
    if !has_pam(&cluster) {
        return expect_hba(&cluster, &line("x"), &[("2||warning", "cannot read this line")]);
    }
    let module = cluster.sql_library().display().to_string();
    let alias = cluster.path("to-it.so");
    std::os::unix::fs::symlink(&module, &alias).expect("a link");
    let alias = alias.display();
    let both = format!("auth required {module}\naccount required {module}\n");
    for (content, verdict, reason) in [
        (both.clone(), "ok", "log in here with an access token"),
        (format!("auth sufficient {module}\naccount required {module}"), "danger", "write \"auth required /"),
        (format!("auth required {alias}\naccount required {alias}"), "warning", "would load a second copy"),
        (format!("{both}@include common-auth"), "warning", "has other modules as well"),
        (
            format!("auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n{both}"),
            "warning",
            "has other modules",
        ),
        ("auth required pam_unix.so".to_owned(), "danger", "which does not name azure_ad_auth"),
    ] {
        let service = Service::new(&content);
        expect_hba(&cluster, &line(service.name()), &[(&format!("2|pam|{verdict}"), reason)]);
        // libpam also accepts this name.
        expect_hba(&cluster, &line(&service.name().to_uppercase()), &[(&format!("2|pam|{verdict}"), reason)]);
    }
    expect_hba(
        &cluster,
        &line("aada-none"),
        &[("2|pam|danger", "there is no /etc/pam.d/aada-none that the server can")],
    );
    expect_hba(
        &cluster,
        &line("../pam.d/other"),
        &[("2|pam|danger", "cannot be the name of a file in /etc/pam.d")],
    );
    for nameless in ["", " pamservice=\"\""] {
        let line = format!("hostssl all all all pam{nameless}");
        expect_hba(&cluster, &line, &[("2|pam|danger", "there is no /etc/pam.d/postgresql")]);
    }
    let service = Service::new(&both);
    cluster.stop("fast");
    cluster.configure(&Configuration::new().preload("").hba(TESTS_LINE));
    cluster.start();
    expect_hba(
        &cluster,
        &line(service.name()),
        &[("2|pam|warning", "it admits nobody, because azure_ad_auth is not in")],
    );
}

#[test]
fn the_module_is_named_as_the_server_found_it() {
    let (cluster, _provider) = hba_scene();
    let path = elsewhere(&cluster);
    let folder = path.trim_end_matches("/azure_ad_auth.so");
    cluster.stop("fast");
    let settings = format!("dynamic_library_path = '{folder}:$libdir'");
    cluster.configure(&Configuration::new().settings(settings).hba(TESTS_LINE));
    cluster.start();
    if has_pam(&cluster) {
        let reason = format!("\"auth required {path}\" and \"account required {path}\"");
        let line = "hostssl all +azure_ad_user all pam pamservice=aada-none";
        expect_hba(&cluster, line, &[("2|pam|danger", &reason)]);
    }
}

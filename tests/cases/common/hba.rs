//! pg_hba.conf, and check_hba().

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::{ADMIN, Scene};

use super::statements::link;

/// The line by which the tests connect. No Azure AD role can match it.
pub(crate) const TESTS_LINE: &str = "local all,replication postgres trust\n";

/// The reason given for a `trust` line that matches linked roles only.
pub(crate) const STAYS_ON_LINE: &str = "a role that is unlinked stays on this line";

/// A row that is expected: `line|door|verdict`, and a piece of the reason.
pub(crate) type Expected<'a> = (&'a str, &'a str);

pub(crate) fn write_hba(cluster: &Cluster, lines: &str) {
    cluster.folder().write("data/pg_hba.conf", format!("{TESTS_LINE}{lines}\n"));
}

pub(crate) fn hba_rows(cluster: &Cluster, columns: &str) -> Vec<String> {
    let rows = cluster.sql(&format!("SELECT {columns} FROM azure_ad_auth.check_hba()"));
    rows.lines().map(str::to_owned).collect()
}

/// Writes the file, and expects these rows and no others.
pub(crate) fn expect_hba(cluster: &Cluster, lines: &str, expected: &[Expected<'_>]) {
    write_hba(cluster, lines);
    let rows = hba_rows(cluster, "line, door, verdict, reason");
    assert_eq!(rows.len(), expected.len(), "{lines}\n{rows:#?}");
    for (row, (start, reason)) in rows.iter().zip(expected) {
        assert!(
            row.starts_with(&format!("{start}|")) && row.contains(reason),
            "{lines}\n{row}\n{start} … {reason}"
        );
    }
}

/// Starts a server with Azure AD roles: an administrator and two users, one of whom is in a group
/// of local roles.
pub(crate) fn hba_scene() -> (Cluster, Provider) {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "Zoë@contoso.example", ADMIN, "user");
    cluster.sql("CREATE ROLE bob LOGIN; CREATE ROLE readers; GRANT readers TO ann; CREATE ROLE outer_circle");
    cluster.sql("GRANT readers TO outer_circle; CREATE ROLE mixed; GRANT mixed TO bob, readers");
    (cluster, provider)
}

/// Returns a path under which the server finds the library and which is not the one of pg_config.
pub(crate) fn elsewhere(cluster: &Cluster) -> String {
    let folder = cluster.path("elsewhere");
    std::fs::create_dir(&folder).expect("a folder");
    let path = folder.join("azure_ad_auth.so");
    std::os::unix::fs::symlink(cluster.sql_library(), &path).expect("a link");
    path.display().to_string()
}

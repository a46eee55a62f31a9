//! A role that is unlinked leaves `+azure_ad_user` and no other list of pg_hba.conf. A notice names
//! the `trust` lines by which everyone gets in as that role from then on. It never prevents the
//! unlinking.

use std::fs;

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::hba::{TESTS_LINE, write_hba};
use crate::common::statements::link;

/// Runs a statement as the superuser. Returns its notices.
fn told(cluster: &Cluster, statement: &str) -> String {
    let output = cluster.sql_as("postgres", statement);
    assert!(output.success, "{statement}: {}", output.stderr);
    output.stderr
}

fn is_linked(cluster: &Cluster, role: &str) -> bool {
    cluster.sql(&format!("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = '{role}'")) != "0"
}

#[test]
fn whoever_unlinks_a_role_is_told_of_trust_lines_for_it() {
    let lines = "local all +azure_ad_user trust\nlocal all +readers trust\nhost all all all password";
    let (cluster, _provider) = Scene::new().hba(format!("{TESTS_LINE}{lines}\n")).start();
    cluster.sql("CREATE ROLE readers");
    for (role, statement) in [
        ("ann", "SELECT azure_ad_auth.drop_principal('ann')"),
        ("bea", "REVOKE azure_ad_user FROM bea"),
        ("cat", "SECURITY LABEL FOR pgaadauth ON ROLE cat IS NULL"),
        ("dan", "SECURITY LABEL FOR pgaadauth ON ROLE dan IS 'aadauth'"),
        (
            "eve",
            "SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals WHERE role_name = 'eve'",
        ),
        ("Fay O'", "SELECT azure_ad_auth.drop_principal('Fay O''')"),
    ] {
        link(&cluster, role, PERSON, "user");
        cluster.sql(&format!("GRANT readers TO \"{role}\""));
        assert!(!cluster.sql_as(role, "SELECT 1").success, "{role}: without a token");
        let told = told(&cluster, statement);
        let quoted = if role.contains(' ') { format!("\"{role}\"") } else { role.to_owned() };
        for expected in [
            format!(
                "WARNING:  a \"trust\" line lets everybody in as role \"{role}\", which is not linked any more\n"
            ),
            "DETAIL:  It is line 3 of pg_hba.conf. That is the file as it stands; ".to_owned(),
            format!("until then: ALTER ROLE {quoted} NOLOGIN;"),
        ] {
            assert!(told.contains(&expected), "{statement}: {told}");
        }
        // The notice is true, and following the hint ends it.
        assert!(cluster.sql_as("postgres", &format!("SET ROLE \"{role}\"")).success);
        let connect = |user: &str| {
            let mut client = cluster.socket_client();
            client.login(&[("user", user), ("database", "postgres")], "")
        };
        assert_eq!(connect(role), Outcome::Ready, "{role}: anybody");
        let hint =
            told.split("until then: ").nth(1).and_then(|rest| rest.lines().next()).expect("a statement");
        cluster.sql(hint);
        assert!(matches!(connect(role), Outcome::Refused(_)), "{role}");
    }
}

#[test]
fn lines_match_as_the_server_matches_them() {
    let (cluster, _provider) = Scene::new().start();
    let since_16 = cluster.major() >= 16;
    cluster.sql(
        "CREATE ROLE readers; CREATE ROLE outer_circle; GRANT outer_circle TO readers; CREATE ROLE others",
    );
    for (lines, expected) in [
        ("", None),
        ("local all +azure_ad_user,+azure_ad_admin trust\nhost all all all scram-sha-256", None),
        (
            "local all all peer\nlocal all azure_ad_user trust\nlocal all bob,+others trust\nlocal replication all trust",
            None,
        ),
        ("local all all trust", Some("line 2 of pg_hba.conf")),
        ("local all bob,ann trust", Some("line 2 of pg_hba.conf")),
        ("local all +outer_circle trust", Some("line 2 of pg_hba.conf")),
        ("local all +ann trust", Some("line 2 of pg_hba.conf")),
        ("local all,replication all trust", Some("line 2 of pg_hba.conf")),
        ("local all Ann trust", None),
        ("local all /^an+$ trust", since_16.then_some("line 2 of pg_hba.conf")),
        ("local all /^b trust", None),
        ("\n\nlocal all ann trust\nlocal all ann no_such_method", Some("line 4 of pg_hba.conf")),
        (
            "local a ann trust\nlocal b ann trust\nlocal c ann trust\nlocal d ann trust\nlocal e ann trust\n\
             local f ann trust\nlocal g ann trust",
            Some(
                "line 2 of pg_hba.conf, line 3 of pg_hba.conf, line 4 of pg_hba.conf, line 5 of pg_hba.conf, \
                 line 6 of pg_hba.conf, 2 others",
            ),
        ),
    ] {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("GRANT readers TO ann");
        write_hba(&cluster, lines);
        let told = told(&cluster, "SELECT azure_ad_auth.drop_principal('ann')");
        let found = told.split("DETAIL:  It is ").nth(1).and_then(|rest| rest.split(". That is").next());
        assert_eq!(found, expected, "{lines}: {told}");
    }
    // A membership that the same statement revokes does not count.
    write_hba(&cluster, "local all +readers trust");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("GRANT readers TO ann");
    let told_of = told(&cluster, "REVOKE azure_ad_user, readers FROM ann");
    assert!(!told_of.contains("WARNING"), "{told_of}");
    // A role without LOGIN cannot log in.
    write_hba(&cluster, "local all all trust");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("ALTER ROLE ann NOLOGIN");
    assert_eq!(told(&cluster, "SELECT azure_ad_auth.drop_principal('ann')"), "");
}

#[test]
fn a_file_that_cannot_be_searched_keeps_no_role_linked() {
    let (cluster, _provider) = Scene::new().start();
    let file = cluster.data().join("pg_hba.conf");
    let aside = cluster.data().join("aside.conf");
    let unlink = "BEGIN; SELECT azure_ad_auth.drop_principal('ann'); SELECT 1; COMMIT";
    let large = format!("{TESTS_LINE}{}local all ann trust\n", "# not a word\n".repeat(90_000));
    for (what, content) in [("missing", None), ("a folder", None), ("too large", Some(large.into_bytes()))] {
        link(&cluster, "ann", PERSON, "user");
        fs::rename(&file, &aside).expect("the file out of the way");
        match &content {
            Some(content) => drop(cluster.folder().write("data/pg_hba.conf", content)),
            None if what == "a folder" => fs::create_dir(&file).expect("a folder"),
            None => {}
        }
        let told = told(&cluster, unlink);
        let expected =
            "WARNING:  pg_hba.conf could not be searched for \"trust\" lines that match role \"ann\"\n";
        assert!(told.contains(expected), "{what}: {told}");
        assert!(told.contains("HINT:  SELECT * FROM azure_ad_auth.check_hba();"), "{what}: {told}");
        assert!(!is_linked(&cluster, "ann"), "{what}");
        if what == "a folder" {
            fs::remove_dir(&file).expect("no folder");
        }
        fs::rename(&aside, &file).expect("the file in its place");
    }
    // A file that the server cannot read either, or that is in another encoding than the database.
    for line in [
        &b"local all \"/^(\" trust"[..],
        b"local all \"/^\xFF\" trust",
        b"local all \"\xFF\",+\xFF trust",
        b"\xFF",
    ] {
        link(&cluster, "ann", PERSON, "user");
        let content = [TESTS_LINE.as_bytes(), line, b"\nlocal all ann trust\n"].concat();
        cluster.folder().write("data/pg_hba.conf", content);
        let told = told(&cluster, unlink);
        assert_eq!(told.matches("WARNING:").count(), 1, "{line:?}: {told}");
        assert!(!is_linked(&cluster, "ann"), "{line:?}");
    }
}

#[test]
fn an_administrator_learns_no_path() {
    let hba = "local all postgres trust\nlocal all +azure_ad_user trust\nhostssl all +azure_ad_user 127.0.0.1/32 trust\n\
               local all ann trust\n";
    let (cluster, _provider) = Scene::new().hba(hba).start();
    let token = KEY.token(&with(user_v1(unix_now()), "oid", "66666666-aaaa-bbbb-cccc-000000000006".into()));
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let output = cluster.psql("admin", &token, &create);
    assert!(output.success, "{}", output.stderr);
    let output = cluster.psql("admin", &token, "SELECT azure_ad_auth.drop_principal('ann')");
    assert!(output.success && output.stderr.contains("It is line 4 of pg_hba.conf."), "{}", output.stderr);
    assert!(!output.stderr.contains(&cluster.data().display().to_string()), "{}", output.stderr);
}

//! check_hba(): the server's own lines, roles and settings. The rules by which lines are judged are
//! tested where they are written.

use std::fs;

use testbed::client::Outcome;
use testbed::cluster::Configuration;
use testbed::issuer::{AUDIENCE, TENANT};

use crate::common::hba::{STAYS_ON_LINE, TESTS_LINE, elsewhere, expect_hba, hba_rows, hba_scene, write_hba};
use crate::common::statements::fails;

#[test]
fn lines_are_matched_to_roles() {
    let (cluster, _provider) = hba_scene();
    for (lines, expected) in [
        ("", &[][..]),
        ("local all bob,+outer_circle,azure_ad_user,nobody,+nobody scram-sha-256", &[]),
        ("local all bob,nobody trust", &[("2|trust|danger", "as local role \"bob\" or \"nobody\" without")]),
        ("local all +outer_circle,azure_ad_user trust", &[("2|trust|danger", STAYS_ON_LINE)]),
        ("local all azure_ad_user,postgres,pg_monitor trust", &[]),
        ("local replication all trust", &[]),
        ("local all +azure_ad_user trust", &[("2|trust|ok", "log in here with an access token")]),
        ("local all +azure_ad_admin trust", &[("2|trust|ok", "")]),
        ("local all +readers trust", &[("2|trust|danger", STAYS_ON_LINE)]),
        ("local all \"Zoë@contoso.example\",ann trust", &[("2|trust|danger", STAYS_ON_LINE)]),
        ("local all +mixed trust", &[("2|trust|danger", "as local role \"bob\" without")]),
        ("local all ann,nobody trust", &[("2|trust|danger", "as local role \"nobody\" without")]),
        ("local all all trust", &[("2|trust|danger", "superusers included")]),
        ("local all all peer", &[("2|peer|warning", "peer never admits an access token")]),
        ("host all +azure_ad_user all trust", &[("2|trust|warning", "require_tls refuses such logins")]),
        (
            "hostssl all +azure_ad_user all trust\nhost all all all scram-sha-256",
            &[("2|trust|ok", ""), ("3|scram-sha-256|ok", "only without TLS")],
        ),
        (
            "host all all 0.0.0.0/0 md5\nhost all all ::/0 md5\nhostssl all +azure_ad_user 10.0.0.0/8 trust\n\
             hostssl all +azure_ad_user fe80::/10 trust\nhostssl all +azure_ad_user samenet reject",
            &[
                ("2|md5|warning", "put the line for +azure_ad_user above"),
                ("3|md5|warning", ""),
                ("4|trust|warning", "no Azure AD role gets here, because line 2 of "),
                ("5|trust|warning", "because line 3 of "),
                ("6|reject|ok", "on purpose"),
            ],
        ),
        ("local all ann no_such_method", &[("2||warning", "PostgreSQL cannot read this line")]),
    ] {
        expect_hba(&cluster, lines, expected);
    }
    // The name of a linked role, and of one that is not linked.
    let pattern = "local all /@contoso\\.example$ trust\nlocal all /^b trust";
    let since_16 = cluster.major() >= 16;
    let others = if since_16 { "as local role \"bob\" without" } else { STAYS_ON_LINE };
    expect_hba(&cluster, pattern, &[("2|trust|danger", STAYS_ON_LINE), ("3|trust|danger", others)]);
}

/// PostgreSQL compares a pattern and a name byte by byte, since no database is selected yet.
#[test]
fn a_pattern_may_be_in_any_encoding() {
    let (cluster, _provider) = hba_scene();
    if cluster.major() < 16 {
        return;
    }
    cluster.sql("CREATE ROLE \"Zoë\" LOGIN");
    for (pattern, matches) in [
        ("/^Zoë$".as_bytes(), true),
        (b"/^Zo..$", true),
        (b"/^Zo.$", false),
        (b"/^Zo[[:alpha:]]+$", false),
        // The name in LATIN1.
        (b"/^Zo\xeb$", false),
    ] {
        let shown = pattern.escape_ascii();
        let file = [TESTS_LINE.as_bytes(), b"local all ", pattern, b" trust\n"].concat();
        cluster.folder().write("data/pg_hba.conf", file);
        let rows = hba_rows(&cluster, "line, door, verdict, reason");
        let reason = if matches { "as local role \"Zoë\" without" } else { STAYS_ON_LINE };
        assert!(rows.len() == 1 && rows[0].contains(reason), "{shown}: {rows:?}");
        let message = "SELECT message FROM azure_ad_auth.check_configuration() WHERE topic = 'pg_hba.conf'";
        let message = cluster.sql(message);
        assert!(message.contains(reason) && !message.contains("cannot be read"), "{shown}: {message}");
        cluster.reload();
        assert_eq!(cluster.sql_as("Zoë", "SELECT 1").success, matches, "{shown}");
    }
}

/// PostgreSQL's own messages about lines have pieces of them, which only superusers may read.
#[test]
fn a_caller_who_asks_for_debug_messages_gets_none_about_lines() {
    let (cluster, _provider) = hba_scene();
    write_hba(&cluster, "host all all all ldap ldapserver=127.0.0.1 ldapbindpasswd= hunter2");
    cluster.folder().write("data/unread.conf", "hunter2 = = hunter2\n");
    let settings = fs::read_to_string(cluster.data().join("postgresql.conf")).expect("postgresql.conf");
    cluster.folder().write("data/postgresql.conf", format!("{settings}\ninclude 'unread.conf'\n"));
    cluster.sql("CREATE ROLE watcher IN ROLE pg_monitor");
    for function in ["check_hba", "check_configuration"] {
        let output = cluster.sql_as(
            "postgres",
            &format!(
                "SET client_min_messages = debug5; SET SESSION AUTHORIZATION watcher; \
                 SELECT * FROM azure_ad_auth.{function}()"
            ),
        );
        assert!(output.success && output.stdout.contains("PostgreSQL cannot read"), "{output:?}");
        assert!(!format!("{output:?}").contains("hunter2"), "{output:?}");
    }
}

/// The verdict is about the line, and so it stays the same when the role is unlinked.
#[test]
fn a_trust_line_is_as_dangerous_before_a_role_is_unlinked_as_after() {
    let (cluster, _provider) = hba_scene();
    let line = "local all +readers,ann trust";
    expect_hba(&cluster, line, &[("2|trust|danger", STAYS_ON_LINE)]);
    let warned = cluster.sql_as("postgres", "SELECT azure_ad_auth.drop_principal('ann')").stderr;
    assert!(warned.contains("a \"trust\" line lets everybody in as role \"ann\""), "{warned}");
    expect_hba(&cluster, line, &[("2|trust|danger", "as local role \"ann\" without")]);
    cluster.reload();
    assert!(cluster.sql_as("ann", "SELECT 1").success, "anybody is ann");
}

#[test]
fn methods_that_pass_tokens_on_are_dangerous_where_linked_roles_come() {
    let (cluster, _provider) = hba_scene();
    let radius = "radius radiusservers=127.0.0.1 radiussecrets=hunter2";
    let (method, name, server) = if cluster.major() < 19 {
        (radius, "radius", "RADIUS")
    } else {
        // PostgreSQL 19 has no method radius any more.
        let line = format!("host all +readers all {radius}");
        expect_hba(&cluster, &line, &[("2||warning", "PostgreSQL cannot read this line")]);
        ("ldap ldapserver=127.0.0.1 ldapprefix=hunter2", "ldap", "LDAP")
    };
    expect_hba(
        &cluster,
        &format!("host all +readers all {method}"),
        &[(&format!("2|{name}|danger"), &format!("{name} passes it on to the {server} server"))],
    );
    let rows = hba_rows(&cluster, "reason");
    assert!(!rows[0].contains("hunter2") && !rows[0].contains("127.0.0.1"), "{rows:?}");
    expect_hba(
        &cluster,
        &format!("hostssl all +azure_ad_user all trust\nhostssl all all all {method}"),
        &[("2|trust|ok", ""), (&format!("3|{name}|ok"), "never get here")],
    );
}

#[test]
fn settings_and_rights_matter() {
    let (cluster, _provider) = hba_scene();
    cluster.set("azure_ad_auth.require_tls", "off");
    expect_hba(
        &cluster,
        "host all +azure_ad_user all trust",
        &[("2|trust|danger", "require_tls off they are accepted")],
    );
    let file = cluster.data().join("pg_hba.conf").display().to_string();
    assert_eq!(hba_rows(&cluster, "file_name"), [file]);
    // A monitoring role may call it, and sees files that it could not read itself.
    cluster.sql("CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE local_role LOGIN");
    let ask = |role: &str| format!("SET ROLE {role}; SELECT line, verdict FROM azure_ad_auth.check_hba()");
    assert!(cluster.sql(&ask("watcher")).ends_with("2|danger"));
    // It does not see what PostgreSQL would not show it: a line that cannot be parsed may contain a
    // secret.
    write_hba(&cluster, "host all all 127.0.0.1/32 scram-sha-256 hunter2");
    let reason = |role: &str| {
        cluster
            .sql(&format!("SET ROLE {role}; SELECT reason FROM azure_ad_auth.check_hba() WHERE door IS NULL"))
    };
    assert!(reason("postgres").contains("hunter2"));
    let kept = "PostgreSQL cannot read this line (a superuser sees the reason in pg_hba_file_rules)";
    assert!(reason("watcher").contains(kept) && !reason("watcher").contains("hunter2"));
    cluster.sql("GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO watcher");
    assert!(reason("watcher").contains("hunter2"));
    fails(&cluster, &ask("local_role"), "42501", "permission denied for function check_hba", "");
    fails(&cluster, &ask("ann"), "42501", "permission denied for function check_hba", "");
    fails(&cluster, &ask("admin"), "42501", "permission denied for function check_hba", "");
}

/// Roles belong to the whole server, so a name may be in another encoding than that of the
/// database.
#[test]
fn every_database_sees_the_same() {
    let (cluster, _provider) = hba_scene();
    cluster.sql("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    let session = || {
        let mut client = cluster.socket_client();
        let outcome = client.login(&[("user", "postgres"), ("database", "latin")], "");
        assert_eq!(outcome, Outcome::Ready);
        client
    };
    session().query("CREATE EXTENSION azure_ad_auth").expect("the extension");
    // A role whose name is not valid UTF-8.
    let mut foreign = session();
    foreign.query("SET client_encoding = 'UTF8'").expect("an encoding");
    foreign.query("CREATE ROLE \"J\u{fc}rgen\" LOGIN IN ROLE mixed").expect("a role");
    cluster.sql("GRANT mixed TO \"Zoë@contoso.example\"");
    let lines =
        "local all \"Zoë@contoso.example\",zoë trust\nlocal all +mixed trust\nlocal all ann,\"Jürgen\" peer";
    write_hba(&cluster, lines);
    let ask = "SELECT string_agg(line || door || verdict, ' ') FROM azure_ad_auth.check_hba()";
    let here = cluster.sql(ask);
    assert_eq!(here, "2trustdanger 3trustdanger 4peerok");
    assert_eq!(session().query(ask).expect("rows"), [Some(here)]);
}

#[test]
fn a_server_without_the_library() {
    let (cluster, _provider) = hba_scene();
    cluster.stop("fast");
    cluster.configure(&Configuration::new().preload("").hba(TESTS_LINE));
    cluster.start();
    expect_hba(
        &cluster,
        "hostssl all +azure_ad_user all trust\nhost all all all password",
        &[
            ("2|trust|danger", "azure_ad_auth is not in shared_preload_libraries"),
            ("3|password|warning", "nothing refuses Azure AD roles that password admits here"),
        ],
    );
}

#[test]
fn included_files_have_their_say() {
    let (cluster, _provider) = hba_scene();
    if cluster.major() < 16 {
        return;
    }
    let folder = cluster.data().display().to_string();
    cluster.folder().write("data/more.conf", "# a comment\nhost all all all md5\n");
    write_hba(&cluster, "include more.conf\nhostssl all +azure_ad_user all trust\ninclude gone.conf");
    let rows = hba_rows(&cluster, "file_name, line, door, verdict, reason");
    assert!(rows[0].starts_with(&format!("{folder}/more.conf|2|md5|warning|")), "{rows:#?}");
    let shadowed = format!("because line 2 of {folder}/more.conf matches first: move this line above it");
    assert!(rows[1].starts_with(&format!("{folder}/pg_hba.conf|3|trust|warning|")), "{rows:#?}");
    assert!(rows[1].contains(&shadowed), "{rows:#?}");
    assert!(rows[2].starts_with(&format!("{folder}/pg_hba.conf|4||warning|")), "{rows:#?}");
    assert_eq!(rows.len(), 3, "{rows:#?}");
}

#[test]
fn a_database_named_replication_counts() {
    let (cluster, _provider) = hba_scene();
    let line = "local \"replication\" all trust";
    expect_hba(&cluster, line, &[]);
    cluster.sql("CREATE DATABASE replication");
    expect_hba(
        &cluster,
        line,
        &[("2|trust|danger", "is in quotes here, and so names the database: everyone gets in")],
    );
}

#[test]
fn oauth_lines_fit_the_policy() {
    let (cluster, _provider) = hba_scene();
    let issuer = format!("issuer=https://login.microsoftonline.com/{TENANT}/v2.0");
    let scope = format!("scope=\"openid {AUDIENCE}/.default\"");
    let line = |options: &str| format!("hostssl all +azure_ad_user all oauth {options}");
    let good = format!("{issuer} {scope} delegate_ident_mapping=1");
    // Before 18 there is no such method; on 18 it requires a validator.
    expect_hba(&cluster, &line(&good), &[("2||warning", "PostgreSQL cannot read this line")]);
    if cluster.major() < 18 {
        return;
    }
    cluster.set("oauth_validator_libraries", "azure_ad_auth");
    for (options, verdict, reason) in [
        (good.clone(), "ok", "log in here with an access token"),
        (format!("{issuer} {scope} map=m"), "ok", ""),
        (format!("{issuer} {scope}"), "warning", "write delegate_ident_mapping=1"),
        (
            format!("issuer=https://login.example {scope} map=m"),
            "warning",
            "does not accept its issuer https://login.example",
        ),
        (
            format!("{issuer} scope=openid map=m"),
            "warning",
            "its scope openid leads to tokens for another resource",
        ),
    ] {
        expect_hba(&cluster, &line(&options), &[(&format!("2|oauth|{verdict}"), reason)]);
    }
    let file = cluster.sql_library().display().to_string();
    let alias = elsewhere(&cluster);
    fs::copy(&file, cluster.path("azure_ad_auth.so")).expect("a copy");
    let copy = cluster.path("azure_ad_auth").display().to_string();
    for (name, verdict, reason) in [
        ("$libdir/azure_ad_auth", "ok", ""),
        (&file, "ok", ""),
        (file.trim_end_matches(".so"), "ok", ""),
        (&alias, "ok", ""),
        (&copy, "warning", "is another copy of azure_ad_auth than the one the server has loaded"),
    ] {
        cluster.set("oauth_validator_libraries", name);
        expect_hba(&cluster, &line(&good), &[(&format!("2|oauth|{verdict}"), reason)]);
    }
    cluster.set("oauth_validator_libraries", "another");
    expect_hba(&cluster, &line(&good), &[("2|oauth|warning", "the validator another verifies")]);
    cluster.sql("ALTER SYSTEM SET oauth_validator_libraries = azure_ad_auth, another");
    cluster.set("azure_ad_auth.audience", "");
    let validator = format!("{good} validator=azure_ad_auth");
    expect_hba(
        &cluster,
        &line(&validator),
        &[("2|oauth|warning", "because azure_ad_auth.audience is not set")],
    );
    cluster.stop("fast");
    let settings = "oauth_validator_libraries = 'azure_ad_auth'".to_owned();
    cluster.configure(&Configuration::new().settings(settings).preload("").hba(TESTS_LINE));
    cluster.start();
    expect_hba(
        &cluster,
        &line(&validator),
        &[("2|oauth|warning", "it admits nobody, because azure_ad_auth is not in")],
    );
}

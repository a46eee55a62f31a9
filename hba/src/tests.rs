//! Whole files, and the verdicts on their lines.

mod doors;
mod file;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Facts, Finding, Matched, Others, Place, Rule, Server, Service, Stack, TOPIC, Verdict, verdicts};

/// Reads simple lines as the server does, which forgets quotes. `ann` and `admin` are Azure AD
/// roles, `bob` and `postgres` are not.
fn rules(text: &str) -> Vec<Rule> {
    let list = |field: Option<&str>| {
        field.unwrap_or_default().split(',').map(|item| item.replace('"', "")).collect()
    };
    let rule = |(number, line): (usize, &str)| {
        let number = i32::try_from(number + 1).expect("a number");
        let place = Place { file: "f".to_owned(), number };
        if let Some(error) = line.strip_prefix("! ") {
            return Rule { place, error: Some(error.to_owned()), ..Rule::default() };
        }
        let mut fields = line.split_whitespace();
        let connection = fields.next().expect("a type").to_owned();
        let (databases, users) = (list(fields.next()), list(fields.next()));
        let (address, netmask) = match (connection.as_str(), fields.clone().next()) {
            ("local", _) => (None, None),
            (_, Some("all" | "samenet")) => (fields.next().map(str::to_owned), None),
            _ => (fields.next().map(str::to_owned), fields.next().map(str::to_owned)),
        };
        Rule {
            place,
            connection,
            databases,
            users,
            address,
            netmask,
            method: fields.next().expect("a method").to_owned(),
            options: fields.map(str::to_owned).collect(),
            error: None,
            unmatched: None,
        }
    };
    text.lines().map(str::trim).enumerate().map(rule).collect()
}

/// A PAM service that names the library as it should.
fn service(name: &str, others: Others) -> Service {
    Service::Ours(Stack { file: format!("/etc/pam.d/{name}"), findings: vec![], others })
}

fn facts(text: &str, server: Server) -> Facts {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let matched = [
        ("+azure_ad_admin", &["admin"][..], &[][..]),
        ("+readers", &["ann"], &[]),
        ("+mixed", &["ann"], &["bob"]),
        ("ann", &["ann"], &[]),
        ("admin", &["admin"], &[]),
        ("bob", &[], &["bob"]),
        ("postgres", &[], &["postgres"]),
        ("/^a", &["ann", "admin"], &[]),
    ];
    let pam = [
        ("ours", service("ours", Others::None)),
        ("strict", service("strict", Others::Refuse)),
        ("open", service("open", Others::Admit)),
        ("none", Service::Missing(Finding::danger(TOPIC, "missing"))),
        ("postgresql", Service::Foreign("/etc/pam.d/postgresql".to_owned())),
    ];
    Facts {
        rules: rules(text),
        matched: matched
            .map(|(item, azure, local)| {
                let unlinkable = item == "postgres";
                (item.to_owned(), Matched { azure: names(azure), local: names(local), unlinkable })
            })
            .into(),
        server,
        pam: pam.map(|(name, service)| (name.to_owned(), service)).into_iter().collect::<BTreeMap<_, _>>(),
        has_replication_database: false,
        own_validators: BTreeSet::from(["/here/ours".to_owned()]),
        shows_errors: true,
    }
}

/// The verdict on a line as tests compare it.
#[derive(Debug)]
struct Row {
    number: i32,
    level: &'static str,
    reason: String,
    door: Option<String>,
}

/// Returns the verdicts on the lines of a file.
fn rows_of(facts: &Facts) -> Vec<Row> {
    let row = |verdict: Verdict| Row {
        number: verdict.place.number,
        level: verdict.finding.level.as_str(),
        reason: verdict.finding.message,
        door: verdict.door,
    };
    verdicts(facts, || ()).into_iter().map(row).collect()
}

/// Expects a row for each of these, `number level` and a piece of the reason, and no others.
fn check_on(server: Server, text: &str, expected: &[(&str, &str)]) {
    let rows = rows_of(&facts(text, server));
    let short: Vec<_> = rows.iter().map(|row| format!("{} {}", row.number, row.level)).collect();
    let wanted: Vec<_> = expected.iter().map(|(row, _)| (*row).to_owned()).collect();
    assert_eq!(short, wanted, "{text}\n{rows:#?}");
    for (row, (_, reason)) in rows.iter().zip(expected) {
        assert!(row.reason.contains(reason), "{text}\n{reason:?} is not in {row:?}");
    }
}

fn check(text: &str, expected: &[(&str, &str)]) {
    check_on(preloaded(true), text, expected);
}

fn preloaded(require_tls: bool) -> Server {
    Server::Preloaded { require_tls, policy: Err("azure_ad_auth.audience is not set".to_owned()) }
}

#[test]
fn the_recommended_file_is_fine() {
    check(
        "local all postgres peer
         hostssl all +azure_ad_user all trust
         host all all all scram-sha-256",
        &[("2 ok", "log in here"), ("3 ok", "only without TLS")],
    );
    check(
        "local all,replication postgres trust
         local replication all trust
         local all +azure_ad_user,+azure_ad_admin trust
         hostssl all +azure_ad_user all pam pamservice=ours
         hostnossl all +azure_ad_user all reject
         host all all all password",
        &[
            ("3 ok", ""),
            ("4 ok", ""),
            ("5 ok", "on purpose"),
            ("6 ok", "line 4 of f and line 5 of f match first"),
        ],
    );
}

#[test]
fn lines_that_no_azure_role_matches_are_left_out() {
    for line in [
        "local all bob,postgres,+locals,/^b scram-sha-256",
        "local replication all trust",
        "local all,replication postgres trust",
        "local all azure_ad_user,azure_ad_admin trust",
    ] {
        check(line, &[]);
    }
}

/// Unlinking a role takes it off the lines for the two marker roles, and off no others. So it does
/// not matter which roles match the line today.
#[test]
fn a_trust_line_for_anyone_else_is_open_to_who_is_unlinked() {
    for users in ["+readers", "ann,admin", "/^a", "+azure_ad_user,+readers", "+azure_ad_user,ann", "+nobody"]
    {
        for server in [preloaded(true), Server::NotPreloaded] {
            let reason = "a role that is unlinked stays on this line";
            check_on(server, &format!("local all {users} trust"), &[("1 danger", reason)]);
        }
    }
    for (users, whom) in [
        ("bob", "as local role \"bob\" without"),
        ("nobody", "as local role \"nobody\" without"),
        ("+mixed,postgres", "as local role \"bob\" or \"postgres\" without"),
        ("bob,c,d,e,f", "as local role \"bob\" or \"c\" or \"d\" or 2 others without"),
    ] {
        check(&format!("local all {users} trust"), &[("1 danger", whom)]);
    }
    // The same list behind a method that asks.
    for method in ["pam pamservice=ours", "pam pamservice=strict"] {
        let rows = rows_of(&facts(&format!("local all +readers {method}"), preloaded(true)));
        assert_ne!(rows[0].level, "danger", "{rows:?}");
    }
}

#[test]
fn trust_is_for_azure_roles_alone() {
    for (users, verdict, reason) in [
        ("all", "danger", "as any local role"),
        ("+azure_ad_user,all", "danger", "as any local role"),
        ("+azure_ad_user,postgres", "danger", "as local role \"postgres\" without"),
        ("+azure_ad_user,nobody", "danger", "as local role \"nobody\" without"),
        ("+mixed", "danger", "as local role \"bob\" without"),
        ("+azure_ad_admin", "ok", ""),
        ("+azure_ad_admin,+azure_ad_user", "ok", ""),
    ] {
        let line = format!("hostssl all {users} all trust");
        check(&line, &[(&format!("1 {verdict}"), reason)]);
        check_on(Server::NotPreloaded, &line, &[("1 danger", "not in shared_preload_libraries")]);
    }
}

/// It stays so whatever lines are above it, and no finding says that it should be moved up.
#[test]
fn a_dangerous_trust_line_stays_so() {
    let doubt =
        "without a password (an earlier line may take these connections first): remove this line, or limit";
    for first in ["reject", "scram-sha-256"] {
        for (lines, reason) in [
            ("host all all 11.0.0.0 255.0.0.0", doubt),
            ("host \"all\" \"all\" 11.0.0.0 255.0.0.0", doubt),
            (
                "host all +azure_ad_user all",
                "without a password: remove this line, or limit it to +azure_ad_user",
            ),
        ] {
            let text = format!(
                "hostssl all +azure_ad_user all pam pamservice=ours\n{lines} {first}\n\
                 host all all 11.0.0.0 255.0.0.0 trust\nhost all ann,bob 11.0.0.0 255.0.0.0 trust"
            );
            for server in [preloaded(true), Server::NotPreloaded] {
                let rows = rows_of(&facts(&text, server));
                for row in &rows[2..] {
                    assert_eq!(row.level, "danger", "{text}\n{row:?}");
                    assert!(!row.reason.contains("above"), "{row:?}");
                }
                assert!(rows[2].reason.contains(reason), "{text}\n{:?}", rows[2]);
            }
        }
    }
}

#[test]
fn the_word_replication_may_be_a_name() {
    let text = "local replication all md5\nlocal \"replication\" all trust";
    check(text, &[]);
    let rows = rows_of(&Facts { has_replication_database: true, ..facts(text, preloaded(true)) });
    let short: Vec<_> = rows.iter().map(|row| (row.number, row.level)).collect();
    assert_eq!(short, [(1, "warning"), (2, "danger")], "{rows:?}");
    assert!(rows[1].reason.starts_with("if \"replication\" is in quotes here"), "{rows:?}");
    assert!(!rows[1].reason.contains("earlier line"), "{rows:?}");
}

#[test]
fn tokens_do_not_travel_in_clear() {
    for connection in ["host", "hostnossl", "hostgssenc", "hostnogssenc"] {
        let line = format!("{connection} all +azure_ad_user all trust");
        check(&line, &[("1 warning", "require_tls refuses such logins")]);
        check_on(preloaded(false), &line, &[("1 danger", "require_tls off they are accepted")]);
    }
    let rejected = "hostnossl all +azure_ad_user all reject\nhost all +azure_ad_user all trust";
    check(rejected, &[("1 ok", ""), ("2 ok", "")]);
    check_on(preloaded(false), rejected, &[("1 ok", ""), ("2 danger", "TLS (an earlier line may take")]);
    check(
        "hostssl all +azure_ad_user all trust\nhost all all all ldap",
        &[("1 ok", ""), ("2 danger", "first, in clear, and ldap passes it on to the LDAP server")],
    );
    check(
        "hostssl all +azure_ad_user all trust\nhost all all all password",
        &[("1 ok", ""), ("2 warning", "send their token in clear first")],
    );
    check_on(
        preloaded(false),
        "hostssl all +azure_ad_user all trust\nhost all all all scram-sha-256",
        &[("1 ok", ""), ("2 warning", "wrong_method")],
    );
}

#[test]
fn who_comes_first_shadows() {
    let door = "hostssl all +azure_ad_user 10.0.0.0 255.0.0.0 trust";
    for (first, verdict) in [
        ("host all all all scram-sha-256", "warning"),
        ("host all all 0.0.0.0 0.0.0.0 reject", "warning"),
        ("hostssl all +azure_ad_user 10.0.0.0 255.0.0.0 trust", "warning"),
        ("hostnogssenc all all all md5", "warning"),
        ("hostnossl all all all md5", "ok"),
        ("host app all all md5", "ok"),
        ("host all all :: :: md5", "ok"),
        ("host all all samenet md5", "ok"),
        ("host all ann,admin,+azure_ad_admin all md5", "ok"),
        ("host all all 10.1.0.0 255.255.0.0 md5", "ok"),
    ] {
        let rows = rows_of(&facts(&format!("{first}\n{door}"), preloaded(true)));
        let row = rows.last().expect("a row");
        assert_eq!((row.number, row.level), (2, verdict), "{first}: {row:?}");
        assert_eq!(row.reason.contains("because line 1 of f matches first"), verdict == "warning", "{row:?}");
    }
    check(
        "local a,b +mixed md5\nlocal b,a ann pam pamservice=ours\nlocal sameuser admin pam pamservice=ours\n\
         local a +azure_ad_admin trust",
        &[("1 warning", "md5 never admits"), ("2 warning", "line 1 of f"), ("3 ok", ""), ("4 ok", "")],
    );
}

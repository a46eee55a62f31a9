//! What the README and docs/ tell people to do, done: every block of shell, SQL and configuration
//! in them, in their order.

use std::thread;
use std::time::Duration;

use entra::directory::credential::advice;
use entra::directory::pace;
use entra::directory::standing::Standing;
use entra::{Code, State};
use testbed::client::Outcome;
use testbed::idp::directory::Kind;
use testbed::issuer::{APPLICATION, GROUP, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::documents::{blocks, document};
use crate::common::reader::{RESOURCES, Reader};
use serde_json::json;

#[test]
fn the_readme_leads_to_a_login() {
    assert!(Reader::new().does("README.md").contains("ann@contoso.example"));
}

#[test]
fn the_tenant_is_set_up_as_described() {
    let reader = Reader::beyond_the_readme();
    for block in blocks(&document("docs/entra.md")) {
        match block.language.as_str() {
            "sh" => assert!(!reader.shell(&block).is_empty(), "{}", block.text),
            "ini" => reader.configure(&block.text),
            other => panic!("nobody knows what to do with a block of {other:?}"),
        }
    }
}

#[test]
fn principals_are_administered_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/administration.md");
    reader.does("docs/administrators.md");
    let linked = "SELECT string_agg(role_name, ', ' ORDER BY role_name) FROM azure_ad_auth.principals";
    assert_eq!(
        reader.cluster.sql(linked),
        "Database Readers, Database Team, admin@contoso.example, ann@contoso.example, billing"
    );
}

#[test]
fn every_door_is_opened_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/doors.md");
    let wrong = "SELECT * FROM azure_ad_auth.check_hba() WHERE verdict <> 'ok'";
    assert_eq!(reader.cluster.sql(wrong), "");
    // In the end they are closed.
    let login = || {
        let token = KEY.token(&with(user_v1(unix_now()), "aud", json!(RESOURCES[0])));
        reader.cluster.login("ann@contoso.example", &token)
    };
    let outcome = login();
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    let said = "SELECT message FROM azure_ad_auth.check_configuration() WHERE topic = 'pg_hba.conf'";
    assert_eq!(reader.cluster.sql(said), "no line lets Azure AD roles in with a token");
    // The last one to be opened needs nothing that a server may lack.
    let blocks = blocks(&document("docs/doors.md"));
    let opened = blocks.iter().find(|block| block.language == "ini" && block.text.contains(" trust\n"));
    reader.configure(&opened.expect("the line for trust").text);
    assert_eq!(reader.cluster.sql(wrong), "");
    assert_eq!(login(), Outcome::Ready);
}

#[test]
fn sessions_are_looked_at_and_ended_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/sessions.md");
    let revoked = "SELECT role_name FROM azure_ad_auth.principals WHERE tokens_not_before IS NOT NULL";
    assert_eq!(reader.cluster.sql(revoked), "ann@contoso.example");
    // The example of row-level security, with a token that was issued after the revocation.
    thread::sleep(Duration::from_secs(4));
    let claims = with(with(user_v1(unix_now()), "iat", json!(unix_now() + 58)), "aud", json!(RESOURCES[0]));
    let act = "INSERT INTO notes (note) VALUES ('mine'); SELECT note FROM notes";
    reader.cluster.sql(&format!(
        "INSERT INTO notes VALUES (gen_random_uuid(), '{GROUP}', 'ours'), (gen_random_uuid(), NULL, 'theirs')"
    ));
    let output = reader.cluster.psql("ann@contoso.example", &KEY.token(&claims), act);
    assert!(output.stdout.ends_with("ours\nmine"), "{}{}", output.stdout, output.stderr);
}

#[test]
fn who_comes_from_azure_finds_the_statements() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/azure.md");
    let linked = "SELECT string_agg(role_name, ', ' ORDER BY role_name) FROM azure_ad_auth.principals";
    assert_eq!(reader.cluster.sql(linked), "admin@contoso.example, ann@contoso.example");
    assert_eq!(
        reader.cluster.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'nightly'"),
        "t"
    );
}

#[test]
fn a_failed_login_is_explained_as_described() {
    let reader = Reader::beyond_the_readme();
    let mark = reader.cluster.log_mark();
    let explained = reader.does("docs/troubleshooting.md");
    if reader.cluster.installation().major >= 16 {
        let said = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<_> = explained.lines().map(said).collect();
        assert!(rows.contains(&"result | failed | admitted | oid_mismatch".to_owned()), "{explained}");
    }
    // All statements are logged here.
    let log = reader.cluster.log_since(mark);
    assert!(log.contains("SET log_statement = 'none'"), "statements are logged");
    let shown = log.lines().find(|line| line.contains("'eyJ"));
    assert_eq!(shown, None, "a token is in the log");
    // Every step is in the table.
    let page = document("docs/troubleshooting.md");
    for step in entra::Step::ALL {
        assert!(page.contains(&format!("`{}`", step.as_str())), "{}", step.as_str());
    }
}

#[test]
fn a_server_is_operated_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann@contoso.example')");
    reader.cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{APPLICATION}')"));
    reader.does("docs/keys.md");
    reader.does("docs/operations.md");
    assert_eq!(reader.cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^azure_ad'"), "0");
    assert_eq!(reader.cluster.sql("SELECT count(*) FROM pg_shseclabel"), "0");
}

#[test]
fn the_directory_is_set_up_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/directory.md");
    let status = "SELECT mode, state, last_error FROM azure_ad_auth.directory_status";
    assert_eq!(reader.cluster.sql(status), "certificate|fresh|");
    let missing = "SELECT feature FROM azure_ad_auth.directory_features WHERE NOT available";
    assert_eq!(reader.cluster.sql(missing), "");
    let linked = "SELECT role_name, directory_state FROM azure_ad_auth.principals ORDER BY role_name";
    assert_eq!(
        reader.cluster.sql(linked),
        "Database Readers|active\nadmin@contoso.example|active\nann@contoso.example|active"
    );
    let directory = reader.provider.directory();
    let asked = directory.last(Kind::Token).expect("a request for a token");
    assert!(asked.field("client_assertion").is_some_and(|assertion| !assertion.is_empty()));
    assert_eq!(directory.misplaced_secrets(), [""; 0]);
    // The other ways to prove who the server is.
    let changes = reader.changes.take();
    let count = |what: &str| changes.iter().filter(|change| change.starts_with(what)).count();
    assert_eq!([count("federation "), count("post ")], [1, 3], "{changes:?}");
}

#[test]
fn every_state_of_the_keys_is_explained() {
    let page = document("docs/keys.md");
    assert_eq!(explained(&page, "state"), State::ALL.map(State::as_str));
}

#[test]
fn what_the_directory_says_is_explained() {
    let page = document("docs/directory.md");
    assert_eq!(explained(&page, "`state`"), pace::State::ALL.map(pace::State::as_str));
    let mut standings = explained(&page, "`directory_state`");
    standings.sort_unstable();
    let mut all = Standing::ALL.map(Standing::as_str);
    all.sort_unstable();
    assert_eq!(standings, all);
    let numbers = rows(&page, "AADSTS").into_iter().filter_map(|row| row.split('|').nth(1));
    let mut numbers: Vec<u32> = numbers
        .flat_map(|cell| cell.split(", "))
        .map(|number| number.trim().parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    let with_advice: Vec<_> = (0..10_000_000).filter(|number| advice(*number).is_some()).collect();
    assert_eq!(numbers, with_advice);
}

/// Returns the rows of a table, below its head.
fn rows<'p>(page: &'p str, title: &str) -> Vec<&'p str> {
    let table = page.split(&format!("\n| {title} | ")).nth(1).and_then(|rest| rest.split("\n\n").next());
    table.expect("a table").lines().skip(2).collect()
}

/// Returns the words that a table explains.
fn explained<'p>(page: &'p str, title: &str) -> Vec<&'p str> {
    rows(page, title).into_iter().filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn the_readme_lists_everything() {
    let (readme, performance) = (document("README.md"), document("docs/performance.md"));
    assert!(!performance.contains("@BENCH@") && performance.contains("| SCRAM-SHA-256 | "), "what it costs");
    for code in Code::ALL {
        assert!(readme.contains(&format!("\n| `{}` | ", code.as_str())), "{}", code.as_str());
    }
    let (cluster, _provider) = Scene::new().start();
    let settings = cluster.sql(
        "SELECT substr(name, 15) || ' | ' || CASE WHEN boot_val = '' THEN '' ELSE '`' || CASE WHEN unit IS NULL OR boot_val = '0' THEN boot_val
           WHEN unit = 'ms' THEN boot_val::int / 1000 || 's' WHEN boot_val::int = 86400 THEN '1d'
           WHEN boot_val::int = 3600 THEN '1h' ELSE boot_val::int / 60 || 'min' END || '`' END
         FROM pg_settings WHERE name LIKE 'azure\\_ad\\_auth.%' AND context IN ('sighup', 'postmaster')",
    );
    assert_eq!(settings.lines().count(), 36);
    let of_roles = cluster
        .sql("SELECT name FROM pg_settings WHERE name LIKE 'azure\\_ad\\_auth.%' AND context NOT IN ('sighup', 'postmaster')");
    assert_eq!(of_roles, "azure_ad_auth.guard");
    assert!(readme.contains(&format!("`{of_roles}`")));
    for line in settings.lines() {
        let (name, default) = line.split_once(" |").expect("two columns");
        let row = format!("\n| `{name}` |{}", default.trim_end());
        assert!(readme.contains(&(row.clone() + " | ")), "{row}");
    }
    let functions = cluster.sql(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'azure_ad_auth'::regnamespace AND proname NOT LIKE 'list%'",
    );
    for name in functions.lines() {
        assert!(readme.contains(&format!("\n| `{name}(")), "{name}");
    }
    let views = cluster.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'azure_ad_auth'::regnamespace AND relkind = 'v'",
    );
    for name in views.lines() {
        assert!(readme.contains(&format!("\n| `{name}` | view")), "{name}");
    }
}

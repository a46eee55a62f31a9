//! Names that members cannot have for their roles here.

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::{APPLICATION, GROUP, PERSON};
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::{token_of, valid_token, value};
use crate::common::statements::link;
use crate::common::sync::{EVERY_SECOND, synchronise, with_members};

/// Returns the id of a member by its number.
fn id(number: usize) -> String {
    format!("99999999-aaaa-bbbb-cccc-{number:012}")
}

#[test]
fn no_member_gets_a_role_by_a_name_that_is_taken_or_cannot_be() {
    let (cluster, provider) = with_members(Scene::new());
    for role in
        ["local@contoso.example\" LOGIN", "Upper@contoso.example\"", "replica@contoso.example\" REPLICATION"]
    {
        cluster.sql(&format!("CREATE ROLE \"{role}"));
    }
    link(&cluster, "other@contoso.example", APPLICATION, "service");
    let directory = provider.directory();
    let [long, wide] = ["n".repeat(48), "é".repeat(24)].map(|name| format!("{name}@contoso.example"));
    let cases = [
        ("local@contoso.example", "the name is taken by role \"local@contoso.example\", a local one"),
        (
            "upper@contoso.example",
            "the name differs only in case from that of role \"Upper@contoso.example\"",
        ),
        ("replica@contoso.example", "a superuser or one with a superuser's rights"),
        ("other@contoso.example", "which is linked to another object"),
        ("pg_eve@contoso.example", "PostgreSQL reserves its name"),
        ("Twin@contoso.example", "another member has the same name, or one that differs only in case"),
        ("twin@contoso.example", "another member has the same name, or one that differs only in case"),
        (&long, "its name has more than 63 bytes"),
        (&wide, "its name has more than 63 bytes"),
    ];
    let longest = format!("{}@contoso.example", "w".repeat(47));
    let quoted = "\"; DROP ROLE admin; --'\\@contoso.example";
    let fine = [longest.as_str(), quoted];
    for (number, name) in cases.iter().map(|(name, _)| name).chain(&fine).enumerate() {
        directory.add_user(&id(number), name);
        directory.add_member(GROUP, &id(number));
    }
    let rows = synchronise(&cluster);
    for (number, (name, reason)) in cases.iter().enumerate() {
        let row = rows.lines().find(|row| row.contains(&id(number))).unwrap_or_default();
        assert!(row.starts_with(&format!("{name} skipped user")) && row.contains(reason), "{name}: {rows}");
        assert_ne!(cluster.login(name, &token_of(&id(number))), Outcome::Ready, "{name}");
    }
    for (name, number) in fine.iter().zip(cases.len()..) {
        assert!(rows.contains(&format!("{name} created user {}", id(number))), "{name}: {rows}");
        drop(cluster.session(name, &token_of(&id(number))));
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'admin'"), "1");
}

/// Logs in as the superuser by a client that uses UTF-8.
fn superuser_in(cluster: &Cluster, database: &str) -> RawClient {
    let mut session = cluster.socket_client();
    let parameters = [("user", "postgres"), ("database", database), ("client_encoding", "UTF8")];
    assert_eq!(session.login(&parameters, ""), Outcome::Ready);
    session
}

#[test]
fn names_are_written_in_the_encoding_of_the_database() {
    const CYRILLIC: &str = "Ж@contoso.example";
    let (cluster, provider) = with_members(Scene::new().settings(EVERY_SECOND));
    for database in ["latin1", "sql_ascii"] {
        cluster.sql(&format!(
            "CREATE DATABASE {database} ENCODING '{database}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        ));
    }
    provider.directory().rename(PERSON, "zoë@contoso.example");
    provider.directory().add_user(&id(1), CYRILLIC);
    provider.directory().add_member(GROUP, &id(1));
    cluster.set("azure_ad_auth.group_sync_database", "latin1");
    cluster.set("azure_ad_auth.group_sync", "on");
    cluster.await_log(0, "its name has a character that role names cannot have here");
    let mut latin1 = superuser_in(&cluster, "latin1");
    let zoe = "SELECT count(*) FROM pg_roles WHERE rolname = 'zoë@contoso.example'";
    assert_eq!(value(&mut latin1, zoe), "1");
    let name: &[u8] = b"zo\xeb@contoso.example";
    let parameters: [(&str, &[u8]); 2] = [("user", name), ("database", b"postgres")];
    drop(cluster.session_with(&parameters, &valid_token()));
    // A database that takes all bytes takes those of UTF-8. The roles that are there are found by
    // what they are linked to.
    cluster.set("azure_ad_auth.group_sync_database", "sql_ascii");
    let cyrillic = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{CYRILLIC}'");
    assert!(eventually(|| cluster.sql(&cyrillic) == "1"));
    let count = "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%@contoso.example'";
    assert_eq!(value(&mut superuser_in(&cluster, "sql_ascii"), count), "4");
    drop(cluster.session(CYRILLIC, &token_of(&id(1))));
}

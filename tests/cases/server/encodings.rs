//! Databases of other encodings than UTF-8: claims of tokens, and roles whose names are in any
//! encoding.

use serde_json::{Value, json};
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::issuer::{APPLICATION, PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use crate::common::login::value;
use crate::common::statements::link;

/// One database of each encoding that is treated differently.
const DATABASES: [&str; 4] = ["utf8", "latin1", "euc_jp", "sql_ascii"];

/// PostgreSQL's untranslatable_character.
const UNTRANSLATABLE: &str = "22P05";

/// `zoë` as a LATIN1 database encodes it.
const ZOE: &[u8] = b"zo\xeb";

fn with_databases(cluster: &Cluster) {
    for database in DATABASES {
        cluster.sql(&format!(
            "CREATE DATABASE {database} ENCODING '{database}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        ));
        let mut session = superuser_in(cluster, database);
        assert!(session.query("CREATE EXTENSION azure_ad_auth").is_ok());
    }
}

/// Logs in as the superuser by a client that uses UTF-8.
fn superuser_in(cluster: &Cluster, database: &str) -> RawClient {
    let mut session = cluster.socket_client();
    let parameters = [("user", "postgres"), ("database", database), ("client_encoding", "UTF8")];
    assert_eq!(session.login(&parameters, ""), Outcome::Ready);
    session
}

/// Logs in with a token by a client that uses UTF-8.
fn enter(cluster: &Cluster, role: &[u8], database: &str, claims: &Value) -> RawClient {
    let mut session = cluster.client();
    let parameters: [(&str, &[u8]); 3] =
        [("user", role), ("database", database.as_bytes()), ("client_encoding", b"UTF8")];
    let outcome = session.login(&parameters, &KEY.token(claims));
    assert_eq!(outcome, Outcome::Ready, "{database}: {}", without_debug(&cluster.log()));
    session
}

fn named(name: &str) -> Value {
    with(with(user_v1(unix_now()), "name", json!(name)), "upn", json!(name))
}

#[test]
fn claims_are_never_changed() {
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    link(&cluster, "ann", PERSON, "user");
    // A character that each encoding has, and one that it does not have. SQL_ASCII accepts all
    // bytes.
    for (database, has, has_not) in [
        ("utf8", "Zoë Ж 日本 🐘", None),
        ("latin1", "Zoë", Some("Ж")),
        ("euc_jp", "日本 Ж", Some("🐘")),
        ("sql_ascii", "Zoë Ж 日本 🐘", None),
    ] {
        let mut session = enter(&cluster, b"ann", database, &with(named(has), has, json!("odd")));
        for query in [
            format!("SELECT azure_ad_auth.session_claim('name') = '{has}'"),
            format!("SELECT azure_ad_auth.session_claim('{has}') = 'odd'"),
            format!("SELECT azure_ad_auth.session_claims() @> '{{\"name\": \"{has}\", \"{has}\": \"odd\"}}'::jsonb"),
            format!("SELECT azure_ad_auth.session_claims() ->> 'name' = '{has}'"),
            "SELECT azure_ad_auth.session_claims() = (azure_ad_auth.session_claims()::text)::jsonb".to_owned(),
            "SELECT azure_ad_auth.session_claim('groups')::jsonb = azure_ad_auth.session_claims() -> 'groups'".to_owned(),
        ] {
            assert_eq!(value(&mut session, &query), "t", "{database}: {query}");
        }
        let Some(has_not) = has_not else { continue };
        let mut session = enter(&cluster, b"ann", database, &named(has_not));
        for query in ["SELECT azure_ad_auth.session_claim('name')", "SELECT azure_ad_auth.session_claims()"] {
            let error = session.query(query).expect_err(query);
            assert_eq!(error.sqlstate, UNTRANSLATABLE, "{database}: {query}");
            let expected = format!("has no equivalent in encoding \"{}\"", database.to_uppercase());
            assert!(error.message.contains(&expected), "{database}: {}", error.message);
        }
        assert_eq!(value(&mut session, "SELECT azure_ad_auth.session_claim('oid')"), PERSON);
    }
}

#[test]
fn nul_is_no_character_of_any_database() {
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    link(&cluster, "ann", PERSON, "user");
    for database in DATABASES {
        let mut session = enter(&cluster, b"ann", database, &named("a\0b"));
        let shown = "SELECT display_name FROM azure_ad_auth.sessions WHERE pid = pg_backend_pid()";
        assert_eq!(value(&mut session, shown), "a\\u0000b", "{database}");
        let claim = session.query("SELECT azure_ad_auth.session_claim('name')");
        let has_replacement = ["utf8", "sql_ascii"].contains(&database);
        assert_eq!(claim.ok(), has_replacement.then(|| vec![Some("a\u{fffd}b".to_owned())]), "{database}");
    }
}

#[test]
fn what_is_shown_is_escaped_where_it_must_be() {
    const NAME: &str = "Zoë Ж 日本 🐘";
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "bob", APPLICATION, "user");
    let claims = with(named(NAME), "uti", json!("Ж"));
    let _ann = enter(&cluster, b"ann", "utf8", &claims);
    let bob = with(user_v1(unix_now()), "oid", json!(APPLICATION));
    let _bob = enter(&cluster, b"bob", "utf8", &bob);
    for (database, name, id, wrong) in [
        ("utf8", NAME, "Ж", "aud api://é日"),
        ("latin1", "Zoë \\u0416 \\u65E5\\u672C \\U0001F418", "\\u0416", "aud api://é\\u65E5"),
        ("euc_jp", "Zoë Ж 日本 \\U0001F418", "Ж", "aud api://é日"),
        ("sql_ascii", NAME, "Ж", "aud api://é日"),
    ] {
        let mut session = superuser_in(&cluster, database);
        let rows = "SELECT string_agg(display_name || ' ' || token_id, ', ' ORDER BY role_name) FROM azure_ad_auth.sessions";
        let expected = format!("{name} {id}, ann@contoso.example token-1");
        assert_eq!(value(&mut session, rows), expected, "{database}");
        let token = KEY.token(&with(claims.clone(), "aud", json!("api://é日")));
        let found = format!(
            "SELECT found FROM azure_ad_auth.explain_token('{token}', 'ann') WHERE step = 'audience'"
        );
        assert_eq!(value(&mut session, &found), wrong, "{database}");
        for query in [
            "SELECT count(*) FROM azure_ad_auth.check_configuration()",
            "SELECT count(*) FROM azure_ad_auth.check_hba()",
            "SELECT count(*) FROM azure_ad_auth.key_status",
            "SELECT count(*) FROM azure_ad_auth.signing_keys",
        ] {
            assert_ne!(value(&mut session, query), "0", "{database}: {query}");
        }
    }
}

#[test]
fn a_role_of_a_latin1_database_is_linked_and_logs_in() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = '1s'").start();
    with_databases(&cluster);
    let mut latin1 = superuser_in(&cluster, "latin1");
    let create = format!("SELECT azure_ad_auth.create_principal('zoë', '{PERSON}', 'user')");
    assert_eq!(value(&mut latin1, &create), "Created role for \"zoë\"");
    // Its settings are in that encoding too.
    assert!(latin1.query("ALTER ROLE \"zoë\" SET application_name = 'zoë'").is_ok());
    let _session = enter(&cluster, ZOE, "postgres", &user_v1(unix_now()));
    assert!(cluster.log().contains("azure_ad_auth: accepted role=\"zo\\\\xEB\""));
    // Names are shown as the database decodes them; what it cannot decode is shown as bytes.
    for (database, shown) in
        [("latin1", "zoë"), ("utf8", "zo\\xEB"), ("euc_jp", "zo\\xEB"), ("sql_ascii", "zo\\xEB")]
    {
        let mut session = superuser_in(&cluster, database);
        for view in ["principals", "stat_principals", "sessions"] {
            let query = format!("SELECT role_name FROM azure_ad_auth.{view} WHERE role_name LIKE 'zo%'");
            assert_eq!(value(&mut session, &query), shown, "{database}: {view}");
        }
        for query in [
            "SELECT count(*) FROM azure_ad_auth.check_configuration()",
            "SELECT count(*) FROM azure_ad_auth.check_hba()",
            "SELECT count(*) FROM pgaadauth_list_principals(false)",
        ] {
            assert!(session.query(query).is_ok(), "{database}: {query}");
        }
        assert!(session.query("SELECT azure_ad_auth.repair()").is_ok(), "{database}");
        let revoke = format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')");
        assert_eq!(value(&mut session, &revoke), "1", "{database}");
        // The role is found by its bytes in every database.
        let rename = "FROM pg_roles WHERE rolname::text LIKE 'zo%'";
        assert!(
            session.query(&format!("SELECT azure_ad_auth.revoke_tokens(rolname::text) {rename}")).is_ok(),
            "{database}"
        );
        let update =
            format!("SELECT azure_ad_auth.update_principal(rolname::text, '{PERSON}', 'user') {rename}");
        assert!(session.query(&update).is_ok(), "{database}");
    }
    for step in [
        format!("SELECT azure_ad_auth.update_principal('zoë', '{APPLICATION}', 'user')"),
        format!("SELECT azure_ad_auth.set_admin('zoë', '{PERSON}')"),
        "SELECT azure_ad_auth.remove_admin('zoë')".to_owned(),
        "SELECT azure_ad_auth.drop_principal('zoë')".to_owned(),
        "DROP ROLE \"zoë\"".to_owned(),
    ] {
        let answer = latin1.query(&step);
        assert!(answer.is_ok(), "{step}: {answer:?}");
    }
}

#[test]
fn roles_that_look_alike_are_not_taken_for_each_other() {
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    let mut ascii = superuser_in(&cluster, "sql_ascii");
    let admin = "SELECT azure_ad_auth.create_principal(E'zo\\xEB', '55555555-aaaa-bbbb-cccc-000000000055', 'user', true)";
    assert!(ascii.query(admin).is_ok());
    for other in ["E'zo\\xEC'", "'zo\u{fffd}'", "'zo\\xEB'"] {
        let error = ascii.query(&format!("SELECT azure_ad_auth.remove_admin({other})")).expect_err(other);
        assert!(error.message.ends_with("is not an Azure AD administrator"), "{other}: {}", error.message);
        let error = ascii.query(&format!("SELECT azure_ad_auth.drop_principal({other})")).expect_err(other);
        assert!(error.message.ends_with("does not exist"), "{other}: {}", error.message);
    }
    // The only administrator is the one that was named.
    assert!(ascii.query(&format!("SELECT azure_ad_auth.set_admin(E'zo\\xEC', '{PERSON}')")).is_ok());
    let administrators = "SELECT string_agg(role_name, ' ') FROM azure_ad_auth.principals WHERE is_admin";
    assert_eq!(value(&mut ascii, administrators), "zo\\xEC");
}

#[test]
fn statements_about_roles_of_a_latin1_database() {
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    let mut latin1 = superuser_in(&cluster, "latin1");
    for step in [
        "SET aad_validate_oids_in_tenant = off".to_owned(),
        format!("CREATE ROLE \"zoë\" LOGIN PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
        "ALTER ROLE \"zoë\" IN DATABASE latin1 SET search_path = 'é'".to_owned(),
        "ALTER ROLE \"zoë\" RENAME TO \"zoé\"".to_owned(),
        "GRANT azure_ad_user TO \"zoé\"".to_owned(),
        "REVOKE azure_ad_user FROM \"zoé\"".to_owned(),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE \"zoé\" IS 'aadauth,oid={PERSON},type=user'"),
        "SECURITY LABEL FOR pgaadauth ON ROLE \"zoé\" IS NULL".to_owned(),
        "DROP ROLE \"zoé\"".to_owned(),
    ] {
        let answer = latin1.query(&step);
        assert!(answer.is_ok(), "{step}: {answer:?}");
    }
    // A name of 63 bytes is complete, one of 64 bytes is truncated.
    for (length, is_whole) in [(62, true), (63, false)] {
        let name = format!("{}é", "n".repeat(length));
        let create = format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{PERSON}' IN ROLE azure_ad_user");
        assert_eq!(latin1.query(&create).is_ok(), is_whole, "{length}");
    }
}

#[test]
fn errors_and_notices_can_be_read_in_every_database() {
    let (cluster, _provider) = Scene::new().start();
    with_databases(&cluster);
    for (database, name) in
        [("utf8", "é日"), ("latin1", "\\u00E9"), ("euc_jp", "\\u00E9\\u65E5"), ("sql_ascii", "é日")]
    {
        let mut session = superuser_in(&cluster, database);
        let typed = if database == "latin1" { "é" } else { "é日" };
        let error = session.query(&format!("SELECT azure_ad_auth.drop_principal('{typed}')"));
        let error = error.expect_err("it was dropped");
        assert_eq!(error.message, format!("role \"{name}\" does not exist"), "{database}");
        let error = session
            .query(&format!("SELECT azure_ad_auth.create_principal('x', '{PERSON}', '{typed}')"))
            .expect_err("a type");
        assert_eq!(error.message, format!("invalid object type \"{name}\""), "{database}");
        // PostgreSQL's own errors are unchanged, whatever statement they are about.
        for statement in ["DROP TABLE", "DROP ROLE"] {
            let error = session.query(&format!("{statement} \"{typed}\"")).expect_err(statement);
            assert!(
                error.message.ends_with(&format!("\"{typed}\" does not exist")),
                "{database}: {}",
                error.message
            );
        }
    }
}

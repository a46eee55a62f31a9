//! `check_configuration()`: what it says of a sound server, and of each fault.

use std::fs;

use testbed::client::Outcome;
use testbed::cluster::{Cluster, Configuration};
use testbed::door::Door;
use testbed::idp::Behavior;
use testbed::issuer::{APPLICATION, OTHER_TENANT, PERSON, TENANT};
use testbed::scene::{Scene, provider};
use testbed::waits::eventually;

use crate::common::check::sound_scene;
use crate::common::login::valid_token;
use crate::common::statements::{link, tamper};

/// Returns every finding that is not `ok`: level, topic, message.
fn wrong(cluster: &Cluster) -> Vec<String> {
    let query = "SELECT level || ' ' || topic || ': ' || message FROM azure_ad_auth.check_configuration() WHERE level <> 'ok'";
    cluster.sql(query).lines().map(str::to_owned).collect()
}

#[test]
fn a_server_that_is_as_it_should_be() {
    let (cluster, _provider) = sound_scene("");
    assert_eq!(wrong(&cluster), [""; 0]);
    assert_eq!(
        cluster.sql("SELECT string_agg(topic, ', ') FROM azure_ad_auth.check_configuration()"),
        "library, versions, tenant, audience, configuration files, key worker, keys, snapshot, issuers, clock, encryption, administrators, sessions, revocations, roles, pg_hba.conf"
    );
    // Every fault comes with advice.
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    assert_eq!(
        cluster.sql("SELECT what_to_do FROM azure_ad_auth.check_configuration() WHERE level = 'danger'"),
        "SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');"
    );
}

#[test]
fn what_is_wrong_with_settings() {
    let (cluster, _provider) = sound_scene("");
    let shared = "https://ossrdbms-aad.database.windows.net";
    for (setting, value, expected) in [
        (
            "audience",
            "",
            "danger settings: every Azure AD login is refused: azure_ad_auth.audience is not set".to_owned(),
        ),
        (
            "audience",
            shared,
            format!(
                "notice audience: tokens for {shared} are accepted; Azure's own databases use that resource as well"
            ),
        ),
        (
            "key_refresh_interval",
            "13h",
            "notice key interval: azure_ad_auth.key_refresh_interval is more than half of \
             azure_ad_auth.key_max_age"
                .to_owned(),
        ),
        (
            "require_tls",
            "off",
            "danger encryption: tokens are also accepted over unencrypted connections: azure_ad_auth.require_tls is off"
                .to_owned(),
        ),
        (
            "tenant_id",
            OTHER_TENANT,
            format!(
                "danger administrators: every Azure AD login is refused: the administrators belong to tenant {TENANT}, and azure_ad_auth.tenant_id names another one"
            ),
        ),
    ] {
        let name = format!("azure_ad_auth.{setting}");
        cluster.set(&name, value);
        let found = wrong(&cluster);
        assert!(found.contains(&expected), "{setting} = {value}: {found:?}");
        cluster.sql(&format!("ALTER SYSTEM RESET {name}"));
        cluster.reload();
    }
    cluster.set("ssl", "off");
    let found = wrong(&cluster);
    assert_eq!(found[0], "warning encryption: TLS is off: tokens are accepted over Unix-domain sockets only");
    // PostgreSQL says that this is an error in the line, and loads it all the same.
    let said = "no connection matches this line as long as the server is as it is (hostssl record cannot match because SSL is \
                disabled)";
    let line = format!("warning pg_hba.conf: line 3 of {}/pg_hba.conf: {said}", cluster.data().display());
    assert_eq!(found[1..], [line]);
    cluster.change_hba("local all postgres trust\nhostssl all +azure_ad_user 127.0.0.1/32 trust\n");
    assert_eq!(wrong(&cluster)[1..], ["danger pg_hba.conf: no line lets Azure AD roles in with a token"]);
}

#[test]
fn what_is_wrong_with_roles() {
    let (cluster, _provider) = sound_scene("");
    for (role, object) in [("bob", PERSON), ("cleo", PERSON), ("dan", PERSON), ("eve", PERSON)] {
        link(&cluster, role, object, "user");
    }
    cluster.sql("CREATE ROLE stray");
    link(&cluster, "fay", PERSON, "user");
    for statement in [
        "DELETE FROM pg_db_role_setting WHERE setrole = 'ann'::regrole",
        "UPDATE pg_authid SET rolpassword = 'md5' || md5('x') WHERE rolname = 'bob'",
        "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'cleo'",
        "UPDATE pg_authid SET rolcanlogin = false WHERE rolname = 'dan'",
        "DELETE FROM pg_shseclabel WHERE objoid = 'eve'::regrole",
        "UPDATE pg_auth_members SET member = 'stray'::regrole, roleid = 'ann'::regrole \
         WHERE member = 'bob'::regrole AND roleid = 'azure_ad_user'::regrole",
        "UPDATE pg_db_role_setting SET setconfig = '{session_preload_libraries=/usr/lib/azure_ad_auth/audit.so}' \
         WHERE setrole = 'fay'::regrole",
    ] {
        tamper(&cluster, statement);
    }
    assert_eq!(
        wrong(&cluster),
        [
            "danger roles: role \"ann\" has no guard: on a server without azure_ad_auth a trust line lets everybody in as it",
            "warning roles: role \"bob\" is linked and has a password",
            "danger roles: role \"cleo\" is linked and is a superuser, replication or BYPASSRLS role",
            "notice roles: role \"dan\" is linked and is not permitted to log in",
            "danger roles: role \"eve\" is a member of azure_ad_user or azure_ad_admin, directly or indirectly, and is not linked",
            "danger roles: role \"fay\" has no guard: on a server without azure_ad_auth a trust line lets everybody in as it",
            "danger roles: role \"stray\" is a member of azure_ad_user or azure_ad_admin, directly or indirectly, and is not linked",
        ]
    );
}

#[test]
fn what_is_wrong_with_keys_and_clocks() {
    let (cluster, provider) = sound_scene("");
    provider.set_clock_ahead(600);
    cluster.sql("SELECT azure_ad_auth.refresh_keys()");
    let found = wrong(&cluster);
    // The header has whole seconds, and the answer took some time.
    let ahead = |found: &String| {
        let seconds = found
            .strip_prefix("warning clock: at the last fetch the provider's clock was ")
            .and_then(|rest| rest.strip_suffix(" s ahead of this server's"));
        seconds
            .and_then(|seconds| seconds.parse().ok())
            .is_some_and(|seconds: i64| (500..=601).contains(&seconds))
    };
    assert!(found.len() == 1 && found.iter().all(ahead), "{found:?}");
    provider.set_clock_ahead(0);
    provider.behave(Behavior::Status(500, ""));
    assert!(!cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()").success);
    assert!(
        wrong(&cluster)
            .iter()
            .any(|line| line.starts_with("warning keys: fetching the signing keys fails: "))
    );
    cluster.set("azure_ad_auth.key_max_age", "1s");
    let refused = "danger keys: every Azure AD login is refused because no signing keys can be used: ";
    assert!(eventually(|| wrong(&cluster)
        .iter()
        .any(|line| line.starts_with(refused) && line.contains("status 500"))));
}

#[test]
fn what_is_wrong_with_revocations() {
    let (cluster, _provider) = sound_scene("");
    cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{APPLICATION}')"));
    assert_eq!(wrong(&cluster), [""; 0]);
    tamper(&cluster, "UPDATE pg_shseclabel SET label = 'x' WHERE objoid = 'azure_ad_user'::regrole");
    assert_eq!(
        wrong(&cluster),
        [
            "danger revocations: every Azure AD login is refused: the label of role \"azure_ad_user\" cannot be read"
        ]
    );
    assert!(matches!(cluster.login("ann", &valid_token()), Outcome::Refused(_)));
    let what_to_do = "SELECT what_to_do FROM azure_ad_auth.check_configuration() WHERE topic = 'revocations'";
    let what_to_do = cluster.sql(what_to_do);
    cluster.sql(what_to_do.split(';').next().expect("a statement"));
    assert_eq!(wrong(&cluster), [""; 0]);
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
}

#[test]
fn a_library_that_was_replaced_in_its_place() {
    let provider = provider();
    let cluster = Scene::new().create();
    let library = cluster.path("azure_ad_auth.so");
    fs::copy(cluster.sql_library(), &library).expect("a copy of the library");
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    cluster.configure(&Configuration::new().settings(settings).preload(library.display().to_string()));
    cluster.start();
    // The function is taken from the library that the server has loaded, by the name it was loaded
    // by.
    cluster.sql(&format!(
        "CREATE FUNCTION check_configuration(OUT level text, OUT topic text, OUT message text, OUT what_to_do text) \
         RETURNS SETOF record LANGUAGE c AS '{}', 'check_configuration_wrapper'",
        library.display()
    ));
    let said = "SELECT level, message, what_to_do FROM check_configuration() WHERE topic = 'library'";
    assert_eq!(cluster.sql(said), "ok|the server has loaded azure_ad_auth|");
    let new = cluster.path("new.so");
    fs::copy(&library, &new).expect("a copy of the library");
    fs::rename(&new, &library).expect("the new file in the old one's place");
    fs::rename(&library, &new).expect("no file in the old one's place");
    assert_eq!(
        cluster.sql(said),
        "danger|the file of azure_ad_auth is gone, and without it the server will not start again|Install the library again \
         before the server is restarted."
    );
    fs::rename(&new, &library).expect("the new file in the old one's place");
    let replaced =
        "warning|the file of azure_ad_auth was replaced after the server started|Restart the server.";
    assert_eq!(cluster.sql(said), replaced);
    cluster.stop("fast");
    cluster.start();
    assert_eq!(cluster.sql(said), "ok|the server has loaded azure_ad_auth|");
}

#[test]
fn what_is_wrong_with_lines_and_the_library() {
    let (cluster, _provider) = sound_scene("");
    cluster.change_hba("local all all trust\nhost all all 127.0.0.1/32 password\n");
    let found = wrong(&cluster);
    assert!(found.iter().any(|line| line.starts_with("danger pg_hba.conf: line 1 of ")), "{found:?}");
    cluster.change_hba("local all postgres trust\nhost all all 127.0.0.1/32 password\n");
    assert_eq!(wrong(&cluster), ["danger pg_hba.conf: no line lets Azure AD roles in with a token"]);
    // Only monitoring roles and superusers may call it.
    cluster.sql("CREATE ROLE metrics; GRANT pg_monitor TO metrics; CREATE ROLE anybody");
    for (role, may) in [("metrics", true), ("anybody", false)] {
        let query = format!("SET ROLE {role}; SELECT count(*) FROM azure_ad_auth.check_configuration()");
        assert_eq!(cluster.sql_as("postgres", &query).success, may, "{role}");
    }
    cluster.stop("fast");
    cluster.configure(&Configuration::new().preload("").hba(Door::hba("trust")));
    cluster.start();
    assert!(wrong(&cluster).contains(
        &"danger library: the server has not loaded azure_ad_auth: nobody can log in with a token".to_owned()
    ));
}

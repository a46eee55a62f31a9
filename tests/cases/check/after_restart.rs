//! What works now and will not work after the next start of the server: `check_configuration()`
//! says so before.

use std::fs;

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::scene::KEY;
use testbed::scratch::give_to_server;
use testbed::waits::eventually;

use crate::common::check::sound_scene;
use crate::common::login::valid_token;
use crate::common::server::neighbour;

/// Returns every finding that is not `ok`: level, topic, message, what to do.
fn wrong(cluster: &Cluster) -> Vec<String> {
    let query = "SELECT level || ' ' || topic || ': ' || message || ' -> ' || coalesce(what_to_do, '') \
                 FROM azure_ad_auth.check_configuration() WHERE level <> 'ok'";
    cluster.sql(query).lines().map(str::to_owned).collect()
}

fn login(cluster: &Cluster) -> Outcome {
    cluster.login("ann", &valid_token())
}

/// Adds a line to postgresql.conf and reloads. Returns its number, and the content before.
fn add(cluster: &Cluster, line: &str) -> (usize, String) {
    let file = cluster.data().join("postgresql.conf");
    let before = fs::read_to_string(file).expect("postgresql.conf");
    cluster.folder().write("data/postgresql.conf", format!("{before}{line}\n"));
    cluster.reload();
    (before.lines().count() + 1, before)
}

#[test]
fn a_value_that_a_reload_refuses_is_named_before_it_closes_every_login() {
    let (cluster, _provider) = sound_scene("");
    let path = cluster.data().join("postgresql.conf").display().to_string();
    assert_eq!(wrong(&cluster), [""; 0]);
    for (name, value, problem) in [
        ("clock_skew", "10min", "= '10min' is not valid"),
        ("cloud", "mars", "= 'mars' is not valid"),
        ("require_tls", "perhaps", "= 'perhaps' is not valid"),
        ("tenant_id", "x", "= 'x' is not a uuid"),
        ("audience", "a,,b", "= 'a,,b' has an empty item"),
        ("issuers", "https://sts.example/", "= 'https://sts.example/' has an item that names neither"),
        ("allowed_clients", "psql", "= 'psql' has an item that is not a uuid"),
        ("required_permission", "a,b", "= 'a,b' names more than one permission"),
        ("key_source", "keys.json", "= 'keys.json' is not"),
        ("key_source", "https://u:hunter2@h/k", "(its value is not shown) has a user name in it"),
        (
            "https_proxy",
            "socks5://u:hunter2@h:1",
            "(its value is not shown) is not the http or https address",
        ),
    ] {
        let (line, before) = add(&cluster, &format!("azure_ad_auth.{name} = '{value}'"));
        let found = wrong(&cluster);
        let start =
            format!("danger configuration files: line {line} of {path}: azure_ad_auth.{name} {problem}");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{name}: {found:?}\n{start}");
        let end = ": after the next restart every Azure AD login will be refused -> Correct or remove the line, and reload \
                   the configuration.";
        assert!(found[0].ends_with(end) && !found[0].contains("hunter2"), "{found:?}");
        assert_eq!(login(&cluster), Outcome::Ready, "until then: {}", without_debug(&cluster.log()));
        if name == "clock_skew" {
            cluster.restart();
            cluster.await_keys();
            assert!(matches!(login(&cluster), Outcome::Refused(_)), "and then not");
            let found = wrong(&cluster);
            assert!(
                found.iter().any(|row| row.contains("azure_ad_auth.clock_skew had a value at server start")),
                "{found:?}"
            );
            assert!(found.iter().any(|row| row.starts_with(&start)), "{found:?}");
            // A corrected file that has not been read yet changes no login, and the check does not
            // claim that it does.
            cluster.folder().write("data/postgresql.conf", &before);
            let twice = "SELECT count(*) FROM azure_ad_auth.check_configuration() WHERE message LIKE '%at server start%'; ";
            assert_eq!(cluster.sql(&twice.repeat(2)), "1\n1");
        }
        cluster.folder().write("data/postgresql.conf", before);
        cluster.reload();
        assert_eq!(wrong(&cluster), [""; 0], "{name}: mended");
    }
}

#[test]
fn what_was_written_by_alter_system_and_what_a_later_line_sets_right() {
    let (cluster, _provider) = sound_scene("");
    let ca_file = cluster.path("own.pem");
    fs::copy(cluster.template.ca_file(), &ca_file).expect("a copy");
    give_to_server(&ca_file);
    cluster.set("azure_ad_auth.ca_file", &ca_file.display().to_string());
    assert_eq!(wrong(&cluster), [""; 0]);
    fs::remove_file(&ca_file).expect("no file");
    let found = wrong(&cluster);
    let said = format!(
        "of {}/postgresql.auto.conf: azure_ad_auth.ca_file = '{}' is not a file of certificates: No such file or directory (os \
         error 2): no signing keys can be fetched with it -> ALTER SYSTEM RESET azure_ad_auth.ca_file; SELECT \
         pg_reload_conf();",
        cluster.data().display(),
        ca_file.display()
    );
    assert!(found.len() == 1 && found[0].ends_with(&said), "{found:?}\n{said}");
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.ca_file");
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| wrong(&cluster).is_empty()), "{:?}", wrong(&cluster));
    add(&cluster, "azure_ad_auth.clock_skew = 'bad'\nazure_ad_auth.clock_skew = '30s'");
    assert_eq!(wrong(&cluster), [""; 0], "the later line counts");
    assert_eq!(cluster.sql("SHOW azure_ad_auth.clock_skew"), "30s");
}

#[test]
fn a_line_with_which_the_server_does_not_start_is_named_before() {
    let (cluster, _provider) = sound_scene("");
    let name = "aad_validate_oids_in_tenant";
    for (text, said) in [
        (
            format!("{name} = off"),
            format!(
                "{name} is not allowed in a configuration file, and the server will not start again -> Remove the line. "
            ),
        ),
        (
            "work_mem lots of it".to_owned(),
            "syntax error: the server will not start again -> Correct".to_owned(),
        ),
    ] {
        let mark = cluster.log_mark();
        let (line, before) = add(&cluster, &text);
        let found = wrong(&cluster);
        let said = format!(
            "danger configuration files: line {line} of {}/postgresql.conf: {said}",
            cluster.data().display()
        );
        assert!(found.len() == 1 && found[0].starts_with(&said), "{found:?}\n{said}");
        if text.starts_with(name) {
            // A reload does not accept the value either, and the log says why.
            assert_eq!(cluster.sql(&format!("SHOW {name}")), "on");
            cluster.await_log(
                mark,
                "It cannot be set in a configuration file: the server would not start again.",
            );
        }
        cluster.stop("fast");
        assert!(!cluster.try_start(&[]), "it does not");
        cluster.folder().write("data/postgresql.conf", before);
        cluster.start();
    }
    // Following the advice works.
    cluster.sql(&format!("ALTER ROLE ALL SET {name} = off"));
    assert_eq!(cluster.sql(&format!("SHOW {name}")), "off");
    assert!(eventually(|| wrong(&cluster).is_empty()), "{:?}", wrong(&cluster));
}

#[test]
fn a_server_that_will_not_load_the_library_again() {
    let (cluster, _provider) = sound_scene("");
    let said = "danger library: after the next restart nobody can log in with a token, and linked roles are protected by their guards only: ";
    let (line, before) = add(&cluster, "shared_preload_libraries = 'auth_delay'");
    let place = format!("line {line} of {}/postgresql.conf", cluster.data().display());
    let found = wrong(&cluster);
    let start = format!("{said}{place} does not name azure_ad_auth in shared_preload_libraries -> ");
    assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
    cluster.folder().write("data/postgresql.conf", before.replace("shared_preload_libraries", "#"));
    let found = wrong(&cluster);
    let start = format!("{said}no configuration file names azure_ad_auth in shared_preload_libraries");
    assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
    // The command line has precedence over all files.
    cluster.stop("fast");
    assert!(cluster.try_start(&["-c", "shared_preload_libraries=azure_ad_auth"]));
    cluster.await_keys();
    assert!(eventually(|| wrong(&cluster).is_empty()), "{:?}", wrong(&cluster));
    for libraries in ["azure_ad_auth", "\"auth_delay\", $libdir/azure_ad_auth"] {
        let line = format!("shared_preload_libraries = '{libraries}'\n");
        cluster
            .folder()
            .write("data/postgresql.conf", before.replace("shared_preload_libraries", "#") + &line);
        cluster.restart();
        cluster.await_keys();
        assert!(eventually(|| wrong(&cluster).is_empty()), "{libraries}: {:?}", wrong(&cluster));
    }
}

#[test]
fn keys_that_will_not_be_there() {
    let (cluster, _provider) = sound_scene("");
    let snapshot = cluster.key_snapshot();
    assert_eq!(
        cluster
            .sql("SELECT level, message FROM azure_ad_auth.check_configuration() WHERE topic = 'snapshot'"),
        "ok|azure_ad_auth.keys in the data directory has the keys for the next start"
    );
    let said = "warning snapshot: a server that starts during an outage of the provider would have no keys: azure_ad_auth.keys \
                in the data directory: ";
    for (content, why) in [(None, "it is not there"), (Some("x"), "it is not a snapshot of keys")] {
        fs::remove_file(&snapshot).expect("a snapshot");
        if let Some(content) = content {
            cluster.folder().write("data/azure_ad_auth.keys", content);
        }
        let found = wrong(&cluster);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{said}{why} -> ")), "{found:?}");
        cluster.sql("SELECT azure_ad_auth.refresh_keys()");
        assert_eq!(wrong(&cluster), [""; 0]);
    }
    // The snapshot cannot be written.
    fs::remove_file(&snapshot).expect("a snapshot");
    fs::create_dir(&snapshot).expect("a folder in its place");
    cluster.sql("SELECT azure_ad_auth.refresh_keys()");
    let found = wrong(&cluster);
    assert!(found.len() == 1 && found[0].starts_with(said), "{found:?}");
    fs::remove_dir(&snapshot).expect("no folder");
    // The file of key_source is missing.
    let file = cluster.folder().write("keys.json", serde_json::json!({"keys": [KEY.jwk()]}).to_string());
    cluster.set("azure_ad_auth.key_source", &file.display().to_string());
    let is_sound = || wrong(&cluster).iter().all(|row| row.starts_with("notice "));
    assert!(eventually(is_sound), "{:?}", wrong(&cluster));
    fs::remove_file(&file).expect("no file");
    let found = wrong(&cluster);
    let said = format!(
        "warning key file: the next fetch of the signing keys will fail: {}: No such file",
        file.display()
    );
    assert!(found.iter().any(|row| row.starts_with(&said)), "{found:?}");
}

#[test]
fn a_library_that_is_preloaded_after_ours_and_wants_to_hear_of_logins() {
    let (cluster, _provider) = sound_scene("");
    let said = |name: &str| {
        format!(
            "notice libraries: {name} is named after azure_ad_auth in shared_preload_libraries, so its authentication hook is not \
             called for a refused Azure AD login -> Name azure_ad_auth last in shared_preload_libraries, and restart the server."
        )
    };
    let file = cluster.data().join("postgresql.conf");
    let settings = fs::read_to_string(file).expect("postgresql.conf");
    for (libraries, expected) in [
        ("azure_ad_auth,auth_delay".to_owned(), vec![said("auth_delay")]),
        (format!("azure_ad_auth, {}", neighbour(&cluster)), vec![said("neighbour")]),
        ("auth_delay,azure_ad_auth".to_owned(), vec![]),
        // This library has no such hook.
        ("azure_ad_auth,auto_explain".to_owned(), vec![]),
    ] {
        let line = format!("shared_preload_libraries = '{libraries}'\n");
        cluster.folder().write("data/postgresql.conf", format!("{settings}{line}"));
        cluster.restart();
        cluster.await_keys();
        assert!(eventually(|| wrong(&cluster) == expected), "{libraries}: {:?}", wrong(&cluster));
    }
    // A library that one session has loaded does not matter to others.
    let own =
        "LOAD 'auth_delay'; SELECT count(*) FROM azure_ad_auth.check_configuration() WHERE level <> 'ok'";
    assert_eq!(cluster.sql(own).lines().last(), Some("0"));
}

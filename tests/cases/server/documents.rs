//! What the README and docs/ tell people to do, done: every block of shell, SQL and configuration in them, in their order.
//!
//! The servers are real, and so are psql and what it does. Stand-ins are few, and they check what they are called with: `az`
//! hands out tokens of the provider of these tests, for the account that a comment `<!-- as: … -->` names; `systemctl`
//! restarts the scratch server; `make`, `cargo` and `apt-get` see whether what they are asked for exists, because CI does it.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use entra::{Code, State};
use serde_json::json;
use testbed::cluster::{Cluster, Setup};
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::issuer::*;
use testbed::pam::Service;
use testbed::scratch::Folder;

use crate::{EVERY_DOOR, KEY, WORKSHOP, has, provider};

const ADMIN: &str = "66666666-aaaa-bbbb-cccc-000000000006";
/// What the accounts of the examples may ask tokens for.
const RESOURCES: [&str; 2] =
    ["api://77777777-aaaa-bbbb-cccc-000000000007", "https://ossrdbms-aad.database.windows.net"];

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
    /// Whose shell it is.
    account: String,
    /// The installation need not have this door; then nobody does what the block says.
    door: Option<Door>,
    /// Nor need it have this version of psql.
    since: u32,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a document")
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut account = "admin".to_owned();
    let (mut door, mut since) = (None, 0);
    let mut open: Option<Block> = None;
    for line in document.lines() {
        let line = line.strip_prefix("> ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("<!-- as: ").and_then(|rest| rest.strip_suffix(" -->")) {
            name.clone_into(&mut account);
        } else if let Some(name) =
            line.strip_prefix("<!-- needs: ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            door = EVERY_DOOR.into_iter().find(|door| door.name() == name);
            since = name.strip_prefix("psql ").and_then(|major| major.parse().ok()).unwrap_or(0);
            assert!(door.is_some() || since > 0 || name == "nothing", "no such door: {name}");
        } else if let Some(language) = line.strip_prefix("```") {
            if let Some(block) = open.take() {
                blocks.push(block);
            } else {
                let (language, text) = (language.to_owned(), String::new());
                open = Some(Block { language, text, account: account.clone(), door, since });
            }
        } else if let Some(block) = &mut open {
            let _ = writeln!(block.text, "{line}");
        }
    }
    assert!(open.is_none(), "a block is left open");
    blocks
}

/// A configuration file as a document shows it.
pub(crate) fn shown_file(document_name: &str, file: &str) -> String {
    let blocks = blocks(&document(document_name)).into_iter();
    let mut found = blocks.filter(|block| block.text.starts_with(&format!("# {file}\n")));
    found.next().expect("a block that names the file").text
}

/// A server as somebody has it who has not read the README yet, and the stand-ins.
struct Reader {
    cluster: Cluster,
    _provider: Provider,
    folder: Folder,
    /// What the documents call the service azure_ad_auth: the machine may have one of that name.
    service: Option<Service>,
}

impl Reader {
    fn new() -> Self {
        let provider = provider();
        let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
        let cluster =
            Cluster::new(&WORKSHOP, &Setup { settings, preload: Some(String::new()), ..Setup::default() });
        // What the document is to say itself.
        let file = cluster.data().join("postgresql.conf");
        let kept = fs::read_to_string(&file).expect("postgresql.conf");
        let said = ["shared_preload", "azure_ad_auth.tenant_id", "azure_ad_auth.audience"];
        let kept: Vec<_> =
            kept.lines().filter(|line| !said.iter().any(|said| line.starts_with(said))).collect();
        fs::write(&file, kept.join("\n") + "\n").expect("postgresql.conf");
        cluster.start();
        let reader = Self {
            cluster,
            _provider: provider,
            folder: Folder::new("reader"),
            service: has(Door::Pam).then(|| Service::new("")),
        };
        reader.stand_ins();
        reader
    }

    /// One that has done what the README says.
    fn beyond_the_readme() -> Self {
        let reader = Self::new();
        reader.does("README.md");
        reader
    }

    fn stand_ins(&self) {
        let path = |name: &str| self.folder.path().join(name);
        for (account, object) in [("admin", ADMIN), ("ann", PERSON)] {
            for resource in RESOURCES {
                let claims = with(with(user_v1(unix_now()), "oid", json!(object)), "aud", json!(resource));
                let name = format!("{account} {}", resource.replace('/', "_"));
                self.folder.write(&name, KEY.token(&claims));
            }
        }
        for (name, object) in [
            ("admin@contoso.example", ADMIN),
            ("ann@contoso.example", PERSON),
            ("Database Readers", GROUP),
            (CLIENT, APPLICATION),
        ] {
            self.folder.write(name, object);
        }
        let scratch = self.folder.path().display();
        let root = root().canonicalize().expect("the project");
        let root = root.display();
        for (name, script) in [
            (
                "az",
                format!(
                    "case \"$1 $2 $3\" in\n\
                     'account get-access-token '*) what=--resource; who=\"$ACCOUNT \" ;;\n\
                     'ad user show'|'ad sp show') what=--id; who= ;;\n\
                     'ad group show') what=--group; who= ;;\n\
                     *) echo \"az $*: no such command\" >&2; exit 1 ;;\nesac\n\
                     while [ \"$1\" != \"$what\" ]; do shift; done\n\
                     cat \"{scratch}/$who$(printf %s \"$2\" | tr / _)\""
                ),
            ),
            // To write for PAM takes a real one.
            (
                "sudo",
                "if [ \"$(id -u)\" != 0 ] && [ \"$1\" = tee ]; then exec /usr/bin/sudo \"$@\"; fi\nexec \"$@\"".to_owned(),
            ),
            ("systemctl", format!("[ \"$*\" = 'restart postgresql' ] && touch '{scratch}/restart'")),
            ("make", format!("exec /usr/bin/make --dry-run -C '{root}' \"$@\" >/dev/null")),
            ("cargo", format!("grep -q \"^pgrx = \\\"${{4#cargo-pgrx@}}\\\"\" '{root}/Cargo.toml'")),
            (
                "apt-get",
                format!(
                    "shift 2; for package; do grep -qF -e \"${{package%[0-9][0-9]}}\" '{root}/tools/setup' || exit 1; done"
                ),
            ),
        ] {
            fs::write(path(name), format!("#!/bin/sh -eu\n{script}\n")).expect("a stand-in");
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).expect("its permissions");
        }
    }

    /// Does what a document says; returns what the last block of shell printed.
    fn does(&self, name: &str) -> String {
        let mut last = String::new();
        let blocks = blocks(&document(name));
        assert!(blocks.iter().any(|block| block.language == "sql"), "{name} has no SQL any more");
        let major = self.cluster.workshop.installation.major;
        let can = |block: &Block| block.door.is_none_or(has) && block.since <= major;
        for mut block in blocks.into_iter().filter(can) {
            for place in ["/etc/pam.d/", "pamservice="] {
                let ours = format!("{place}{}", self.service.as_ref().map_or("none", Service::name));
                block.text = block.text.replace(&format!("{place}azure_ad_auth"), &ours);
            }
            match block.language.as_str() {
                "sh" => last = self.shell(&block),
                "sql" => self.sql(&block.text),
                "ini" => self.configure(&block.text),
                "text" | "mermaid" => {}
                other => panic!("{name}: nobody knows what to do with a block of {other:?}"),
            }
        }
        last
    }

    /// As somebody types it: each statement in a transaction of its own.
    fn sql(&self, text: &str) {
        let mut psql = Command::new(self.cluster.workshop.installation.program("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-f"])
            .arg(self.folder.write("statements.sql", text))
            .env("TOKEN", KEY.token(&with(user_v1(unix_now()), "aud", json!(RESOURCES[0]))))
            .env("PGHOST", self.cluster.folder().path())
            .env("PGPORT", self.cluster.port.to_string());
        let output = psql.output().expect("psql");
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    fn configure(&self, text: &str) {
        let (file, content) = text.split_once('\n').expect("a first line that names the file");
        let name = file.strip_prefix("# ").expect("a first line that names the file");
        let path = self.cluster.data().join(name);
        let content = match name {
            // In `pooled.rs`.
            "pgbouncer.ini" => return,
            "pg_hba.conf" => format!("local all postgres trust\n{content}"),
            "pg_ident.conf" => content.to_owned(),
            "postgresql.conf" => fs::read_to_string(&path).expect("the file") + content,
            other => panic!("no such file: {other}"),
        };
        fs::write(&path, content).expect("a configuration file");
        self.cluster.restart();
    }

    fn shell(&self, block: &Block) -> String {
        let bin = self.cluster.workshop.installation.program("psql");
        let bin = bin.parent().expect("a folder").display();
        let mut bash = Command::new("bash");
        // What builds is done by `make`, above.
        let text = block.text.replace("/usr/lib/postgresql/15/bin/pg_config --", "pg_config --");
        bash.args(["-euo", "pipefail", "-c", &text])
            .env("PATH", format!("{}:{bin}:/usr/bin:/bin", self.folder.path().display()))
            .env("ACCOUNT", &block.account)
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGPORT", self.cluster.port.to_string())
            .env("PGSSLROOTCERT", self.cluster.workshop.ca_file());
        let output = bash.output().expect("bash");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{stdout}{stderr}", block.text);
        let restart = self.folder.path().join("restart");
        if restart.exists() {
            fs::remove_file(restart).expect("a file");
            self.cluster.restart();
        }
        stdout.into_owned()
    }
}

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
}

#[test]
fn sessions_are_looked_at_and_ended_as_described() {
    let reader = Reader::beyond_the_readme();
    reader.does("docs/sessions.md");
    let revoked = "SELECT role_name FROM azure_ad_auth.principals WHERE tokens_not_before IS NOT NULL";
    assert_eq!(reader.cluster.sql(revoked), "ann@contoso.example");
    // What row-level security makes of it, with a token of after the revocation.
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
    if reader.cluster.workshop.installation.major >= 16 {
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
    reader.does("docs/operations.md");
    assert_eq!(reader.cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^azure_ad'"), "0");
    assert_eq!(reader.cluster.sql("SELECT count(*) FROM pg_shseclabel"), "0");
}

/// A query of docs/postgres_exporter.yml, with the columns that it is to give.
struct Query {
    name: String,
    text: String,
    columns: Vec<String>,
}

/// Reads the little of YAML that the file has.
fn queries(file: &str) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for line in file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let quoted = |start: &str| line.strip_prefix(start)?.strip_suffix('"');
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ') && !name.is_empty()) {
            queries.push(Query { name: name.to_owned(), text: String::new(), columns: Vec::new() });
            continue;
        }
        let query = queries.last_mut().expect("a name before everything else");
        let columns = &mut query.columns;
        if let Some(text) = quoted("  query: \"") {
            assert!(!text.contains(['"', '\\']), "{text}");
            text.clone_into(&mut query.text);
        } else if let Some(column) = line.strip_prefix("    - ").and_then(|rest| rest.strip_suffix(':')) {
            columns.push(column.to_owned());
        } else if let Some(usage) = quoted("        usage: \"") {
            assert!(["LABEL", "COUNTER", "GAUGE", "HISTOGRAM"].contains(&usage), "{usage}");
            if usage == "HISTOGRAM" {
                let name = columns.last().expect("a column").clone();
                columns.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
            }
        } else {
            let known = ["  master: true", "  metrics:"].contains(&line);
            assert!(known || quoted("        description: \"").is_some(), "{line}");
        }
    }
    queries
}

#[test]
fn a_monitor_can_run_the_queries_for_postgres_exporter() {
    let (cluster, _provider) = crate::scene("");
    crate::link(&cluster, "ann", PERSON, "user");
    let _session = crate::sessions::lifetime::enter(&cluster, "ann", &user_v1(unix_now()));
    cluster.sql("CREATE ROLE metrics; GRANT pg_monitor TO metrics");
    let queries = queries(&document("docs/postgres_exporter.yml"));
    assert_eq!(queries.len(), 6);
    for Query { name, text, columns } in queries {
        let connection = format!(
            "host={} port={} dbname=postgres user=postgres options='-c role=metrics'",
            cluster.folder().path().display(),
            cluster.port
        );
        let psql = cluster.workshop.installation.program("psql");
        let output = testbed::client::psql_with(&psql, &["-A"], &connection, None, &text);
        assert!(output.success, "{name}: {}", output.stderr);
        let mut rows = output.stdout.lines();
        assert_eq!(
            rows.next().map(|head| head.split('|').map(str::to_owned).collect()),
            Some(columns),
            "{name}"
        );
        let complete = |row: &str| row.split('|').all(|value| !value.is_empty());
        let rows: Vec<_> = rows.filter(|row| !row.starts_with('(')).collect();
        assert!(!rows.is_empty() && rows.iter().all(|row| complete(row)), "{name}: {rows:?}");
        let seen = match name.as_str() {
            "azure_ad_auth_logins" | "azure_ad_auth_sessions" => Some("password|user|1"),
            "azure_ad_auth_key_waits" => Some("0|0"),
            _ => None,
        };
        assert!(seen.is_none_or(|row| rows.contains(&row)), "{name}: {rows:?}");
        if name == "azure_ad_auth_admission" {
            let row = rows.iter().find(|row| row.starts_with("password|")).expect("the door");
            assert!(
                row.contains("|{5e-05,0.0001,0.00025,0.001,0.01,0.1,1}|{") && row.ends_with("|1"),
                "{row}"
            );
        }
    }
}

#[test]
fn every_state_of_the_keys_is_explained() {
    let operations = document("docs/operations.md");
    let table = operations.split("\n| state | ").nth(1).and_then(|rest| rest.split("\n\n").next());
    let rows = table.expect("a table").lines().skip(2);
    let states: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(states, State::ALL.map(State::as_str));
}

#[test]
fn the_readme_lists_everything() {
    let readme = document("README.md");
    assert!(!readme.contains("@BENCH@") && readme.contains("| SCRAM-SHA-256 | "), "what it costs");
    for code in Code::ALL {
        assert!(readme.contains(&format!("\n| `{}` | ", code.as_str())), "{}", code.as_str());
    }
    let (cluster, _provider) = crate::scene("");
    let settings = cluster.sql(
        "SELECT substr(name, 15) || ' | ' || CASE WHEN boot_val = '' THEN '' ELSE '`' || CASE WHEN unit IS NULL THEN boot_val
           WHEN unit = 'ms' THEN boot_val::int / 1000 || 's' WHEN boot_val::int = 86400 THEN '1d'
           WHEN boot_val::int = 3600 THEN '1h' ELSE boot_val::int / 60 || 'min' END || '`' END
         FROM pg_settings WHERE name LIKE 'azure\\_ad\\_auth.%' AND context = 'sighup'",
    );
    assert_eq!(settings.lines().count(), 18);
    let of_roles = cluster
        .sql("SELECT name FROM pg_settings WHERE name LIKE 'azure\\_ad\\_auth.%' AND context <> 'sighup'");
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
}

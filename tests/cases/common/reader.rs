//! A reader who does what the documents say, with a server, psql and stand-ins for other programs.
//!
//! The servers are real, and so are psql and what it does. Stand-ins are few, and they check their
//! arguments: `az` prints tokens of the provider of these tests, for the account that a comment
//! `<!-- as: ... -->` names, and changes the provider's directory; `systemctl` restarts the scratch
//! server; `make`, `cargo`, `apt-get` and `dnf` check that what they are asked for exists, because
//! CI does it. Where the environment variable `PACKAGES` names a folder with packages, in a clean
//! system of which the test may change everything, `apt-get` is the real one and installs them.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::idp::directory::SERVER_CLIENT;
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::pam::Service;
use testbed::scene::{ADMIN, KEY, Scene, provider};
use testbed::scratch::Folder;

use super::documents::{Block, blocks, document, root};
use super::doors::has;
use super::tenant;

/// The resources for which the accounts of the examples get tokens.
pub(crate) const RESOURCES: [&str; 2] =
    ["api://77777777-aaaa-bbbb-cccc-000000000007", "https://ossrdbms-aad.database.windows.net"];

/// The client id that stands for that of the server's own application.
const CLIENT_ID: &str = "99999999-aaaa-bbbb-cccc-000000000009";

/// Returns the folder of the packages that the README installs, if it is to install them really.
fn packages() -> Option<String> {
    std::env::var("PACKAGES").ok()
}

/// A server as it is before the README has been followed, and the stand-ins.
pub(crate) struct Reader {
    pub(crate) cluster: Cluster,
    pub(crate) provider: Provider,
    folder: Folder,
    /// What `az` has changed in the tenant, a line for each change.
    pub(crate) changes: RefCell<Vec<String>>,
    /// The PAM service that stands for the one the documents call azure_ad_auth: the machine may
    /// have one of that name.
    service: Option<Service>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let provider = provider();
        let url = provider.url();
        let settings =
            format!("azure_ad_auth.authority_url = '{url}'\nazure_ad_auth.directory_url = '{url}'");
        let cluster = Scene::new().settings(settings).preload("").create();
        // These settings have to come from the document.
        let file = cluster.data().join("postgresql.conf");
        let kept = fs::read_to_string(&file).expect("postgresql.conf");
        let said = ["shared_preload", "azure_ad_auth.tenant_id", "azure_ad_auth.audience"];
        let kept: Vec<_> =
            kept.lines().filter(|line| !said.iter().any(|said| line.starts_with(said))).collect();
        fs::write(&file, kept.join("\n") + "\n").expect("postgresql.conf");
        cluster.start();
        let reader = Self {
            cluster,
            provider,
            folder: Folder::new("reader"),
            changes: RefCell::default(),
            service: has(Door::Pam).then(|| Service::new("")),
        };
        tenant::set_up(reader.provider.directory(), &reader.folder);
        reader.stand_ins();
        reader
    }

    /// Returns a reader who has followed the README.
    pub(crate) fn beyond_the_readme() -> Self {
        let reader = Self::new();
        reader.does("README.md");
        reader
    }

    pub(crate) fn stand_ins(&self) {
        let path = |name: &str| self.folder.path().join(name);
        fs::create_dir_all(path("home")).expect("a folder");
        for (account, object) in [("admin", ADMIN), ("ann", PERSON)] {
            for resource in RESOURCES {
                let claims = with(with(user_v1(unix_now()), "oid", json!(object)), "aud", json!(resource));
                let name = format!("{account} {}", resource.replace('/', "_"));
                self.folder.write(&name, KEY.token(&claims));
            }
        }
        let scratch = self.folder.path().display();
        let root = root().canonicalize().expect("the project");
        let root = root.display();
        let is_a_package = format!(
            "is_a_package() {{ grep -qxF \"version = \\\"$(echo \"$1\" | sed 's/^.*[_-]\\([0-9.]*\\)-1[_.].*/\\1/')\\\"\" '{root}/Cargo.toml'; }}"
        );
        let apt_get = packages().map_or_else(
            || {
                format!(
                    "{is_a_package}\nshift 2; for package; do case $package in ./*.deb) is_a_package \"$package\" ;;\n\
                     *) grep -qF -e \"${{package%[0-9][0-9]}}\" '{root}/tools/setup' ;; esac || exit 1; done"
                )
            },
            |folder| format!("case $3 in ./*) cd '{folder}'; exec /usr/bin/apt-get \"$@\" ;; esac"),
        );
        // Where packages are installed, nothing is built.
        let make = if packages().is_some() { "true" } else { "/usr/bin/make" };
        for (name, script) in [
            // Writing PAM's files needs the real sudo. Files of the server belong to the user of
            // the tests, if that is not root.
            (
                "sudo",
                "if [ \"$(id -u)\" != 0 ] && [ \"$1\" = tee ]; then exec /usr/bin/sudo \"$@\"; fi\n\
                 if [ \"$(id -u)\" != 0 ] && [ \"$1\" = install ]; then\n\
                 [ \"$2 $3 $4 $5\" = '-o postgres -g postgres' ]; shift 5; set -- install \"$@\"; fi\n\
                 exec \"$@\""
                    .to_owned(),
            ),
            ("systemctl", format!("[ \"$*\" = 'restart postgresql' ] && touch '{scratch}/restart'")),
            ("make", format!("exec {make} --dry-run -C '{root}' \"$@\" >/dev/null")),
            ("cargo", format!("grep -q \"^pgrx = \\\"${{5#cargo-pgrx@}}\\\"\" '{root}/Cargo.toml'")),
            ("apt-get", apt_get),
            ("dnf", format!("{is_a_package}\nshift 2; for package; do is_a_package \"$package\"; done")),
        ]
        .map(|(name, script)| (name, format!("#!/bin/sh -eu\n{script}\n")))
        .into_iter()
        .chain([("az", tenant::AZ.to_owned())])
        {
            fs::write(path(name), script).expect("a stand-in");
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).expect("its permissions");
        }
    }

    /// Runs every block of a document. Returns what the last block of shell printed.
    pub(crate) fn does(&self, name: &str) -> String {
        let mut last = String::new();
        let blocks = blocks(&document(name));
        assert!(blocks.iter().any(|block| block.language == "sql"), "{name} has no SQL any more");
        let major = self.cluster.major();
        let can = |block: &Block| block.door.is_none_or(has) && block.since <= major;
        for mut block in blocks.into_iter().filter(can) {
            for place in ["/etc/pam.d/", "pamservice="] {
                let mut ours = format!("{place}{}", self.service.as_ref().map_or("none", Service::name));
                if packages().is_some() && place == "pamservice=" {
                    ours = format!("{place}azure_ad_auth-{major}");
                }
                block.text = block.text.replace(&format!("{place}azure_ad_auth-15"), &ours);
            }
            if packages().is_some() {
                block.text = block.text.replace("postgresql-15-", &format!("postgresql-{major}-"));
            }
            let files = format!("{}/", self.folder.path().display());
            block.text = block.text.replace("/etc/postgresql/", &files).replace(CLIENT_ID, SERVER_CLIENT);
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

    /// Runs SQL by psql, each statement in a transaction of its own.
    pub(crate) fn sql(&self, text: &str) {
        let mut psql = Command::new(self.cluster.installation().program("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-f"])
            .arg(self.folder.write("statements.sql", text))
            .env("TOKEN", KEY.token(&with(user_v1(unix_now()), "aud", json!(RESOURCES[0]))))
            .env("PGHOST", self.cluster.folder().path())
            .env("PGPORT", self.cluster.port.to_string());
        let output = psql.output().expect("psql");
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn configure(&self, text: &str) {
        let (file, content) = text.split_once('\n').expect("a first line that names the file");
        let name = file.strip_prefix("# ").expect("a first line that names the file");
        let path = self.cluster.data().join(name);
        let content = match name {
            // Tested by `sessions::pgbouncer`.
            "pgbouncer.ini" => return,
            "pg_hba.conf" => format!("local all postgres trust\n{content}"),
            "pg_ident.conf" => content.to_owned(),
            "postgresql.conf" => fs::read_to_string(&path).expect("the file") + content,
            other => panic!("no such file: {other}"),
        };
        fs::write(&path, content).expect("a configuration file");
        self.cluster.restart();
    }

    pub(crate) fn shell(&self, block: &Block) -> String {
        let bin = self.cluster.installation().program("psql");
        let bin = bin.parent().expect("a folder").display();
        let mut bash = Command::new("bash");
        // Building is left to the stand-in for `make`.
        let text = block.text.replace("/usr/lib/postgresql/15/bin/pg_config --", "pg_config --");
        bash.args(["-euo", "pipefail", "-c", &text])
            .current_dir(self.folder.path().join("home"))
            .env("PATH", format!("{}:{bin}:/usr/bin:/bin", self.folder.path().display()))
            .env("ACCOUNT", &block.account)
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGPORT", self.cluster.port.to_string())
            .env("PGSSLROOTCERT", self.cluster.template.ca_file());
        let output = bash.output().expect("bash");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{stdout}{stderr}", block.text);
        let changes = tenant::change(self.provider.directory(), &self.folder);
        self.changes.borrow_mut().extend(changes);
        let restart = self.folder.path().join("restart");
        if restart.exists() {
            fs::remove_file(restart).expect("a file");
            self.cluster.restart();
        }
        stdout.into_owned()
    }
}

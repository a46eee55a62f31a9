//! The three nodes together, and the identity provider that their servers ask for keys.

use std::sync::Arc;

use serde_json::{Value, json};
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::issuer::{AUDIENCE, PERSON, TENANT};
use testbed::pam::{self, Service};
use testbed::scene::{ADMIN, provider};
use testbed::scratch::Folder;
use testbed::template::Template;
use testbed::waits::patiently;

use crate::clients::PASSWORD;
use crate::etcd::Etcd;
use crate::node::Node;

/// Three nodes under Patroni. Ended when dropped.
pub(crate) struct Team {
    pub(crate) nodes: Vec<Node>,
    pub(crate) provider: Provider,
    /// The databases, each of which is behind a door of its own.
    pub(crate) databases: Vec<&'static str>,
    service: Service,
    folder: Folder,
    etcd: Etcd,
}

impl Team {
    /// Starts the nodes, and links `ann`.
    pub(crate) fn start() -> Self {
        let template = Template::shared();
        let installation = &template.installation;
        let folder = Folder::new("certificates");
        let identity = template.authority.identity();
        folder.write("server.pem", identity.certificate_pem);
        folder.write("server.key", identity.key_pem);
        let has_pam = Door::all(installation).contains(&Door::Pam);
        let team = Self {
            nodes: ["one", "two", "three"].map(|name| Node::new(name, installation)).into(),
            provider: provider(),
            databases: if has_pam { vec!["postgres", "behind_pam"] } else { vec!["postgres"] },
            service: Service::new(&pam::lines(installation)),
            folder,
            etcd: Etcd::start(),
        };
        for node in &team.nodes {
            node.configure(&team.configuration(node, template));
            node.start();
        }
        assert!(team.settles(), "the cluster does not form:\n{}", team.logs());
        team.prepare();
        team
    }

    fn configuration(&self, node: &Node, template: &Arc<Template>) -> Value {
        let address = format!("127.0.0.1:{}", node.port);
        let rest = format!("127.0.0.1:{}", node.rest);
        json!({
            "scope": "tests", "name": node.name,
            "restapi": { "listen": rest, "connect_address": rest },
            "etcd3": { "hosts": format!("127.0.0.1:{}", self.etcd.port) },
            "bootstrap": {
                "dcs": {
                    // The shortest that Patroni takes.
                    "ttl": 20, "loop_wait": 1, "retry_timeout": 3, "primary_start_timeout": 0,
                    "postgresql": {
                        "use_pg_rewind": true,
                        "parameters": self.parameters(template),
                        "pg_hba": self.hba(),
                    },
                },
                "initdb": [{ "encoding": "UTF8" }, { "locale": "C" }, { "auth": "trust" }, "data-checksums", "no-sync"],
            },
            "postgresql": {
                "listen": address, "connect_address": address, "data_dir": node.path("data"),
                "bin_dir": template.installation.programs(), "pgpass": node.path("pgpass"), "use_unix_socket": true,
                "parameters": { "unix_socket_directories": node.path("") },
                "authentication": {
                    "superuser": { "username": "postgres", "password": PASSWORD },
                    "replication": { "username": "replicator", "password": PASSWORD, "sslmode": "require" },
                    "rewind": { "username": "rewinder", "password": PASSWORD, "sslmode": "require" },
                },
            },
        })
    }

    fn parameters(&self, template: &Arc<Template>) -> Value {
        json!({
            "shared_preload_libraries": "azure_ad_auth",
            "azure_ad_auth.tenant_id": TENANT,
            "azure_ad_auth.audience": AUDIENCE,
            "azure_ad_auth.authority_url": self.provider.url(),
            "azure_ad_auth.ca_file": template.ca_file(),
            "ssl": "on",
            "ssl_cert_file": self.folder.path().join("server.pem"),
            "ssl_key_file": self.folder.path().join("server.key"),
            "shared_buffers": "16MB", "fsync": "off", "log_line_prefix": "%m [%p] %q%u@%d ",
        })
    }

    fn hba(&self) -> Value {
        let pam =
            format!("hostssl behind_pam +azure_ad_user 127.0.0.1/32 pam pamservice={}", self.service.name());
        let mut lines = vec![
            "local all,replication postgres trust",
            "hostssl replication replicator 127.0.0.1/32 scram-sha-256",
            "hostssl postgres +azure_ad_user 127.0.0.1/32 trust",
        ];
        if self.databases.contains(&"behind_pam") {
            lines.push(&pam);
        }
        lines.push("hostssl all all 127.0.0.1/32 scram-sha-256");
        json!(lines)
    }

    /// Creates the databases, the roles and the tables, and waits until every node has keys and
    /// all of that.
    fn prepare(&self) {
        let leader = self.leader();
        leader.sql("postgres", &format!("CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'"));
        leader.sql("postgres", "CREATE EXTENSION azure_ad_auth");
        leader.sql("postgres", &format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}', 'user')"));
        leader.sql("postgres", &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"));
        for database in &self.databases {
            if *database != "postgres" {
                leader.sql("postgres", &format!("CREATE DATABASE {database}"));
            }
            leader.sql(
                database,
                "CREATE TABLE writes (at timestamptz DEFAULT clock_timestamp()); GRANT ALL ON writes TO PUBLIC",
            );
        }
        let last = self.databases.last().copied().unwrap_or("postgres");
        for node in &self.nodes {
            let is_ready = || {
                node.try_sql(last, "SELECT to_regclass('writes') IS NOT NULL").as_deref() == Some("t")
                    && node
                        .try_sql("postgres", "SELECT count(*) > 0 FROM azure_ad_auth.signing_keys")
                        .as_deref()
                        == Some("t")
            };
            assert!(patiently(is_ready), "{} has no keys:\n{}", node.name, node.log_tail());
        }
    }

    /// Returns what Patroni says of the members; none while no node answers.
    fn members(&self) -> Vec<Value> {
        let replies = self.nodes.iter().filter_map(|node| node.ask("GET", "/cluster", &Value::Null));
        let lists =
            replies.filter_map(|reply| reply.json().get("members").and_then(Value::as_array).cloned());
        lists.max_by_key(Vec::len).unwrap_or_default()
    }

    /// Waits until one node leads, the others follow it, and none waits for a restart.
    pub(crate) fn settles(&self) -> bool {
        let is_settled = || {
            let members = self.members();
            let count = |name: &str, value: &str| {
                members
                    .iter()
                    .filter(|member| member.get(name).and_then(Value::as_str) == Some(value))
                    .count()
            };
            let timelines = members.iter().map(|member| member.get("timeline").cloned());
            let first = members.first().and_then(|member| member.get("timeline").cloned());
            members.len() == self.nodes.len()
                && (count("role", "leader"), count("state", "running"), count("state", "streaming"))
                    == (1, 1, self.nodes.len() - 1)
                && first.is_some()
                && timelines.into_iter().all(|timeline| timeline == first)
        };
        patiently(is_settled)
    }

    /// Returns the node that leads.
    pub(crate) fn leader(&self) -> &Node {
        self.nodes.iter().find(|node| node.leads()).unwrap_or_else(|| panic!("no leader:\n{}", self.logs()))
    }

    /// Returns the nodes that follow.
    pub(crate) fn replicas(&self) -> Vec<&Node> {
        let leader = &self.leader().name;
        self.nodes.iter().filter(|node| node.name != *leader).collect()
    }

    /// Returns the ends of all logs.
    pub(crate) fn logs(&self) -> String {
        let tails = self.nodes.iter().map(|node| format!("== {}\n{}", node.name, node.log_tail()));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Returns the lines of all logs by which this library has refused a login.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let logs = self.nodes.iter().map(Node::log);
        logs.flat_map(|log| {
            let lines = log.lines().filter(|line| line.contains("azure_ad_auth: refused"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    }
}

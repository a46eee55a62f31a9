//! The dashboard in docs/, by the metrics that postgres_exporter shows of a server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::issuer::PERSON;
use testbed::port::free_port;
use testbed::scene::Scene;
use testbed::scratch::{Folder, give_to_server};
use testbed::waits::eventually;

use crate::common::documents::{document, root};
use crate::common::login::valid_token;
use crate::common::statements::link;

/// Every metric by its name, with the names of its labels.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Labels that Prometheus adds to what it collects.
const ADDED: [&str; 1] = ["instance"];

/// A running postgres_exporter. Ended when dropped.
struct Exporter {
    process: Child,
    port: u16,
}

impl Exporter {
    /// Starts one that shows nothing but the queries in docs/, as the role `metrics`.
    fn start(cluster: &Cluster, folder: &Folder) -> Self {
        let port = free_port();
        let queries = folder.path().join("queries.yml");
        std::fs::copy(root().join("docs/postgres_exporter.yml"), &queries).expect("the queries");
        give_to_server(&queries);
        let connection = format!(
            "host={} port={} user=metrics dbname=postgres sslmode=disable",
            cluster.folder().path().display(),
            cluster.port
        );
        let process = Command::new("postgres_exporter")
            .env("DATA_SOURCE_NAME", connection)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--extend.query-path={}", queries.display()))
            .args(["--disable-default-metrics", "--disable-settings-metrics"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres_exporter, which tools/setup installs");
        Self { process, port }
    }

    /// Returns what it shows; none if it does not answer.
    fn text(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.starts_with("HTTP/1.0 200").then_some(text)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads the metrics of this project in Prometheus' text format.
fn metrics(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| line.starts_with("azure_ad_auth_")) {
        let end = line.find(['{', ' ']).expect("a value");
        let labels = line[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let names =
            labels.map_or("", |(labels, _)| labels).split(',').filter_map(|label| label.split_once('='));
        let known = metrics.entry(line[..end].to_owned()).or_default();
        known.extend(names.map(|(name, _)| name.to_owned()));
    }
    metrics
}

/// Returns every value of a key, wherever it is.
fn texts<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => texts(value, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

/// Returns the names of this project's metrics in an expression of PromQL.
fn named(expression: &str) -> BTreeSet<String> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(|character: char| !is_name(character));
    words.filter(|word| word.starts_with("azure_ad_auth_")).map(str::to_owned).collect()
}

/// Returns the labels that an expression groups by.
fn grouped(expression: &str) -> BTreeSet<String> {
    let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    groups.flat_map(|(labels, _)| labels.split(", ")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_shows_all_metrics_and_no_others() {
    let hba = format!("local all metrics trust\n{}", Door::hba("trust"));
    let (cluster, _provider) = Scene::new().hba(hba).start();
    link(&cluster, "ann", PERSON, "user");
    let _session = cluster.session("ann", &valid_token());
    cluster.sql("CREATE ROLE metrics LOGIN; GRANT pg_monitor TO metrics");
    let folder = Folder::new("exporter");
    let exporter = Exporter::start(&cluster, &folder);
    let mut text = String::new();
    let shown = eventually(|| {
        text = exporter.text().unwrap_or_default();
        text.contains("azure_ad_auth_logins_admitted{")
    });
    assert!(shown, "{text}");
    let metrics = metrics(&text);
    assert!(!text.contains("pg_exporter_user_queries_load_error 1"), "{text}");

    let dashboard: Value = serde_json::from_str(&document("docs/grafana.json")).expect("JSON");
    let mut expressions = Vec::new();
    texts(&dashboard, "expr", &mut expressions);
    let mut drawn = BTreeSet::new();
    for expression in &expressions {
        let names = named(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in &names {
            let labels =
                metrics.get(name).unwrap_or_else(|| panic!("there is no metric {name}: {expression}"));
            for label in grouped(expression) {
                assert!(labels.contains(&label), "{name} has no label {label}: {expression}");
            }
            // Each is restricted to the servers that are chosen.
            assert!(expression.contains(&format!("{name}{{instance=~\"$instance\"}}")), "{expression}");
        }
        drawn.extend(names);
    }
    let missing: Vec<_> = metrics.keys().filter(|name| !drawn.contains(*name)).collect();
    assert!(missing.is_empty(), "the dashboard does not have {missing:?}");

    let mut legends = Vec::new();
    texts(&dashboard, "legendFormat", &mut legends);
    let labels: BTreeSet<_> = metrics.values().flatten().map(String::as_str).chain(ADDED).collect();
    for label in legends.iter().flat_map(|legend| legend.split("{{").skip(1)) {
        let label = label.split_once("}}").expect("a name").0;
        assert!(labels.contains(label), "there is no label {label}");
    }
}

//! The queries for postgres_exporter in docs/.

use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::documents::document;
use crate::common::login::valid_token;
use crate::common::statements::link;

/// A query of docs/postgres_exporter.yml, with the columns that it must return.
struct Query {
    name: String,
    text: String,
    columns: Vec<String>,
}

/// Reads the file, which uses little of YAML.
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
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let _session = cluster.session("ann", &valid_token());
    cluster.sql("CREATE ROLE metrics; GRANT pg_monitor TO metrics");
    let queries = queries(&document("docs/postgres_exporter.yml"));
    assert_eq!(queries.len(), 11);
    for Query { name, text, columns } in queries {
        let connection = format!(
            "host={} port={} dbname=postgres user=postgres options='-c role=metrics'",
            cluster.folder().path().display(),
            cluster.port
        );
        let psql = cluster.installation().program("psql");
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

//! A name is one text in one filter, whatever characters it has.

use serde_json::Value;
use testbed::idp::Request;
use testbed::idp::directory::Kind;
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::Scene;

use crate::common::directory::with_directory;
use crate::common::statements::fails;

/// Returns the parameters of an item's address, and its only filter, decoded.
fn filter(url: &str) -> (Vec<String>, String) {
    let request = Request { target: url.to_owned(), ..Request::default() };
    let names = request.query().split('&').filter_map(|field| Some(field.split_once('=')?.0.to_owned()));
    (names.collect(), request.parameter("$filter").unwrap_or_default())
}

#[test]
fn every_name_is_asked_for_by_one_filter_that_holds_it() {
    let (cluster, provider) = with_directory(
        Scene::new()
            .settings("azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = 1s"),
    );
    let directory = provider.directory();
    directory.add_group(GROUP, "Readers");
    directory.add_user(PERSON, "ann@contoso.example");
    for (name, properties) in [
        ("o'brien@contoso.example", &["userPrincipalName", "mail"][..]),
        ("x' or displayName ne '", &["displayName"]),
        ("' or userPrincipalName ne '@", &["userPrincipalName", "mail"]),
        ("a#EXT#@t", &["userPrincipalName", "mail"]),
        ("50%&$top=1", &["displayName"]),
        ("50%&$filter=displayName eq 'Readers'", &["displayName"]),
        ("%27 or displayName ne %27", &["displayName"]),
        ("Readers') or ('1' eq '1", &["displayName"]),
        ("a+b c/d?e", &["displayName"]),
        ("Zo\u{eb} \u{1f418}", &["displayName"]),
    ] {
        directory.forget_requests();
        let literal = name.replace('\'', "''");
        let create = format!("SELECT azure_ad_auth.create_principal('{literal}')");
        fails(&cluster, &create, "42704", "the directory has no object named ", "");
        assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1", "{name}");
        let batch = directory.last(Kind::Batch).expect("a batch");
        let batch: Value = serde_json::from_str(&batch.body).expect("JSON");
        let urls: Vec<_> = batch["requests"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["url"].as_str())
            .collect();
        assert!(urls.len() >= 2, "{name}: {urls:?}");
        for url in urls {
            let (parameters, filter) = filter(url);
            let filters = parameters.iter().filter(|name| *name == "$filter").count();
            let others =
                parameters.iter().all(|name| ["$filter", "$select", "$top"].contains(&name.as_str()));
            assert!(filters == 1 && others && !url.contains('#') && !url.contains(' '), "{name}: {url}");
            let expected = properties.iter().map(|property| format!("{property} eq '{literal}'"));
            assert!(expected.into_iter().any(|expected| expected == filter), "{name}: {filter}");
        }
    }
}

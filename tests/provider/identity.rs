//! The endpoints of a machine's identity, in clear text.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testbed::idp::directory::{IdentityEndpoint, Kind, Place, SERVER_CLIENT, Trouble};
use testbed::scratch::Folder;

use crate::client::{Answer, Bed, bed, encoded, form};

const METADATA: (&str, &str) = ("Metadata", "true");

fn path(bed: &Bed, more: &str) -> String {
    let resource = encoded(&bed.directory().graph_url());
    format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{more}")
}

fn ask(bed: &Bed, machine: &IdentityEndpoint, more: &str) -> Answer {
    bed.send("GET", &format!("{}{}", machine.url(), path(bed, more)), &[METADATA], "")
}

fn graph_takes(bed: &Bed, token: &Value) -> bool {
    let authorization = format!("Bearer {}", token.as_str().expect("a token"));
    let url = format!("{}/v1.0/users", bed.directory().graph_url());
    bed.send("GET", &url, &[("authorization", &authorization)], "").status == 200
}

#[test]
fn a_virtual_machine_has_a_token_and_numbers_are_texts() {
    let bed = bed();
    let machine = bed.directory().virtual_machine();
    let answer = ask(&bed, &machine, "");
    assert_eq!((answer.status, &answer.body["token_type"]), (200, &json!("Bearer")));
    assert_eq!(answer.body["expires_in"], json!("86400"));
    assert_eq!(answer.body["client_id"], json!(SERVER_CLIENT));
    assert!(graph_takes(&bed, &answer.body["access_token"]));
    let again = ask(&bed, &machine, "");
    assert_eq!(again.body["access_token"], answer.body["access_token"], "the platform keeps it");
    machine.forget_tokens();
    assert_ne!(ask(&bed, &machine, "").body["access_token"], answer.body["access_token"]);
    assert_eq!((bed.directory().requests(Kind::Identity), bed.directory().requests(Kind::Token)), (3, 0));
}

#[test]
fn wrong_requests_for_an_identity_are_refused() {
    let bed = bed();
    let machine = bed.directory().virtual_machine();
    let send = |method: &str, path: &str, headers: &[(&str, &str)]| {
        bed.send(method, &format!("{}{path}", machine.url()), headers, "").status
    };
    let right = path(&bed, "");
    assert_eq!(send("GET", &right, &[]), 400);
    assert_eq!(send("GET", &right, &[METADATA, ("X-Forwarded-For", "10.0.0.1")]), 400);
    assert_eq!(send("POST", &right, &[METADATA]), 405);
    assert_eq!(send("GET", "/metadata/instance", &[METADATA]), 404);
    assert_eq!(send("GET", &right.replace("2018", "2017"), &[METADATA]), 400);
    let scope = format!("{}/.default", bed.directory().graph_url());
    let query = form(&[("api-version", "2018-02-01"), ("resource", &scope)]);
    assert_eq!(send("GET", &format!("/metadata/identity/oauth2/token?{query}"), &[METADATA]), 400);
}

#[test]
fn identities_are_assigned_to_a_machine() {
    let bed = bed();
    let machine = bed.directory().virtual_machine();
    let client = "&client_id=77777777-aaaa-bbbb-cccc-000000000007";
    let unknown = ask(&bed, &machine, client);
    assert_eq!((unknown.status, &unknown.body["error_description"]), (400, &json!("Identity not found")));
    machine.assign("77777777-aaaa-bbbb-cccc-000000000007");
    assert_eq!(ask(&bed, &machine, client).status, 200);
    machine.remove_system_identity();
    assert_eq!(ask(&bed, &machine, "").status, 400);
}

#[test]
fn a_machine_fails_by_itself() {
    let bed = bed();
    let machine = bed.directory().virtual_machine();
    bed.directory().fail_times(1, Place::Identity, Trouble::Refuse(410, "gone"));
    bed.directory().fail_times(1, Place::Identity, Trouble::Throttle(None));
    bed.directory().fail_times(1, Place::Identity, Trouble::Redirect(bed.provider.url()));
    let statuses: Vec<u16> = (0..4).map(|_| ask(&bed, &machine, "").status).collect();
    assert_eq!(statuses, [410, 429, 302, 200]);
    bed.directory().fail(Place::Identity, Trouble::Hang);
    let url = format!("{}{}", machine.url(), path(&bed, ""));
    let bed = bed.impatient();
    assert!(bed.try_send("GET", &url, &[METADATA], "").is_err());
}

#[test]
fn granted_permissions_reach_a_machine_with_its_next_token() {
    let bed = bed();
    let machine = bed.directory().virtual_machine();
    bed.directory().tokens_keep_permissions(true);
    bed.directory().permit_only(&[]);
    let early = ask(&bed, &machine, "").body["access_token"].clone();
    bed.directory().grant("User.Read.All");
    assert!(!graph_takes(&bed, &early));
    assert!(!graph_takes(&bed, &ask(&bed, &machine, "").body["access_token"]));
    machine.forget_tokens();
    assert!(graph_takes(&bed, &ask(&bed, &machine, "").body["access_token"]));
}

fn arc_url(bed: &Bed, machine: &IdentityEndpoint) -> String {
    format!("{}{}", machine.url(), path(bed, "").replace("2018-02-01", "2020-06-01"))
}

fn challenge(answer: &Answer) -> PathBuf {
    assert_eq!(answer.status, 401);
    let header = answer.header("www-authenticate").expect("a challenge");
    PathBuf::from(header.strip_prefix("Basic realm=").expect("a file"))
}

#[test]
fn arc_wants_the_content_of_a_file() {
    let bed = bed();
    let folder = Folder::new("arc");
    let machine = bed.directory().arc_machine(folder.path());
    let url = arc_url(&bed, &machine);
    let file = challenge(&bed.send("GET", &url, &[METADATA], ""));
    assert_eq!(file.parent(), Some(folder.path()));
    assert_eq!(file.extension().and_then(|name| name.to_str()), Some("key"));
    let content = fs::read_to_string(&file).expect("a challenge");
    let authorization = format!("Basic {content}");
    let headers = [METADATA, ("Authorization", authorization.as_str())];
    let answer = bed.send("GET", &url, &headers, "");
    assert_eq!((answer.status, &answer.body["client_id"]), (200, &json!(SERVER_CLIENT)));
    assert!(graph_takes(&bed, &answer.body["access_token"]));
    let second = challenge(&bed.send("GET", &url, &headers, ""));
    assert!(second != file && !file.exists(), "a challenge is answered once");
    let wrong = [METADATA, ("Authorization", "Basic wrong")];
    assert_eq!(bed.send("GET", &url, &wrong, "").status, 401);
    assert!(bed.directory().misplaced_secrets().is_empty());
}

#[test]
fn arc_names_files_that_it_did_not_write() {
    let bed = bed();
    let folder = Folder::new("arc");
    let machine = bed.directory().arc_machine(folder.path());
    machine.name_in_challenges(Some("/etc/passwd"));
    let named = challenge(&bed.send("GET", &arc_url(&bed, &machine), &[METADATA], ""));
    assert_eq!(named, Path::new("/etc/passwd"));
    machine.name_in_challenges(None);
    let named = challenge(&bed.send("GET", &arc_url(&bed, &machine), &[METADATA], ""));
    assert!(named.starts_with(folder.path()));
}

//! The tenant of the documents' reader, as the stand-in for `az` changes it.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entra::directory::certificate;
use serde_json::Value;
use testbed::idp::directory::{Directory, Federation, SERVER_CLIENT, SERVER_PRINCIPAL};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};
use testbed::scene::{ADMIN, KEY};
use testbed::scratch::Folder;

/// The program that stands in for `az`.
pub(crate) const AZ: &str = include_str!("az.sh");

/// The client id of Microsoft Graph in every tenant.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// The object id of Graph's service principal in this tenant.
const GRAPH_PRINCIPAL: &str = "00000003-aaaa-bbbb-cccc-000000000003";

/// The object id of the identity of the machine.
const MACHINE: &str = "aaaaaaaa-aaaa-bbbb-cccc-0000000000a9";

/// The permissions of Graph, and the ids by which scripts name them.
const PERMISSIONS: [(&str, &str); 3] = [
    ("df021288-bdef-4463-88db-98f22de89214", "User.Read.All"),
    ("98830695-27a2-44f7-8c18-0c3ebc9698f6", "GroupMember.Read.All"),
    ("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "Application.Read.All"),
];

/// Makes the tenant as it is before anything has been done for the server, and writes what `az` is
/// to show of it.
pub(crate) fn set_up(directory: &Directory, folder: &Folder) {
    directory.purge(SERVER_PRINCIPAL);
    directory.permit_only(&[]);
    directory.add_user(ADMIN, "admin@contoso.example");
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Database Readers");
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    for (name, object) in [
        ("admin@contoso.example", ADMIN),
        ("ann@contoso.example", PERSON),
        ("Database Readers", GROUP),
        (CLIENT, APPLICATION),
        (GRAPH, GRAPH_PRINCIPAL),
        ("application", SERVER_CLIENT),
        ("machine", MACHINE),
    ] {
        folder.write(name, object);
    }
}

/// Makes the changes that `az` was called for. Returns their words, and forgets them.
pub(crate) fn change(directory: &Directory, folder: &Folder) -> Vec<String> {
    let file = folder.path().join("tenant");
    let Ok(changes) = fs::read_to_string(&file) else { return Vec::new() };
    fs::remove_file(&file).expect("a file");
    let mut wanted = Vec::new();
    for change in changes.lines() {
        let (what, rest) = change.split_once(' ').expect("two words");
        let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        assert!(matches!(what, "application" | "post") || first == SERVER_CLIENT, "{change}");
        match what {
            "application" => {}
            "principal" => {
                directory.add_service_principal(SERVER_PRINCIPAL, SERVER_CLIENT, "PostgreSQL directory");
            }
            "permission" => {
                let permission = rest.strip_prefix(GRAPH).and_then(|rest| rest.strip_suffix("=Role"));
                wanted.push(name_of(permission.expect(change).trim()));
            }
            "consent" => wanted.iter().for_each(|permission| directory.grant(permission)),
            "certificate" => register(directory, folder),
            "federation" => trust(directory, rest),
            "post" => assign(directory, first, rest),
            other => panic!("nobody knows what to do with {other:?}"),
        }
    }
    changes.lines().map(str::to_owned).collect()
}

fn name_of(permission: &str) -> &'static str {
    let found = PERMISSIONS.iter().find(|(id, _)| *id == permission);
    found.unwrap_or_else(|| panic!("no permission of the page has the id {permission}")).1
}

fn register(directory: &Directory, folder: &Folder) {
    let pem = fs::read_to_string(folder.path().join("certificate")).expect("a certificate");
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let content = STANDARD.decode(lines).expect("base64");
    let parsed = certificate::parse(&content).expect("a certificate");
    directory.register_certificate(&content, parsed.public_key);
}

fn trust(directory: &Directory, parameters: &str) {
    let parameters: Value = serde_json::from_str(parameters).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    directory.trust(Federation {
        issuer: text(&parameters["issuer"]),
        subject: text(&parameters["subject"]),
        audience: text(&parameters["audiences"][0]),
        key: Arc::clone(&KEY),
    });
}

/// Gives the identity of the machine a permission.
fn assign(directory: &Directory, uri: &str, body: &str) {
    assert_eq!(
        uri,
        format!("https://graph.microsoft.com/v1.0/servicePrincipals/{MACHINE}/appRoleAssignments")
    );
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!([&body["principalId"], &body["resourceId"]], [MACHINE, GRAPH_PRINCIPAL]);
    directory.grant(name_of(body["appRoleId"].as_str().expect("an id")));
}

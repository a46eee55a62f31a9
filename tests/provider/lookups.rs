//! Objects by id and by filter.

use serde_json::{Value, json};
use testbed::idp::directory::{Kind, Object, SERVER_CLIENT, SERVER_PRINCIPAL};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};

use crate::client::{bed, id};

const USER: &str = "id,userPrincipalName,mail,userType,accountEnabled";

#[test]
fn a_user_is_found_by_name_whatever_the_case() {
    let bed = bed();
    bed.directory().add_user(PERSON, "Ann@contoso.example");
    let answer = bed.find("users", "userPrincipalName eq 'ann@CONTOSO.example'", USER);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body["value"],
        json!([{
            "id": PERSON, "userPrincipalName": "Ann@contoso.example", "mail": "Ann@contoso.example",
            "userType": "Member", "accountEnabled": true,
        }])
    );
    assert_eq!(
        bed.find("users", "userPrincipalName eq 'bob@contoso.example'", USER).body["value"],
        json!([])
    );
    assert_eq!(bed.directory().requests(Kind::Lookup), 2);
}

#[test]
fn names_find_themselves_or_nothing() {
    let bed = bed();
    let names = ["o'brien@contoso.example", "a#EXT#@t", "50%&$top=1", "x' or displayName ne '", "a+b c@t"];
    for (number, name) in names.iter().enumerate() {
        bed.directory().add_user(&id(number), name);
    }
    for (number, name) in names.iter().enumerate() {
        let filter = format!("userPrincipalName eq '{}'", name.replace('\'', "''"));
        assert_eq!(bed.find("users", &filter, "id").all("id"), [id(number)], "{name}");
    }
    let injected = bed.find("users", "userPrincipalName eq 'x' or displayName ne ''", "id");
    assert_eq!((injected.status, injected.code()), (400, "Request_UnsupportedQuery"));
    let unencoded = bed.get("/users?$filter=userPrincipalName%20eq%20'50%25&$top=1'");
    assert_eq!((unencoded.status, unencoded.code()), (400, "Request_BadRequest"));
}

#[test]
fn guests_are_found_by_mail_and_have_names_of_their_own() {
    let bed = bed();
    bed.directory().add_guest(&id(1), "ann@home.example");
    bed.directory().add_guest(&id(2), "ann@home.example");
    bed.directory().add_user(PERSON, "ann@contoso.example");
    let answer = bed.find("users", "mail eq 'ann@home.example'", USER);
    assert_eq!(answer.all("id"), [id(1), id(2)]);
    assert_eq!(answer.all("userType"), ["Guest", "Guest"]);
    let name = "ann_home.example#EXT#@contoso.onmicrosoft.com";
    assert_eq!(answer.all("userPrincipalName"), [name, name]);
}

#[test]
fn groups_and_applications_are_found_by_display_name() {
    let bed = bed();
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add(Object::group(&id(1), "readers").not_security_enabled());
    bed.directory().add(Object::group(&id(2), "readers ").with_hidden_membership());
    bed.directory().add_service_principal(APPLICATION, CLIENT, "Readers");
    let groups = bed.find(
        "groups",
        "displayName eq 'readers'",
        "id,displayName,securityEnabled,groupTypes,visibility",
    );
    assert_eq!(groups.all("id"), [GROUP, &id(1)]);
    assert_eq!(groups.body["value"][1]["securityEnabled"], json!(false));
    assert_eq!(bed.get(&format!("/groups/{}", id(2))).body["visibility"], json!("HiddenMembership"));
    let select = "id,appId,displayName,servicePrincipalType,accountEnabled";
    let applications = bed.find("servicePrincipals", "displayName eq 'READERS'", select);
    assert_eq!(
        applications.body["value"],
        json!([{
            "id": APPLICATION, "appId": CLIENT, "displayName": "Readers",
            "servicePrincipalType": "Application", "accountEnabled": true,
        }])
    );
    assert_eq!(bed.find("servicePrincipals", &format!("appId eq '{CLIENT}'"), "id").all("id"), [APPLICATION]);
}

#[test]
fn an_application_has_three_ids() {
    let bed = bed();
    let registration = id(3);
    bed.directory().add_service_principal(APPLICATION, CLIENT, "app");
    bed.directory().add(Object::application(&registration, CLIENT, "app"));
    let by_client = bed.get(&format!("/servicePrincipals(appId='{CLIENT}')?$select=id"));
    assert_eq!((by_client.status, &by_client.body["id"]), (200, &json!(APPLICATION)));
    let of_server = bed.get(&format!("/servicePrincipals(appId='{SERVER_CLIENT}')"));
    assert_eq!(of_server.body["id"], json!(SERVER_PRINCIPAL));
    assert_eq!(bed.get(&format!("/servicePrincipals(appId='{APPLICATION}')")).status, 404);
    assert_eq!(bed.get(&format!("/applications/{registration}")).body["appId"], json!(CLIENT));
    for (path, status) in [("servicePrincipals", 404), ("users", 404), ("applications", 200)] {
        assert_eq!(bed.get(&format!("/{path}/{registration}")).status, status, "{path}");
    }
}

#[test]
fn an_id_is_found_under_the_path_of_its_type_only() {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    let agent = Object::service_principal(APPLICATION, CLIENT, "agent");
    bed.directory().add(agent.of_type("#microsoft.graph.agentIdentity"));
    for (path, found, others) in [
        ("users", PERSON, [GROUP, APPLICATION]),
        ("groups", GROUP, [PERSON, APPLICATION]),
        ("servicePrincipals", APPLICATION, [PERSON, GROUP]),
    ] {
        let answer = bed.get(&format!("/{path}/{}", found.to_uppercase()));
        assert_eq!((answer.status, &answer.body["id"]), (200, &json!(found)), "{path}");
        assert_eq!(answer.body["@odata.type"], Value::Null);
        for other in others {
            let answer = bed.get(&format!("/{path}/{other}"));
            assert_eq!((answer.status, answer.code()), (404, "Request_ResourceNotFound"), "{path}");
        }
    }
    assert_eq!(bed.get("/users/ann@contoso.example").body["id"], json!(PERSON));
    let any = bed.get(&format!("/directoryObjects/{APPLICATION}"));
    assert_eq!(any.body["@odata.type"], json!("#microsoft.graph.agentIdentity"));
}

#[test]
fn an_answer_has_what_was_selected() {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    let unselected = bed.get(&format!("/users/{PERSON}"));
    assert_eq!(unselected.body["accountEnabled"], Value::Null, "only when it is selected");
    let selected =
        bed.get(&format!("/users/{PERSON}?$select=accountEnabled,signInSessionsValidFromDateTime"));
    assert_eq!(selected.body["accountEnabled"], json!(true));
    assert!(selected.body["signInSessionsValidFromDateTime"].as_str().expect("a time").ends_with('Z'));
    let unknown = bed.get(&format!("/users/{PERSON}?$select=appId"));
    assert_eq!((unknown.status, unknown.code()), (400, "Request_BadRequest"));
}

#[test]
fn what_is_no_request_of_graph_is_refused() {
    let bed = bed();
    for path in [
        "/nothing",
        "/users?$top=0",
        "/users?$top=1000",
        "/users?$top=1&$top=2",
        "/users?$other=1",
        "/users/x/y",
    ] {
        let answer = bed.get(path);
        assert_eq!((answer.status, answer.code()), (400, "Request_BadRequest"), "{path}");
        assert_ne!(answer.body["error"]["innerError"]["request-id"], Value::Null);
    }
    for path in ["/users?$search=x", "/users?$filter=mail%20ne%20'x'"] {
        assert_eq!(bed.get(path).code(), "Request_UnsupportedQuery", "{path}");
    }
    let many = vec!["'x'"; 16].join(",");
    assert_eq!(bed.find("users", &format!("id in ({many})"), "id").code(), "Request_UnsupportedQuery");
}

#[test]
fn advanced_queries_ask_an_index_that_can_lack_objects() {
    let bed = bed();
    bed.directory().add_user(&id(1), "ann@contoso.example");
    bed.directory().add_user(&id(2), "bob@contoso.example");
    bed.directory().leave_out_of_index(&id(2));
    let advanced = |path: &str| bed.graph("GET", path, &[("ConsistencyLevel", "eventual")], &Value::Null);
    let answer = advanced("/users?$count=true&$filter=userType%20ne%20'Guest'");
    assert_eq!((answer.all("id"), &answer.body["@odata.count"]), (vec![id(1).as_str()], &json!(1)));
    assert_eq!(advanced("/users/$count").body, json!(1));
    assert_eq!(bed.get("/users/$count").status, 400);
    assert_eq!(bed.find("users", "userType eq 'Member'", "id").all("id"), [id(1), id(2)]);
}

#[test]
fn objects_are_renamed_disabled_and_revoked() {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().rename(PERSON, "anna@contoso.example");
    bed.directory().rename(GROUP, "Lectors");
    bed.directory().disable(PERSON);
    bed.directory().revoke_sessions(PERSON, 1_700_000_000);
    bed.directory().set(PERSON, "mail", Value::Null);
    let select = "userPrincipalName,accountEnabled,mail,signInSessionsValidFromDateTime";
    let user = bed.get(&format!("/users/{PERSON}?$select={select}")).body;
    assert_eq!(user["userPrincipalName"], json!("anna@contoso.example"));
    assert_eq!((&user["accountEnabled"], &user["mail"]), (&json!(false), &Value::Null));
    assert_eq!(user["signInSessionsValidFromDateTime"], json!("2023-11-14T22:13:20Z"));
    bed.directory().enable(PERSON);
    assert_eq!(
        bed.get(&format!("/users/{PERSON}?$select=accountEnabled")).body["accountEnabled"],
        json!(true)
    );
    assert_eq!(bed.find("groups", "displayName eq 'Lectors'", "id").all("id"), [GROUP]);
}

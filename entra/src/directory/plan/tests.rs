use super::*;

const ID: &str = "33333333-aaaa-bbbb-cccc-000000000003";

const NONE: RawPlan<'_> = RawPlan {
    directory: "off",
    directory_client_id: "",
    directory_secret_file: "",
    directory_certificate_file: "",
    directory_key_file: "",
    directory_token_file: "",
    directory_url: "",
    directory_identity_url: "",
    authority_url: "",
    cloud: Cloud::Public,
    tenant_id: Uuid::from_u128(1),
};

fn id() -> Uuid {
    parse_uuid(ID).expect("a uuid")
}

fn faults(raw: &RawPlan<'_>) -> Vec<&'static str> {
    parse(raw).expect_err("faults").into_iter().map(|fault| fault.setting).collect()
}

#[test]
fn each_credential_has_what_it_needs() {
    let known =
        RawPlan { directory_client_id: ID, directory_secret_file: "/s", directory_token_file: "/t", ..NONE };
    let known = RawPlan { directory_certificate_file: "/c", ..known };
    let of = |raw: &RawPlan<'_>| parse(raw).expect("a plan").expect("on").credential;
    let (client_id, file) = (id(), |path: &str| path.to_owned());
    for (directory, credential) in [
        ("client_secret", Credential::ClientSecret { client_id, file: file("/s") }),
        ("certificate", Credential::Certificate { client_id, certificate: file("/c"), key: file("/c") }),
        ("federated_token", Credential::FederatedToken { client_id, file: file("/t") }),
        (
            "managed_identity",
            Credential::ManagedIdentity { client_id: Some(id()), url: METADATA_URL.to_owned() },
        ),
        ("arc", Credential::Arc { client_id: Some(id()), url: ARC_URL.to_owned() }),
    ] {
        assert_eq!(of(&RawPlan { directory, ..known }), credential);
    }
    let key = RawPlan { directory: "certificate", directory_key_file: " /k ", ..known };
    assert_eq!(of(&key), Credential::Certificate { client_id, certificate: file("/c"), key: file("/k") });
    let own = RawPlan { directory: "arc", directory_identity_url: "http://127.0.0.1:9/", ..NONE };
    assert_eq!(of(&own), Credential::Arc { client_id: None, url: file("http://127.0.0.1:9") });
    assert_eq!(parse(&NONE), Ok(None));
}

#[test]
fn everything_that_is_missing_or_wrong_is_named() {
    for (directory, expected) in [
        ("client_secret", vec!["directory_client_id", "directory_secret_file"]),
        ("certificate", vec!["directory_client_id", "directory_certificate_file"]),
        ("federated_token", vec!["directory_client_id", "directory_token_file"]),
        ("On", vec!["directory"]),
    ] {
        assert_eq!(faults(&RawPlan { directory, ..NONE }), expected);
    }
    let wrong = RawPlan {
        directory: "managed_identity",
        directory_client_id: "x",
        directory_identity_url: "http://10.0.0.1",
        directory_url: "http://graph.example",
        authority_url: "login.example",
        ..NONE
    };
    let expected = ["directory_client_id", "directory_identity_url", "directory_url", "authority_url"];
    assert_eq!(faults(&wrong), expected);
    let relative = RawPlan {
        directory: "client_secret",
        directory_client_id: ID,
        directory_secret_file: "secret",
        ..NONE
    };
    let shown = parse(&relative).expect_err("a fault").remove(0).to_string();
    assert_eq!(shown, "azure_ad_auth.directory_secret_file is not an absolute path");
}

#[test]
fn addresses_are_the_clouds_or_the_settings() {
    let on = RawPlan { directory: "arc", cloud: Cloud::UsGov, ..NONE };
    let plan = parse(&on).expect("a plan").expect("on");
    assert_eq!(plan.root, "https://graph.microsoft.us");
    let tenant = "00000000-0000-0000-0000-000000000001";
    assert_eq!(plan.token_url, format!("https://login.microsoftonline.us/{tenant}/oauth2/v2.0/token"));
    let dod = RawPlan {
        directory_url: "https://dod-graph.microsoft.us/",
        authority_url: "https://l.example/x/",
        ..on
    };
    let plan = parse(&dod).expect("a plan").expect("on");
    assert_eq!(plan.root, "https://dod-graph.microsoft.us");
    assert_eq!(plan.token_url, format!("https://l.example/x/{tenant}/oauth2/v2.0/token"));
}

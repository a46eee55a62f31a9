//! The ways to acquire a token, each of which is tried against the tests' provider.

use std::process::Command;

use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::idp::directory::{ClientCertificate, Federation, SERVER_CLIENT, SERVER_SECRET};
use testbed::idp::{Provider, USER_NAME, USER_PASSWORD};
use testbed::issuer::{AUDIENCE, CLIENT, TENANT, app_v1, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY, Scene, provider};

use crate::drivers::{Place, limited};
use crate::logins::{APPLICATION_ROLE, USER, link_roles};
use crate::play::Player;

/// The file with the code in `programs/`.
pub(crate) const PROGRAM: &str = "acquire.py";

/// The program that stands for a user's browser.
const BROWSER: &str = "browser.py";

/// The resource that Microsoft's libraries for Azure's PostgreSQL ask for.
const AZURE_RESOURCE: &str = "https://ossrdbms-aad.database.windows.net";

/// A way to acquire a token.
pub(crate) struct Way {
    /// Its function in the program, and the mark of the code that is shown.
    pub(crate) name: &'static str,
    /// What Azure calls it.
    pub(crate) heading: &'static str,
    role: &'static str,
}

const fn way(name: &'static str, heading: &'static str, role: &'static str) -> Way {
    Way { name, heading, role }
}

/// All that are tried.
pub(crate) const WAYS: &[Way] = &[
    way("password", "A user's password", USER),
    way("device", "A user with a second factor, by a device code", USER),
    way("interactive", "A user with a second factor, by a browser", USER),
    way("secret", "An application's secret", APPLICATION_ROLE),
    way("certificate", "An application's certificate", APPLICATION_ROLE),
    way("system_assigned", "A machine's own identity (system-assigned)", APPLICATION_ROLE),
    way("user_assigned", "An identity that a machine is given (user-assigned)", APPLICATION_ROLE),
    way("workload", "A workload identity, by a federated token", APPLICATION_ROLE),
    way("azure_postgresql_auth", "By `azure-postgresql-auth`, which also names the role", APPLICATION_ROLE),
];

/// Acquires a token in each way, and logs in with it.
pub(crate) fn try_all(place: &Place) {
    let provider = provider();
    let audience = format!("azure_ad_auth.audience = '{AUDIENCE}, {AZURE_RESOURCE}'");
    let cluster = Scene::new().settings(audience).start_with(&provider);
    link_roles(&cluster);
    issue(&provider);
    let machine = provider.directory().virtual_machine();
    machine.assign(CLIENT);
    let mut command = limited(&place.python());
    command
        .arg(place.programs.join(PROGRAM))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Otherwise they win over the authority that the program names.
        .env_remove("REQUESTS_CA_BUNDLE")
        .env_remove("CURL_CA_BUNDLE")
        .env("AUTHORITY", provider.url())
        .env("AUTHORITY_CA", cluster.template.ca_file())
        .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url())
        .env("IDENTITY", CLIENT)
        .env("TENANT", TENANT)
        .env("CLIENT", SERVER_CLIENT)
        .env("AUDIENCE", AUDIENCE)
        .env("USER_NAME", USER_NAME)
        .env("USER_PASSWORD", USER_PASSWORD)
        .env("CLIENT_SECRET", SERVER_SECRET)
        // Python takes it for a command; by the last character it goes on while that runs.
        .env(
            "BROWSER",
            format!("{} {} %s &", place.python().display(), place.programs.join(BROWSER).display()),
        );
    prove_application(&cluster, &provider, &mut command);
    let mut player = Player::start(command, &[&cluster]);
    for way in WAYS {
        let said = player.play(&[way.name, way.role]);
        assert_eq!(said.as_deref(), Ok(way.role), "a token by {}", way.name);
    }
}

/// Has the provider issue tokens for the database.
fn issue(provider: &Provider) {
    let application = app_v1(unix_now());
    provider.grant(&KEY.token(&user_v1(unix_now())));
    provider.directory().issue_for(AUDIENCE, &KEY.token(&application));
    let resource = format!(
        "/subscriptions/x/resourcegroups/x/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{APPLICATION_ROLE}"
    );
    let named = with(with(application, "aud", json!(AZURE_RESOURCE)), "xms_mirid", json!(resource));
    provider.directory().issue_for(AZURE_RESOURCE, &KEY.token(&named));
}

/// Registers a certificate and a federated issuer for the application, and writes files for it.
fn prove_application(cluster: &Cluster, provider: &Provider, command: &mut Command) {
    let certificate = ClientCertificate::new();
    provider.directory().register(&certificate);
    let text = certificate.certificate_pem.clone() + &certificate.key_pem;
    command.env("CLIENT_CERTIFICATE", cluster.folder().write("certificate.pem", text));
    let (issuer, subject) = ("https://kubernetes.example", "system:serviceaccount:billing:worker");
    let audience = "api://AzureADTokenExchange";
    provider.directory().trust(Federation {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: audience.to_owned(),
        key: NEW_KEY.clone(),
    });
    let now = unix_now();
    let claims =
        json!({ "iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + 3_600 });
    // It names no certificate, or it would be taken for the application's own assertion.
    let header = with(NEW_KEY.header(), "x5t", Value::Null);
    let token = NEW_KEY.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes());
    command.env("FEDERATED_TOKEN", cluster.folder().write("federated", token));
}

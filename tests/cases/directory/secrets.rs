//! Where no secret may lie: a tour of what a server does with its directory, at the finest level of
//! the log and of messages to clients, by each credential. No client secret, key, assertion,
//! federated token, answer to a challenge or access token, and no piece of one, is then in the log,
//! in what clients read, in the data directory or in shared memory.

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::{ClientCertificate, IdentityEndpoint, Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, unix_now, user_v1, with};
use testbed::process::signal;
use testbed::scene::{ADMIN, KEY, NEW_KEY, Scene};
use testbed::scratch::Folder;
use testbed::waits::eventually;

use crate::common::credential::{
    SUBJECT, by_credential, federated_token, provider_with_admin, trust_federated_tokens,
};
use crate::common::directory::{
    DIRECTORY_WORKER, NESTED, await_status, overage_claims, token_of_time, with_directory,
};
use crate::common::explain::explain;
use crate::common::login::{end_of, token_of, valid_token};
use crate::common::secrets::{Pieces, files_in, memory_of};
use crate::common::server::process;

/// The finest level, and all that PostgreSQL can say beside it.
const DEBUG: &str = "log_min_messages = debug5\nlog_statement = all\nlog_error_verbosity = verbose\n\
                     log_min_error_statement = debug5\nlog_duration = on\nlog_disconnections = on\n\
                     azure_ad_auth.group_lookup_wait = 1s\nazure_ad_auth.group_lookup_cache = 1s\n\
                     azure_ad_auth.directory_wait = 1s";

/// Somebody whom names find.
const BEN: &str = "77777777-aaaa-bbbb-cccc-000000000077";

/// How the provider's access tokens begin.
const TOKENS_BEGIN: &str = "EwB";

/// A tour, and what clients have read on it.
struct Tour<'t> {
    cluster: &'t Cluster,
    provider: &'t Provider,
    heard: Vec<String>,
    tokens: Vec<String>,
}

impl Tour<'_> {
    fn sql(&mut self, statement: &str) {
        let output = self.cluster.sql_verbosely(&format!(
            "SET client_min_messages = debug5; SET statement_timeout = '2s'; {statement}"
        ));
        self.heard.extend([output.stdout, output.stderr]);
    }

    fn log_in(&mut self, role: &str, token: &str) -> Outcome {
        let mut client = self.cluster.client();
        let options = "-c client_min_messages=debug5";
        let outcome = client.login(&[("user", role), ("database", "postgres"), ("options", options)], token);
        let answer = client.query("SELECT session_user");
        self.heard.push(format!("{outcome:?}\n{answer:?}\n{:?}", client.notices()));
        self.tokens.push(token.to_owned());
        outcome
    }

    fn explain(&mut self, role: &str, token: &str) {
        self.heard.extend(explain(self.cluster, Some(role), token));
        self.tokens.push(token.to_owned());
    }

    /// Has everything asked that is ever asked.
    fn ask(&mut self) {
        self.sql("SELECT azure_ad_auth.refresh_directory()");
        self.sql("CREATE ROLE \"ben@contoso.example\" LOGIN IN ROLE azure_ad_user");
        self.sql("CREATE ROLE \"nobody@contoso.example\" LOGIN IN ROLE azure_ad_user");
        self.sql("DROP ROLE IF EXISTS \"ben@contoso.example\"");
        self.sql(&format!("SELECT azure_ad_auth.create_principal('etl', '{CLIENT}')"));
        self.sql("SELECT azure_ad_auth.drop_principal('etl'); DROP ROLE IF EXISTS etl");
        self.sql("SELECT * FROM azure_ad_auth.directory_lookup('Readers')");
        for (claim, value) in [("oid", json!(PERSON)), ("oid", json!(APPLICATION)), ("exp", json!(7))] {
            let token = KEY.token(&with(overage_claims(), claim, value));
            self.log_in("readers", &token);
        }
    }

    fn views(&mut self) {
        let own = [
            "directory_status",
            "directory_features",
            "principals",
            "sessions",
            "stat",
            "stat_principals",
            "key_status",
            "signing_keys",
            "check_configuration()",
        ];
        let others = ["pg_settings", "pg_file_settings", "pg_stat_activity", "pg_shseclabel"];
        let own = own.map(|name| format!("SELECT * FROM azure_ad_auth.{name}"));
        let others = others.map(|name| format!("TABLE {name}"));
        self.sql(&[&own[..], &others[..]].concat().join("; "));
    }
}

/// Returns everything that is secret so far.
fn secrets(provider: &Provider) -> Vec<String> {
    let secrets = provider.directory().secrets();
    assert!(secrets.len() > 1, "a credential and a token");
    secrets
}

/// Does all that a server does with its directory, and looks for secrets. `machine`: whose token it
/// uses, if it is a machine's. `start`: starts the server again once it has stopped.
fn tour(cluster: &Cluster, provider: &Provider, machine: Option<&IdentityEndpoint>, start: impl Fn()) {
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_user(BEN, "ben@contoso.example");
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    directory.add_group(GROUP, "Readers");
    directory.add_group(NESTED, "Nested");
    directory.add_member(GROUP, NESTED);
    directory.add_member(NESTED, PERSON);
    cluster.await_directory();
    let mut tour = Tour { cluster, provider, heard: Vec::new(), tokens: Vec::new() };
    tour.goes_well();
    tour.graph_fails();
    tour.credential_fails(machine);
    tour.starts_again(start);
    tour.ask();
    tour.views();
    tour.lacks_secrets();
}

impl Tour<'_> {
    fn goes_well(&mut self) {
        let directory = self.provider.directory();
        for (name, role) in [("ann@contoso.example", "ann"), ("Readers", "readers")] {
            self.sql(&format!("SELECT azure_ad_auth.create_principal('{name}')"));
            self.sql(&format!("ALTER ROLE \"{name}\" RENAME TO {role}"));
        }
        self.ask();
        assert_eq!(self.log_in("ann", &valid_token()), Outcome::Ready);
        assert_eq!(self.log_in("readers", &KEY.token(&overage_claims())), Outcome::Ready);
        self.log_in("ann", &NEW_KEY.token(&user_v1(unix_now())));
        self.log_in("ann", &token_of(ADMIN));
        // An open session ends.
        let token = valid_token();
        let mut session = self.cluster.session("ann", &token);
        self.tokens.push(token);
        directory.disable(PERSON);
        self.heard.push(end_of(&mut session));
        self.log_in("ann", &valid_token());
        self.explain("ann", &valid_token());
        directory.enable(PERSON);
        await_status(self.cluster, "ended", "0");
        directory.show_session_times_in_get_by_ids(true);
        directory.revoke_sessions(PERSON, unix_now() - 60);
        let old = token_of_time(unix_now() - 600);
        assert!(eventually(|| self.log_in("ann", &old) != Outcome::Ready));
        self.explain("readers", &KEY.token(&overage_claims()));
    }

    /// All that can go wrong at Graph. The tokens that were sent come back in what it says.
    fn graph_fails(&mut self) {
        let directory = self.provider.directory();
        let tokens = secrets(self.provider).into_iter().filter(|secret| secret.starts_with(TOKENS_BEGIN));
        let sent = tokens.collect::<Vec<_>>().join(" ");
        for trouble in [
            Trouble::Refuse(401, "InvalidAuthenticationToken"),
            Trouble::Refuse(403, "Authorization_RequestDenied"),
            Trouble::Refuse(503, "serviceNotAvailable"),
            Trouble::Throttle(Some("0".to_owned())),
            Trouble::Hang,
            Trouble::Cut,
            Trouble::Huge(10 * 1_048_576),
            Trouble::Redirect("https://elsewhere.example/".to_owned()),
            Trouble::Body(200, "text/html", format!("<html>{sent}").into_bytes()),
            refusal(&json!({"error": {"code": "Request_BadRequest", "message": sent}})),
            Trouble::Raw(
                format!("HTTP/1.1 200 {sent}\r\nx: {sent}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
            ),
        ] {
            directory.fail(Place::Graph, trouble);
            self.ask();
            directory.recover(Place::Graph);
        }
    }

    /// All that can go wrong with the credential. It comes back in what the token endpoint says.
    fn credential_fails(&mut self, machine: Option<&IdentityEndpoint>) {
        let directory = self.provider.directory();
        let place = if machine.is_some() { Place::Identity } else { Place::Token };
        let last = directory.last(Kind::Token);
        let sent = ["client_secret", "client_assertion"].map(|field| last.as_ref()?.field(field));
        let sent = sent.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let described = format!("AADSTS7000215: {sent}");
        for trouble in [
            Trouble::Refuse(401, "7000215"),
            Trouble::Refuse(400, "700024"),
            Trouble::Refuse(503, "90033"),
            Trouble::Cut,
            Trouble::Body(500, "text/html", format!("<html>{sent}").into_bytes()),
            refusal(&json!({"error": "x", "error_description": described, "error_codes": [7_000_215]})),
            refusal(&json!({"error": sent, "error_description": sent})),
            refusal(&json!({"error": sent})),
            refusal(&json!({"access_token": sent, "expires_in": sent})),
        ] {
            directory.fail(place, trouble);
            directory.revoke_tokens();
            // The platform would keep giving the old one.
            if let Some(machine) = machine {
                machine.forget_tokens();
            }
            self.ask();
            self.views();
            directory.recover(place);
        }
    }

    /// A worker ends, settings are read again, and the server starts again.
    fn starts_again(&mut self, start: impl Fn()) {
        let (cluster, directory) = (self.cluster, self.provider.directory());
        signal(process(cluster, DIRECTORY_WORKER).expect("a worker"), libc::SIGTERM);
        self.sql("SELECT pg_reload_conf()");
        for how in ["fast", "immediate"] {
            directory.disable(PERSON);
            await_status(cluster, "ended", "1");
            cluster.stop(how);
            start();
            cluster.await_keys();
            cluster.await_directory();
        }
        directory.enable(PERSON);
        await_status(cluster, "ended", "0");
    }

    fn lacks_secrets(&self) {
        let own = secrets(self.provider);
        let pieces = Pieces::of(own.iter().chain(&self.tokens).map(String::as_str));
        assert!(own.iter().all(|secret| !pieces.found_in(secret.as_bytes()).is_empty()));
        let shared = memory_of(self.cluster.pid(), true);
        let worker = DIRECTORY_WORKER.as_bytes();
        assert!(shared.windows(worker.len()).any(|part| part == worker), "all of it was read");
        for (place, content) in [
            ("the log", self.cluster.log().into_bytes()),
            ("what clients read", self.heard.join("\n").into_bytes()),
            ("the data directory", files_in(&self.cluster.data())),
            ("shared memory", shared),
        ] {
            assert!(content.len() > 10_000, "{place}: {} bytes", content.len());
            let found = pieces.found_in(&content);
            let text = String::from_utf8_lossy(&content);
            let lines = || text.lines().filter(|line| found.iter().any(|piece| line.contains(piece))).take(9);
            assert!(found.is_empty(), "in {place}: {found:?}: {:#?}", lines().collect::<Vec<_>>());
        }
        assert_eq!(self.provider.directory().misplaced_secrets(), [""; 0]);
    }
}

/// Returns a refusal with this body.
fn refusal(body: &Value) -> Trouble {
    Trouble::Body(400, "application/json", body.to_string().into_bytes())
}

#[test]
fn a_client_secret() {
    let (cluster, provider) = with_directory(Scene::new().settings(DEBUG));
    tour(&cluster, &provider, None, || cluster.start());
}

#[test]
fn a_certificate_and_its_key() {
    let (provider, folder) = (provider_with_admin(), Folder::new("credential"));
    let certificate = ClientCertificate::new();
    provider.directory().register(&certificate);
    provider.directory().keep_secret(&certificate.key_pem);
    let both = folder.write("both.pem", format!("{}{}", certificate.certificate_pem, certificate.key_pem));
    let settings = format!("azure_ad_auth.directory_certificate_file = '{}'\n{DEBUG}", both.display());
    let cluster = by_credential(&provider, "certificate", &settings).start_with(&provider);
    tour(&cluster, &provider, None, || cluster.start());
}

#[test]
fn a_federated_token() {
    let (provider, folder) = (provider_with_admin(), Folder::new("credential"));
    trust_federated_tokens(&provider);
    let file = folder.write("token", federated_token(SUBJECT, 3_600));
    let settings = format!("azure_ad_auth.directory_token_file = '{}'\n{DEBUG}", file.display());
    let cluster = by_credential(&provider, "federated_token", &settings).start_with(&provider);
    tour(&cluster, &provider, None, || cluster.start());
}

#[test]
fn the_identity_of_a_machine() {
    let provider = provider_with_admin();
    let machine = provider.directory().virtual_machine();
    let settings = format!(
        "azure_ad_auth.directory_client_id = ''\nazure_ad_auth.directory_identity_url = '{}'\n{DEBUG}",
        machine.url()
    );
    let cluster = by_credential(&provider, "managed_identity", &settings).start_with(&provider);
    tour(&cluster, &provider, Some(&machine), || cluster.start());
}

#[test]
fn the_challenges_of_azure_arc() {
    let (provider, folder) = (provider_with_admin(), Folder::new("arc"));
    let machine = provider.directory().arc_machine(folder.path());
    let tokens = "/var/opt/azcmagent/tokens";
    machine.show_challenges_at(tokens);
    let settings = format!(
        "azure_ad_auth.directory_client_id = ''\nazure_ad_auth.directory_identity_url = '{}'\n{DEBUG}",
        machine.url()
    );
    let cluster = by_credential(&provider, "arc", &settings).keys_from(&provider).create();
    let start = || cluster.start_seeing(folder.path(), "/var/opt", tokens);
    start();
    cluster.create_extension();
    cluster.await_keys();
    tour(&cluster, &provider, Some(&machine), start);
    assert!(provider.directory().requests(Kind::Identity) > 2);
}

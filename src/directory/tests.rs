//! The server's token and requests to Graph, through real TLS, at the provider of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use entra::directory::answer::parse_page;
use entra::directory::request::{self, Kind as ObjectKind, Literal, Request};
use entra::directory::retry::Outcome;
use testbed::ca::Authority;
use testbed::idp::Provider;
use testbed::idp::directory::{Directory, Kind, Place, SERVER_CLIENT, SERVER_SECRET, Trouble};
use testbed::issuer::{PERSON, Signer, TENANT};
use testbed::proxy::Proxy;
use testbed::scratch::Folder;

use crate::directory::batch::{Asker, Limit};
use crate::directory::graph::{Graph, NoAnswer, Why};
use crate::settings::{Credential, DirectorySettings};
use crate::stat::Asked;

/// A key that takes a while to make.
pub(super) static KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-1")));

/// A provider with a person in its directory, and a folder for files.
pub(super) struct Bed {
    pub(super) provider: Provider,
    pub(super) folder: Folder,
    ca_file: String,
}

impl Bed {
    pub(super) fn new() -> Self {
        let authority = Authority::new("directory tests");
        let provider = Provider::start(&authority, vec![Arc::clone(&KEY)], 0);
        provider.directory().add_user(PERSON, "ann@contoso.example");
        let folder = Folder::new("directory");
        let ca_file = write(&folder.path().join("ca.pem"), authority.pem(), 0o644);
        Self { provider, folder, ca_file }
    }

    pub(super) fn directory(&self) -> &Directory {
        self.provider.directory()
    }

    /// Writes a file that only its owner can read. Returns its path.
    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        write(&self.folder.path().join(name), content, 0o600)
    }

    pub(super) fn settings(&self, credential: Credential) -> DirectorySettings {
        DirectorySettings {
            credential,
            tenant: entra::parse_uuid(TENANT).expect("a uuid"),
            token_url: format!("{}/{TENANT}/oauth2/v2.0/token", self.provider.url()),
            graph: self.provider.url(),
            federated_audience: "api://AzureADTokenExchange",
            ca_file: Some(self.ca_file.clone()),
            proxy: None,
            fingerprint: 0,
        }
    }

    /// Returns Graph as the application with its secret sees it.
    pub(super) fn graph(&self) -> Graph {
        let credential =
            Credential::ClientSecret { client_id: client(), file: self.file("secret", SERVER_SECRET) };
        Graph::new(self.settings(credential))
    }

    fn tokens_asked_for(&self) -> usize {
        self.directory().requests(Kind::Token)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.directory().misplaced_secrets(), Vec::<String>::new());
        }
    }
}

/// Writes a file with a mode. Returns its path.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> String {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    path.to_str().expect("a path").to_owned()
}

pub(super) fn client() -> entra::Uuid {
    entra::parse_uuid(SERVER_CLIENT).expect("a uuid")
}

fn person() -> Request {
    request::user_by_name(&Literal::of("ann@contoso.example").expect("a name"))
}

/// Asks for the person. Returns whether Graph has shown her.
pub(super) fn finds_person(graph: &Graph) -> Result<bool, NoAnswer> {
    let body = graph.send(&person(), false, soon())?;
    let page = parse_page(&body, Some(ObjectKind::User), &graph.settings().graph).expect("a list");
    Ok(page.objects.iter().any(|object| Some(object.id) == entra::parse_uuid(PERSON)))
}

/// Returns a time that no test comes to.
fn soon() -> Instant {
    Instant::now() + Duration::from_mins(5)
}

pub(super) fn refused(graph: &Graph) -> NoAnswer {
    graph.send(&person(), false, soon()).map(drop).expect_err("no answer")
}

#[test]
fn one_token_serves_many_requests_and_threads() {
    let bed = Bed::new();
    let graph = bed.graph();
    assert_eq!(graph.token().expires_at, None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(finds_person(&graph), Ok(true)));
        }
    });
    assert_eq!(bed.tokens_asked_for(), 1);
    let report = graph.token();
    assert!(report.expires_at.is_some());
    assert_eq!((report.problem, report.warning, report.fetches, report.failures), (None, None, 1, 0));
    let tally = graph.take_tally();
    assert_eq!((tally.requests, tally.failures), (4, 0));
    assert_eq!(graph.take_tally().requests, 0);
}

#[test]
fn requests_have_the_headers_of_their_kind() {
    let bed = Bed::new();
    let graph = bed.graph();
    let ids = request::by_ids(&[client()]);
    graph.send(&ids, true, soon()).expect("an answer");
    let sent = bed.directory().last(Kind::GetByIds).expect("a request");
    assert_eq!(sent.header("x-ms-throttle-priority"), Some("low"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.header("accept"), Some("application/json"));
    assert_eq!(sent.header("accept-encoding"), None);
    graph.send(&ids, false, soon()).expect("an answer");
    let sent = bed.directory().last(Kind::GetByIds).expect("a request");
    assert_eq!(sent.header("x-ms-throttle-priority"), None);
}

#[test]
fn a_rejected_token_is_replaced_once_and_the_secret_is_read_anew() {
    let bed = Bed::new();
    let graph = bed.graph();
    assert_eq!(finds_person(&graph), Ok(true));
    bed.directory().revoke_tokens();
    bed.directory().set_secret("second");
    bed.file("secret", "second\n");
    assert_eq!(finds_person(&graph), Ok(true));
    assert_eq!(bed.tokens_asked_for(), 2);
    assert_eq!(bed.directory().requests(Kind::Lookup), 3);
    // It is not for ever that a new token is rejected.
    bed.directory().revoke_tokens();
    assert_eq!(finds_person(&graph), Ok(true));
    assert_eq!(bed.tokens_asked_for(), 3);
}

#[test]
fn tokens_that_are_always_rejected_are_not_fetched_in_a_loop() {
    let bed = Bed::new();
    let graph = bed.graph();
    bed.directory().fail(Place::Graph, Trouble::Refuse(401, "InvalidAuthenticationToken"));
    let fault = refused(&graph);
    assert!(matches!(fault.why, Why::Said(_)) && fault.outcome() == Outcome::Renew, "{fault:?}");
    assert_eq!((bed.tokens_asked_for(), bed.directory().requests(Kind::Lookup)), (2, 2));
    for _ in 0..3 {
        let fault = refused(&graph);
        assert_eq!(fault.why, Why::NoToken);
        assert!(fault.retry_after.is_some(), "{fault:?}");
        assert_eq!(fault.problem, "Microsoft Graph rejects a token that was just issued");
    }
    assert_eq!((bed.tokens_asked_for(), bed.directory().requests(Kind::Lookup)), (2, 2));
    bed.directory().recover(Place::Graph);
    graph.demand(false);
    assert_eq!(finds_person(&graph), Ok(true));
}

#[test]
fn a_token_that_is_rejected_within_a_batch_is_replaced_once() {
    let bed = Bed::new();
    let graph = bed.graph();
    let place = Place::Only(Kind::Lookup);
    let trouble = Trouble::Refuse(401, "InvalidAuthenticationToken");
    let outcome = || {
        let limit = Limit { deadline: soon(), is_given_up: Arc::default() };
        let parts = Asker::new(&graph, false, limit).parts(&[(Asked::Name, person())]);
        parts.into_iter().next().flatten().map(|part| part.problem().outcome())
    };
    bed.directory().fail_times(1, place, trouble.clone());
    assert_eq!(outcome(), Some(Outcome::Answered));
    assert_eq!((bed.tokens_asked_for(), bed.directory().requests(Kind::Batch)), (2, 2));
    bed.directory().fail(place, trouble);
    assert_eq!(outcome(), Some(Outcome::Renew));
    assert_eq!(outcome(), None, "no token is fetched for a while");
    assert_eq!((bed.tokens_asked_for(), bed.directory().requests(Kind::Batch)), (3, 4));
}

#[test]
fn nothing_is_asked_that_nobody_waits_for() {
    let bed = Bed::new();
    let graph = bed.graph();
    let limit = |deadline| Limit { deadline, is_given_up: Arc::default() };
    let ask = |limit: &Limit| {
        let mut asker = Asker::new(&graph, false, limit.clone());
        let sent = asker.send(Asked::Name, &person()).map(drop);
        (sent, asker.parts(&[(Asked::Name, person())]).into_iter().flatten().count())
    };
    assert_eq!(ask(&limit(soon())), (Ok(()), 1));
    assert_eq!(ask(&limit(Instant::now())), (Err(Outcome::Later), 0));
    let given_up = limit(soon());
    given_up.is_given_up.store(true, Ordering::Relaxed);
    assert_eq!(ask(&given_up), (Err(Outcome::Later), 0));
    assert_eq!(bed.directory().arrived().len(), 3, "a token, a request and a batch");
    // What hangs is not waited for any longer.
    bed.directory().fail(Place::Graph, Trouble::Hang);
    let short = limit(Instant::now() + Duration::from_secs(1));
    assert_eq!(ask(&short), (Err(Outcome::Later), 0));
    assert!(short.is_reached());
}

#[test]
fn a_request_for_a_token_that_is_refused_is_not_repeated_unchanged() {
    let bed = Bed::new();
    let graph = bed.graph();
    bed.directory().set_secret("another");
    for _ in 0..3 {
        let fault = refused(&graph);
        assert_eq!((&fault.why, fault.outcome()), (&Why::NoToken, Outcome::Later));
        assert!(fault.problem.contains("AADSTS7000215: the client secret is wrong"), "{}", fault.problem);
        assert!(!fault.problem.contains(SERVER_SECRET));
    }
    assert_eq!(bed.tokens_asked_for(), 1);
    assert_eq!((graph.token().failures, graph.token().expires_at), (1, None));
    bed.file("secret", "another");
    graph.demand(false);
    assert_eq!(finds_person(&graph), Ok(true));
    assert_eq!(graph.token().problem, None);
}

#[test]
fn what_graph_says_is_told_apart() {
    let bed = Bed::new();
    let graph = bed.graph();
    let says = |trouble: Trouble| {
        bed.directory().fail_times(1, Place::Graph, trouble);
        refused(&graph)
    };
    let busy = says(Trouble::Throttle(Some("120".to_owned())));
    assert_eq!((busy.outcome(), busy.retry_after), (Outcome::Later, Some(120_000)));
    let busy = says(Trouble::Throttle(Some("rubbish".to_owned())));
    assert_eq!((busy.outcome(), busy.retry_after), (Outcome::Later, None));
    let forbidden = says(Trouble::Refuse(403, "Authorization_RequestDenied"));
    assert_eq!(forbidden.outcome(), Outcome::Forbidden);
    let place = format!("{}/v1.0/users: ", bed.provider.url());
    let rest = forbidden.problem.strip_prefix(&place).expect("the address without the query");
    assert!(rest.starts_with("status 403, code Authorization_RequestDenied"), "{rest}");
    let elsewhere = says(Trouble::Redirect(format!("{}/v1.0/groups", bed.provider.url())));
    assert_eq!(elsewhere.outcome(), Outcome::Refused);
    let garbled = says(Trouble::Raw(b"220 mail.example ESMTP\r\n\r\n".to_vec()));
    assert_eq!((garbled.why, garbled.retry_after), (Why::Unreachable, None));
    let huge = says(Trouble::Huge(5_000_000));
    assert!(huge.problem.ends_with("has more than 4194304 bytes"), "{}", huge.problem);
    let cut = says(Trouble::Cut);
    assert_eq!(cut.why, Why::Unreachable);
    assert_eq!(finds_person(&graph), Ok(true));
    let tally = graph.take_tally();
    assert_eq!((tally.requests, tally.failures, tally.throttled), (8, 7, 2));
    assert_eq!(bed.tokens_asked_for(), 1);
}

#[test]
fn a_machine_is_asked_directly_and_graph_through_the_proxy() {
    let bed = Bed::new();
    let machine = bed.directory().virtual_machine();
    let proxy = Proxy::start(None);
    let credential = Credential::ManagedIdentity { client_id: None, url: machine.url() };
    let proxy_url = Some(format!("http://127.0.0.1:{}", proxy.port()));
    let graph = Graph::new(DirectorySettings { proxy: proxy_url, ..bed.settings(credential) });
    assert_eq!(finds_person(&graph), Ok(true));
    assert_eq!((proxy.requests(), proxy.tunnels()), (1, 1));
    assert_eq!(bed.directory().requests(Kind::Identity), 1);
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let bed = Bed::new();
    let credential =
        || Credential::ClientSecret { client_id: client(), file: bed.file("secret", SERVER_SECRET) };
    let missing = Some("/nowhere/ca.pem".to_owned());
    let graph = Graph::new(DirectorySettings { ca_file: missing, ..bed.settings(credential()) });
    assert!(refused(&graph).problem.starts_with("/nowhere/ca.pem: "));
    let elsewhere = "http://10.0.0.1".to_owned();
    let graph = Graph::new(DirectorySettings { graph: elsewhere, ..bed.settings(credential()) });
    assert_eq!(refused(&graph).why, Why::NoToken, "there is no token for another Graph");
}

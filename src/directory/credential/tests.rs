//! Every credential, at the provider of the tests.

use std::sync::{Arc, LazyLock};

use entra::Uuid;
use testbed::idp::directory::{ClientCertificate, Federation, Kind, Place, SERVER_SECRET, Trouble};
use testbed::issuer::unix_now;

use crate::directory::credential::{Asked, ask, identity};
use crate::directory::graph::Graph;
use crate::directory::tests::{Bed, KEY, client, finds_person, write};
use crate::settings::Credential;

static CERTIFICATE: LazyLock<ClientCertificate> = LazyLock::new(ClientCertificate::new);

/// The first second of the year 2099.
const END: i64 = 4_070_908_800;

/// Asks for a token and returns what is said instead.
fn problem(bed: &Bed, credential: Credential) -> String {
    problem_at(bed, credential, unix_now())
}

fn problem_at(bed: &Bed, credential: Credential, now: i64) -> String {
    let Asked { outcome, .. } = ask(&bed.settings(credential), now);
    outcome.map(drop).err().map(|fault| fault.text).expect("no token")
}

fn by_secret(file: String) -> Credential {
    Credential::ClientSecret { client_id: client(), file }
}

fn by_certificate(certificate: String, key: String) -> Credential {
    Credential::Certificate { client_id: client(), certificate, key }
}

fn by_token(file: String) -> Credential {
    Credential::FederatedToken { client_id: client(), file }
}

#[test]
fn a_secret_may_have_a_mark_and_line_ends_around_it() {
    let bed = Bed::new();
    for content in [format!("\u{feff}  {SERVER_SECRET}\r\n\n"), format!("{SERVER_SECRET}\n")] {
        let graph = Graph::new(bed.settings(by_secret(bed.file("secret", content))));
        assert_eq!(finds_person(&graph), Ok(true));
    }
}

#[test]
fn a_secret_that_expired_and_a_tenant_that_is_not_there_are_explained() {
    let bed = Bed::new();
    let file = bed.file("secret", SERVER_SECRET);
    let mut elsewhere = bed.settings(by_secret(file.clone()));
    elsewhere.token_url = elsewhere.token_url.replace("11111111", "10101010");
    let fault = ask(&elsewhere, unix_now()).outcome.map(drop).expect_err("no token").text;
    assert!(fault.ends_with(": there is no such tenant"), "{fault}");
    bed.directory().expire_secrets();
    let fault = problem(&bed, by_secret(file));
    assert!(fault.ends_with("/token: AADSTS7000222: the client secret has expired"), "{fault}");
}

#[test]
fn a_certificate_and_its_key_in_one_file_or_two_in_both_forms() {
    let bed = Bed::new();
    bed.directory().register(&CERTIFICATE);
    let ClientCertificate { certificate_pem, key_pem, .. } = &*CERTIFICATE;
    let other = ClientCertificate::new().certificate_pem;
    let both = bed.file("both.pem", format!("{key_pem}{other}{certificate_pem}"));
    let public = write(&bed.folder.path().join("public.pem"), certificate_pem, 0o644);
    let pkcs1 = bed.file("key.pem", CERTIFICATE.key_pem_pkcs1());
    let marked = bed.file("marked.pem", format!("\u{feff}{key_pem}"));
    for (certificate, key) in [(both.clone(), both), (public.clone(), pkcs1), (public, marked)] {
        let graph = Graph::new(bed.settings(by_certificate(certificate, key)));
        assert_eq!(finds_person(&graph), Ok(true));
        assert_eq!(graph.token().certificate_expires_at, Some(END));
    }
}

#[test]
fn a_certificate_that_entra_does_not_take_is_explained() {
    let bed = Bed::new();
    let expired = ClientCertificate::expired();
    let of = |certificate: &ClientCertificate| {
        let file = bed.file("both.pem", format!("{}{}", certificate.certificate_pem, certificate.key_pem));
        by_certificate(file.clone(), file)
    };
    let fault = problem(&bed, of(&CERTIFICATE));
    assert!(fault.contains("AADSTS700027: the certificate is not registered"), "{fault}");
    let thumbprint = fault.rsplit(' ').next().map(|text| text.trim_end_matches(')').to_owned());
    assert_eq!(thumbprint.map(|text| text.len()), Some(64), "{fault}");
    bed.directory().register(&expired);
    let asked = ask(&bed.settings(of(&expired)), unix_now());
    assert!(asked.certificate_expires_at.is_some_and(|end| end < unix_now()));
    let fault = asked.outcome.map(drop).expect_err("no token").text;
    assert!(fault.contains("AADSTS1000502: the certificate is outside its validity"), "{fault}");
    bed.directory().register(&CERTIFICATE);
    bed.provider.set_clock_ahead(3_600);
    let fault = problem(&bed, of(&CERTIFICATE));
    assert!(fault.contains("AADSTS700024: the assertion is outside its time: a clock is wrong"), "{fault}");
}

#[test]
fn a_clock_that_differs_is_named_with_the_refusal() {
    let bed = Bed::new();
    let body = r#"{"error":"invalid_client","error_codes":[700024]}"#;
    let head = "HTTP/1.1 401 Unauthorized\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    bed.directory().fail(Place::Token, Trouble::Raw(answer.into_bytes()));
    let asked = ask(&bed.settings(by_secret(bed.file("secret", SERVER_SECRET))), unix_now());
    assert!(asked.clock_ahead.is_some_and(|ahead| ahead < -1_000_000));
    let fault = asked.outcome.map(drop).expect_err("no token").text;
    assert!(fault.contains("AADSTS700024: ") && fault.contains(" (its clock is 1"), "{fault}");
    assert!(fault.ends_with(" seconds behind this server's)"), "{fault}");
}

#[test]
fn files_that_hold_no_pair_of_certificate_and_key() {
    let bed = Bed::new();
    let ClientCertificate { certificate_pem, key_pem, .. } = &*CERTIFICATE;
    let elliptic = ClientCertificate::elliptic();
    let encrypted = key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old = CERTIFICATE.key_pem_pkcs1().replacen("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n", 1);
    let broken = certificate_pem.replacen("MII", "MIA", 1);
    for (content, fault) in [
        (certificate_pem.clone(), "holds no private key"),
        (key_pem.clone(), "holds no certificate"),
        (format!("{certificate_pem}{key_pem}{key_pem}"), "holds more than one private key"),
        (format!("{certificate_pem}{encrypted}"), "holds a private key with a passphrase"),
        (format!("{certificate_pem}{old}"), "holds a private key with a passphrase"),
        (format!("{}{}", elliptic.certificate_pem, elliptic.key_pem), "holds no usable RSA key"),
        (format!("{}{key_pem}", elliptic.certificate_pem), "holds no certificate of the private key"),
        (format!("{broken}{key_pem}"), "holds a certificate that cannot be read"),
        ("text".to_owned(), "holds no private key"),
        (key_pem.replace("-----END", "END"), "is a PEM file that breaks off"),
    ] {
        let file = bed.file("both.pem", &content);
        let said = problem(&bed, by_certificate(file.clone(), file.clone()));
        assert!(said.contains(&format!("{file}, {fault}")), "{said}");
    }
    assert_eq!(bed.directory().requests(Kind::Token), 0);
}

const ISSUER: &str = "https://oidc.example/cluster";
const SUBJECT: &str = "system:serviceaccount:databases:postgres";
const AUDIENCE: &str = "api://AzureADTokenExchange";

fn federated(subject: &str, expires_in: i64) -> String {
    let now = unix_now();
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, KEY.id);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","sub":"{subject}","aud":["{AUDIENCE}"],"iat":{now},"nbf":{now},"exp":{}}}"#,
        now + expires_in
    );
    KEY.token_of(header.as_bytes(), claims.as_bytes())
}

#[test]
fn a_federated_token_is_read_at_each_use() {
    let bed = Bed::new();
    bed.directory().trust(Federation {
        issuer: ISSUER.to_owned(),
        subject: SUBJECT.to_owned(),
        audience: AUDIENCE.to_owned(),
        key: Arc::clone(&KEY),
    });
    // The kubelet renews a token by replacing a symbolic link.
    let link = bed.folder.path().join("token");
    let swap = |content: &str, mode: u32| {
        let file = write(&bed.folder.path().join("token.new"), content, mode);
        let old = bed.folder.path().join("token.file");
        std::fs::rename(file, &old).expect("a file");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(old, &link).expect("a link");
    };
    swap(&federated(SUBJECT, 3_600), 0o600);
    let file = link.to_str().expect("a path").to_owned();
    let graph = Graph::new(bed.settings(by_token(file.clone())));
    assert_eq!(finds_person(&graph), Ok(true));
    assert_eq!(graph.token().warning, None);
    swap(&format!("{}\n", federated(SUBJECT, 7_200)), 0o644);
    bed.directory().revoke_tokens();
    assert_eq!(finds_person(&graph), Ok(true));
    let warning = graph.token().warning.expect("others can read it");
    assert!(warning.ends_with("/token, can be read by other users of this machine"), "{warning}");
    swap(&federated("system:other", 3_600), 0o600);
    let fault = problem(&bed, by_token(file.clone()));
    let said = format!(
        " (the file's token has iss \"{ISSUER}\", sub \"system:other\", aud \"{AUDIENCE}\"; the usual aud is \"{AUDIENCE}\")"
    );
    assert!(fault.contains("AADSTS700213: ") && fault.ends_with(&said), "{fault}");
    swap(&federated(SUBJECT, -3_600), 0o600);
    let fault = problem(&bed, by_token(file.clone()));
    assert!(fault.contains("AADSTS700024: ") && fault.contains("(the file's token has expired; "), "{fault}");
    swap("two words", 0o600);
    assert!(problem(&bed, by_token(file)).ends_with("holds something that is no token"));
}

#[test]
fn a_machine_says_why_it_gives_no_token() {
    let bed = Bed::new();
    let machine = bed.directory().virtual_machine();
    let of =
        |client_id: Option<Uuid>| bed.settings(Credential::ManagedIdentity { client_id, url: machine.url() });
    let assigned = entra::parse_uuid("77777777-aaaa-bbbb-cccc-000000000007");
    let fault = ask(&of(assigned), 0).outcome.map(drop).expect_err("no such identity");
    assert_eq!(
        fault.text,
        format!("{}: answered with status 400: this identity is not assigned to the machine", machine.url())
    );
    assert!(fault.problem.is_some_and(|problem| !problem.is_transient()), "it is not asked again soon");
    machine.assign("77777777-aaaa-bbbb-cccc-000000000007");
    assert!(ask(&of(assigned), 0).outcome.is_ok());
    bed.directory().fail_times(1, Place::Identity, Trouble::Refuse(410, "gone"));
    let fault = ask(&of(None), 0).outcome.map(drop).expect_err("an update");
    assert_eq!((fault.problem, fault.retry_after), (None, Some(10_000)));
    bed.directory().fail_times(1, Place::Identity, Trouble::Redirect(bed.provider.url()));
    let fault = ask(&of(None), 0).outcome.map(drop).expect_err("a redirection");
    assert!(fault.text.ends_with("answered with status 302"), "{}", fault.text);
    assert!(ask(&of(None), 0).outcome.is_ok());
}

#[test]
fn arc_is_shown_the_challenge_that_it_wrote() {
    let bed = Bed::new();
    let folder = format!("{}/", bed.folder.path().display());
    let machine = bed.directory().arc_machine(bed.folder.path());
    let of = |client_id: Option<Uuid>| {
        identity::of_arc(&machine.url(), &bed.provider.url(), client_id, &folder)
            .map(drop)
            .map_err(|fault| fault.text)
    };
    assert_eq!(of(None), Ok(()));
    assert_eq!(of(Some(client())), Ok(()));
    let another = of(entra::parse_uuid("77777777-aaaa-bbbb-cccc-000000000007"));
    assert!(another.is_err_and(|fault| fault.contains("a token of another identity")));
    let secret = bed.file("secret.key", "a~secret");
    let link = format!("{folder}link.key");
    std::os::unix::fs::symlink(&secret, &link).expect("a link");
    for (named, said) in [
        ("/etc/passwd".to_owned(), "has named a file that is not a .key directly in"),
        (format!("{folder}../x.key"), "has named a file that is not a .key directly in"),
        (link, "has named, "),
        (format!("{folder}missing.key"), "has named, does not exist"),
        (bed.file("long.key", "x".repeat(4_097)), "has named, has more than 4096 bytes"),
        (bed.file("empty.key", ""), "has named, is empty"),
        (bed.file("lines.key", "a\nb"), "holds nothing that can be sent"),
    ] {
        machine.name_in_challenges(Some(&named));
        let fault = of(None).expect_err("a foreign file");
        assert!(fault.contains(said), "{fault}");
    }
    assert!(!bed.directory().secrets().contains(&"a~secret".to_owned()));
}

#[test]
fn arc_s_own_folder_is_the_only_one() {
    let bed = Bed::new();
    let machine = bed.directory().arc_machine(bed.folder.path());
    let fault = problem(&bed, Credential::Arc { client_id: None, url: machine.url() });
    assert!(fault.ends_with("is not a .key directly in /var/opt/azcmagent/tokens/"), "{fault}");
}

//! A certificate or a federated token that is renewed is used without a reload. The secret's turn
//! is in the tests of the view `directory_status`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use testbed::idp::Provider;
use testbed::idp::directory::{ClientCertificate, Kind};
use testbed::scratch::Folder;

use crate::common::credential::{
    SUBJECT, by_credential, federated_token, provider_with_admin, trust_federated_tokens,
};
use crate::common::directory::{lacks_secrets, refresh, status};

/// Returns the header of the assertion by which the last token was asked for.
fn header(provider: &Provider) -> String {
    let request = provider.directory().last(Kind::Token).expect("a request for a token");
    let assertion = request.field("client_assertion").expect("an assertion");
    let header = assertion.split('.').next().unwrap_or_default();
    String::from_utf8(URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("a text")
}

fn path(folder: &Folder, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_certificate_that_is_renewed_is_used_without_a_reload() {
    let (provider, folder) = (provider_with_admin(), Folder::new("credential"));
    let directory = provider.directory();
    let (first, second) = (ClientCertificate::new(), ClientCertificate::new());
    directory.register(&first);
    folder.write("certificate.pem", &first.certificate_pem);
    folder.write("key.pem", &first.key_pem);
    let settings = format!(
        "azure_ad_auth.directory_certificate_file = '{}'\nazure_ad_auth.directory_key_file = '{}'",
        path(&folder, "certificate.pem"),
        path(&folder, "key.pem")
    );
    let cluster = by_credential(&provider, "certificate", &settings).start_with(&provider);
    cluster.await_directory();
    let ends = "mode, to_char(certificate_expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')";
    assert_eq!(status(&cluster, ends), "certificate|2099-01-01");
    assert!(header(&provider).contains(&format!("\"x5t#S256\":\"{}\"", first.thumbprint())));
    // The new key is written in the old form.
    folder.write("certificate.pem", &second.certificate_pem);
    folder.write("key.pem", second.key_pem_pkcs1());
    directory.remove_certificates();
    directory.register(&second);
    directory.revoke_tokens();
    assert_eq!(refresh(&cluster), "1");
    assert!(header(&provider).contains(&format!("\"x5t#S256\":\"{}\"", second.thumbprint())));
    lacks_secrets(&cluster, &provider);
}

/// Makes a link lead to a new file, as the kubelet does it. The link is replaced at once.
fn swap(folder: &Folder, name: &str, content: &str) {
    let file = folder.write(name, content);
    let new = folder.path().join("token.new");
    symlink(file, &new).expect("a link");
    fs::rename(new, folder.path().join("token")).expect("the link");
}

#[test]
fn a_federated_token_that_is_renewed_is_used_without_a_reload() {
    let (provider, folder) = (provider_with_admin(), Folder::new("credential"));
    let directory = provider.directory();
    trust_federated_tokens(&provider);
    swap(&folder, "first", &federated_token(SUBJECT, 3_600));
    let settings = format!("azure_ad_auth.directory_token_file = '{}'", path(&folder, "token"));
    let cluster = by_credential(&provider, "federated_token", &settings).start_with(&provider);
    cluster.await_directory();
    assert_eq!(status(&cluster, "mode"), "federated_token");
    let renewed = federated_token(SUBJECT, 7_200);
    swap(&folder, "second", &format!("{renewed}\n"));
    fs::remove_file(Path::new(&path(&folder, "first"))).expect("the old token");
    directory.revoke_tokens();
    assert_eq!(refresh(&cluster), "1");
    let request = directory.last(Kind::Token).expect("a request for a token");
    assert_eq!(request.field("client_assertion"), Some(renewed));
    lacks_secrets(&cluster, &provider);
}

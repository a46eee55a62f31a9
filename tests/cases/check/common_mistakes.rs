//! Mistakes that are common in settings and files: the value is understood, or the mistake is
//! named.

use std::fs;
use std::sync::Arc;

use testbed::ca::{Authority, Identity};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::{AUDIENCE, PERSON, unix_now, user_v2, with};
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::statements::link;
use serde_json::json;

fn login(cluster: &Cluster, audience: &str) -> Outcome {
    cluster.login("ann", &KEY.token(&with(user_v2(unix_now()), "aud", audience.into())))
}

/// Returns level and message of the findings about a topic.
fn said(cluster: &Cluster, topic: &str) -> String {
    let text = "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() WHERE topic = ";
    cluster.sql(&format!("{text}'{topic}'"))
}

#[test]
fn a_client_id_is_an_id_in_whatever_case_it_is_written() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let small = "7abcdef7-aaaa-bbbb-cccc-000000000007";
    for written in [small.to_uppercase(), format!("api://{}", small.to_uppercase())] {
        let carried = written.to_lowercase();
        cluster.set("azure_ad_auth.audience", &written);
        assert_eq!(login(&cluster, &carried), Outcome::Ready, "{written}");
        assert_eq!(said(&cluster, "audience"), format!("ok tokens for {written} are accepted"));
        let other = carried.replace("0007", "0008");
        match login(&cluster, &other) {
            Outcome::Refused(error) => {
                assert_eq!(error.message, "the access token was issued for another resource");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_audience_that_no_token_carries_is_a_warning() {
    let (cluster, _provider) = Scene::new().start();
    for (setting, value, why) in [
        ("audience", "api://postgres/.default", "/.default is part of a scope"),
        ("audience", "\"api://postgres\"", "neither quotes nor ; nor brackets"),
        ("audience", "api://postgres;", "neither quotes nor ; nor brackets"),
        ("required_permission", "api://postgres/access", "the name of the permission alone"),
    ] {
        cluster.set(&format!("azure_ad_auth.{setting}"), value);
        let said = said(&cluster, setting);
        let shown = value.replace('"', "\\\"");
        let start = format!("warning azure_ad_auth.{setting} has an item that no token carries, {shown}: ");
        assert!(said.starts_with(&start) && said.contains(why), "{said}");
        cluster.sql(&format!("ALTER SYSTEM RESET azure_ad_auth.{setting}"));
        cluster.reload();
    }
    assert_eq!(said(&cluster, "audience"), format!("ok tokens for {AUDIENCE} are accepted"));
}

/// Encodes a text as Notepad and PowerShell do.
fn utf16(text: &str) -> Vec<u8> {
    [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn files_as_windows_writes_them_are_taken_or_named() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let document = json!({"keys": [KEY.jwk()]}).to_string();
    let marked = [b"\xEF\xBB\xBF", document.as_bytes()].concat();
    let file = cluster.folder().write("keys.json", marked);
    cluster.set("azure_ad_auth.key_source", &file.display().to_string());
    assert!(eventually(|| login(&cluster, AUDIENCE) == Outcome::Ready));
    fs::remove_file(cluster.key_snapshot()).expect("a snapshot");
    cluster.folder().write("keys.json", utf16(&document));
    let mark = cluster.log_mark();
    let refused = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    let named = format!("{}: it is in UTF-16, and must be in UTF-8", file.display());
    assert!(!refused.success && refused.stderr.contains(&named), "{}", refused.stderr);
    cluster.await_log(mark, &named);
    // The same for the file of certificates.
    let authority = cluster.template.authority.pem();
    let identity = Identity::self_signed(true);
    let marked = [b"\xEF\xBB\xBF", authority.as_bytes()].concat();
    let set = |content: &[u8]| {
        let file = cluster.folder().write("own.pem", content);
        cluster.sql_as("postgres", &format!("ALTER SYSTEM SET azure_ad_auth.ca_file = '{}'", file.display()))
    };
    assert!(set(&marked).success);
    for (content, named) in [
        (utf16(&authority), "it is in UTF-16, and must be in UTF-8"),
        (identity.certificate_der().to_vec(), "it is in DER, and must be in PEM: openssl x509 -inform der"),
    ] {
        let output = set(&content);
        let detail = format!("DETAIL:  The value is not a file of certificates: {named}");
        assert!(!output.success && output.stderr.contains(&detail), "{}", output.stderr);
    }
    // The file is accepted, and the certificate on its first line is used.
    set(&marked);
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.key_source");
    cluster.reload();
    assert!(eventually(|| login(&cluster, AUDIENCE) == Outcome::Ready));
}

#[test]
fn a_certificate_that_signed_itself() {
    let stranger = Authority::new("Somebody else");
    let provider = Provider::start(&stranger, vec![Arc::clone(&KEY)], 0);
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    cluster.await_log(0, "UnknownIssuer (nobody who is trusted here has signed it: add its authority's certificate to azure_ad_auth.ca_file)");
    for is_ca in [true, false] {
        let own = Identity::self_signed(is_ca);
        provider.present(&own);
        let file = cluster.folder().write("own.pem", &own.certificate_pem);
        let mark = cluster.log_mark();
        cluster.set("azure_ad_auth.ca_file", &file.display().to_string());
        if is_ca {
            let advice = "it is an authority's own, as openssl req -x509 makes it: give the server one that says CA:FALSE \
                          (-addext basicConstraints=critical,CA:FALSE)";
            cluster.await_log(mark, advice);
            assert!(said(&cluster, "keys").contains(advice), "{}", said(&cluster, "keys"));
        } else {
            cluster.sql("SELECT azure_ad_auth.refresh_keys()");
            assert!(said(&cluster, "keys").starts_with("ok "), "{}", said(&cluster, "keys"));
        }
    }
}

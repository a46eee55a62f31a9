//! The identity of a machine that is connected to Azure Arc: its agent demands the content of a
//! file that it names, and only one in its own folder is read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::{IdentityEndpoint, Kind};
use testbed::issuer::PERSON;
use testbed::scratch::Folder;

use crate::common::credential::{await_error, by_credential, provider_with_admin};
use crate::common::directory::{DIRECTORY_WORKER, await_status, lacks_secrets, refresh, status};
use crate::common::server::process;
use crate::common::statements::fails;

/// Where the agent writes its challenges.
const TOKENS: &str = "/var/opt/azcmagent/tokens";

/// A folder outside of the agent's.
const OUTSIDE: &str = "/var/opt/azcmagent/others";

/// Starts a server that sees the agent's folder, which is a scratch folder. Does not wait for a
/// look.
fn with_an_agent(provider: &Provider) -> (Cluster, IdentityEndpoint, Folder) {
    let folder = Folder::new("arc");
    let machine = provider.directory().arc_machine(folder.path());
    machine.show_challenges_at(TOKENS);
    let settings = format!(
        "azure_ad_auth.directory_client_id = ''\nazure_ad_auth.directory_identity_url = '{}'\n\
         azure_ad_auth.directory_refresh_interval = 1h",
        machine.url()
    );
    let cluster = by_credential(provider, "arc", &settings).keys_from(provider).create();
    cluster.start_seeing(folder.path(), "/var/opt", TOKENS);
    cluster.create_extension();
    cluster.await_keys();
    (cluster, machine, folder)
}

/// Returns how many requests had a challenge's answer.
fn answers(provider: &Provider) -> usize {
    let arrived = provider.directory().arrived();
    let of_identity = arrived.iter().filter(|(kind, _)| *kind == Kind::Identity);
    of_identity.filter(|(_, request)| request.header("authorization").is_some()).count()
}

#[test]
fn the_agent_is_shown_what_it_wrote() {
    let provider = provider_with_admin();
    let directory = provider.directory();
    let (cluster, _machine, _folder) = with_an_agent(&provider);
    cluster.await_directory();
    assert_eq!(status(&cluster, "mode, state"), "arc|fresh");
    assert_eq!((directory.requests(Kind::Identity), answers(&provider)), (2, 1));
    assert_eq!(directory.requests(Kind::Token), 0);
    directory.add_user(PERSON, "ann@contoso.example");
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user");
    lacks_secrets(&cluster, &provider);
}

#[test]
fn a_token_of_another_identity_is_not_used() {
    let provider = provider_with_admin();
    let (cluster, _machine, _folder) = with_an_agent(&provider);
    cluster.await_directory();
    cluster.set("azure_ad_auth.directory_client_id", "77777777-aaaa-bbbb-cccc-000000000007");
    await_error(&cluster, "has given a token of another identity than azure_ad_auth.directory_client_id");
}

#[test]
fn no_file_but_one_of_the_agent_in_its_folder_is_read() {
    let provider = provider_with_admin();
    let directory = provider.directory();
    let (cluster, machine, folder) = with_an_agent(&provider);
    cluster.await_directory();
    let worker = process(&cluster, DIRECTORY_WORKER);
    // All of it the server could read.
    let put = |name: &str, content: &str, mode: u32| {
        let path = folder.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its permissions");
        format!("{TOKENS}/{name}")
    };
    let secret = "the~secret~of~another~program";
    directory.keep_secret(secret);
    put("file", secret, 0o644);
    let below = folder.path().join("below");
    fs::create_dir(&below).expect("a folder");
    fs::write(below.join("x.key"), secret).expect("a file");
    symlink("file", folder.path().join("link.key")).expect("a link");
    symlink("/etc/passwd", folder.path().join("passwd.key")).expect("a link");
    fs::create_dir(folder.path().join("folder.key")).expect("a folder");
    let place = "has named a file that is not a .key directly in /var/opt/azcmagent/tokens/";
    let writable = put("writable.key", secret, 0o646);
    let long = put("long.key", &"x".repeat(4_097), 0o600);
    let empty = put("empty.key", "", 0o600);
    let lines = put("lines.key", "a\nb", 0o600);
    let refresh_directory = "SELECT azure_ad_auth.refresh_directory()";
    directory.forget_requests();
    for (named, said) in [
        ("/etc/passwd", place),
        ("/etc/passwd.key", place),
        (&format!("{TOKENS}/../tokens/file"), place),
        (&format!("{TOKENS}/../x.key"), place),
        (&format!("{TOKENS}/below/x.key"), place),
        (&format!("{OUTSIDE}/x.key"), place),
        (&format!("{TOKENS}/file"), place),
        (&format!("{TOKENS}/.key"), place),
        ("x.key", place),
        (&format!("{TOKENS}/link.key"), "link.key, which the agent of Azure Arc has named, cannot be read: "),
        (
            &format!("{TOKENS}/passwd.key"),
            "passwd.key, which the agent of Azure Arc has named, cannot be read: ",
        ),
        (&format!("{TOKENS}/folder.key"), "has named, cannot be read: not a regular file"),
        (&format!("{TOKENS}/missing.key"), "has named, does not exist"),
        (&writable, "has named, can be written by others"),
        (&long, "has named, has more than 4096 bytes"),
        (&empty, "has named, is empty"),
        (&lines, "holds nothing that can be sent"),
    ] {
        machine.forget_tokens();
        directory.revoke_tokens();
        machine.name_in_challenges(Some(named));
        fails(&cluster, refresh_directory, "58030", "the directory could not be looked at", said);
        assert_eq!(answers(&provider), 0, "{named}");
    }
    // Where others can put files, none is read.
    machine.name_in_challenges(None);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("its permissions");
    let open = "is in a place where others can put files";
    fails(&cluster, refresh_directory, "58030", "the directory could not be looked at", open);
    assert_eq!(answers(&provider), 0);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its permissions");
    assert_eq!(refresh(&cluster), "1");
    assert_eq!(answers(&provider), 1);
    await_status(&cluster, "last_error", "");
    assert_eq!(process(&cluster, DIRECTORY_WORKER), worker);
    lacks_secrets(&cluster, &provider);
}

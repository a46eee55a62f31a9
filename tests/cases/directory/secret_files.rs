//! What may be wrong with the file of the secret: it is refused with the reason, the worker lives
//! on, and the next good file is used without a reload.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use testbed::cluster::{Cluster, SECRET_FILE};
use testbed::idp::directory::{Kind, SERVER_SECRET};
use testbed::scene::Scene;
use testbed::scratch::{give_to_server, server_ids};

use crate::common::directory::{DIRECTORY_WORKER, lacks_secrets, refresh, status, with_directory};
use crate::common::server::process;
use crate::common::statements::fails;

const LOOK: &str = "SELECT azure_ad_auth.refresh_directory()";

/// Puts something in the place of the file.
type Put = fn(&Path);

fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
}

fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its permissions");
    give_to_server(path);
}

const FILES: &[(&str, Put, &str)] = &[
    ("missing", |_| {}, "does not exist"),
    ("empty", |path| write(path, "", 0o600), "is empty"),
    ("blank", |path| write(path, " \r\n", 0o600), "is empty"),
    ("of two lines", |path| write(path, "a\nb", 0o600), "has more than one line"),
    ("in UTF-16", |path| write(path, b"\xff\xfea\0b\0", 0o600), "it is in UTF-16, and must be in UTF-8"),
    ("not in UTF-8", |path| write(path, b"a\xffb", 0o600), "is not in UTF-8"),
    (
        "readable by all",
        |path| write(path, SERVER_SECRET, 0o644),
        "can be read by other users of this machine; give it the mode 0600",
    ),
    (
        "writable by its group",
        |path| write(path, SERVER_SECRET, 0o620),
        "can be written by other users of this machine; give it the mode 0600",
    ),
    ("a directory", |path| fs::create_dir(path).expect("a directory"), "cannot be read: not a regular file"),
    (
        "a FIFO",
        |path| {
            assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
            give_to_server(path);
        },
        "cannot be read: not a regular file",
    ),
    ("a device", |path| symlink("/dev/zero", path).expect("a link"), "cannot be read: not a regular file"),
    ("a link to itself", |path| symlink(path, path).expect("a link"), "cannot be read: "),
    (
        "of 1 GB",
        |path| {
            write(path, "", 0o600);
            File::options().write(true).open(path).and_then(|file| file.set_len(1 << 30)).expect("a file");
        },
        "has more than 4096 bytes",
    ),
];

fn refused(cluster: &Cluster, what: &str, said: &str) {
    let path = cluster.path(SECRET_FILE);
    let said = format!("the file of the client secret, {}, {said}", path.display());
    fails(cluster, LOOK, "58030", "the directory could not be looked at", &said);
    assert!(status(cluster, "last_error").contains(&said), "{what}: {}", status(cluster, "last_error"));
}

#[test]
fn each_is_refused_with_its_reason_and_the_next_good_one_is_used() {
    let (cluster, provider) =
        with_directory(Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h"));
    let directory = provider.directory();
    let path = cluster.path(SECRET_FILE);
    let worker = process(&cluster, DIRECTORY_WORKER);
    for (what, put, said) in FILES {
        remove(&path);
        put(&path);
        directory.revoke_tokens();
        let asked = directory.requests(Kind::Token);
        refused(&cluster, what, said);
        assert_eq!(directory.requests(Kind::Token), asked, "{what}");
    }
    // Of somebody else's file the content is not believed, whoever can read it.
    if server_ids().is_some() {
        remove(&path);
        write(&path, SERVER_SECRET, 0o600);
        chown(&path, Some(65_534), None).expect("chown");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its permissions");
        refused(&cluster, "foreign", "belongs neither to root nor to the server's user");
    }
    assert_eq!(process(&cluster, DIRECTORY_WORKER), worker, "the worker lives");
    // A mark that programs of Windows write, and blanks, are not the secret's.
    for good in [SERVER_SECRET.to_owned(), format!("\u{feff}{SERVER_SECRET}\r\n")] {
        remove(&path);
        write(&path, good, 0o600);
        directory.revoke_tokens();
        assert_eq!(refresh(&cluster), "1");
        assert_eq!(
            directory.last(Kind::Token).and_then(|request| request.field("client_secret")).as_deref(),
            Some(SERVER_SECRET)
        );
    }
    assert_eq!(process(&cluster, DIRECTORY_WORKER), worker);
    lacks_secrets(&cluster, &provider);
}

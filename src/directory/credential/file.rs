//! Files that hold a secret, a key or a token: which are believed, and how they are read.
//!
//! Symbolic links are followed, because Kubernetes renews files by replacing one. What is checked
//! is the file that was opened, not its name.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use entra::directory::identity::MAX_CHALLENGE_BYTES;
use entra::limits::MAX_TOKEN_BYTES;
use zeroize::Zeroizing;

use crate::pg::file;
use crate::pg::os_user::{is_trusted_group, is_trusted_user};

/// Largest file of a client secret: secrets have about 40 bytes.
const MAX_SECRET_BYTES: usize = 4_096;

/// Largest file of certificates and keys.
const MAX_PEM_BYTES: usize = 65_536;

const GROUP_READS: u32 = 0o040;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// A federated token.
pub(super) struct Token {
    /// As it is sent.
    pub(super) text: Zeroizing<String>,
    /// What an administrator should mend.
    pub(super) warning: Option<String>,
}

/// Returns the client secret in a file.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn secret(path: &str) -> Result<Zeroizing<String>, String> {
    let about = |fault: String| format!("the file of the client secret, {path}, {fault}");
    let content = read(path, MAX_SECRET_BYTES, is_secret).map_err(about)?;
    let secret = text(&content).map_err(about)?;
    if secret.chars().any(char::is_control) {
        return Err(about("has more than one line".to_owned()));
    }
    Ok(secret)
}

/// Returns the federated token in a file. Kubernetes writes it so that others can read it where a
/// pod has several users, so that is a warning only.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn token(path: &str) -> Result<Token, String> {
    let about = |fault: String| format!("the file of the federated token, {path}, {fault}");
    let mut is_open = false;
    let content = read(path, MAX_TOKEN_BYTES, |file| {
        is_open = file.mode() & OTHERS_READ != 0;
        is_unchangeable(file)
    });
    let text = text(&content.map_err(about)?).map_err(about)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(about("holds something that is no token".to_owned()));
    }
    let warning = is_open.then(|| about("can be read by other users of this machine".to_owned()));
    Ok(Token { text, warning })
}

/// Returns the content of a PEM file. `has_key`: it must be secret.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn pem(path: &str, has_key: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let rule = if has_key { is_secret } else { is_unchangeable };
    let mut content = read(path, MAX_PEM_BYTES, rule)?;
    let mark = content.len() - file::without_mark(&content)?.len();
    content.drain(..mark);
    Ok(content)
}

/// Returns the content of a challenge of Azure Arc's agent. It lies directly in a folder of the
/// agent, which others cannot write to, and belongs to root or to the owner of that folder.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn challenge(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let folder = Path::new(path).parent().ok_or_else(|| "is in no folder".to_owned())?;
    let folder = fs::symlink_metadata(folder).map_err(|fault| described(&fault))?;
    if !folder.is_dir() || folder.mode() & OTHERS_WRITE != 0 {
        return Err("is in a place where others can put files".to_owned());
    }
    let opened = file::open(path, libc::O_NOFOLLOW).map_err(|fault| described(&fault))?;
    read_opened(opened, MAX_CHALLENGE_BYTES, |file| {
        if file.uid() != 0 && file.uid() != folder.uid() {
            return Err("is not a file of the agent".to_owned());
        }
        if file.mode() & OTHERS_WRITE == 0 { Ok(()) } else { Err("can be written by others".to_owned()) }
    })
}

/// Accepts a file that others can neither read nor write. Its group can read it if that is root's
/// or one of the server's.
fn is_secret(file: &Metadata) -> Result<(), String> {
    is_unchangeable(file)?;
    if file.mode() & OTHERS_READ != 0 {
        return Err("can be read by other users of this machine; give it the mode 0600".to_owned());
    }
    if file.mode() & GROUP_READS != 0 && !is_trusted_group(file.gid()) {
        return Err("can be read by a group that is neither root's nor the server's; give it the mode 0600"
            .to_owned());
    }
    Ok(())
}

/// Accepts a file that belongs to root or to the server's user, and that nobody else can write.
fn is_unchangeable(file: &Metadata) -> Result<(), String> {
    if !is_trusted_user(file.uid()) {
        return Err("belongs neither to root nor to the server's user".to_owned());
    }
    if file.mode() & (GROUP_WRITES | OTHERS_WRITE) != 0 {
        return Err("can be written by other users of this machine; give it the mode 0600".to_owned());
    }
    Ok(())
}

fn read(
    path: &str,
    limit: usize,
    rule: impl FnOnce(&Metadata) -> Result<(), String>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    read_opened(file::open(path, 0).map_err(|fault| described(&fault))?, limit, rule)
}

/// Reads a file that a rule accepts.
fn read_opened(
    (file, about): (File, Metadata),
    limit: usize,
    rule: impl FnOnce(&Metadata) -> Result<(), String>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    rule(&about)?;
    // Room for all of it, so that no copy is left behind by growing.
    let mut content = Zeroizing::new(Vec::with_capacity(limit + 64));
    let most = limit as u64 + 1;
    file.take(most).read_to_end(&mut content).map_err(|fault| described(&fault))?;
    if content.len() > limit {
        return Err(format!("has more than {limit} bytes"));
    }
    if content.is_empty() { Err("is empty".to_owned()) } else { Ok(content) }
}

/// Returns a text without a byte order mark, and without blanks and line ends around it.
fn text(content: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = file::without_mark(content)?;
    let text = std::str::from_utf8(text).map_err(|_| "is not in UTF-8".to_owned())?.trim();
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Zeroizing::new(text.to_owned())) }
}

fn described(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read by the server's user".to_owned(),
        _ => format!("cannot be read: {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::path::PathBuf;
    use std::process::Command;

    use testbed::scratch::Folder;

    use super::*;
    use crate::directory::tests::write;

    /// Returns what is said about a file instead of its content.
    fn fault<T>(read: Result<T, String>) -> String {
        let said = read.err().unwrap_or_default();
        said.split_once('/').map(|(_, fault)| fault.to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_secret_is_one_line_that_only_the_server_can_read() {
        let folder = Folder::new("files");
        let at = |name: &str| folder.path().join(name);
        let file = |content: &[u8], mode: u32| write(&at("secret"), content, mode);
        for mode in [0o400, 0o600, 0o640, 0o440, 0o700] {
            assert_eq!(secret(&file(b" s3cret\n", mode)).expect("a secret").as_str(), "s3cret");
        }
        for (content, mode, said) in [
            (&b"x"[..], 0o644, "secret, can be read by other users of this machine; give it the mode 0600"),
            (b"x", 0o660, "secret, can be written by other users of this machine; give it the mode 0600"),
            (b"x", 0o602, "secret, can be written by other users of this machine; give it the mode 0600"),
            (b"", 0o600, "secret, is empty"),
            (b" \n", 0o600, "secret, is empty"),
            (b"a\nb", 0o600, "secret, has more than one line"),
            (b"\xff\xfea\0", 0o600, "secret, it is in UTF-16, and must be in UTF-8"),
            (b"\xc3", 0o600, "secret, is not in UTF-8"),
            (&[b'x'; MAX_SECRET_BYTES + 1], 0o600, "secret, has more than 4096 bytes"),
        ] {
            let said_of = fault(secret(&file(content, mode)));
            assert!(said_of.ends_with(said), "{said_of}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = Folder::new("files");
        let at = |name: &str| folder.path().join(name);
        let path = |path: PathBuf| path.to_str().expect("a path").to_owned();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().is_ok_and(|status| status.success()));
        let large = File::create(at("large")).expect("a file");
        large.set_len(1 << 30).expect("a length");
        write(&at("large"), "", 0o600);
        large.set_len(1 << 30).expect("a length");
        symlink(at("nowhere"), at("link")).expect("a link");
        for (name, said) in [
            ("pipe", "not a regular file"),
            ("", "not a regular file"),
            ("missing", "does not exist"),
            ("link", "does not exist"),
            ("large", "has more than 4096 bytes"),
        ] {
            let said_of = fault(secret(&path(at(name))));
            assert!(said_of.ends_with(said), "{said_of}");
        }
        assert!(fault(secret("/dev/zero")).ends_with("not a regular file"));
    }

    #[test]
    fn files_of_other_users_are_not_believed() {
        let folder = Folder::new("files");
        let file = write(&folder.path().join("secret"), "x", 0o600);
        // Only root can give a file away.
        if chown(&file, Some(54_321), None).is_ok() {
            let said = fault(secret(&file));
            assert!(said.ends_with("belongs neither to root nor to the server's user"), "{said}");
            chown(&file, Some(0), Some(54_321)).expect("chown");
            assert!(secret(&file).is_ok(), "its group cannot read it");
            let file = write(&folder.path().join("secret"), "x", 0o640);
            assert!(fault(secret(&file)).contains("neither root's nor the server's; give it"));
        }
    }

    #[test]
    fn certificates_are_public_and_keys_are_not() {
        let folder = Folder::new("files");
        let file = write(&folder.path().join("a.pem"), "x", 0o644);
        assert!(pem(&file, false).is_ok() && pem(&file, true).is_err());
        let file = write(&folder.path().join("b.pem"), "x", 0o664);
        assert!(pem(&file, false).is_err());
    }

    #[test]
    fn challenges_are_files_of_the_folder_s_owner() {
        let folder = Folder::new("files");
        let file = write(&folder.path().join("a.key"), "x", 0o640);
        assert_eq!(challenge(&file).expect("a challenge").as_slice(), b"x");
        if chown(&file, Some(54_321), None).is_ok() {
            assert_eq!(challenge(&file).err().as_deref(), Some("is not a file of the agent"));
        }
        let file = write(&folder.path().join("b.key"), "x", 0o606);
        assert_eq!(challenge(&file).err().as_deref(), Some("can be written by others"));
        let open = folder.path().join("open");
        fs::create_dir(&open).expect("a folder");
        let file = write(&open.join("a.key"), "x", 0o600);
        assert!(challenge(&file).is_ok());
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("a mode");
        assert!(challenge(&file).is_err_and(|fault| fault.contains("others can put files")));
    }
}

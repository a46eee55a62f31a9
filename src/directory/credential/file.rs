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
    let about = |fault: String| format!("the file of the client secret, {path}: {fault}");
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
    let about = |fault: String| format!("the file of the federated token, {path}: {fault}");
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
    let content = read(path, MAX_PEM_BYTES, rule)?;
    file::without_mark(&content)?;
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
        _ => fault.to_string(),
    }
}

//! The documents of the project, and the blocks in them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use testbed::door::Door;

use super::doors::EVERY_DOOR;

/// A fenced block of a document.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// The account whose shell runs it.
    pub(crate) account: String,
    /// The door it needs. The block is skipped if the installation does not have it.
    pub(crate) door: Option<Door>,
    /// The version of psql it needs. The block is skipped if psql is older.
    pub(crate) since: u32,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a document")
}

pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut account = "admin".to_owned();
    let (mut door, mut since) = (None, 0);
    let mut open: Option<Block> = None;
    for line in document.lines() {
        let line = line.strip_prefix("> ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("<!-- as: ").and_then(|rest| rest.strip_suffix(" -->")) {
            name.clone_into(&mut account);
        } else if let Some(name) =
            line.strip_prefix("<!-- needs: ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            door = EVERY_DOOR.into_iter().find(|door| door.name() == name);
            since = name.strip_prefix("psql ").and_then(|major| major.parse().ok()).unwrap_or(0);
            assert!(door.is_some() || since > 0 || name == "nothing", "no such door: {name}");
        } else if let Some(language) = line.strip_prefix("```") {
            if let Some(block) = open.take() {
                blocks.push(block);
            } else {
                let (language, text) = (language.to_owned(), String::new());
                open = Some(Block { language, text, account: account.clone(), door, since });
            }
        } else if let Some(block) = &mut open {
            let _ = writeln!(block.text, "{line}");
        }
    }
    assert!(open.is_none(), "a block is left open");
    blocks
}

/// Returns a configuration file as a document shows it.
pub(crate) fn shown_file(document_name: &str, file: &str) -> String {
    let blocks = blocks(&document(document_name)).into_iter();
    let mut found = blocks.filter(|block| block.text.starts_with(&format!("# {file}\n")));
    found.next().expect("a block that names the file").text
}

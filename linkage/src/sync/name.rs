//! The name of a role that is to be created for a member.

use std::collections::BTreeMap;
use std::ffi::CString;

use entra::Uuid;
use entra::directory::roster::Member;

use crate::sync::{Input, Known};

/// Longest role name, in bytes (NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// Why a name with some character is not given to a role.
const UNFIT: &str = "its name has a character that role names cannot have here";

/// The names that are taken.
pub(super) struct Names<'a> {
    input: &'a Input<'a>,
    /// The roles, by their names in lower case.
    roles: BTreeMap<String, Vec<&'a Known>>,
    /// How many members ask for a name, in lower case.
    wanted: BTreeMap<String, usize>,
}

impl<'a> Names<'a> {
    /// `wanted`: the members that need a name.
    pub(super) fn new<'m>(input: &'a Input<'a>, members: impl Iterator<Item = &'m Member>) -> Self {
        let mut names = Self { input, roles: BTreeMap::new(), wanted: BTreeMap::new() };
        for name in members.filter_map(|member| member.name.as_deref()) {
            *names.wanted.entry(name.to_lowercase()).or_default() += 1;
        }
        for role in input.roles {
            names.roles.entry(role.name.shown.to_lowercase()).or_default().push(role);
        }
        names
    }

    /// Returns the name of a member's role, in its own bytes.
    ///
    /// # Errors
    /// Why it cannot have its name.
    pub(super) fn of(&self, member: &Member) -> Result<CString, String> {
        let Some(name) = member.name.as_deref() else {
            let permission = if member.is_application { "Application.Read.All" } else { "User.Read.All" };
            return Err(format!("its name cannot be read: the application needs {permission}"));
        };
        // Whoever may create applications chooses their names.
        if member.is_application && name.contains('@') {
            return Err("the name of an application could be taken for a user's".to_owned());
        }
        let raw = self.fitting(name)?;
        let lower = name.to_lowercase();
        if let Some(role) = self.roles.get(&lower).and_then(|roles| roles.first()) {
            let is_same = role.name.raw == raw;
            let how =
                if is_same { "the name is taken by" } else { "the name differs only in case from that of" };
            return Err(format!("{how} {}", what(role)));
        }
        if self.wanted.get(&lower).is_some_and(|wanted| *wanted > 1) {
            return Err("another member has the same name, or one that differs only in case".to_owned());
        }
        Ok(raw)
    }

    /// Returns a name in its own bytes if a role can have it at all.
    fn fitting(&self, name: &str) -> Result<CString, String> {
        if name.is_empty() {
            return Err("its name is empty".to_owned());
        }
        if name.contains(|character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER)
        {
            return Err(UNFIT.to_owned());
        }
        if ["public", "none"].contains(&name) || name.starts_with("pg_") {
            return Err("PostgreSQL reserves its name".to_owned());
        }
        let encoded = (self.input.encode)(name).ok_or(UNFIT)?;
        if encoded.as_bytes().len() > MAX_NAME_BYTES {
            return Err(format!("its name has more than {MAX_NAME_BYTES} bytes"));
        }
        Ok(encoded)
    }
}

/// Says what a role is.
fn what(role: &Known) -> String {
    let name = &role.name.shown;
    let object = |id: Option<Uuid>| id.map_or_else(String::new, |id| format!(" {id}"));
    match (&role.link, role.synced()) {
        (Some(link), _) => {
            format!("role \"{name}\", which is linked to another object,{}", object(link.object_id))
        }
        (None, _) if role.is_privileged => {
            format!("role \"{name}\", a superuser or one with a superuser's rights")
        }
        (None, Some(synced)) => format!("role \"{name}\" of a former member, {}", synced.member),
        (None, None) => format!("role \"{name}\", a local one"),
    }
}

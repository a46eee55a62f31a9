//! The link that an SQL function was asked to make, and what the directory says about it.

use std::ffi::CStr;

use entra::{Label, PrincipalKind, Uuid};

use crate::catalog;
use crate::directory;
use crate::link::principal::{is_linked_so, may_link};
use crate::link::sql::{MAX_NAME_BYTES, uuid};
use crate::link::{advice, object, tenant};
use crate::pg::argument::Argument;
use crate::pg::error::{Fault, Result, notice};
use crate::pg::text::decode;

/// The link that a function was asked to make.
pub(super) struct Asked {
    pub(super) object_id: Option<Uuid>,
    pub(super) kind: Option<PrincipalKind>,
    pub(super) admin: bool,
    pub(super) mfa: bool,
}

/// Returns a kind as the functions take it: `user`, `group` or `service`, or as Azure's own tools
/// write it.
pub(super) fn kind(text: Option<Argument<'_>>) -> Result<Option<PrincipalKind>> {
    let Some(text) = text.map(|text| decode(text.beginning(MAX_NAME_BYTES))) else { return Ok(None) };
    PrincipalKind::parse_as_written(&text).map(Some).ok_or_else(|| {
        Fault::invalid(format!("invalid object type \"{text}\"")).hint("Use user, group or service.")
    })
}

/// Returns the error for a name without an id while the directory is off. `complete`: a call with
/// an id.
fn no_directory(complete: &str) -> Fault {
    Fault::prerequisite("the directory cannot be asked for the object id of a name")
        .detail("azure_ad_auth.directory is off.")
        .hint(format!("Give the object id: {complete}"))
}

impl Asked {
    /// Reads arguments. A null stands for the parameter's default.
    pub(super) fn of(
        object_id: Option<pgrx::Uuid>,
        object_type: Option<Argument<'_>>,
        admin: Option<bool>,
        mfa: Option<bool>,
    ) -> Result<Self> {
        Ok(Self {
            object_id: object_id.map(uuid),
            kind: kind(object_type)?,
            admin: admin.unwrap_or_default(),
            mfa: mfa.unwrap_or_default(),
        })
    }

    /// Has the directory say which object is meant: which one the role's name means, or what the
    /// given id is. Leaves it as it is while the directory is off, and if ids are to be taken as
    /// they are given. Nothing may be locked yet. `may`: checks that the user may make the link.
    pub(super) fn find(&mut self, role: &CStr, may: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(question) = object::question(role, self.object_id, self.kind)? else { return Ok(()) };
        may()?;
        let found = object::ask_one(question)?;
        self.object_id = Some(found.id);
        self.kind = Some(object::principal_kind(found.kind));
        Ok(())
    }

    /// Does the same for `create_principal`. For a role that is linked already to the given id, on
    /// these terms, the directory is not asked: scripts call the function again and again.
    pub(super) fn find_for_creation(&mut self, role: &CStr) -> Result<()> {
        let existing = catalog::role_named(role).filter(|_| self.object_id.is_some());
        if let Some(existing) = existing
            && is_linked_so(&existing, &self.label("create_principal", role)?) == Some(true)
        {
            return Ok(());
        }
        self.find(role, || may_link(role))
    }

    /// Does the same for `set_admin`, by which a superuser also brings back an administrator when
    /// nobody can log in: an id that the directory does not know is taken, with a notice.
    pub(super) fn find_administrator(&mut self, role: &CStr) -> Result<()> {
        if self.object_id.is_none() && !directory::is_on() {
            let complete = advice::set_administrator(&decode(role.to_bytes()));
            return Err(no_directory(&complete));
        }
        let given = self.object_id;
        match self.find(role, || Ok(())) {
            Err(fault) if given.is_some() && fault.is_undefined() => notice(
                format!("the directory does not know the object id of role \"{}\"", decode(role.to_bytes())),
                Some(
                    "A new object takes minutes to be known everywhere. If there is none, its tokens are refused soon.",
                ),
            ),
            outcome => outcome?,
        }
        // As it was before the directory could be asked.
        self.kind = self.kind.or(Some(PrincipalKind::User));
        Ok(())
    }

    /// Returns the label for such a link. `function` and `role` are for a hint.
    pub(super) fn label(&self, function: &str, role: &CStr) -> Result<Label> {
        let terms = Label { kind: self.kind, admin: self.admin, mfa: self.mfa, ..Label::default() };
        let object_id = self
            .object_id
            .ok_or_else(|| no_directory(&advice::call(function, &decode(role.to_bytes()), &terms)))?;
        let Label { object_id, tenant_id, .. } = tenant::label_of(object_id)?;
        Ok(Label { object_id, tenant_id, ..terms })
    }
}

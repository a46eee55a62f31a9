//! The link that an SQL function was asked to make.

use std::ffi::CStr;

use entra::{Label, PrincipalKind, Uuid};

use crate::link::sql::{MAX_NAME_BYTES, uuid};
use crate::link::{advice, tenant};
use crate::pg::argument::Argument;
use crate::pg::error::{Fault, Result};
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

    /// Returns the label for such a link. `function` and `role` are for a hint.
    pub(super) fn label(&self, function: &str, role: &CStr) -> Result<Label> {
        let terms = Label { kind: self.kind, admin: self.admin, mfa: self.mfa, ..Label::default() };
        let object_id = self.object_id.ok_or_else(|| {
            let complete = advice::call(function, &decode(role.to_bytes()), &terms);
            Fault::prerequisite("the directory cannot be asked for the object id of a name")
                .hint(format!("Give the object id: {complete}"))
        })?;
        let Label { object_id, tenant_id, .. } = tenant::label_of(object_id)?;
        Ok(Label { object_id, tenant_id, ..terms })
    }
}

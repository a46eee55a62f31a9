//! Asks the directory which objects the roles of a statement are to be linked to, in the dialect of
//! Azure's Single Server: CREATE ROLE ... IN ROLE azure_ad_user, and GRANT azure_ad_user to roles
//! that are not linked. All roles of a statement are asked for in one batch.
//!
//! Only a user who may make these links gets so far, and no lock is taken yet. Rights, and whether
//! the roles are linked by then, are checked again under the locks (`request.rs`).

use entra::Label;
use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, Link, Role, USER_ROLE, is_marker};
use crate::directory::{self, Question, Resolved};
use crate::link::{self, object, rights, tenant};
use crate::pg::error::{Fault, Result};
use crate::pg::{allocate, interrupts};
use crate::statement::named_roles::Roles;
use crate::statement::request::may_create_linked;
use crate::statement::{Creation, Password, Statement};

/// The objects that were found. Empty while the directory is off.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// That of the role that is to be created.
    created: Option<Resolved>,
    /// Those of roles that exist, in the order of their oids.
    granted: Vec<(Role, Resolved)>,
}

impl Objects {
    /// Returns the link of the role that is to be created; none if the directory was not asked.
    pub(crate) fn of_created(&self) -> Result<Option<Label>> {
        self.created.as_ref().map(label).transpose()
    }

    /// Returns the link of a role that exists; none if the directory was not asked about it under
    /// the name that it has now.
    pub(crate) fn of(&self, role: &Role) -> Result<Option<Label>> {
        let Some(found) = self.found_for(role) else { return Ok(None) };
        // An earlier label may ask for a second factor.
        let mfa = catalog::own_label(role.id).is_some_and(|own| own.mfa);
        Ok(Some(Label { mfa, ..label(found)? }))
    }

    /// Returns whether a role is to be linked to an object that was found.
    pub(crate) fn include(&self, role: &Role) -> bool {
        self.found_for(role).is_some()
    }

    fn found_for(&self, role: &Role) -> Option<&Resolved> {
        let place = self.granted.binary_search_by_key(&role.id.to_u32(), |(asked, _)| asked.id.to_u32());
        let (asked, found) = self.granted.get(place.ok()?)?;
        (asked.name == role.name).then_some(found)
    }
}

fn label(found: &Resolved) -> Result<Label> {
    let kind = Some(object::principal_kind(found.kind));
    Ok(Label { kind, ..tenant::label_of(found.id)? })
}

/// Asks the directory what a statement needs to know.
///
/// # Errors
/// The user may not make the links, one of the roles means no object, or there is no answer.
pub(crate) fn of(statement: &Statement<'_>) -> Result<Objects> {
    if !directory::is_on() || link::markers().is_none() {
        return Ok(Objects::default());
    }
    match statement {
        Statement::Create(creation) if creation.parents.name(USER_ROLE) => {
            Ok(Objects { created: of_creation(creation)?, ..Objects::default() })
        }
        Statement::Membership { granted, members, is_grant: true, options_only: false }
            if granted.name(USER_ROLE) && !granted.name(ADMIN_ROLE) =>
        {
            Ok(Objects { granted: of_grant(members)?, ..Objects::default() })
        }
        _ => Ok(Objects::default()),
    }
}

fn of_creation(creation: &Creation<'_>) -> Result<Option<Resolved>> {
    may_create_linked(creation)?;
    let object_id = match creation.password {
        Password::None => None,
        Password::Uuid(id) => Some(id),
        // It is refused.
        Password::Other => return Ok(None),
    };
    if let Some(role) = catalog::role_named(&creation.role) {
        let code = PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT;
        return Err(Fault::new(code, format!("role \"{}\" already exists", role.display_name())));
    }
    object::question(&creation.role, object_id, None)?.map(object::ask_one).transpose()
}

fn of_grant(members: &Roles<'_>) -> Result<Vec<(Role, Resolved)>> {
    let (mut roles, mut questions): (Vec<Role>, Vec<Question>) = Default::default();
    for role in members.distinct()?.into_iter().filter(is_to_be_found) {
        interrupts::check();
        rights::may_change(&role)?;
        link::check_linkable(&role)?;
        let kind = catalog::own_label(role.id).and_then(|own| own.kind);
        if let Some(question) = object::question(&role.name, None, kind)? {
            allocate::push(&mut questions, question)?;
            allocate::push(&mut roles, role)?;
        }
    }
    allocate::collect(roles.into_iter().zip(object::ask(&questions)?))
}

/// Returns whether a role is one to link, and no label says what to.
fn is_to_be_found(role: &Role) -> bool {
    let is_open = matches!(catalog::link_of(role.id), Link::None | Link::Unbound);
    is_open && !is_marker(role) && !catalog::own_label(role.id).is_some_and(|own| own.admin)
}

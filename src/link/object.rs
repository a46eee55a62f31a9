//! Asks the directory which objects roles are to be linked to.
//!
//! It is asked before any lock is taken and before anything is written, because an answer can take
//! as long as `directory_wait`; and only for a user who has the right to make the link, because
//! every question costs requests, and an answer says what is in the directory. The rights are
//! checked again under the locks.

use std::ffi::CStr;

use entra::directory::request::Kind;
use entra::{PrincipalKind, Uuid};

use crate::directory::{self, Question, Resolved};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::text::decode_exactly;
use crate::settings;

/// Returns what to ask about a role that is to be linked: its name, or the id that was given for
/// it. `kind`: the type that was given. None: the directory is off, or the id is to be taken as it
/// is.
///
/// # Errors
/// The name is no text in the encoding of this database, so that no object can have it.
pub(crate) fn question(
    role: &CStr,
    object_id: Option<Uuid>,
    kind: Option<PrincipalKind>,
) -> Result<Option<Question>> {
    if !directory::is_on() {
        return Ok(None);
    }
    let kind = kind.map(kind_of);
    match object_id {
        Some(id) if settings::validates_object_ids() => Ok(Some(Question::Id { id, kind })),
        Some(_) => Ok(None),
        None => Ok(Some(Question::Name { text: name_of(role)?, kind })),
    }
}

fn name_of(role: &CStr) -> Result<String> {
    decode_exactly(role.to_bytes())
        .ok_or_else(|| cannot_be_asked("it is no text in the encoding of this database"))
}

/// The error for a name that is not asked for.
pub(crate) fn cannot_be_asked(why: &str) -> Fault {
    Fault::invalid("no object of the directory can have this name")
        .detail(format!("The name is not asked for: {why}."))
}

/// Asks the directory, all questions in one batch, and tells the client what was found. The answers
/// have the order of the questions.
///
/// # Errors
/// One of them is no object that a role can be linked to, or there is no answer.
pub(crate) fn ask(questions: &[Question]) -> Result<Vec<Resolved>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let found = directory::resolve(questions).map_err(|fault| explained(fault, questions))?;
    for object in &found {
        notice(object.notice.as_str(), None);
    }
    Ok(found)
}

/// Adds to the error of a directory that does not answer how to do without it, where that is
/// possible: for an id that was given.
fn explained(fault: Fault, questions: &[Question]) -> Fault {
    let all_are_ids = questions.iter().all(|question| matches!(question, Question::Id { .. }));
    if fault.is_of_system() && all_are_ids {
        return fault.hint("To take the object id as it is given: SET aad_validate_oids_in_tenant = off;");
    }
    fault
}

/// Asks the directory one question.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_one(question: Question) -> Result<Resolved> {
    let found = ask(&[question])?.pop();
    found.ok_or_else(|| Fault::prerequisite("the directory did not answer"))
}

/// Returns the type of the objects that a link is made to, as the directory has them.
pub(crate) const fn kind_of(kind: PrincipalKind) -> Kind {
    match kind {
        PrincipalKind::User => Kind::User,
        PrincipalKind::Group => Kind::Group,
        PrincipalKind::Service => Kind::Application,
    }
}

/// Returns the type of an object of the directory, as links have it.
pub(crate) const fn principal_kind(kind: Kind) -> PrincipalKind {
    match kind {
        Kind::User => PrincipalKind::User,
        Kind::Group => PrincipalKind::Group,
        Kind::Application => PrincipalKind::Service,
    }
}

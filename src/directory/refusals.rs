//! The errors of questions that found no object, as a statement shows them.

use entra::Uuid;
use entra::directory::id::Unidentified;
use entra::directory::name::{Unresolved, word};
use entra::directory::request::Kind;

use crate::directory::batch::Asker;
use crate::directory::question::Refusal;

/// Where an administrator sees which permissions the application has.
const SEE_FEATURES: &str = "See the view azure_ad_auth.directory_features.";

/// New objects take some minutes until all of Microsoft Graph knows them.
const NEW_OBJECTS: &str = "New objects take minutes until the directory finds them everywhere.";

/// Returns the error that there is no answer.
pub(super) fn no_answer(asker: &Asker<'_>) -> Refusal {
    let refusal = Refusal::new("58000", "the directory did not answer")
        .hint("See the view azure_ad_auth.directory_status. The object id can be given instead of a name.");
    match &asker.notes.problem {
        Some(problem) => refusal.detail(format!("{problem}.")),
        None => refusal,
    }
}

/// Returns the error that a question about a kind may not be asked.
pub(super) fn forbidden(name: &str, kind: Kind) -> Refusal {
    let permission = kind.permission();
    Refusal::new("42501", format!("the directory may not be asked for \"{name}\""))
        .detail(format!("The server's application lacks the permission {permission} of Microsoft Graph."))
        .hint(SEE_FEATURES)
}

/// Returns the error for a name that means no object. `kind`: the type that the caller has named.
pub(super) fn unresolved(asker: &Asker<'_>, name: &str, kind: Option<Kind>, fault: &Unresolved) -> Refusal {
    let of_kind = kind.map_or_else(|| "object".to_owned(), |kind| word(kind).to_owned());
    let refusal = |message: String| Refusal::new(fault.sqlstate(), message);
    match fault {
        Unresolved::NotFound => {
            refusal(format!("the directory has no {of_kind} named \"{name}\"")).hint(where_sought(name, kind))
        }
        Unresolved::Near(_) => refusal(format!("the directory has no {of_kind} named exactly \"{name}\""))
            .detail(sentence(fault))
            .hint("Names of groups and applications are compared exactly."),
        Unresolved::NotUnique(_) => refusal(format!("\"{name}\" is not unique in the directory"))
            .detail(sentence(fault))
            .hint("Give the object id, or the type if that makes it unique."),
        Unresolved::NotSecurityEnabled(_) => refusal(format!("group \"{name}\" is not security-enabled"))
            .detail("Such a group, like a distribution list, is in no access token, and gives no access."),
        Unresolved::Forbidden(kind) => forbidden(name, *kind),
        Unresolved::NoAnswer => no_answer(asker),
    }
}

fn where_sought(name: &str, kind: Option<Kind>) -> String {
    let sought = match kind {
        Some(Kind::User) => "Users are found by user principal name, guests by their mail address too.",
        Some(Kind::Group) => "Groups are found by display name.",
        Some(Kind::Application) => "Applications are found by display name or client id.",
        None if name.contains('@') => {
            "A name with an @ is a user principal name or the mail address of a guest, unless the type is given."
        }
        None => {
            "A name without an @ is the display name of a group or an application, unless the type is given."
        }
    };
    format!("{sought} {NEW_OBJECTS}")
}

fn sentence(fault: &Unresolved) -> String {
    let text = fault.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), characters.as_str())
}

/// Returns the error for an id that is not accepted. `service`: the object id of the service
/// principal, if it is that of an app registration and the directory has told it.
pub(super) fn unidentified(
    asker: &Asker<'_>,
    id: Uuid,
    fault: &Unidentified,
    service: Option<Uuid>,
) -> Refusal {
    let refusal = |message: String| Refusal::new(fault.sqlstate(), message);
    match fault {
        Unidentified::NotFound => {
            refusal(format!("the directory has no object with the id {id}")).hint(NEW_OBJECTS)
        }
        Unidentified::Registration { .. } => {
            let hint = service.map_or_else(
                || "Give the object id of the application's service principal.".to_owned(),
                |service| format!("The object id of the application's service principal is {service}."),
            );
            refusal(format!("{id} is the object id of an app registration"))
                .detail("No access token has it.")
                .hint(hint)
        }
        Unidentified::OtherType { said, found } => {
            refusal(format!("the object with the id {id} is of type {}, not {}", word(*found), word(*said)))
        }
        Unidentified::NotSecurityEnabled => refusal(format!("group {id} is not security-enabled"))
            .detail("Such a group, like a distribution list, is in no access token, and gives no access."),
        Unidentified::Forbidden(kind) => forbidden(&id.to_string(), *kind),
        Unidentified::NoAnswer => no_answer(asker),
    }
}

//! Filters of OData, as far as the directory understands them: comparisons of one property with
//! a literal, `in`, `startswith`, `endswith`, `and`, `or`, `not`.

mod parser;

use serde_json::Value;

use super::objects::{Object, ObjectType};

/// Most alternatives of `or` and members of `in`.
const MAX_CHILDREN: usize = 15;

/// A filter that has been read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Equals(String, Value),
    Differs(String, Value),
    In(String, Vec<Value>),
    StartsWith(String, String),
    EndsWith(String, String),
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax(String),
    Unsupported(String),
}

impl Filter {
    /// Reads a filter.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        parser::parse(text)
    }

    /// Checks that it asks for properties of a type that can be asked for, and is not too large.
    pub(super) fn check(&self, object_type: ObjectType) -> Result<(), Fault> {
        let known = |property: &String| {
            if !object_type.properties().contains(&property.as_str()) {
                let name = object_type.name();
                let problem = format!("Could not find a property named '{property}' on type '{name}'.");
                return Err(Fault::Syntax(problem));
            }
            let problem = || format!("Unsupported property filter clause for property '{property}'.");
            object_type.can_filter_by(property).then_some(()).ok_or_else(|| Fault::Unsupported(problem()))
        };
        let too_many = |children: usize| {
            let problem = format!(
                "Too many child clauses specified in search filter expression: {children}. Max allowed: \
                 {MAX_CHILDREN}."
            );
            if children > MAX_CHILDREN { Err(Fault::Unsupported(problem)) } else { Ok(()) }
        };
        match self {
            Self::Or(parts) | Self::And(parts) => {
                if matches!(self, Self::Or(_)) {
                    too_many(parts.len())?;
                }
                parts.iter().try_for_each(|part| part.check(object_type))
            }
            Self::Not(part) => part.check(object_type),
            Self::In(property, values) => known(property).and_then(|()| too_many(values.len())),
            Self::Equals(property, _)
            | Self::Differs(property, _)
            | Self::StartsWith(property, _)
            | Self::EndsWith(property, _) => known(property),
        }
    }

    /// Returns the ids that it asks for, if it asks by id only.
    pub(super) fn ids(&self) -> Option<Vec<&str>> {
        match self {
            Self::Equals(property, id) if property == "id" => Some(vec![id.as_str()?]),
            Self::In(property, ids) if property == "id" => ids.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// Returns whether only an advanced query may have it.
    pub(super) fn is_advanced(&self) -> bool {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().any(Self::is_advanced),
            Self::Not(_) | Self::Differs(..) | Self::EndsWith(..) => true,
            _ => false,
        }
    }

    /// Returns whether it finds an object. Texts are compared without case.
    pub(super) fn finds(&self, object: &Object) -> bool {
        let text =
            |property: &str| object.properties.get(property).and_then(Value::as_str).map(str::to_lowercase);
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.finds(object)),
            Self::And(parts) => parts.iter().all(|part| part.finds(object)),
            Self::Not(part) => !part.finds(object),
            Self::Equals(property, value) => equals(object, property, value),
            Self::Differs(property, value) => !equals(object, property, value),
            Self::In(property, values) => values.iter().any(|value| equals(object, property, value)),
            Self::StartsWith(property, start) => {
                text(property).is_some_and(|text| text.starts_with(&start.to_lowercase()))
            }
            Self::EndsWith(property, end) => {
                text(property).is_some_and(|text| text.ends_with(&end.to_lowercase()))
            }
        }
    }
}

fn equals(object: &Object, property: &str, value: &Value) -> bool {
    let found = object.properties.get(property).unwrap_or(&Value::Null);
    match value.as_str() {
        // Names that end in a blank or a line end are not found.
        Some(_) if found.as_str().is_some_and(|name| name.ends_with(char::is_whitespace)) => false,
        Some(text) => object.has(property, text),
        None => found == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(filter: &str) -> bool {
        let object = Object::user("22222222-AAAA-bbbb-cccc-000000000002", "O'Brien@contoso.example");
        Filter::parse(filter).expect("a filter").finds(&object)
    }

    #[test]
    fn a_filter_finds_what_it_says() {
        for (filter, finds) in [
            ("userPrincipalName eq 'o''brien@CONTOSO.example'", true),
            ("userPrincipalName eq 'obrien@contoso.example'", false),
            ("accountEnabled eq true", true),
            ("mail eq null", false),
            ("startswith(displayName,'o''b')", true),
            ("endswith(mail, '.example') and not (userType eq 'Guest')", true),
            ("id in ('1', '22222222-aaaa-bbbb-cccc-000000000002')", true),
            ("userType eq 'Guest' or displayName ne 'o''brien'", false),
            ("userType eq 'Guest' and displayName eq 'x' or accountEnabled eq true", true),
        ] {
            assert_eq!(found(filter), finds, "{filter}");
        }
    }

    #[test]
    fn a_name_that_ends_in_a_blank_is_not_found() {
        let group = Object::group("55555555-aaaa-bbbb-cccc-000000000005", "readers ");
        for name in ["readers ", "readers"] {
            assert!(!Filter::parse(&format!("displayName eq '{name}'")).expect("a filter").finds(&group));
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "displayName",
            "displayName eq",
            "displayName eq 'x",
            "displayName eq 'o'brien'",
            "displayName eq x",
            "displayName eq 'x' or",
            "displayName in ('x'",
            "(displayName eq 'x'",
            "displayName eq 'x' mail eq 'y'",
        ] {
            assert!(matches!(Filter::parse(text), Err(Fault::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn a_filter_is_checked_against_a_type() {
        let checked = |filter: &str| Filter::parse(filter).expect("a filter").check(ObjectType::User);
        let ids = |number: usize| format!("id in ({})", vec!["'x'"; number].join(","));
        let alternatives = |number: usize| vec!["id eq 'x'"; number].join(" or ");
        assert_eq!([checked(&ids(15)), checked(&alternatives(15))], [Ok(()), Ok(())]);
        for filter in [ids(16), alternatives(16), "signInSessionsValidFromDateTime eq 'x'".to_owned()] {
            assert!(matches!(checked(&filter), Err(Fault::Unsupported(_))), "{filter}");
        }
        assert!(matches!(checked("appId eq 'x'"), Err(Fault::Syntax(_))));
        let advanced = |filter: &str| Filter::parse(filter).expect("a filter").is_advanced();
        assert!(advanced("mail ne 'x' or mail eq 'y'") && !advanced("mail eq 'y'"));
    }
}

//! The text of a security label: the link between a role and a directory object.
//!
//! The grammar is Azure's, so that a role dump of a Flexible Server can be read. A label of the
//! provider `pgaadauth` is
//! `aadauth[,oid=<uuid>][,type=user|group|service][,admin][,mfa]`,
//! `[,tenant_id=<uuid>][,not_before=<time>]`,
//! with the time in Unix seconds. A label of `pgaadauth-int` has the same items in any order,
//! without the keyword, as in `type=user,oid=...,tenant_id=...,admin`.
//!
//! The first label has what an administrator wrote, the second what the server found out in
//! addition.

use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::kinds::PrincipalKind;
use crate::limits;
use crate::untrusted::Untrusted;

/// The items of a label, each of which may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Label {
    /// The directory object.
    pub object_id: Option<Uuid>,
    /// The kind of the object.
    pub kind: Option<PrincipalKind>,
    /// The role administers other Azure AD roles.
    pub admin: bool,
    /// The link demands multi-factor authentication.
    pub mfa: bool,
    /// The tenant of the object.
    pub tenant_id: Option<Uuid>,
    /// Tokens issued before this time are refused; Unix seconds.
    pub not_before: Option<i64>,
}

/// The reason why a label does not parse, with the offending part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelFault {
    /// The label does not begin with the keyword `aadauth`.
    NoKeyword,
    /// An item is not known, not of this provider, or in the wrong case.
    Unknown(String),
    /// An item is given twice.
    Duplicate(&'static str),
    /// A value is not valid for its item.
    BadValue(&'static str, String),
    /// The label is longer than [`limits::MAX_LABEL_BYTES`].
    TooLong(usize),
}

impl fmt::Display for LabelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyword => f.write_str("It must begin with \"aadauth\"."),
            Self::Unknown(item) => write!(f, "\"{}\" is not known.", Untrusted::new(item)),
            Self::Duplicate(item) => write!(f, "\"{item}\" is given twice."),
            Self::BadValue(item, value) => {
                write!(f, "\"{}\" is not a valid value of \"{item}\".", Untrusted::new(value))
            }
            Self::TooLong(length) => {
                write!(f, "It has {length} bytes; at most {} are allowed.", limits::MAX_LABEL_BYTES)
            }
        }
    }
}

impl Label {
    /// Reads a label of the provider `pgaadauth` before it is written.
    ///
    /// # Errors
    /// The first part that is wrong, or a time after [`limits::MAX_UNIX_SECONDS`].
    pub fn parse(text: &str) -> Result<Self, LabelFault> {
        Self::parse_any_time(text)?.with_time_in_bounds()
    }

    fn with_time_in_bounds(self) -> Result<Self, LabelFault> {
        match self.not_before {
            Some(time) if time > limits::MAX_UNIX_SECONDS => {
                Err(LabelFault::BadValue("not_before", time.to_string()))
            }
            _ => Ok(self),
        }
    }

    /// Reads a label that was written before. A time after [`limits::MAX_UNIX_SECONDS`], which
    /// older versions accepted, is read as that time.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn parse_written(text: &str) -> Result<Self, LabelFault> {
        let label = Self::parse_any_time(text)?;
        Ok(Self { not_before: label.not_before.map(|time| time.min(limits::MAX_UNIX_SECONDS)), ..label })
    }

    fn parse_any_time(text: &str) -> Result<Self, LabelFault> {
        check_length(text)?;
        let mut items = text.split(',');
        if items.next() != Some("aadauth") {
            return Err(LabelFault::NoKeyword);
        }
        Self::parse_items(items)
    }

    /// Reads a label of the provider `pgaadauth-int`.
    ///
    /// # Errors
    /// The first part that is wrong, or a time after [`limits::MAX_UNIX_SECONDS`].
    pub fn parse_internal(text: &str) -> Result<Self, LabelFault> {
        check_length(text)?;
        Self::parse_items(text.split(','))?.with_time_in_bounds()
    }

    fn parse_items<'t>(items: impl Iterator<Item = &'t str>) -> Result<Self, LabelFault> {
        let mut label = Self::default();
        for item in items {
            let unknown = || LabelFault::Unknown(item.to_owned());
            match item.split_once('=') {
                Some(("oid", value)) => set(&mut label.object_id, "oid", value, parse_uuid)?,
                Some(("type", value)) => set(&mut label.kind, "type", value, PrincipalKind::parse)?,
                Some(("tenant_id", value)) => set(&mut label.tenant_id, "tenant_id", value, parse_uuid)?,
                Some(("not_before", value)) => {
                    set(&mut label.not_before, "not_before", value, parse_seconds)?;
                }
                None if item == "admin" => raise(&mut label.admin, "admin")?,
                None if item == "mfa" => raise(&mut label.mfa, "mfa")?,
                _ => return Err(unknown()),
            }
        }
        Ok(label)
    }

    /// Fills the items that this label leaves out from the label of the provider `pgaadauth-int`. A
    /// demand that either label makes of a token holds. Only this label makes an administrator.
    #[must_use]
    pub fn completed_by(self, internal: &Self) -> Self {
        Self {
            object_id: self.object_id.or(internal.object_id),
            kind: self.kind.or(internal.kind),
            tenant_id: self.tenant_id.or(internal.tenant_id),
            mfa: self.mfa || internal.mfa,
            not_before: self.not_before.max(internal.not_before),
            admin: self.admin,
        }
    }

    /// Returns the text of a label of the provider `pgaadauth-int` with an item set to `value`, or
    /// without the item. The rest stays as it is written. Returns none if no item is left.
    #[must_use]
    pub fn with_internal_item(text: Option<&str>, name: &str, value: Option<&str>) -> Option<String> {
        let is_other = |item: &&str| item.split_once('=').is_none_or(|(other, _)| other != name);
        let kept = text.into_iter().flat_map(|text| text.split(',')).filter(is_other).map(str::to_owned);
        let items: Vec<_> = kept.chain(value.map(|value| format!("{name}={value}"))).collect();
        (!items.is_empty()).then(|| items.join(","))
    }
}

impl fmt::Display for Label {
    /// Writes the label of the provider `pgaadauth`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aadauth")?;
        if let Some(object_id) = self.object_id {
            write!(f, ",oid={object_id}")?;
        }
        if let Some(kind) = self.kind {
            write!(f, ",type={kind}")?;
        }
        if self.admin {
            f.write_str(",admin")?;
        }
        if self.mfa {
            f.write_str(",mfa")?;
        }
        if let Some(tenant_id) = self.tenant_id {
            write!(f, ",tenant_id={tenant_id}")?;
        }
        if let Some(not_before) = self.not_before {
            write!(f, ",not_before={not_before}")?;
        }
        Ok(())
    }
}

const fn check_length(text: &str) -> Result<(), LabelFault> {
    if text.len() > limits::MAX_LABEL_BYTES { Err(LabelFault::TooLong(text.len())) } else { Ok(()) }
}

fn set<T>(
    field: &mut Option<T>,
    name: &'static str,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), LabelFault> {
    let value = parse(value).ok_or_else(|| LabelFault::BadValue(name, value.to_owned()))?;
    if field.replace(value).is_some() { Err(LabelFault::Duplicate(name)) } else { Ok(()) }
}

fn raise(flag: &mut bool, name: &'static str) -> Result<(), LabelFault> {
    if std::mem::replace(flag, true) { Err(LabelFault::Duplicate(name)) } else { Ok(()) }
}

/// Reads a number of digits only, without a sign or blanks. More digits than `i64` needs are not
/// accepted: leading zeros could fill a label up to its limit, so that items which are added later
/// would make it too long.
fn parse_seconds(text: &str) -> Option<i64> {
    const MOST_DIGITS: usize = 19;
    let is_number = text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;

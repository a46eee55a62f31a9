//! The text of a security label: the link between a role and a directory object.
//!
//! Azure's own grammar, so that a role dump of a Flexible Server can be read:
//! `aadauth[,oid=<uuid>][,type=user|group|service][,admin][,mfa][,tenant_id=<uuid>][,not_before=<unix seconds>]`
//! for the provider `pgaadauth`, and the same items in any order, without the keyword, for `pgaadauth-int`, as in
//! `type=user,oid=…,tenant_id=…,admin`.
//!
//! The first says what somebody has written, the second what the server has found out besides.

use std::fmt;

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::limits;
use crate::principal::PrincipalKind;

/// What a label says; everything in it may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Label {
    /// The directory object.
    pub object_id: Option<Uuid>,
    /// What kind of object it is.
    pub kind: Option<PrincipalKind>,
    /// The role administers other Azure AD roles.
    pub admin: bool,
    /// Multi-factor authentication is demanded.
    pub mfa: bool,
    /// The tenant of the object.
    pub tenant_id: Option<Uuid>,
    /// Tokens issued earlier are refused; Unix seconds.
    pub not_before: Option<i64>,
}

/// Why a label does not parse. Names the offending part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelFault {
    /// Does not begin with the keyword `aadauth`.
    NoKeyword,
    /// An item no one knows, or not of this provider, or in the wrong case.
    Unknown(String),
    /// An item twice.
    Duplicate(&'static str),
    /// A value that is not what the item wants.
    BadValue(&'static str, String),
    /// Longer than [`limits::MAX_LABEL_BYTES`].
    TooLong(usize),
}

impl fmt::Display for LabelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyword => f.write_str("It must begin with \"aadauth\"."),
            Self::Unknown(item) => write!(f, "\"{}\" is not known.", crate::Untrusted::new(item)),
            Self::Duplicate(item) => write!(f, "\"{item}\" is given twice."),
            Self::BadValue(item, value) => {
                write!(f, "\"{}\" is not a valid value of \"{item}\".", crate::Untrusted::new(value))
            }
            Self::TooLong(length) => {
                write!(f, "It has {length} bytes; at most {} are allowed.", limits::MAX_LABEL_BYTES)
            }
        }
    }
}

impl Label {
    /// Reads a label of the provider `pgaadauth` that is about to be written.
    ///
    /// # Errors
    /// The first part that is wrong; or a time after [`limits::MAX_UNIX_SECONDS`].
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

    /// Reads one that was written: a later time, which older versions let through, is that one.
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
    /// The first part that is wrong; or a time after [`limits::MAX_UNIX_SECONDS`].
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

    /// Fills what this label leaves out from that of the provider `pgaadauth-int`. What either demands of a token is
    /// demanded. Whether the role administers others, this label says alone.
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

    /// The text of a label of the provider `pgaadauth-int` with one item in place of another of its name, or without it.
    /// Everything else stays as it is written. None: nothing is left.
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

/// Digits only: no sign, no blanks; and no more of them than the latest time has. A label could be as
/// long as one may be by zeros alone, and would be too long with what is added to it later.
fn parse_seconds(text: &str) -> Option<i64> {
    const MOST_DIGITS: usize = 19;
    let is_number = text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "33333333-aaaa-bbbb-cccc-000000000003";
    const TID: &str = "11111111-aaaa-bbbb-cccc-000000000001";

    #[test]
    fn labels_as_azure_writes_them() {
        let oid = parse_uuid(OID);
        let tenant_id = parse_uuid(TID);
        let group = Some(PrincipalKind::Group);
        let cases = [
            ("aadauth".to_owned(), Label::default()),
            ("aadauth,admin".to_owned(), Label { admin: true, ..Label::default() }),
            ("aadauth,mfa".to_owned(), Label { mfa: true, ..Label::default() }),
            (
                format!("aadauth,oid={OID},type=group,admin"),
                Label { object_id: oid, kind: group, admin: true, ..Label::default() },
            ),
            (
                format!("aadauth,oid={OID},type=group,admin,mfa,tenant_id={TID},not_before=1700000000"),
                Label {
                    object_id: oid,
                    kind: group,
                    admin: true,
                    mfa: true,
                    tenant_id,
                    not_before: Some(1_700_000_000),
                },
            ),
        ];
        for (text, label) in cases {
            assert_eq!(Label::parse(&text), Ok(label), "{text}");
            assert_eq!(label.to_string(), text);
        }
        assert_eq!(
            Label::parse_internal(&format!("type=group,oid={OID},tenant_id={TID}")),
            Ok(Label { object_id: oid, kind: group, tenant_id, ..Label::default() })
        );
    }

    #[test]
    fn order_does_not_matter_and_case_of_uuids_neither() {
        let text =
            format!("aadauth,mfa,tenant_id={},type=user,oid={}", TID.to_uppercase(), OID.to_uppercase());
        assert_eq!(
            Label::parse(&text).map(|label| label.to_string()),
            Ok(format!("aadauth,oid={OID},type=user,mfa,tenant_id={TID}"))
        );
    }

    #[test]
    fn the_offending_part_is_named() {
        let unknown = |item: &str| LabelFault::Unknown(item.to_owned());
        let bad = |item, value: &str| LabelFault::BadValue(item, value.to_owned());
        let long = format!("aadauth,{}", "x".repeat(2_000));
        let cases: &[(&str, LabelFault)] = &[
            ("", LabelFault::NoKeyword),
            ("AADAUTH", LabelFault::NoKeyword),
            (" aadauth", LabelFault::NoKeyword),
            ("admin", LabelFault::NoKeyword),
            ("aadauth,", unknown("")),
            ("aadauth,,admin", unknown("")),
            ("aadauth, admin", unknown(" admin")),
            ("aadauth,Admin", unknown("Admin")),
            ("aadauth,admin=1", unknown("admin=1")),
            ("aadauth,oid", unknown("oid")),
            (
                "aadauth,OID=33333333-aaaa-bbbb-cccc-000000000003",
                unknown("OID=33333333-aaaa-bbbb-cccc-000000000003"),
            ),
            ("aadauth,owner=x", unknown("owner=x")),
            ("aadauth,oid=", bad("oid", "")),
            ("aadauth,oid=x", bad("oid", "x")),
            (
                "aadauth,oid={33333333-aaaa-bbbb-cccc-000000000003}",
                bad("oid", "{33333333-aaaa-bbbb-cccc-000000000003}"),
            ),
            ("aadauth,type=User", bad("type", "User")),
            ("aadauth,type=", bad("type", "")),
            ("aadauth,tenant_id=common", bad("tenant_id", "common")),
            ("aadauth,not_before=-1", bad("not_before", "-1")),
            ("aadauth,not_before=", bad("not_before", "")),
            ("aadauth,not_before=99999999999999999999", bad("not_before", "99999999999999999999")),
            ("aadauth,not_before=00000000000000000001", bad("not_before", "00000000000000000001")),
            ("aadauth,admin,admin", LabelFault::Duplicate("admin")),
            ("aadauth,mfa,mfa", LabelFault::Duplicate("mfa")),
            ("aadauth,type=user,type=user", LabelFault::Duplicate("type")),
            (&long, LabelFault::TooLong(2_008)),
        ];
        for (text, fault) in cases {
            assert_eq!(Label::parse(text).as_ref(), Err(fault), "{text}");
        }
        for (text, fault) in [
            ("", unknown("")),
            ("aadauth", unknown("aadauth")),
            ("aadauth,type=user", unknown("aadauth")),
            ("type=user,owner=x", unknown("owner=x")),
            ("type=user,ADMIN", unknown("ADMIN")),
            ("admin,type=user,admin", LabelFault::Duplicate("admin")),
            ("type=user,not_before=x", bad("not_before", "x")),
        ] {
            assert_eq!(Label::parse_internal(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn internal_labels_as_live_servers_write_them() {
        let user = Label {
            object_id: parse_uuid(OID),
            kind: Some(PrincipalKind::User),
            tenant_id: parse_uuid(TID),
            ..Label::default()
        };
        let admin = Label { admin: true, ..user };
        for (text, label) in [
            (format!("type=user,oid={OID},tenant_id={TID}"), user),
            (format!("type=user,oid={OID},tenant_id={TID},admin"), admin),
            (format!("admin,tenant_id={TID},oid={OID},type=user"), admin),
            (format!("oid={OID},mfa,type=user,tenant_id={TID}"), Label { mfa: true, ..user }),
            (
                format!("not_before=7,oid={OID},type=user,tenant_id={TID}"),
                Label { not_before: Some(7), ..user },
            ),
        ] {
            assert_eq!(Label::parse_internal(&text), Ok(label), "{text}");
        }
    }

    #[test]
    fn the_stricter_of_two_labels_counts_and_one_alone_makes_an_administrator() {
        let both = |own: &str, internal: &str| {
            let internal = Label::parse_internal(internal).unwrap();
            Label::parse(own).unwrap().completed_by(&internal)
        };
        assert!(!both("aadauth", "type=user,admin").admin);
        assert!(both("aadauth,admin", "type=user").admin);
        assert!(both("aadauth", "mfa").mfa && both("aadauth,mfa", "type=user").mfa);
        for (own, internal, expected) in [
            ("aadauth", "not_before=7", Some(7)),
            ("aadauth,not_before=9", "not_before=7", Some(9)),
            ("aadauth,not_before=0", "not_before=7", Some(7)),
            ("aadauth,not_before=7", "type=user", Some(7)),
        ] {
            assert_eq!(both(own, internal).not_before, expected, "{own} {internal}");
        }
    }

    #[test]
    fn an_item_is_changed_and_the_rest_stays_as_it_is_written() {
        let with = |text: Option<&str>, value| Label::with_internal_item(text, "not_before", value);
        assert_eq!(with(None, Some("7")).as_deref(), Some("not_before=7"));
        assert_eq!(with(Some("admin,oid=x"), Some("7")).as_deref(), Some("admin,oid=x,not_before=7"));
        assert_eq!(with(Some("not_before=5,admin"), Some("7")).as_deref(), Some("admin,not_before=7"));
        assert_eq!(with(Some("not_before=5,admin"), None).as_deref(), Some("admin"));
        assert_eq!(with(Some("not_before=5"), None), None);
        assert_eq!(with(None, None), None);
    }

    #[test]
    fn the_internal_label_only_fills_gaps() {
        let other = "44444444-aaaa-bbbb-cccc-000000000004";
        let internal = Label::parse_internal(&format!("type=group,oid={other},tenant_id={TID}")).unwrap();
        let label = Label::parse(&format!("aadauth,oid={OID},mfa")).unwrap().completed_by(&internal);
        assert_eq!(label.to_string(), format!("aadauth,oid={OID},type=group,mfa,tenant_id={TID}"));
    }

    #[test]
    fn times_end_with_the_year_9999() {
        let latest = format!("aadauth,not_before={}", limits::MAX_UNIX_SECONDS);
        let label = Label { not_before: Some(limits::MAX_UNIX_SECONDS), ..Label::default() };
        assert_eq!(Label::parse(&latest), Ok(label));
        for time in [limits::MAX_UNIX_SECONDS + 1, i64::MAX] {
            let text = format!("aadauth,not_before={time}");
            let fault = LabelFault::BadValue("not_before", time.to_string());
            assert_eq!(Label::parse(&text), Err(fault));
            assert_eq!(Label::parse_written(&text), Ok(label));
        }
    }

    #[test]
    fn the_longest_label_fits() {
        let label = Label {
            object_id: parse_uuid(OID),
            kind: Some(PrincipalKind::Service),
            admin: true,
            mfa: true,
            tenant_id: parse_uuid(TID),
            not_before: Some(i64::MAX),
        };
        assert!(label.to_string().len() < limits::MAX_LABEL_BYTES);
    }
}

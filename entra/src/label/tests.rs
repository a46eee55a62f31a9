//! Labels as they are written and read.

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
    let text = format!("aadauth,mfa,tenant_id={},type=user,oid={}", TID.to_uppercase(), OID.to_uppercase());
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
        (format!("not_before=7,oid={OID},type=user,tenant_id={TID}"), Label { not_before: Some(7), ..user }),
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

//! Names that a role cannot have.

use entra::PrincipalKind;
use entra::directory::answer::Object;
use entra::directory::request::Kind;

use crate::world::*;

/// What the round says of one member.
fn said(member: Object) -> String {
    let mut world = World::new(SERVERS[0]);
    world.add(local(200, "Taken@x"));
    world.add(local(201, "chief")).is_privileged = true;
    world.add(local(202, "linked@x")).link = Some(link(id(77), PrincipalKind::User));
    world.list(READERS_GROUP, &[member, user(99, "zoe@x")]);
    let rows = world.round();
    assert!(world.has(READERS, world.oid("zoe@x")), "others go on: {rows:?}");
    assert!(world.plan().is_empty());
    rows.into_iter().find(|row| !row.starts_with("zoe@x")).unwrap_or_default()
}

#[test]
fn names_that_no_role_can_have_are_reported() {
    let long = format!("{}@x", "n".repeat(62));
    let cut = format!("{}@x", "\u{20ac}".repeat(100));
    let cases = [
        (user(5, &long), "its name has more than 63 bytes"),
        (user(5, &cut), "its name has more than 63 bytes"),
        (user(5, ""), "its name is empty"),
        (user(5, "a\nb@x"), "its name has a character that role names cannot have here"),
        (user(5, "a\u{1f600}@x"), "its name has a character that role names cannot have here"),
        (user(5, "pg_ann@x"), "PostgreSQL reserves its name"),
        (application(5, "public"), "PostgreSQL reserves its name"),
        (application(5, "none"), "PostgreSQL reserves its name"),
        (object(5, Some(Kind::User)), "its name cannot be read: the application needs User.Read.All"),
        (
            object(5, Some(Kind::Application)),
            "its name cannot be read: the application needs Application.Read.All",
        ),
        (application(5, "ann@x"), "the name of an application could be taken for a user's"),
        (user(5, "Taken@x"), "the name is taken by role \"Taken@x\", a local one"),
        (user(5, "taken@X"), "the name differs only in case from that of role \"Taken@x\", a local one"),
        (
            application(5, "chief"),
            "the name is taken by role \"chief\", a superuser or one with a superuser's rights",
        ),
        (user(5, "readers"), "the name is taken by role \"readers\", which is linked to another object"),
        (user(5, "linked@x"), "the name is taken by role \"linked@x\", which is linked to another object"),
    ];
    for (member, reason) in cases {
        let row = said(member.clone());
        assert!(row.contains(&format!(": {reason}")), "{member:?}: {row}");
    }
}

#[test]
fn names_that_are_unusual_are_not() {
    for name in
        ["ann#EXT#@x", "o'brien@x", "\"q\"@x", "PG_x@x", "Public@x", &"n".repeat(63), "\u{e4}\u{df}@x"]
    {
        let row = said(user(5, name));
        assert!(row.starts_with(&format!("{name} created")), "{row}");
    }
}

#[test]
fn of_twins_neither_gets_a_role() {
    let mut world = World::new(SERVERS[0]);
    world.list(READERS_GROUP, &[user(5, "Ann@x"), user(6, "zoe@x")]);
    world.list(WRITERS_GROUP, &[user(7, "ann@X")]);
    let rows = world.round();
    let reason = "another member has the same name, or one that differs only in case";
    assert!(rows.contains(&format!("Ann@x skipped user {}: {reason}", id(5))), "{rows:?}");
    assert!(rows.contains(&format!("ann@X skipped user {}: {reason}", id(7))), "{rows:?}");
    assert!(world.named("zoe@x").is_some());
    // A twin that comes later is the only one without a role.
    world.list(WRITERS_GROUP, &[]);
    world.round();
    assert!(world.named("Ann@x").is_some());
    world.list(WRITERS_GROUP, &[user(7, "ann@X")]);
    let rows = world.round();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains("the name differs only in case from that of role \"Ann@x\""), "{rows:?}");
}

#[test]
fn a_name_of_a_former_member_is_not_given_to_another() {
    let mut world = World::new(SERVERS[0]);
    world.list(READERS_GROUP, &[user(5, "ann@x"), user(6, "ben@x"), user(7, "cat@x")]);
    world.round();
    world.list(READERS_GROUP, &[user(55, "ann@x"), user(6, "ben@x"), user(7, "cat@x")]);
    world.round();
    let expected = format!(
        "ann@x skipped user {}: the name is taken by role \"ann@x\" of a former member, {}",
        id(55),
        id(5)
    );
    assert_eq!(world.round(), [expected]);
}

//! Any bytes as a page of a group's members, and as an answer about an application's groups; any
//! bytes as a file of members, and as the content of one whose checksum fits.
#![no_main]

use std::collections::BTreeMap;

use entra::Uuid;
use entra::directory::answer::{parse_memberships, parse_page};
use entra::directory::pages::{Next, Pages};
use entra::directory::roster::{Applications, List, Roster, questions};
use entra::limits::{MAX_ROSTER_BYTES, MAX_ROSTER_MEMBERS, MAX_ROSTER_NAME_BYTES};

const ROOT: &str = "https://graph.example";
const GROUP: Uuid = Uuid::from_u128(1);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Roster::parse(bytes);
    if let Ok(roster) = Roster::parse(&Roster::seal(bytes)) {
        check(&roster);
    }
    let mut applications = Applications::new();
    for question in questions(&[Uuid::from_u128(2)], &[GROUP]) {
        question.note(parse_memberships(bytes).ok().as_deref(), &mut applications);
    }
    let list = match parse_page(bytes, None, ROOT).map(|page| Pages::default().add(page)) {
        Ok(Ok(Next::Whole(objects))) => Ok(objects),
        Ok(Ok(Next::Page(link))) => Err(link),
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(fault) => Err(fault.to_string()),
    };
    let ids: Vec<_> = list.iter().flatten().map(|object| object.id).collect();
    let roster = Roster::new(GROUP, 7, 1_700_000_000, BTreeMap::from([(GROUP, list)]), &applications);
    if let Some(List::Whole(members)) = roster.list_of(GROUP) {
        assert!(ids.iter().all(|id| members.contains(id)));
    }
    check(&roster);
});

/// What was read or put together can be written and read again.
fn check(roster: &Roster) {
    assert!(roster.members().count() <= MAX_ROSTER_MEMBERS);
    for (_, member) in roster.members() {
        let name = member.name.as_deref().unwrap_or_default();
        assert!(name.len() <= MAX_ROSTER_NAME_BYTES && !name.contains(char::is_control));
    }
    let written = roster.to_bytes();
    assert!(written.len() <= MAX_ROSTER_BYTES);
    assert_eq!(Roster::parse(&written).as_ref(), Ok(roster));
}

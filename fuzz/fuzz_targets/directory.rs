//! Any bytes as an answer of Microsoft Graph: an object, a page, memberships, a batch, an error.
#![no_main]

use entra::Uuid;
use entra::directory::answer::{parse_batch, parse_memberships, parse_object, parse_page, parse_problem};
use entra::directory::look::{FollowUp, Found, Look, Memory, Polled};
use entra::directory::name::{Reply, Sought};
use entra::directory::pages::Pages;
use entra::directory::roll::{Roll, Round};
use entra::directory::standing::Moment;

const ROOT: &str = "https://graph.example";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parse_object(bytes, None);
    let _ = parse_memberships(bytes);
    let _ = parse_problem(404, bytes).outcome();
    if let Ok(page) = parse_page(bytes, None, ROOT) {
        if let Some(next) = &page.next {
            assert!(next.starts_with('/'));
        }
        resolve(&page.objects);
        look(&page.objects);
        let _ = Pages::default().add(page);
    }
    if let Ok(parts) = parse_batch(bytes) {
        for part in parts.values() {
            let _ = (part.memberships(), part.object(None), part.problem().to_string());
            let found = FollowUp::Deleted(Uuid::nil()).read(Some(part), ROOT);
            assert!(found == Found::NoAnswer || part.status == 404 || part.status / 100 == 2);
        }
    }
});

/// What is found for a name is of that name.
fn resolve(objects: &[entra::directory::answer::Object]) {
    let sought = Sought::new("ann@contoso.com", None).expect("a name");
    let replies: Vec<_> =
        sought.questions().into_iter().map(|asked| (asked, Reply::Found(objects.to_vec()))).collect();
    if let Ok(found) = sought.resolve(&replies) {
        let object = objects.iter().find(|object| object.id == found.id).expect("one of the answer");
        let is_name = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("ann@contoso.com"))
        };
        assert!(is_name(&object.principal_name) || is_name(&object.mail));
    }
}

/// One answer puts nobody out who was not in it as disabled or revoked.
fn look(objects: &[entra::directory::answer::Object]) {
    let absent = Uuid::from_u128(1);
    let mut memory = Memory::default();
    let ids = objects.iter().map(|object| object.id).chain([absent]);
    let polled = ids.map(|id| Polled { id, kind: None, has_session: true, is_deleted: false });
    let mut look = Look::new(polled, None, &memory);
    for chunk in look.chunks() {
        look.note(&chunk, objects);
    }
    let _ = look.follow_ups(&mut memory);
    let seen = look.finish(&mut memory);
    let moment = Moment { interval: 300_000, now: 0, unix_now: 1_700_000_000 };
    let round = Round { sights: &seen.sights, moment, administrators: &[], clients: &seen.clients };
    let report = Roll::default().note(&round);
    assert!(report.changed.iter().all(|id| objects.iter().any(|object| object.id == *id)));
}

//! Looks at everybody who is polled: the requests of one look, sent and read.
//!
//! Runs in a thread beside the worker's main loop. Knows no PostgreSQL and no shared memory. What
//! the answers mean is decided by `entra`.

use std::collections::{BTreeMap, BTreeSet};

use entra::directory::answer::{self, Object};
use entra::directory::features::{Evidence, Feature};
use entra::directory::login::Pair;
use entra::directory::look::{Look, Memory, Polled, Seen};
use entra::directory::membership;
use entra::directory::pages::{Next, Pages};
use entra::directory::request::{self, Kind, MAX_BATCH, MAX_GROUPS, Method, Request};
use entra::directory::retry::Outcome;
use entra::{TokenKind, Uuid};

use crate::directory::batch::{Asker, Limit, Notes};
use crate::directory::graph::Graph;
use crate::settings::Credential;
use crate::stat::Asked;

/// Most requests of a look, as long as the ids alone do not take as many.
const MAX_REQUESTS: usize = 100;

/// So many batches about memberships are sent in any case.
const LEAST_BATCHES: usize = 5;

/// What a look is about.
pub(super) struct Plan {
    pub(super) polled: Vec<Polled>,
    /// The object id of the server's own application, if it is known.
    pub(super) own: Option<Uuid>,
    /// What earlier looks have learnt.
    pub(super) memory: Memory,
    /// Memberships to ask about, and of which kind the principal is.
    pub(super) pairs: Vec<(Pair, TokenKind)>,
    /// The kinds of which it is not known that they can be read.
    pub(super) probes: Vec<Kind>,
}

/// What a look has brought.
pub(super) struct Looked {
    pub(super) seen: Seen,
    pub(super) own: Option<Uuid>,
    pub(super) memory: Memory,
    /// Whether the principals are in the groups; none: there was no answer, or it is hidden.
    pub(super) memberships: BTreeMap<Pair, Option<bool>>,
    pub(super) notes: Notes,
}

/// Makes a look.
pub(super) fn look(graph: &Graph, plan: Plan, limit: Limit) -> Looked {
    let Plan { polled, own, mut memory, pairs, probes } = plan;
    let mut asker = Asker::new(graph, true, limit);
    let own = own.or_else(|| own_id(graph, &mut asker));
    let mut look = Look::new(polled, own, &memory);
    let is_answered = look_at_all(&mut asker, &mut look);
    if is_answered {
        follow_up(&mut asker, &mut look, &mut memory);
    }
    let seen = look.finish(&mut memory);
    for (kind, is_readable) in &seen.readable {
        if let Some(feature) = Feature::states_of(*kind) {
            let evidence = if *is_readable { Evidence::Works } else { Evidence::Unreadable };
            asker.note_evidence(feature, evidence);
        }
    }
    let memberships =
        if is_answered { memberships(&mut asker, &pairs, &mut memory) } else { BTreeMap::new() };
    if is_answered {
        probe(&mut asker, &probes);
    }
    Looked { seen, own, memory, memberships, notes: asker.notes }
}

/// Asks for the service principal of the server's own application: the canary.
fn own_id(graph: &Graph, asker: &mut Asker<'_>) -> Option<Uuid> {
    let client_id = match &graph.settings().credential {
        Credential::ClientSecret { client_id, .. }
        | Credential::Certificate { client_id, .. }
        | Credential::FederatedToken { client_id, .. } => *client_id,
        Credential::ManagedIdentity { client_id, .. } | Credential::Arc { client_id, .. } => (*client_id)?,
    };
    let request = request::application_by_client_id(client_id);
    let body = asker.send(Asked::Look, &request).ok()?;
    answer::parse_object(&body, Some(Kind::Application)).ok().map(|object| object.id)
}

/// Asks for all ids. Returns whether the service answers in time; if it does not, the rest is not
/// asked.
fn look_at_all(asker: &mut Asker<'_>, look: &mut Look) -> bool {
    for chunk in look.chunks() {
        match objects(asker, &request::by_ids(&chunk)) {
            Ok(Some(objects)) => look.note(&chunk, &objects),
            // What came cannot be read, or the service cannot read what was asked. The next may do.
            Ok(None) | Err(Outcome::Refused) => {}
            Err(Outcome::Forbidden) => by_kind(asker, look, &chunk),
            Err(_) => return false,
        }
    }
    true
}

/// Asks for a list, all its pages. Returns none if what came cannot be read.
fn objects(asker: &mut Asker<'_>, request: &Request) -> Result<Option<Vec<Object>>, Outcome> {
    let mut pages = Pages::default();
    let mut request = request.clone();
    loop {
        let body = asker.send(Asked::Look, &request)?;
        let page = answer::parse_page(&body, None, asker.root()).map_err(|fault| fault.to_string());
        match page.and_then(|page| pages.add(page).map_err(|fault| fault.to_string())) {
            Ok(Next::Whole(objects)) => return Ok(Some(objects)),
            Ok(Next::Page(path)) => request = Request { method: Method::Get, path, body: None },
            Err(problem) => {
                asker.note_unreadable(&problem);
                return Ok(None);
            }
        }
    }
}

/// Asks for the ids of a chunk by lists of one kind each, because all together were refused.
fn by_kind(asker: &mut Asker<'_>, look: &mut Look, chunk: &[Uuid]) {
    let lists = look.lists_for(chunk);
    let requests: Vec<_> =
        lists.iter().map(|(kind, ids)| (Asked::Look, request::by_ids_of(*kind, ids))).collect();
    for ((kind, ids), part) in lists.iter().zip(asker.parts(&requests)) {
        let Some(part) = part else { continue };
        if part.problem().outcome() == Outcome::Forbidden
            && let Some(feature) = Feature::states_of(*kind)
        {
            asker.note_evidence(feature, Evidence::Refused);
        }
        if let Some(page) = part.page(Some(*kind), asker.root()).ok().filter(|page| page.next.is_none()) {
            look.note(ids, &page.objects);
        }
    }
}

fn follow_up(asker: &mut Asker<'_>, look: &mut Look, memory: &mut Memory) {
    let questions = look.follow_ups(memory);
    let requests: Vec<_> = questions.iter().map(|question| (Asked::Look, question.request())).collect();
    for (question, part) in questions.iter().zip(asker.parts(&requests)) {
        let found = question.read(part.as_ref(), asker.root());
        look.note_follow_up(question, &found, memory);
    }
}

/// Asks which of the groups the principals are in. If there are too many for one look, the next one
/// goes on after them.
fn memberships(
    asker: &mut Asker<'_>,
    pairs: &[(Pair, TokenKind)],
    memory: &mut Memory,
) -> BTreeMap<Pair, Option<bool>> {
    let mut groups_of: BTreeMap<Uuid, (Kind, Vec<Uuid>)> = BTreeMap::new();
    let batches = MAX_REQUESTS.saturating_sub(asker.requests).max(LEAST_BATCHES);
    let members = memory.next_members(pairs.iter().map(|(pair, _)| pair.person), batches * MAX_BATCH);
    for (pair, kind) in pairs.iter().filter(|(pair, _)| members.contains(&pair.person)) {
        let kind = if *kind == TokenKind::User { Kind::User } else { Kind::Application };
        groups_of.entry(pair.person).or_insert_with(|| (kind, Vec::new())).1.push(pair.group);
    }
    let questions: Vec<_> = groups_of
        .iter()
        .flat_map(|(person, (kind, groups))| groups.chunks(MAX_GROUPS).map(|groups| (*person, *kind, groups)))
        .filter_map(|(person, kind, groups)| {
            Some((person, groups, request::memberships(kind, person, groups)?))
        })
        .collect();
    let requests: Vec<_> =
        questions.iter().map(|(_, _, request)| (Asked::Membership, request.clone())).collect();
    let mut found: BTreeMap<_, _> = BTreeMap::new();
    for ((person, groups, _), part) in questions.iter().zip(asker.parts(&requests)) {
        let pair = |group: &Uuid| Pair { person: *person, group: *group };
        found.extend(groups.iter().map(|group| (pair(group), None)));
        let Some(part) = part else { continue };
        match part.problem().outcome() {
            Outcome::Forbidden => asker.note_evidence(Feature::GroupMembership, Evidence::Refused),
            Outcome::Answered => asker.note_evidence(Feature::GroupMembership, Evidence::Works),
            _ => {}
        }
        if let Ok(member_of) = part.memberships() {
            found.extend(groups.iter().map(|group| (pair(group), Some(member_of.contains(group)))));
        }
    }
    forget_hidden(asker, &mut found);
    found
}

/// Takes a no for unknown if the members of the group are hidden from this application, or it is
/// not known whether they are.
fn forget_hidden(asker: &mut Asker<'_>, found: &mut BTreeMap<Pair, Option<bool>>) {
    let missed = found.iter().filter(|(_, is_member)| **is_member == Some(false));
    let groups: BTreeSet<_> = missed.map(|(pair, _)| pair.group).collect();
    let requests: Vec<_> =
        groups.iter().map(|group| (Asked::Look, request::by_id(Kind::Group, *group))).collect();
    let mut open = BTreeSet::new();
    for (group, part) in groups.iter().zip(asker.parts(&requests)) {
        let object = part.and_then(|part| part.object(Some(Kind::Group)).ok());
        let is_open = object
            .is_some_and(|object| object.is_security_enabled.is_some() && !membership::is_hidden(&object));
        if is_open {
            open.insert(*group);
        }
    }
    for (pair, is_member) in found.iter_mut() {
        if *is_member == Some(false) && !open.contains(&pair.group) {
            *is_member = None;
        }
    }
}

/// Asks for one object of each kind, to see what may be read.
fn probe(asker: &mut Asker<'_>, kinds: &[Kind]) {
    let requests: Vec<_> = kinds.iter().map(|kind| (Asked::Look, request::probe(*kind))).collect();
    for (kind, part) in kinds.iter().zip(asker.parts(&requests)) {
        let Some(part) = part else { continue };
        let refused = part.problem().outcome() == Outcome::Forbidden;
        let object = part.page(Some(*kind), asker.root()).ok().and_then(|mut page| page.objects.pop());
        let evidence = |is_readable: bool| if is_readable { Evidence::Works } else { Evidence::Unreadable };
        let (names, states) = match object {
            Some(object) => (evidence(object.display_name.is_some()), evidence(object.is_enabled.is_some())),
            None if refused => (Evidence::Refused, Evidence::Refused),
            None => (Evidence::Nothing, Evidence::Nothing),
        };
        asker.note_evidence(Feature::names_of(*kind), names);
        if let Some(feature) = Feature::states_of(*kind) {
            asker.note_evidence(feature, states);
        }
    }
}

//! One look at everybody: which questions it asks, and what their answers say about each id.
//!
//! A look asks for all ids, a thousand at a time ([`Look::chunks`]), and then more closely about
//! some of them ([`Look::follow_ups`]). An id that an answer does not have is believed to be
//! missing only if the answer has an object that is known to be there, the canary: the server's own
//! application, or another of the ids. It is believed to be absent only if a second question, which
//! Graph refuses to an application that may not read such objects, says so too.

mod memory;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use self::memory::Memory;
use self::memory::{CLIENT_AGAIN, go_on};
use super::answer::{Object, Part};
use super::request::{self, Kind, MAX_IDS, MAX_IN, Request};
use super::retry::Outcome;
use super::standing::Sight;

/// Most ids that one look asks about singly.
const MAX_SINGLE: usize = 80;

/// Most lists of client ids, and as many more of users, that one look asks for: four batches of
/// either, and 1,200 ids.
const MAX_LISTS: usize = 80;

/// An id that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// The id that a role is linked to, or that a session's token was issued for.
    pub id: Uuid,
    /// What it is said to be.
    pub kind: Option<Kind>,
    /// It has open sessions, so the time at which they were revoked matters first.
    pub has_session: bool,
    /// It is known to be deleted: it is not asked about singly, because lists have it if it is
    /// restored.
    pub is_deleted: bool,
}

/// A question about few ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// Whether ids are those of clients, and of which applications.
    Clients(Vec<Uuid>),
    /// When the sign-in sessions of users were revoked.
    Users(Vec<Uuid>),
    /// Whether a user or an application is among the deleted objects.
    Deleted(Uuid),
    /// Whether a group is there.
    Group(Uuid),
}

/// The answer to a question about few ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These.
    Objects(Vec<Object>),
    /// Graph says that there is no such object.
    Nothing,
    /// There was no answer.
    NoAnswer,
}

impl FollowUp {
    /// Builds the request.
    #[must_use]
    pub fn request(&self) -> Request {
        match self {
            Self::Clients(ids) => request::by_client_ids(ids),
            Self::Users(ids) => request::by_ids_of(Kind::User, ids),
            Self::Deleted(id) => request::deleted(*id),
            Self::Group(id) => request::by_id(Kind::Group, *id),
        }
    }

    /// Reads the answer from a batch; none: the batch does not have it. A list of which there are
    /// more pages is not one, because it was asked for few ids.
    #[must_use]
    pub fn read(&self, part: Option<&Part>, root: &str) -> Found {
        let Some(part) = part else { return Found::NoAnswer };
        if part.problem().outcome() == Outcome::NotFound {
            return Found::Nothing;
        }
        let objects = match self {
            Self::Clients(_) => part.page(Some(Kind::Application), root).ok(),
            Self::Users(_) => part.page(Some(Kind::User), root).ok(),
            Self::Deleted(_) => return part.object(None).map_or(Found::NoAnswer, one),
            Self::Group(_) => return part.object(Some(Kind::Group)).map_or(Found::NoAnswer, one),
        };
        match objects {
            Some(page) if page.next.is_none() => Found::Objects(page.objects),
            _ => Found::NoAnswer,
        }
    }
}

fn one(object: Object) -> Found {
    Found::Objects(vec![object])
}

/// What a look says about each id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// For every id that was asked for, and for the applications of client ids.
    pub sights: BTreeMap<Uuid, Sight>,
    /// The applications of client ids that were asked for.
    pub clients: BTreeMap<Uuid, Uuid>,
    /// What the objects that were found are.
    pub kinds: BTreeMap<Uuid, Kind>,
    /// So many ids were missing in answers that are not believed, because they had no canary.
    pub unbelieved: usize,
    /// All chunks were answered.
    pub is_whole: bool,
    /// Whether the states of users, groups and applications could be read, of those that were
    /// found.
    pub readable: BTreeMap<Kind, bool>,
}

/// A look that is being made.
#[derive(Debug, Clone)]
pub struct Look {
    polled: BTreeMap<Uuid, Polled>,
    own: Option<Uuid>,
    seen: Seen,
    /// Missing ids, and whether the answer had a canary.
    missing: BTreeMap<Uuid, bool>,
    unanswered: BTreeSet<Uuid>,
    clients_asked: BTreeSet<Uuid>,
}

impl Look {
    /// Begins a look. `own`: the object id of the server's own application, if known.
    #[must_use]
    pub fn new(polled: impl IntoIterator<Item = Polled>, own: Option<Uuid>, memory: &Memory) -> Self {
        let (mut all, mut seen) = (BTreeMap::new(), Seen::default());
        for polled in polled {
            let of_client = memory.clients.get(&polled.id).copied();
            seen.clients.extend(of_client.map(|application| (polled.id, application)));
            let kind = of_client.map_or(polled.kind, |_| Some(Kind::Application));
            let polled = Polled { id: of_client.unwrap_or(polled.id), kind, ..polled };
            let entry = all.entry(polled.id).or_insert(polled);
            entry.has_session |= polled.has_session;
            entry.is_deleted &= polled.is_deleted;
            entry.kind = entry.kind.or(polled.kind);
        }
        let unanswered = all.keys().copied().collect();
        let (missing, clients_asked) = (BTreeMap::new(), BTreeSet::new());
        Self { polled: all, own, seen, missing, unanswered, clients_asked }
    }

    /// Returns the ids of each `getByIds` that has to be made, the canary among them.
    #[must_use]
    pub fn chunks(&self) -> Vec<Vec<Uuid>> {
        let ids: Vec<_> = self.polled.keys().copied().filter(|id| Some(*id) != self.own).collect();
        if ids.is_empty() {
            return self.own.map(|own| vec![own]).into_iter().collect();
        }
        ids.chunks(MAX_IDS - 1).map(|ids| self.own.into_iter().chain(ids.iter().copied()).collect()).collect()
    }

    /// Returns the lists by kind that stand in for a `getByIds` that Graph refuses.
    #[must_use]
    pub fn lists_for(&self, chunk: &[Uuid]) -> Vec<(Kind, Vec<Uuid>)> {
        let is_of = |id: &Uuid, kind: Kind| {
            let known = if Some(*id) == self.own {
                Some(Kind::Application)
            } else {
                self.polled.get(id).and_then(|polled| polled.kind)
            };
            known.map_or(kind != Kind::Group, |known| known == kind)
        };
        let of_kind = |kind| chunk.iter().copied().filter(move |id| is_of(id, kind)).collect::<Vec<_>>();
        let lists = Kind::ALL.into_iter().flat_map(|kind| {
            let ids = of_kind(kind);
            ids.chunks(MAX_IN).map(|ids| (kind, ids.to_vec())).collect::<Vec<_>>()
        });
        lists.collect()
    }

    /// Takes in the answer to a chunk, or to one of the lists that stand in for it.
    pub fn note(&mut self, ids: &[Uuid], objects: &[Object]) {
        let found: BTreeMap<_, _> = objects.iter().map(|object| (object.id, object)).collect();
        let has_canary = ids.iter().any(|id| found.contains_key(id));
        for id in ids {
            if !self.polled.contains_key(id) {
                continue;
            }
            self.unanswered.remove(id);
            match found.get(id) {
                Some(object) => self.found(object),
                None if self.seen.sights.contains_key(id) => {}
                None => *self.missing.entry(*id).or_default() |= has_canary,
            }
        }
    }

    /// Takes in an object. A second answer may be of a replica that lags: it takes back nothing.
    fn found(&mut self, object: &Object) {
        let sight = match (self.seen.sights.get(&object.id), Sight::of(object)) {
            (
                Some(Sight::Present { is_enabled: first, valid_from: before }),
                Sight::Present { is_enabled, valid_from },
            ) => Sight::Present {
                is_enabled: if is_enabled == Some(false) { is_enabled } else { first.or(is_enabled) },
                valid_from: valid_from.max(*before),
            },
            (_, sight) => sight,
        };
        if let (Some(kind), Sight::Present { is_enabled, .. }) = (object.kind, sight) {
            self.seen.kinds.insert(object.id, kind);
            *self.seen.readable.entry(kind).or_default() |= is_enabled.is_some();
        }
        self.missing.remove(&object.id);
        self.seen.sights.insert(object.id, sight);
    }

    /// Returns the questions that the answers so far make necessary.
    #[must_use]
    pub fn follow_ups(&mut self, memory: &mut Memory) -> Vec<FollowUp> {
        let is_client = |id: &&Uuid| self.may_be_client(**id) && !memory.no_clients.contains_key(*id);
        let mut clients: Vec<_> = self.missing.keys().filter(is_client).copied().collect();
        // The client id of an application that is there again is in no list.
        clients.sort_by_key(|id| self.is_deleted(*id));
        self.clients_asked = clients.iter().copied().collect();
        // Another application may have taken the place of one that is missing.
        let is_lost = |(_, application): &(&Uuid, &Uuid)| self.missing.contains_key(application);
        clients.splice(..0, self.seen.clients.iter().filter(is_lost).map(|(client, _)| *client));
        let users = self.without_time(memory);
        let lists = clients.chunks(MAX_IN).take(MAX_LISTS).map(|ids| FollowUp::Clients(ids.to_vec()));
        let users = users.chunks(MAX_IN).map(|ids| FollowUp::Users(ids.to_vec()));
        let unsettled = self.missing.keys().copied().filter(|id| !self.is_deleted(*id));
        let single = self.in_turn(unsettled, &mut memory.last_single, MAX_SINGLE);
        let single = single.into_iter().map(|id| match self.kind(id) {
            Some(Kind::Group) => FollowUp::Group(id),
            _ => FollowUp::Deleted(id),
        });
        users.chain(lists).chain(single).collect()
    }

    /// Takes in the answer to one of them.
    pub fn note_follow_up(&mut self, question: &FollowUp, answer: &Found, memory: &mut Memory) {
        match (question, answer) {
            (FollowUp::Clients(ids), Found::Objects(objects)) => self.note_clients(ids, objects, memory),
            (FollowUp::Users(ids), Found::Objects(objects)) => {
                objects
                    .iter()
                    .filter(|object| ids.contains(&object.id))
                    .for_each(|object| self.found(object));
            }
            (FollowUp::Group(id), Found::Objects(objects)) => {
                objects.iter().filter(|object| object.id == *id).for_each(|object| self.found(object));
            }
            (FollowUp::Deleted(id), Found::Objects(objects))
                if objects.iter().any(|object| object.id == *id) =>
            {
                self.missing.remove(id);
                self.seen.sights.insert(*id, Sight::Deleted);
            }
            (FollowUp::Deleted(id) | FollowUp::Group(id), Found::Nothing)
                if self.missing.get(id) == Some(&true) =>
            {
                self.seen.sights.insert(*id, Sight::Absent);
            }
            _ => {}
        }
    }

    fn note_clients(&mut self, ids: &[Uuid], objects: &[Object], memory: &mut Memory) {
        for id in ids {
            self.clients_asked.remove(id);
            let before = self.seen.clients.get(id).copied();
            let Some(application) = objects.iter().find(|object| object.client_id == Some(*id)) else {
                if before.is_none() {
                    memory.no_clients.insert(*id, CLIENT_AGAIN);
                }
                continue;
            };
            memory.clients.insert(*id, application.id);
            self.seen.clients.insert(*id, application.id);
            self.missing.remove(id);
            self.found(application);
            // A client id is that of one application at a time.
            if let Some(before) = before.filter(|before| self.missing.remove(before).is_some()) {
                self.seen.sights.insert(before, Sight::Deleted);
            }
        }
    }

    /// Ends the look.
    #[must_use]
    pub fn finish(mut self, memory: &mut Memory) -> Seen {
        let has_other = self.seen.sights.values().any(|sight| matches!(sight, Sight::Present { .. }));
        let is_believable = has_other || self.polled.len() < 2;
        for (id, believed) in &self.missing {
            // That could be the id of a client, and nobody has said yet that it is not.
            let is_open = self.clients_asked.contains(id);
            let sight = self.seen.sights.entry(*id).or_insert(Sight::Missing);
            if !believed || !is_believable {
                *sight = Sight::Unknown;
                self.seen.unbelieved += 1;
            } else if is_open {
                *sight = Sight::Unknown;
            }
        }
        self.seen.is_whole = self.unanswered.is_empty();
        for id in &self.unanswered {
            self.seen.sights.entry(*id).or_insert(Sight::Unknown);
        }
        for (client, application) in &self.seen.clients {
            if let Some(sight) = self.seen.sights.get(application).copied() {
                self.seen.sights.insert(*client, sight);
            }
        }
        memory.forget(|id| self.seen.sights.contains_key(&id));
        self.seen
    }

    fn kind(&self, id: Uuid) -> Option<Kind> {
        self.polled.get(&id).and_then(|polled| polled.kind)
    }

    /// Returns whether an id may be that of a client. The id that a session's token was issued for
    /// is that of an object.
    fn may_be_client(&self, id: Uuid) -> bool {
        matches!(self.kind(id), None | Some(Kind::Application)) && !self.has_session(id)
    }

    fn has_session(&self, id: Uuid) -> bool {
        self.polled.get(&id).is_some_and(|polled| polled.has_session)
    }

    fn is_deleted(&self, id: Uuid) -> bool {
        self.polled.get(&id).is_some_and(|polled| polled.is_deleted)
    }

    /// Returns users whose answers have no time of revocation.
    fn without_time(&self, memory: &mut Memory) -> Vec<Uuid> {
        let lacks = |(id, sight): (&Uuid, &Sight)| {
            let is_user = self.seen.kinds.get(id) == Some(&Kind::User);
            (is_user && matches!(sight, Sight::Present { valid_from: None, .. })).then_some(*id)
        };
        let users = self.seen.sights.iter().filter_map(lacks);
        self.in_turn(users, &mut memory.last_users, MAX_LISTS * MAX_IN)
    }

    /// Returns at most so many of the ids: those with open sessions, and others while there is
    /// room. If there are too many, the next look goes on after them.
    fn in_turn(&self, ids: impl Iterator<Item = Uuid>, last: &mut [Uuid; 2], most: usize) -> Vec<Uuid> {
        let (with, without): (Vec<_>, Vec<_>) = ids.partition(|id| self.has_session(*id));
        let [last_with, last_without] = last;
        let mut turn = go_on(with, last_with, most);
        turn.extend(go_on(without, last_without, most - turn.len()));
        turn
    }
}

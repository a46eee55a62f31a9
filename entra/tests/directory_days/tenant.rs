//! A tenant's directory in memory, which answers in Graph's JSON.

use std::collections::{BTreeMap, BTreeSet};

use entra::Uuid;
use entra::directory::answer::{parse_batch, parse_page};
use entra::directory::look::{FollowUp, Look, Memory, Polled};
use entra::directory::request::{Kind, MAX_IDS};
use entra::directory::roll::{Report, Roll, Round};
use entra::directory::standing::{Moment, Out, Standing};
use serde_json::{Value, json};

pub(crate) const ROOT: &str = "https://graph.example";
pub(crate) const FIVE_MINUTES: u64 = 300_000;
pub(crate) const START: i64 = 1_795_000_000;
pub(crate) const OWN: u128 = 0xffff;

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// What the directory has of one object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Entry {
    Enabled,
    Disabled,
    Null,
    /// Among the deleted objects.
    Deleted,
    /// In no answer at all.
    Gone,
}

/// What is wrong with the directory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    Fine,
    /// Nothing is answered.
    Down,
    /// Lists are answered, single questions are throttled.
    Throttled,
    /// Lists are empty, and single questions find nothing.
    Empty,
    /// Lists lack what the application may not read, and single questions are refused.
    Forbidden,
}

pub(crate) struct Tenant {
    pub(crate) entries: BTreeMap<Uuid, (Kind, Entry)>,
    /// Application by client id.
    pub(crate) clients: BTreeMap<Uuid, Uuid>,
    pub(crate) linked: BTreeSet<Uuid>,
    pub(crate) revoked: BTreeMap<Uuid, i64>,
    pub(crate) weather: Weather,
    /// getByIds does not return the time of a revocation.
    pub(crate) has_no_times: bool,
    pub(crate) roll: Roll,
    pub(crate) memory: Memory,
    pub(crate) now: u64,
    pub(crate) administrators: Vec<Uuid>,
}

impl Tenant {
    pub(crate) fn of(users: u128) -> Self {
        let own = (id(OWN), (Kind::Application, Entry::Enabled));
        let users = (1..=users).map(|user| (id(user), (Kind::User, Entry::Enabled)));
        let entries: BTreeMap<_, _> = users.chain([own]).collect();
        let linked = entries.keys().copied().filter(|id| *id != self::id(OWN)).collect();
        let mut tenant = Self {
            entries,
            linked,
            clients: BTreeMap::new(),
            revoked: BTreeMap::new(),
            weather: Weather::Fine,
            has_no_times: false,
            roll: Roll::default(),
            memory: Memory::default(),
            now: FIVE_MINUTES,
            administrators: Vec::new(),
        };
        tenant.look();
        tenant
    }

    pub(crate) fn shows(&mut self, user: u128, entry: Entry) {
        self.entries.entry(id(user)).or_insert((Kind::User, entry)).1 = entry;
    }

    pub(crate) fn unix_now(&self) -> i64 {
        START + i64::try_from(self.now / 1_000).expect("a time")
    }

    pub(crate) fn object(&self, id: Uuid) -> Option<Value> {
        let (kind, entry) = self.entries.get(&id)?;
        let enabled = match entry {
            Entry::Enabled => json!(true),
            Entry::Disabled => json!(false),
            Entry::Null => Value::Null,
            Entry::Deleted | Entry::Gone => return None,
        };
        let name = match kind {
            Kind::User => "#microsoft.graph.user",
            Kind::Group => "#microsoft.graph.group",
            Kind::Application => "#microsoft.graph.servicePrincipal",
        };
        let client = self.clients.iter().find(|(_, application)| **application == id);
        let mut object = json!({ "@odata.type": name, "id": id.to_string() });
        if *kind != Kind::Group {
            object["accountEnabled"] = enabled;
        }
        if let Some((client, _)) = client {
            object["appId"] = json!(client.to_string());
        }
        if let Some(time) = self.revoked.get(&id).filter(|_| !self.has_no_times) {
            object["signInSessionsValidFromDateTime"] = json!(iso(*time));
        }
        Some(object)
    }

    pub(crate) fn list(&self, ids: &[Uuid]) -> Value {
        let may_read = |id: &&Uuid| match self.weather {
            Weather::Empty => false,
            Weather::Forbidden => **id == self::id(OWN) || **id == self::id(1),
            _ => true,
        };
        json!({ "value": ids.iter().filter(may_read).filter_map(|id| self.object(*id)).collect::<Vec<_>>() })
    }

    pub(crate) fn follow_up(&self, question: &FollowUp) -> (u16, Value) {
        let error = |status, code: &str| (status, json!({ "error": { "code": code } }));
        match (self.weather, question) {
            (Weather::Throttled, _) => error(429, "TooManyRequests"),
            (Weather::Forbidden, _) => error(403, "Authorization_RequestDenied"),
            (_, FollowUp::Clients(ids)) => {
                let found: Vec<_> = ids.iter().filter_map(|id| self.clients.get(id).copied()).collect();
                (200, self.list(&found))
            }
            (_, FollowUp::Users(ids)) => {
                let mut list = self.list(ids);
                for object in list["value"].as_array_mut().expect("a list") {
                    let id = object["id"].as_str().and_then(entra::parse_uuid).expect("an id");
                    if let Some(time) = self.revoked.get(&id) {
                        object["signInSessionsValidFromDateTime"] = json!(iso(*time));
                    }
                }
                (200, list)
            }
            (_, FollowUp::Deleted(id))
                if self.entries.get(id).is_some_and(|(_, entry)| *entry == Entry::Deleted) =>
            {
                (200, json!({ "id": id.to_string() }))
            }
            (_, FollowUp::Group(id)) if self.object(*id).is_some() => {
                (200, self.object(*id).expect("a group"))
            }
            _ => error(404, "Request_ResourceNotFound"),
        }
    }

    /// Makes a look, five minutes after the last.
    pub(crate) fn look(&mut self) -> Report {
        self.now += FIVE_MINUTES;
        let kind = |id: &Uuid| self.entries.get(id).map(|(kind, _)| *kind);
        let is_deleted =
            |id: &Uuid| self.roll.get(*id).is_some_and(|record| record.known.standing == Standing::Deleted);
        let polled = self.linked.iter().map(|id| Polled {
            id: *id,
            kind: kind(id),
            has_session: id.as_u128() < 10,
            is_deleted: is_deleted(id),
        });
        let mut look = Look::new(polled, Some(id(OWN)), &self.memory);
        for chunk in look.chunks() {
            assert!(chunk.len() <= MAX_IDS);
            if self.weather != Weather::Down {
                let page = parse_page(self.list(&chunk).to_string().as_bytes(), None, ROOT).expect("a page");
                look.note(&chunk, &page.objects);
            }
        }
        let questions = look.follow_ups(&mut self.memory);
        for questions in questions.chunks(20).filter(|_| self.weather != Weather::Down) {
            let responses = questions.iter().enumerate().rev().map(|(number, question)| {
                let (status, body) = self.follow_up(question);
                json!({ "id": number.to_string(), "status": status, "body": body })
            });
            let batch = json!({ "responses": responses.collect::<Vec<_>>() }).to_string();
            let parts = parse_batch(batch.as_bytes()).expect("a batch");
            for (number, question) in questions.iter().enumerate() {
                let found = question.read(parts.get(&number), ROOT);
                look.note_follow_up(question, &found, &mut self.memory);
            }
        }
        let seen = look.finish(&mut self.memory);
        assert_eq!(seen.is_whole, self.weather != Weather::Down || self.linked.is_empty());
        let moment = Moment { interval: FIVE_MINUTES, now: self.now, unix_now: self.unix_now() };
        self.roll.note(&Round {
            sights: &seen.sights,
            moment,
            administrators: &self.administrators,
            clients: &seen.clients,
        })
    }

    pub(crate) fn looks(&mut self, number: usize) -> Vec<Uuid> {
        (0..number).flat_map(|_| self.look().changed).collect()
    }

    pub(crate) fn judge(&self, user: u128, issued_at: i64) -> Option<Out> {
        self.roll.get(id(user)).and_then(|record| record.known.judge(issued_at))
    }

    pub(crate) fn standing(&self, user: u128) -> Standing {
        self.roll.get(id(user)).expect("a record").known.standing
    }
}

/// Writes a time in November 2026 as Graph does.
pub(crate) fn iso(time: i64) -> String {
    let (days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let day = days - 20_758; // 2026-11-01
    assert!((0..30).contains(&day), "a day in November 2026");
    format!("2026-11-{:02}T{:02}:{:02}:{:02}Z", day + 1, seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

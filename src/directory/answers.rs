//! Answers the questions of statements and logins: all that are there, in one batch.
//!
//! Runs in a thread beside the worker's main loop. Knows no PostgreSQL and no shared memory. Which
//! object a name means is decided by `entra`.

use std::time::Instant;

use entra::directory::answer::{self, Object, Part};
use entra::directory::features::{Evidence, Feature};
use entra::directory::id::{self, Unidentified};
use entra::directory::login::Pair;
use entra::directory::lookup;
use entra::directory::name::{self, Sought};
use entra::directory::request::{self, Kind, NameFault, Request};
use entra::directory::retry::{self, Outcome};
use entra::{Millis, TokenKind, Uuid};

use crate::directory::batch::{Asker, Limit, Notes};
use crate::directory::graph::Graph;
use crate::directory::memory::slots;
use crate::directory::question::{self, Asking, Found, Refusal};
use crate::directory::refusals;
use crate::stat::Asked;

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// This is the answer.
    Answer(String),
    /// It is asked again after a while: what it asks for may be new.
    Again(Millis),
    /// Whether the principal is in the group.
    Member(Pair, bool),
}

/// What a thread has brought.
pub(super) struct Answered {
    pub(super) given: Vec<(slots::Asked, Given)>,
    pub(super) notes: Notes,
}

/// A question of the directory's that is part of one question.
enum Step {
    Name(name::Question),
    Id(id::Question),
    Lookup(lookup::Question),
    Membership,
}

impl Step {
    const fn asked(&self) -> Asked {
        match self {
            Self::Membership => Asked::Membership,
            Self::Name(_) | Self::Id(_) | Self::Lookup(_) => Asked::Name,
        }
    }
}

/// A question with its steps.
struct Job {
    asked: slots::Asked,
    asking: Option<Asking>,
    steps: Vec<(Step, Request)>,
}

/// Asks and answers.
pub(super) fn answer(graph: &Graph, questions: Vec<slots::Asked>, limit: Limit) -> Answered {
    let began = Instant::now();
    let mut asker = Asker::new(graph, false, limit);
    let jobs: Vec<_> = questions.into_iter().map(job).collect();
    let requests: Vec<_> = jobs
        .iter()
        .flat_map(|job| job.steps.iter().map(|(step, request)| (step.asked(), request.clone())))
        .collect();
    let mut parts = asker.parts(&requests).into_iter();
    let mut given = Vec::with_capacity(jobs.len());
    for job in jobs {
        let parts: Vec<_> = parts.by_ref().take(job.steps.len()).collect();
        let left =
            job.asked.left.saturating_sub(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        // Who has asked for it since then may wait longer.
        let is_late = parts.iter().any(Option::is_none) && asker.is_late();
        let answer = if is_late { Given::Again(0) } else { conclude(&mut asker, &job, &parts, left) };
        given.push((job.asked, answer));
    }
    Answered { given, notes: asker.notes }
}

fn job(asked: slots::Asked) -> Job {
    let asking = Asking::parse(&asked.question);
    let steps = asking.as_ref().and_then(|asking| steps(asking).ok()).unwrap_or_default();
    Job { asked, asking, steps }
}

fn steps(asking: &Asking) -> Result<Vec<(Step, Request)>, NameFault> {
    Ok(match asking {
        Asking::Name(name, kind) => {
            let sought = Sought::new(name, *kind)?;
            let questions = sought.questions().into_iter();
            questions.map(|question| (Step::Name(question), sought.request(question))).collect()
        }
        Asking::Id(id, _) => id::Question::ALL
            .into_iter()
            .map(|question| (Step::Id(question), question.request(*id)))
            .collect(),
        Asking::Lookup(text, kind) => lookup::questions(text, *kind)?
            .into_iter()
            .map(|(question, request)| (Step::Lookup(question), request))
            .collect(),
        Asking::Membership(pair, kind) => {
            let kind = if *kind == TokenKind::User { Kind::User } else { Kind::Application };
            let request = request::memberships(kind, pair.person, &[pair.group]);
            request.into_iter().map(|request| (Step::Membership, request)).collect()
        }
    })
}

fn conclude(asker: &mut Asker<'_>, job: &Job, parts: &[Option<Part>], left: Millis) -> Given {
    let steps = job.steps.iter().map(|(step, _)| step).zip(parts);
    let refused = |refusal: Refusal| Given::Answer(question::written(&Err(refusal)));
    match &job.asking {
        Some(Asking::Name(name, kind)) => {
            let replies: Vec<_> =
                steps.filter_map(|(step, part)| name_reply(asker, step, part.as_ref())).collect();
            let Ok(sought) = Sought::new(name, *kind) else { return refused(refusals::no_answer(asker)) };
            match sought.resolve(&replies) {
                Ok(found) => Given::Answer(question::written(&Ok(vec![Found {
                    id: found.id,
                    kind: Some(found.kind),
                    name: found.name,
                    is_enabled: found.is_enabled,
                    detail: String::new(),
                }]))),
                Err(fault) => refused(refusals::unresolved(asker, name, *kind, &fault)),
            }
        }
        Some(Asking::Id(id, kind)) => {
            let replies: Vec<_> =
                steps.filter_map(|(step, part)| id_reply(asker, step, part.as_ref())).collect();
            match id::identify(*id, *kind, &replies) {
                Ok(found) => Given::Answer(question::written(&Ok(vec![identified(found)]))),
                Err(Unidentified::NotFound) => match retry::wait_for_new_object(job.asked.tries, left) {
                    Some(wait) => Given::Again(wait),
                    None => refused(refusals::unidentified(asker, *id, &Unidentified::NotFound, None)),
                },
                Err(fault) => {
                    let service = service_of(asker, &fault);
                    refused(refusals::unidentified(asker, *id, &fault, service))
                }
            }
        }
        Some(Asking::Lookup(text, _)) => looked_up(asker, text, steps),
        Some(Asking::Membership(pair, _)) => {
            let part = parts.first().and_then(Option::as_ref);
            match is_member(asker, *pair, part) {
                Some(is_member) => Given::Member(*pair, is_member),
                None => refused(refusals::no_answer(asker)),
            }
        }
        None => refused(refusals::no_answer(asker)),
    }
}

/// Returns the object id of the service principal of an app registration, for a hint.
fn service_of(asker: &mut Asker<'_>, fault: &Unidentified) -> Option<Uuid> {
    let Unidentified::Registration { client_id: Some(client_id) } = fault else { return None };
    let body = asker.send(Asked::Name, &request::application_by_client_id(*client_id)).ok()?;
    let object = answer::parse_object(&body, Some(Kind::Application)).ok()?;
    (object.client_id == Some(*client_id)).then_some(object.id)
}

fn identified(found: id::Identified) -> Found {
    let id::Identified { kind, object, is_client_id } = found;
    let name = if kind == Kind::User { object.principal_name } else { object.display_name };
    let detail = if is_client_id { "by client id" } else { "" };
    Found {
        id: object.id,
        kind: Some(kind),
        name: name.unwrap_or_default(),
        is_enabled: object.is_enabled,
        detail: detail.to_owned(),
    }
}

/// Returns whether a principal is in a group; none: there is no answer. A principal that the
/// directory does not know is in none.
fn is_member(asker: &mut Asker<'_>, pair: Pair, part: Option<&Part>) -> Option<bool> {
    let part = part?;
    match part.problem().outcome() {
        Outcome::Answered => {
            let groups = part.memberships().ok()?;
            asker.note_evidence(Feature::GroupMembership, Evidence::Works);
            Some(groups.contains(&pair.group))
        }
        Outcome::NotFound => Some(false),
        Outcome::Forbidden => {
            asker.note_evidence(Feature::GroupMembership, Evidence::Refused);
            None
        }
        _ => None,
    }
}

/// Notes what the answer to a question by name shows about the feature.
fn note_names(asker: &mut Asker<'_>, kind: Kind, reply: &name::Reply) {
    let evidence = match reply {
        name::Reply::Forbidden => Evidence::Refused,
        name::Reply::Found(objects) | name::Reply::More(objects) => match objects.first() {
            Some(object) if object.display_name.is_some() || object.principal_name.is_some() => {
                Evidence::Works
            }
            Some(_) => Evidence::Unreadable,
            None => Evidence::Nothing,
        },
        name::Reply::None => Evidence::Nothing,
    };
    asker.note_evidence(Feature::names_of(kind), evidence);
}

fn name_reply(
    asker: &mut Asker<'_>,
    step: &Step,
    part: Option<&Part>,
) -> Option<(name::Question, name::Reply)> {
    let Step::Name(question) = step else { return None };
    let kind = question.kind();
    let is_single = matches!(question, name::Question::ClientId(_));
    let reply = list(asker, part, kind, is_single);
    note_names(asker, kind, &reply);
    Some((*question, reply))
}

/// Reads a list, or a single object that may not be there.
fn list(asker: &Asker<'_>, part: Option<&Part>, kind: Kind, is_single: bool) -> name::Reply {
    let Some(part) = part else { return name::Reply::None };
    match part.problem().outcome() {
        Outcome::Answered if is_single => {
            part.object(Some(kind)).map_or(name::Reply::None, |object| name::Reply::Found(vec![object]))
        }
        Outcome::Answered => match part.page(Some(kind), asker.root()) {
            Ok(page) if page.next.is_none() => name::Reply::Found(page.objects),
            Ok(page) => name::Reply::More(page.objects),
            Err(_) => name::Reply::None,
        },
        Outcome::NotFound if is_single => name::Reply::Found(Vec::new()),
        Outcome::Forbidden => name::Reply::Forbidden,
        _ => name::Reply::None,
    }
}

fn id_reply(asker: &mut Asker<'_>, step: &Step, part: Option<&Part>) -> Option<(id::Question, id::Reply)> {
    let Step::Id(question) = step else { return None };
    let reply = match part.map(|part| (part, part.problem().outcome())) {
        Some((part, Outcome::Answered)) => {
            part.object(question.kind()).map_or(id::Reply::None, |object| id::Reply::Found(Box::new(object)))
        }
        Some((_, Outcome::NotFound)) => id::Reply::NotFound,
        Some((_, Outcome::Forbidden)) => id::Reply::Forbidden,
        _ => id::Reply::None,
    };
    if let (id::Question::Object(kind), id::Reply::Forbidden) = (question, &reply) {
        asker.note_evidence(Feature::names_of(*kind), Evidence::Refused);
    }
    Some((*question, reply))
}

/// Gathers everything that a text could mean. What may not be read is left out while something
/// else was found.
fn looked_up<'p>(
    asker: &mut Asker<'_>,
    text: &str,
    steps: impl Iterator<Item = (&'p Step, &'p Option<Part>)>,
) -> Given {
    let mut found: Vec<(lookup::Question, Vec<Object>)> = Vec::new();
    let (mut forbidden, mut is_open) = (None, false);
    for (step, part) in steps {
        let Step::Lookup(question) = step else { continue };
        let kind = match question {
            lookup::Question::PrincipalName | lookup::Question::Mail => Some(Kind::User),
            lookup::Question::DisplayName(kind) => Some(*kind),
            lookup::Question::Id(_, question) => question.kind(),
        };
        let part = part.as_ref();
        match (question, part.map(|part| (part, part.problem().outcome()))) {
            (lookup::Question::Id(..), Some((part, Outcome::Answered))) => {
                found.extend(part.object(kind).map(|object| (*question, vec![object])));
            }
            (_, Some((part, Outcome::Answered))) => {
                found.extend(part.page(kind, asker.root()).map(|page| (*question, page.objects)));
            }
            (_, Some((_, Outcome::NotFound))) => {}
            (_, Some((_, Outcome::Forbidden))) => forbidden = forbidden.or(kind),
            _ => is_open = true,
        }
    }
    let rows: Vec<_> = lookup::rows(text, &found).into_iter().map(Found::from).collect();
    let answer = match forbidden {
        _ if !rows.is_empty() => Ok(rows),
        _ if is_open => Err(refusals::no_answer(asker)),
        Some(kind) => Err(refusals::forbidden(text, kind)),
        None => Ok(rows),
    };
    Given::Answer(question::written(&answer))
}

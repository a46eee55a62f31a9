//! Asks for the members of groups: all pages of each list, and from the side of applications.
//!
//! Runs in a thread beside the worker's main loop. Knows no PostgreSQL and no shared memory. What
//! the answers mean is decided by `entra`.

use std::collections::BTreeMap;

use entra::Uuid;
use entra::directory::answer::{self, Object};
use entra::directory::features::{Evidence, Feature};
use entra::directory::pages::{Next, Pages};
use entra::directory::request::{self, Method, Request};
use entra::directory::retry::Outcome;
use entra::directory::roster::{self, Applications, Roster};

use crate::directory::batch::{Asker, Limit, Notes};
use crate::directory::graph::Graph;
use crate::stat::Asked;

/// What is asked.
pub(super) struct Plan {
    pub(super) tenant: Uuid,
    pub(super) run: u64,
    /// Unix seconds.
    pub(super) asked_at: i64,
    pub(super) groups: Vec<Uuid>,
    /// The applications that are asked which of the groups they are in.
    pub(super) applications: Vec<Uuid>,
    /// The client ids of those that roles are linked to by them, by their object ids.
    pub(super) client_ids: BTreeMap<Uuid, Uuid>,
}

/// What the answers are.
pub(super) struct Listed {
    /// None if no group has a whole list, although there are groups.
    pub(super) roster: Option<Roster>,
    pub(super) notes: Notes,
}

/// Asks.
pub(super) fn ask(graph: &Graph, plan: &Plan, limit: Limit) -> Listed {
    let mut asker = Asker::new(graph, true, limit);
    let mut lists = BTreeMap::new();
    for group in &plan.groups {
        let answer = match asker.notes.pause {
            Some(_) => Err("the directory demands a pause".to_owned()),
            None => list(&mut asker, *group),
        };
        lists.insert(*group, answer);
    }
    let is_answered = lists.is_empty() || lists.values().any(Result::is_ok);
    let applications = if is_answered { applications(&mut asker, plan) } else { Applications::new() };
    let mut roster = Roster::new(plan.tenant, plan.run, plan.asked_at, lists, &applications);
    roster.add_client_ids(&plan.client_ids);
    let is_refused = asker.notes.asked.contains(&(Asked::Membership, Outcome::Forbidden));
    asker.note_evidence(Feature::GroupSync, if is_refused { Evidence::Refused } else { evidence(&roster) });
    Listed { roster: is_answered.then_some(roster), notes: asker.notes }
}

/// Returns what the members show. Without names no roles can be made for them; applications that
/// were only asked from their own side have none.
fn evidence(roster: &Roster) -> Evidence {
    if roster.members().any(|(_, member)| !member.is_application && member.name.is_none()) {
        return Evidence::Unreadable;
    }
    if roster.members().next().is_some() { Evidence::Works } else { Evidence::Nothing }
}

/// Asks for all members of a group. Returns why there is no whole list, in words.
fn list(asker: &mut Asker<'_>, group: Uuid) -> Result<Vec<Object>, String> {
    let mut pages = Pages::default();
    let mut request = request::members(group);
    loop {
        let body = asker
            .send(Asked::Membership, &request)
            .map_err(|_| asker.notes.problem.clone().unwrap_or_else(|| "there was no answer".to_owned()))?;
        let page = answer::parse_page(&body, None, asker.root()).map_err(|fault| fault.to_string());
        match page.and_then(|page| pages.add(page).map_err(|fault| fault.to_string())) {
            Ok(Next::Whole(objects)) => return Ok(objects),
            Ok(Next::Page(path)) => request = Request { method: Method::Get, path, body: None },
            Err(problem) => {
                asker.note_unreadable(&problem);
                return Err(problem);
            }
        }
    }
}

/// Asks each application which of the groups it is in.
fn applications(asker: &mut Asker<'_>, plan: &Plan) -> Applications {
    let questions = roster::questions(&plan.applications, &plan.groups);
    let requests: Vec<_> = questions.iter().map(|question| (Asked::Membership, question.request())).collect();
    let mut applications = Applications::new();
    for (question, part) in questions.iter().zip(asker.parts(&requests)) {
        let groups = part.and_then(|part| part.memberships().ok());
        question.note(groups.as_deref(), &mut applications);
    }
    applications
}

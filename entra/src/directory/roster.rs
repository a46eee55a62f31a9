//! The members of groups, as group synchronisation asks for them.
//!
//! Users come from the lists of the groups' direct members. Such a list may leave out applications
//! ("Known issues with Microsoft Graph", Microsoft), so each application that a role is linked to
//! is asked which of the groups it is a member of, directly or through other groups.
//!
//! A list is whole, or it says why there is none: what breaks off is no list. Objects of other
//! kinds are members without being known, so that nobody leaves a group because Graph has come to
//! call the object something else.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use self::file::RosterFault;

use super::answer::Object;
use super::request::{self, Kind, MAX_GROUPS, Request};
use crate::limits::{MAX_ROSTER_GROUPS, MAX_ROSTER_MEMBERS, MAX_ROSTER_NAME_BYTES, MAX_ROSTER_PROBLEM_BYTES};

/// The members of groups, as of one run of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// The tenant.
    pub tenant: Uuid,
    /// The number of the run.
    pub run: u64,
    /// When the run began, in Unix seconds.
    pub asked_at: i64,
    members: BTreeMap<Uuid, Member>,
    lists: BTreeMap<Uuid, List>,
    unknown: BTreeSet<Uuid>,
}

/// A user or an application that is a member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether it is an application. Otherwise it is a user.
    pub is_application: bool,
    /// A user's principal name, an application's display name. It is cut after
    /// [`MAX_ROSTER_NAME_BYTES`], and has U+FFFD in place of control characters. None: it cannot be
    /// read.
    pub name: Option<String>,
    /// An application's client id. A role may be linked to that.
    pub client_id: Option<Uuid>,
}

/// The list of a group's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// All of it: the ids of users, of applications and of objects of other kinds.
    Whole(BTreeSet<Uuid>),
    /// There is none, for this reason.
    None(String),
}

/// The answer about each application: the groups that it is a member of; none: it is not known.
pub type Applications = BTreeMap<Uuid, Option<BTreeSet<Uuid>>>;

/// A question about one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The application.
    pub application: Uuid,
    /// The groups, at most [`MAX_GROUPS`].
    pub groups: Vec<Uuid>,
}

/// Returns what is asked about applications and these groups.
#[must_use]
pub fn questions(applications: &[Uuid], groups: &[Uuid]) -> Vec<Question> {
    let mut questions = Vec::new();
    for groups in groups.chunks(MAX_GROUPS) {
        let about = |application: &Uuid| Question { application: *application, groups: groups.to_vec() };
        questions.extend(applications.iter().map(about));
    }
    questions
}

impl Question {
    /// Builds the request.
    #[must_use]
    pub fn request(&self) -> Request {
        request::application_memberships(self.application, &self.groups)
    }

    /// Takes in the ids that the answer has; none: there was no answer, or Graph knows no such
    /// application. One question without an answer makes the application unknown.
    pub fn note(&self, answer: Option<&[Uuid]>, applications: &mut Applications) {
        let found = applications.entry(self.application).or_insert_with(|| Some(BTreeSet::new()));
        match (answer, found.as_mut()) {
            (Some(ids), Some(groups)) => groups.extend(ids.iter().filter(|id| self.groups.contains(id))),
            _ => *found = None,
        }
    }
}

impl Roster {
    /// Puts together what was answered. `lists`: the objects of each group, or why there is no
    /// whole list.
    ///
    /// A list that makes the roster larger than [`MAX_ROSTER_MEMBERS`] is left out, and groups
    /// after the first [`MAX_ROSTER_GROUPS`] are: both with the reason.
    #[must_use]
    pub fn new(
        tenant: Uuid,
        run: u64,
        asked_at: i64,
        lists: BTreeMap<Uuid, Result<Vec<Object>, String>>,
        applications: &Applications,
    ) -> Self {
        let unknown = applications.iter().filter(|(_, groups)| groups.is_none()).map(|(id, _)| *id);
        let mut roster = Self {
            tenant,
            run,
            asked_at,
            members: BTreeMap::new(),
            lists: BTreeMap::new(),
            unknown: unknown.take(MAX_ROSTER_MEMBERS).collect(),
        };
        let mut room = MAX_ROSTER_MEMBERS;
        for (group, objects) in lists.into_iter().take(MAX_ROSTER_GROUPS) {
            let list = match objects {
                Ok(objects) => roster.list(group, &objects, applications, &mut room),
                Err(problem) => List::None(cut(&problem, MAX_ROSTER_PROBLEM_BYTES)),
            };
            roster.lists.insert(group, list);
        }
        roster
    }

    /// Returns the whole list of a group, if there is room for it.
    fn list(
        &mut self,
        group: Uuid,
        objects: &[Object],
        applications: &Applications,
        room: &mut usize,
    ) -> List {
        let is_in =
            |groups: &Option<BTreeSet<Uuid>>| groups.as_ref().is_some_and(|groups| groups.contains(&group));
        let from_own_side: Vec<_> =
            applications.iter().filter(|(_, groups)| is_in(groups)).map(|(id, _)| *id).collect();
        let ids: BTreeSet<_> =
            objects.iter().map(|object| object.id).chain(from_own_side.iter().copied()).collect();
        let Some(left) = room.checked_sub(ids.len()) else {
            let text =
                format!("the groups that are synchronised have more than {MAX_ROSTER_MEMBERS} members");
            return List::None(text);
        };
        *room = left;
        for object in objects {
            if let Some(member) = Member::of(object) {
                self.members.insert(object.id, member);
            }
        }
        for id in from_own_side {
            let unnamed = Member { is_application: true, name: None, client_id: None };
            self.members.entry(id).or_insert(unnamed);
        }
        List::Whole(ids)
    }

    /// Adds client ids, by object ids, to the applications that are members, as far as the lists do
    /// not have them. Of an application of which nothing is known, nothing is known by that id.
    pub fn add_client_ids(&mut self, client_ids: &BTreeMap<Uuid, Uuid>) {
        for (id, client_id) in client_ids {
            if let Some(member) = self.members.get_mut(id).filter(|member| member.is_application) {
                member.client_id = member.client_id.or(Some(*client_id));
            }
            if self.unknown.contains(id) && self.unknown.len() < MAX_ROSTER_MEMBERS {
                self.unknown.insert(*client_id);
            }
        }
    }

    /// Returns the list of a group that was asked for.
    #[must_use]
    pub fn list_of(&self, group: Uuid) -> Option<&List> {
        self.lists.get(&group)
    }

    /// Returns all lists, by the ids of the groups.
    pub fn lists(&self) -> impl Iterator<Item = (Uuid, &List)> {
        self.lists.iter().map(|(group, list)| (*group, list))
    }

    /// Returns the users and applications that are members of a group.
    pub fn members(&self) -> impl Iterator<Item = (Uuid, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// Returns a user or an application that is a member of a group.
    #[must_use]
    pub fn member(&self, id: Uuid) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Returns whether it is not known which groups an application is a member of.
    #[must_use]
    pub fn is_unknown(&self, application: Uuid) -> bool {
        self.unknown.contains(&application)
    }
}

impl Member {
    fn of(object: &Object) -> Option<Self> {
        let (is_application, name) = match object.kind? {
            Kind::User => (false, &object.principal_name),
            Kind::Application => (true, &object.display_name),
            Kind::Group => return None,
        };
        let name = name.as_deref().map(|name| cut(name, MAX_ROSTER_NAME_BYTES));
        Some(Self { is_application, name, client_id: object.client_id.filter(|_| is_application) })
    }
}

/// Cuts a text after so many bytes, between characters, and replaces control characters.
fn cut(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let character = if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
        if kept.len() + character.len_utf8() > most {
            break;
        }
        kept.push(character);
    }
    kept
}

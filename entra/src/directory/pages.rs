//! A list that comes in pages.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::answer::{Object, Page};
use crate::limits::{MAX_LISTED_OBJECTS, MAX_PAGES};

/// A list of which some pages have come. A list that breaks off is no list.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    objects: Vec<Object>,
    ids: BTreeSet<Uuid>,
    links: BTreeSet<String>,
}

/// What follows a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Another page, at this path below the version.
    Page(String),
    /// Nothing: the list is whole.
    Whole(Vec<Object>),
}

/// The reason why a list is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagesFault {
    /// A page names one that has come before.
    Circle,
    /// There are more than [`MAX_PAGES`] pages or [`MAX_LISTED_OBJECTS`] objects.
    TooLong,
}

impl std::fmt::Display for PagesFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Circle => "the pages of the list go in a circle",
            Self::TooLong => "the list is too long",
        })
    }
}

impl Pages {
    /// Takes in a page, which may be empty. An object that comes twice is taken once.
    ///
    /// # Errors
    /// The reason why the list is given up.
    pub fn add(&mut self, page: Page) -> Result<Next, PagesFault> {
        for object in page.objects {
            if self.ids.insert(object.id) {
                self.objects.push(object);
            }
        }
        if self.objects.len() > MAX_LISTED_OBJECTS {
            return Err(PagesFault::TooLong);
        }
        let Some(link) = page.next else { return Ok(Next::Whole(std::mem::take(&mut self.objects))) };
        if !self.links.insert(link.clone()) {
            return Err(PagesFault::Circle);
        }
        if self.links.len() < MAX_PAGES { Ok(Next::Page(link)) } else { Err(PagesFault::TooLong) }
    }
}

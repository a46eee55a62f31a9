//! Plans what has to change so that everything about a role agrees with its labels.
//!
//! A label says what a role is linked to. From that follow memberships in two marker roles, the
//! guard, the attributes of an administrator, and that there is no password. This crate decides
//! what is missing; the extension reads a [`State`] from the catalogs, asks [`plan()`], and carries
//! the [`Plan`] out. A role is whole when its plan has no changes.
//!
//! Pure: knows no PostgreSQL, no setting and no clock. What differs between versions of the server
//! is an argument ([`Server`]). So every rule is tested by tables, without a server.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod change;
mod defect;
mod demotion;
pub mod guard;
mod membership;
mod obstacle;
mod plan;
mod state;
pub mod sync;
mod tenant;

pub use change::{Change, Notice, Plan, Step};
pub use defect::{Defect, defects, forbidden};
pub use demotion::{Taken, take};
pub use membership::{Membership, members_without, without};
pub use obstacle::{Obstacle, Use, check_linkable, use_of};
pub use plan::{are_joined, plan, rest_of_demotion};
pub use state::{Held, Marker, Markers, Member, Role, RoleName, Server, State, Wanted};
pub use tenant::plan_association;

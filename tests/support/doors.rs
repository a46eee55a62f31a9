//! All doors of an installation, side by side on one server.

use crate::door::Door;
use crate::installation::Installation;
use crate::pam::{self, Service};

/// The doors of an installation, and the service of PAM for one of them. Its file is removed when
/// dropped.
#[derive(Debug)]
pub struct Doors {
    all: Vec<Door>,
    service: Option<Service>,
}

impl Doors {
    /// Returns the doors that an installation has.
    pub fn of(installation: &Installation) -> Self {
        let all = Door::all(installation);
        let service = all.contains(&Door::Pam).then(|| Service::new(&pam::lines(installation)));
        Self { all, service }
    }

    /// Returns them.
    pub fn all(&self) -> &[Door] {
        &self.all
    }

    /// Returns the method of a door and its options, as a line of pg_hba.conf ends.
    pub fn clause(&self, door: Door) -> String {
        door.clause(self.service.as_ref().map_or("none", Service::name))
    }

    /// Returns what postgresql.conf needs for them.
    pub fn settings(&self) -> String {
        self.all.iter().map(|door| door.settings()).collect()
    }
}

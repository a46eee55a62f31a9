//! Running a case at several doors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::installation::Installation;
use testbed::issuer::PERSON;
use testbed::scene::Scene;
use testbed::template::Template;

use super::statements::link;

pub(crate) const EVERY_DOOR: [Door; 3] = [Door::Password, Door::Pam, Door::OAuth];

/// The finest level of the log, for tests that no token is in it.
pub(crate) const DEBUG_LOG: &str = "log_min_messages = debug5";

/// Returns whether the chosen installation has a door. `login::doors` tests which ones it must
/// have.
pub(crate) fn has(door: Door) -> bool {
    Door::all(&Template::shared().installation).contains(&door)
}

/// Returns the library by which libpq acquires tokens, where libpq was built with curl.
pub(crate) fn flow_library(installation: &Installation) -> Option<PathBuf> {
    let folder = installation.pg_config("--libdir");
    let files = std::fs::read_dir(folder).ok()?.filter_map(|file| Some(file.ok()?.path()));
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libpq-oauth"))
    };
    files.filter(named).find(|path| path.extension().is_some_and(|extension| extension == "so"))
}

/// Runs a case at those of some doors that the installation has. Names the door at which it fails.
pub(crate) fn at_doors(doors: &[Door], case: impl Fn(Door)) {
    for &door in doors.iter().filter(|door| has(**door)) {
        if let Err(fault) = catch_unwind(AssertUnwindSafe(|| case(door))) {
            let text = fault.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| fault.downcast_ref::<&str>().copied()).unwrap_or_default();
            panic!("at the {} door: {text}", door.name());
        }
    }
}

/// Runs a case at every door, each with a scene of its own.
pub(crate) fn at_every_door(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    with_scenes(&EVERY_DOOR, settings, case);
}

/// Runs a case at every door, each with a scene of its own in which `ann` is linked.
pub(crate) fn at_every_door_with_ann(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    at_every_door(settings, |door, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        case(door, cluster, provider);
    });
}

/// Runs a case at the oauth door, if the installation has it, in a scene in which `ann` is linked.
pub(crate) fn at_oauth_with_ann(settings: &str, case: impl Fn(Cluster, Provider)) {
    at_doors(&[Door::OAuth], |door| {
        let (cluster, provider) = Scene::new().door(door).settings(settings).start();
        link(&cluster, "ann", PERSON, "user");
        case(cluster, provider);
    });
}

/// Runs a case at the doors that ask for a password, each with a scene of its own.
pub(crate) fn at_every_prompt(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    with_scenes(&[Door::Password, Door::Pam], settings, case);
}

fn with_scenes(doors: &[Door], settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    at_doors(doors, |door| {
        let (cluster, provider) = Scene::new().door(door).settings(DEBUG_LOG).settings(settings).start();
        case(door, cluster, provider);
    });
}

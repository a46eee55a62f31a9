//! Measures what asking the directory costs: logins, statements, and the looks at everybody.

mod logins;
mod looks;
mod members;
mod names;
mod worker;

use std::sync::Arc;

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::{ADMIN, KEY, Scene};
use testbed::template::Template;

/// Sessions that the server has room for.
const CONNECTIONS: usize = 1_100;

/// The name by which the directory knows [`PERSON`], and the roles that are linked to it and to
/// [`GROUP`].
const PERSON_NAME: &str = "ann@contoso.example";
const PERSON_ROLE: &str = "ann";
const GROUP_ROLE: &str = "readers";

/// A second group, and the role that is linked to it.
const OTHER_GROUP: &str = "55555555-aaaa-bbbb-cccc-000000000056";
const OTHER_GROUP_ROLE: &str = "writers";

pub(crate) fn report() {
    let [off, on] = [false, true].map(Side::new);
    logins::report(&off.cluster, &on.cluster);
    logins::report_storm(&on.cluster, &on.provider);
    drop(off);
    names::report(&on.cluster, &on.provider);
    looks::report(&on.cluster, &on.provider);
    report_memory(&on.cluster);
    drop(on);
    members::report();
}

/// A server with the directory on or off.
struct Side {
    cluster: Cluster,
    provider: Provider,
}

impl Side {
    fn new(is_on: bool) -> Self {
        let provider = Provider::start(&Template::shared().authority, vec![Arc::clone(&KEY)], 0);
        let directory = provider.directory();
        directory.add_user(ADMIN, "admin@contoso.example");
        directory.add_user(PERSON, PERSON_NAME);
        for (id, name) in [(GROUP, GROUP_ROLE), (OTHER_GROUP, OTHER_GROUP_ROLE)] {
            directory.add_group(id, name);
            directory.add_member(id, PERSON);
        }
        // Looks are made when this program wants them.
        let settings = format!(
            "max_connections = {CONNECTIONS}\nshared_buffers = 128MB\nautovacuum = off\n\
             azure_ad_auth.group_lookup_cache = 1h\n\
             log_min_messages = warning\nlog_statement = none\nlog_connections = off\n"
        );
        let scene = Scene::new().settings(settings);
        let hourly = "azure_ad_auth.directory_refresh_interval = 1h";
        let scene = if is_on { scene.settings(hourly).directory(&provider) } else { scene };
        let cluster = scene.start_with(&provider);
        if is_on {
            cluster.await_directory();
        }
        for (role, id, kind) in [
            (PERSON_ROLE, PERSON, "user"),
            (GROUP_ROLE, GROUP, "group"),
            (OTHER_GROUP_ROLE, OTHER_GROUP, "group"),
        ] {
            cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{id}', '{kind}')"));
        }
        Self { cluster, provider }
    }
}

/// Prints how much shared memory the directory takes.
fn report_memory(cluster: &Cluster) {
    let query =
        "SELECT sum(allocated_size) FROM pg_shmem_allocations WHERE name LIKE 'azure_ad_auth_directory%'";
    let bytes: f64 = cluster.sql(query).parse().expect("a number");
    println!(
        "budget: shared memory of the directory is at most 1 MiB: {}, {:.0} KiB",
        verdict(bytes <= 1_048_576.0),
        bytes / 1_024.0
    );
}

const fn verdict(is_held: bool) -> &'static str {
    if is_held { "held" } else { "MISSED" }
}

//! The server, and whether it is well.

use std::collections::BTreeMap;

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::doors::Doors;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::Scene;
use testbed::template::Template;
use testbed::waits::eventually;
use testbed::watch::Watch;

use crate::attempt::{Report, Target};
use crate::tokens::Tokens;

/// The finest log, in which a token would be seen first. Unfinished logins end before this program
/// loses its patience.
const SETTINGS: &str = "log_min_messages = debug5\nauthentication_timeout = 30s\n\
     azure_ad_auth.require_tls = off\n";

/// The role whose line has a door.
fn role(door: Door) -> String {
    format!("person_{}", door.name())
}

/// A running server, and what belongs to it.
pub(crate) struct Scenery {
    pub(crate) target: Target,
    doors: Doors,
    /// A session whose process cancel requests name.
    _session: RawClient,
    pub(crate) cluster: Cluster,
    _provider: Provider,
}

impl Scenery {
    pub(crate) fn new(seed: u64) -> Self {
        let doors = Doors::of(&Template::shared().installation);
        let line = |door: &Door| format!("host all {} 127.0.0.1/32 {}\n", role(*door), doors.clause(*door));
        let hba: String = doors.all().iter().map(line).collect();
        let settings = SETTINGS.to_owned() + &doors.settings();
        let scene = Scene::new().settings(settings).hba(format!("local all postgres trust\n{hba}"));
        let (cluster, provider) = scene.start();
        let roles: Vec<_> = doors.all().iter().map(|door| role(*door)).collect();
        for role in &roles {
            cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{PERSON}', 'user')"));
        }
        let mut session = cluster.superuser();
        let process = session.query("SELECT pg_backend_pid()").expect("a process");
        let process = process.into_iter().flatten().next().and_then(|pid| pid.parse().ok());
        let target = Target {
            port: cluster.port,
            tls: cluster.template.authority.client(),
            roles,
            tokens: Tokens::new(),
            process: process.expect("a process"),
            seed,
        };
        Self { target, doors, _session: session, cluster, _provider: provider }
    }

    /// Returns the processes that live as long as the server does. Of a server that has restarted
    /// after a crash they are others.
    pub(crate) fn processes(&self) -> String {
        let query = "SELECT string_agg(backend_type || ' ' || pid, ', ' ORDER BY pid) FROM pg_stat_activity \
                     WHERE backend_type IN ('checkpointer', 'walwriter') OR backend_type LIKE 'azure_ad_auth %'";
        let key_worker = self.cluster.sql("SELECT worker_pid FROM azure_ad_auth.key_status");
        format!("{}, key worker {key_worker}, {}", self.cluster.pid(), self.cluster.sql(query))
    }

    /// Returns what is not as it should be, at any time.
    pub(crate) fn complaints(&self, before: &str, watch: &Watch) -> Vec<String> {
        let mut complaints = watch.findings().to_vec();
        if watch.killed() > 0 {
            complaints.push("a process was killed".to_owned());
        }
        let now = self.processes();
        if now != before {
            complaints.push(format!("other processes run: {now}, and before: {before}"));
        }
        complaints
    }

    /// Returns what is not as it should be when all connections have been made.
    pub(crate) fn last_complaints(&self, report: &Report) -> Vec<String> {
        let mut complaints = Vec::new();
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        // The session for cancel requests, and that of the query.
        if !eventually(|| self.cluster.sql(sessions) == "2") {
            complaints.push("there are sessions whose client has gone".to_owned());
        }
        for door in self.doors.all() {
            let outcome = self.cluster.login(&role(*door), self.target.tokens.good());
            if outcome != Outcome::Ready {
                complaints.push(format!("a good token is refused at the {} door: {outcome:?}", door.name()));
            }
        }
        if !report.ends.keys().any(|end| end.starts_with("admitted after")) {
            complaints.push("no connection came as far as a session".to_owned());
        }
        complaints
    }

    /// Returns how often each code was the reason of a refusal.
    pub(crate) fn codes(&self) -> BTreeMap<String, usize> {
        let mut codes = BTreeMap::new();
        for part in self.cluster.log().split("azure_ad_auth: refused code=").skip(1) {
            let code = part.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default();
            *codes.entry(code.to_owned()).or_default() += 1;
        }
        codes
    }
}

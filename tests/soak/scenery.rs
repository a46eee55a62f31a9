//! The server, the objects of its directory, and the roles that are linked to them.

use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::doors::Doors;
use testbed::idp::Provider;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, app_v1, unix_now, user_v1, with};
use testbed::scene::{ADMIN, Scene, provider};
use testbed::template::Template;

/// A person whose role is linked and unlinked.
pub(crate) const PASSING: &str = "22222222-aaaa-bbbb-cccc-000000000021";
/// The name by which the directory knows that person.
pub(crate) const PASSING_NAME: &str = "passing@contoso.example";
/// A person whose tokens are revoked.
pub(crate) const REVOKED: &str = "22222222-aaaa-bbbb-cccc-000000000022";
/// A person whose account is disabled and enabled.
pub(crate) const DISABLED: &str = "22222222-aaaa-bbbb-cccc-000000000023";
/// A person with short-lived tokens.
pub(crate) const BRIEF: &str = "22222222-aaaa-bbbb-cccc-000000000024";

/// Sessions end with their tokens, keys are fetched and everybody is looked at once a second.
const SETTINGS: &str = "azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = '0s'\n\
     azure_ad_auth.clock_skew = '1s'\nazure_ad_auth.key_refresh_interval = '1s'\n";

/// A running server, and what belongs to it.
pub(crate) struct Scenery {
    pub(crate) cluster: Cluster,
    pub(crate) provider: Provider,
    pub(crate) doors: Doors,
}

impl Scenery {
    pub(crate) fn new() -> Self {
        let doors = Doors::of(&Template::shared().installation);
        let provider = provider();
        let settings = SETTINGS.to_owned() + &doors.settings();
        let hba = hba(&doors);
        fill(&provider);
        let cluster = Scene::new().settings(settings).hba(hba).directory(&provider).start_with(&provider);
        cluster.await_directory();
        for door in doors.all() {
            for (role, object, kind) in roles(*door) {
                link(&cluster, &role, object, kind);
            }
        }
        for (role, object) in [("revoked", REVOKED), ("disabled", DISABLED), ("brief", BRIEF)] {
            link(&cluster, role, object, "user");
        }
        // What the long session reads.
        cluster.sql("GRANT pg_monitor TO admin");
        Self { cluster, provider, doors }
    }
}

/// Returns the roles of a door: of a person, a group and an application.
fn roles(door: Door) -> [(String, &'static str, &'static str); 3] {
    let role = |name: &str| format!("{name}_{}", door.name());
    [(role("person"), PERSON, "user"), (role("group"), GROUP, "group"), (role("app"), APPLICATION, "service")]
}

/// Returns a pg_hba.conf with lines for the roles of each door, which all others follow.
fn hba(doors: &Doors) -> String {
    let line = |door: &Door| {
        let names = roles(*door).map(|(role, ..)| role).join(",");
        format!("hostssl all {names} 127.0.0.1/32 {}\n", doors.clause(*door))
    };
    let lines: String = doors.all().iter().map(line).collect();
    format!("local all postgres trust\n{lines}hostssl all +azure_ad_user 127.0.0.1/32 trust\n")
}

fn fill(provider: &Provider) {
    let directory = provider.directory();
    for (object, name) in [
        (ADMIN, "admin@contoso.example"),
        (PERSON, "ann@contoso.example"),
        (PASSING, PASSING_NAME),
        (REVOKED, "revoked@contoso.example"),
        (DISABLED, "disabled@contoso.example"),
        (BRIEF, "brief@contoso.example"),
    ] {
        directory.add_user(object, name);
    }
    directory.add_service_principal(APPLICATION, CLIENT, "billing");
    directory.add_group(GROUP, "Readers");
    directory.add_member(GROUP, PERSON);
}

fn link(cluster: &Cluster, role: &str, object: &str, kind: &str) {
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"));
}

/// Returns what a person's, a group member's and an application's logins at a door are called, the
/// role, and the claims. The third token does not list its groups, so the directory is asked.
pub(crate) fn logins(door: Door) -> [(&'static str, String, Value); 4] {
    let [person, group, app] = roles(door).map(|(role, ..)| role);
    let name = |number: usize| match door {
        Door::Password => ["person, trust", "group, trust", "group by the directory, trust", "application, trust"],
        Door::Pam => ["person, pam", "group, pam", "group by the directory, pam", "application, pam"],
        Door::OAuth => ["person, oauth", "group, oauth", "group by the directory, oauth", "application, oauth"],
    }[number];
    let now = unix_now();
    let unlisted = with(with(user_v1(now), "groups", Value::Null), "hasgroups", json!(true));
    [
        (name(0), person, user_v1(now)),
        (name(1), group.clone(), user_v1(now)),
        (name(2), group, unlisted),
        (name(3), app, app_v1(now)),
    ]
}

/// Returns the claims of another person.
pub(crate) fn claims_of(object: &str) -> Value {
    with(user_v1(unix_now()), "oid", json!(object))
}

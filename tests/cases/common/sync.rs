//! Groups whose members get roles.

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::Scene;
use testbed::waits::eventually;

use super::directory::with_directory;

pub(crate) const BEN: &str = "77777777-aaaa-bbbb-cccc-000000000006";
pub(crate) const CAT: &str = "77777777-aaaa-bbbb-cccc-000000000007";

/// Starts a server on which `readers` is linked to a group with ann, ben and cat.
pub(crate) fn with_members(scene: Scene) -> (Cluster, Provider) {
    let (cluster, provider) = with_directory(scene);
    let directory = provider.directory();
    directory.add_group(GROUP, "Readers");
    for (id, name) in
        [(PERSON, "ann@contoso.example"), (BEN, "ben@contoso.example"), (CAT, "cat@contoso.example")]
    {
        directory.add_user(id, name);
        directory.add_member(GROUP, id);
    }
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('readers', '{GROUP}', 'group')"));
    (cluster, provider)
}

/// Makes a round. Returns its rows.
pub(crate) fn synchronise(cluster: &Cluster) -> String {
    cluster.sql(&rows_of("azure_ad_auth.sync_group_members()"))
}

/// Returns a statement that makes a round by a call, and shows its rows.
pub(crate) fn rows_of(call: &str) -> String {
    format!(
        "SELECT concat_ws(' ', role_name, action, group_role, detail) FROM {call} ORDER BY role_name, action, group_role"
    )
}

/// Returns what the label of a role remembers.
pub(crate) fn mark_of(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT label FROM pg_shseclabel WHERE provider = 'azure_ad_auth' AND objoid = '\"{role}\"'::regrole"
    ))
}

/// The title of the worker that makes the rounds of the schedule.
pub(crate) const SYNC_WORKER: &str = "azure_ad_auth group synchronisation";

/// Rounds are made once a second as soon as `group_sync` is on.
pub(crate) const EVERY_SECOND: &str = "azure_ad_auth.group_sync_interval = 1s";

/// Returns the number of members' roles of which something is there and something is not: the
/// link, the memberships, the guard and the mark go together, and a role that was left has none of
/// them but a mark without groups.
pub(crate) fn half_done(cluster: &Cluster) -> String {
    cluster.sql(&format!(
        "WITH role AS (
           SELECT rolname,
             ARRAY[
               EXISTS (SELECT FROM pg_shseclabel WHERE objoid = r.oid AND provider = 'pgaadauth'),
               EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid AND roleid = 'azure_ad_user'::regrole),
               EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid AND roleid = 'readers'::regrole),
               EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = r.oid),
               EXISTS (SELECT FROM pg_shseclabel WHERE objoid = r.oid AND provider = 'azure_ad_auth'
                 AND label LIKE '%member=%,linked,groups={GROUP}')
             ] AS facts,
             EXISTS (SELECT FROM pg_shseclabel WHERE objoid = r.oid AND provider = 'azure_ad_auth'
               AND label LIKE '%member=%' AND label NOT LIKE '%groups=%') AS is_left
           FROM pg_authid r WHERE rolname LIKE '%@contoso.example')
         SELECT count(*) FROM role WHERE NOT
           (true = ALL (facts) OR (NOT true = ANY (facts) AND is_left))"
    ))
}

/// Returns how many roles of members are linked.
pub(crate) fn linked(cluster: &Cluster) -> String {
    cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name LIKE '%@contoso.example'")
}

/// Waits until so many roles of members are linked.
pub(crate) fn await_linked(cluster: &Cluster, count: usize) {
    let mut last = String::new();
    let reached = eventually(|| {
        last = linked(cluster);
        last == count.to_string()
    });
    assert!(reached, "{last}, not {count}");
}

/// Waits until a round of the schedule waits for a lock.
pub(crate) fn await_blocked_round(cluster: &Cluster) {
    let blocked = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = '{SYNC_WORKER}' AND wait_event_type = 'Lock'"
    );
    assert!(eventually(|| cluster.sql(&blocked) == "1"));
}

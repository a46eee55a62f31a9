//! Rounds and standbys: there are none there, and after a promotion they go on.

use testbed::cluster::Cluster;
use testbed::issuer::GROUP;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::server::process;
use crate::common::statements::run;
use crate::common::sync::{
    BEN, EVERY_SECOND, SYNC_WORKER, await_blocked_round, await_linked, half_done, with_members,
};

const DAN: &str = "77777777-aaaa-bbbb-cccc-000000000008";

/// Returns what is remembered of every role but that of the member who joins later.
fn marks(cluster: &Cluster) -> String {
    cluster.sql(
        "SELECT rolname, label FROM pg_shseclabel JOIN pg_roles ON objoid = oid \
         WHERE provider = 'azure_ad_auth' AND rolname NOT LIKE 'dan@%' ORDER BY 1",
    )
}

#[test]
fn after_a_failover_in_the_middle_of_a_round_the_new_primary_finishes_it() {
    let settings = format!("{EVERY_SECOND}\nazure_ad_auth.group_sync = on");
    let (cluster, provider) = with_members(Scene::new().settings(settings));
    await_linked(&cluster, 3);
    let standby = cluster.standby();
    standby.start();
    standby.await_directory();
    assert!(eventually(|| marks(&standby) == marks(&cluster)));
    let before = marks(&cluster);
    let mut other = cluster.superuser();
    run(&mut other, "BEGIN");
    run(&mut other, "CREATE ROLE \"dan@contoso.example\"");
    provider.directory().add_user(DAN, "dan@contoso.example");
    provider.directory().add_member(GROUP, DAN);
    await_blocked_round(&cluster);
    assert!(process(&standby, SYNC_WORKER).is_none());
    cluster.stop("immediate");
    assert!(!standby.log().contains(SYNC_WORKER), "no worker was started there");
    assert_eq!(standby.sql("SELECT pg_promote()"), "t");
    await_linked(&standby, 4);
    assert_eq!(half_done(&standby), "0");
    assert_eq!(marks(&standby), before);
    // The marks of the old primary are understood.
    provider.directory().remove_member(GROUP, BEN);
    await_linked(&standby, 3);
    assert_eq!(half_done(&standby), "0");
}

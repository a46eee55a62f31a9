//! Linked roles, as many as a small or a large server has, written where a link is kept.

use std::ops::RangeInclusive;

use testbed::cluster::Cluster;
use testbed::issuer::TENANT;

/// Linked roles on a small server, the administrator and the one that logs in among them.
pub(crate) const FEW: usize = 10;

/// Linked roles on a large server.
pub(crate) const MANY: usize = 100_000;

/// Links roles of these numbers.
pub(crate) fn link(cluster: &Cluster, numbers: RangeInclusive<usize>) {
    let (first, last) = numbers.into_inner();
    cluster.sql(&format!(
        "DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE 'CREATE ROLE r' || n || ' LOGIN'; \
         IF n % 1000 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    ));
    let oid = if cluster.major() < 16 { "" } else { "pg_authid.oid, " };
    let options = if oid.is_empty() { "" } else { ", true, true" };
    let new = format!("FROM pg_authid JOIN generate_series({first}, {last}) n ON rolname = 'r' || n");
    cluster.sql(&format!(
        "SET allow_system_table_mods = on; \
         INSERT INTO pg_auth_members SELECT {oid}'azure_ad_user'::regrole, pg_authid.oid, 10, false{options} {new}; \
         INSERT INTO pg_shseclabel SELECT pg_authid.oid, 'pg_authid'::regclass, 'pgaadauth', \
           'aadauth,oid=' || gen_random_uuid() || ',type=user,tenant_id={TENANT}' {new}"
    ));
    cluster.sql("VACUUM ANALYZE");
}

//! The synchronisation of groups: members of linked groups get roles, and lose them again.

use testbed::issuer::{GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::login::{TERMINATED, end_of, token_of, valid_token, value};
use crate::common::statements::run;
use crate::common::sync::{BEN, CAT, mark_of, rows_of, synchronise, with_members};

#[test]
fn members_get_roles_and_log_in() {
    let (cluster, provider) = with_members(Scene::new());
    let dry = cluster.sql(&rows_of("azure_ad_auth.sync_group_members(dry_run => true)"));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%@%'"), "0");
    let rows = synchronise(&cluster);
    assert_eq!(rows, dry, "a dry run says the same");
    assert!(rows.contains(&format!(
        "ann@contoso.example created user {PERSON}\nann@contoso.example granted readers"
    )));
    assert_eq!(synchronise(&cluster), "", "nothing is new");
    let mark = mark_of(&cluster, "ann@contoso.example");
    assert!(mark.ends_with(&format!("member={PERSON},linked,groups={GROUP}")), "{mark}");
    assert_eq!(mark_of(&cluster, "readers"), format!("serves={GROUP}"));
    let mut session = cluster.session("ann@contoso.example", &valid_token());
    assert_eq!(value(&mut session, "SELECT pg_has_role('readers', 'USAGE')"), "t");
    let log = cluster.log();
    let line = "azure_ad_auth: group synchronisation: role \"ann@contoso.example\": created";
    assert_eq!(log.matches(line).count(), 1);
    assert_eq!(log.matches("azure_ad_auth: group synchronisation: a round has ended").count(), 1);
    assert_eq!(provider.directory().misplaced_secrets(), [""; 0]);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "the roles are whole");
}

#[test]
fn who_leaves_loses_the_role_and_keeps_what_it_owns() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    cluster.sql("GRANT CREATE ON SCHEMA public TO readers");
    let mut session = cluster.session("ann@contoso.example", &valid_token());
    assert!(session.query("CREATE TABLE notes ()").is_ok());
    provider.directory().remove_member(GROUP, PERSON);
    assert_eq!(
        synchronise(&cluster),
        format!("ann@contoso.example revoked readers\nann@contoso.example unlinked {PERSON} has left")
    );
    assert_eq!(end_of(&mut session), TERMINATED);
    assert_eq!(
        cluster.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'notes'"),
        "ann@contoso.example"
    );
    assert!(mark_of(&cluster, "ann@contoso.example").contains(&format!("member={PERSON}")));
    provider.directory().add_member(GROUP, PERSON);
    assert_eq!(
        synchronise(&cluster),
        format!("ann@contoso.example granted readers\nann@contoso.example linked user {PERSON}")
    );
    assert_eq!(value(&mut cluster.session("ann@contoso.example", &valid_token()), "TABLE notes"), "");
}

#[test]
fn a_grant_by_hand_stays_and_with_it_the_link() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    let granted = "GRANT readers TO \"ann@contoso.example\" WITH ADMIN OPTION";
    cluster.sql(granted);
    provider.directory().remove_member(GROUP, PERSON);
    let stays = "stays linked while it is a member of role \"readers\"";
    let rows = synchronise(&cluster);
    assert!(rows.contains("ann@contoso.example kept readers was granted it by hand"), "{rows}");
    assert!(rows.contains(&format!("ann@contoso.example kept {stays}")), "{rows}");
    assert_eq!(synchronise(&cluster), format!("ann@contoso.example skipped {stays}"));
    cluster.sql("REVOKE readers FROM \"ann@contoso.example\"");
    assert_eq!(synchronise(&cluster), format!("ann@contoso.example unlinked {PERSON} has left"));
}

#[test]
fn names_that_are_taken_are_skipped_and_others_go_on() {
    let (cluster, provider) = with_members(Scene::new().settings("azure_ad_auth.group_sync = on"));
    cluster.sql("CREATE ROLE \"ann@contoso.example\" SUPERUSER");
    provider.directory().rename(BEN, &format!("{}@contoso.example", "n".repeat(60)));
    let rows = cluster.sql(&rows_of("pg_catalog.pgaadauth_sync_roles_for_group_members()"));
    assert!(rows.contains("a superuser or one with a superuser's rights"), "{rows}");
    assert!(rows.contains("its name has more than 63 bytes"), "{rows}");
    assert!(rows.contains("cat@contoso.example granted readers"), "{rows}");
    let check =
        cluster.sql("SELECT message FROM azure_ad_auth.check_configuration() WHERE topic = 'group sync'");
    assert!(check.contains("role \"ann@contoso.example\" is skipped"), "{check}");
}

#[test]
fn a_list_that_is_empty_or_broken_changes_nothing() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    for id in [PERSON, BEN, CAT] {
        provider.directory().remove_member(GROUP, id);
    }
    let held = "held readers 3 of 3 members are missing at once; the next round must say so too";
    assert_eq!(cluster.sql(&rows_of("azure_ad_auth.sync_group_members(true)")), held);
    assert_eq!(
        cluster.sql(&rows_of("azure_ad_auth.sync_group_members(true)")),
        held,
        "a dry run does not count"
    );
    assert_eq!(synchronise(&cluster), held);
    for id in [PERSON, BEN, CAT] {
        provider.directory().add_member(GROUP, id);
    }
    assert_eq!(synchronise(&cluster), "");
    provider.directory().withdraw("GroupMember.Read.All");
    provider.directory().remove_member(GROUP, PERSON);
    let failed = cluster.sql_verbosely("SELECT * FROM azure_ad_auth.sync_group_members()");
    assert!(failed.stderr.contains("58030") && failed.stderr.contains("403"), "{}", failed.stderr);
    assert_eq!(cluster.sql("SELECT pg_has_role('ann@contoso.example', 'readers', 'MEMBER')"), "t");
}

#[test]
fn who_may_make_a_round() {
    let (cluster, _provider) = with_members(Scene::new());
    let call = "SELECT * FROM azure_ad_auth.sync_group_members()";
    cluster.sql("CREATE ROLE local");
    let denied = cluster.sql_verbosely(&format!("SET ROLE local; {call}"));
    assert!(denied.stderr.contains("42501"), "{}", denied.stderr);
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let call = format!(
        "SELECT string_agg(row, E'\\n') FROM ({}) AS rows (row)",
        rows_of("azure_ad_auth.sync_group_members()")
    );
    assert!(value(&mut admin, &call).contains("ann@contoso.example granted readers"));
    let azure = cluster.sql_verbosely("SELECT * FROM pg_catalog.pgaadauth_sync_roles_for_group_members()");
    assert!(
        azure.stderr.contains("55000") && azure.stderr.contains("the synchronisation of groups is off"),
        "{}",
        azure.stderr
    );
}

#[test]
fn rounds_are_made_by_the_schedule() {
    let settings = "azure_ad_auth.group_sync = on\nazure_ad_auth.group_sync_interval = 1s\n\
                    azure_ad_auth.group_sync_database = 'template1'";
    let (cluster, provider) = with_members(Scene::new().settings(settings));
    let count = "SELECT count(*) FROM azure_ad_auth.principals WHERE role_name LIKE '%@contoso.example'";
    assert!(eventually(|| cluster.sql(count) == "3"));
    provider.directory().remove_member(GROUP, PERSON);
    assert!(eventually(|| cluster.sql(count) == "2"));
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.group_sync = off");
    cluster.reload();
}

#[test]
fn one_process_at_a_time_and_what_is_rolled_back_has_not_been() {
    let (cluster, _provider) = with_members(Scene::new());
    let mut one = cluster.superuser();
    run(&mut one, "BEGIN");
    run(&mut one, "SELECT azure_ad_auth.sync_group_members()");
    assert_eq!(value(&mut one, "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%@contoso.example'"), "3");
    let busy = cluster.sql_verbosely("SELECT azure_ad_auth.sync_group_members()");
    assert!(busy.stderr.contains("55P03"), "{}", busy.stderr);
    run(&mut one, "ROLLBACK");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%@contoso.example'"), "0");
    assert!(synchronise(&cluster).contains("ann@contoso.example granted readers"));
}

#[test]
fn a_role_that_cannot_be_changed_is_reported_and_others_go_on() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    // Another session has the role locked, and its transaction stays open.
    let mut other = cluster.superuser();
    run(&mut other, "BEGIN");
    run(
        &mut other,
        &format!(
            "SECURITY LABEL FOR azure_ad_auth ON ROLE \"ann@contoso.example\" IS 'managed,member={PERSON},linked,groups={GROUP}'"
        ),
    );
    provider.directory().remove_member(GROUP, PERSON);
    provider.directory().add_user("77777777-aaaa-bbbb-cccc-000000000008", "dan@contoso.example");
    provider.directory().add_member(GROUP, "77777777-aaaa-bbbb-cccc-000000000008");
    let rows = cluster
        .sql(&format!("SET lock_timeout = '100ms'; {}", rows_of("azure_ad_auth.sync_group_members()")));
    assert!(rows.contains("ann@contoso.example skipped canceling statement due to lock timeout"), "{rows}");
    assert!(rows.contains("dan@contoso.example granted readers"), "{rows}");
    assert_eq!(
        cluster.sql("SELECT pg_has_role('ann@contoso.example', 'readers', 'MEMBER')"),
        "t",
        "nothing of it was done"
    );
    run(&mut other, "COMMIT");
    assert!(synchronise(&cluster).contains("ann@contoso.example revoked readers"));
}

#[test]
fn on_a_standby_there_are_no_rounds() {
    let (cluster, provider) = with_members(Scene::new().settings("azure_ad_auth.group_sync = on"));
    let standby = cluster.standby();
    standby.start();
    standby.await_directory();
    let refused = standby.sql_verbosely("SELECT azure_ad_auth.sync_group_members()");
    assert!(refused.stderr.contains("25006"), "{}", refused.stderr);
    assert_eq!(provider.directory().misplaced_secrets(), [""; 0]);
}

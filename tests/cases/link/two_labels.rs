//! The two labels of a role: the one that a statement writes stays as it is written; what the
//! library finds out is in the other.

use testbed::cluster::Cluster;
use testbed::expect::{Refusal, admitted, refused};
use testbed::issuer::{APPLICATION, GROUP, OTHER_TENANT, PERSON, TENANT, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::token_of;
use crate::common::revocation::revoked;
use crate::common::role_state::{RoleState, labels};
use crate::common::statements::{SECOND_ADMIN, link};

/// Sets a label by the statement that tools use.
fn label(cluster: &Cluster, provider: &str, role: &str, text: &str) {
    cluster.sql(&format!("SECURITY LABEL FOR \"{provider}\" ON ROLE {role} IS '{text}'"));
}

fn own(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT label FROM pg_shseclabel WHERE objoid = '{role}'::regrole AND provider = 'pgaadauth'"
    ))
}

fn internal(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT label FROM pg_shseclabel WHERE objoid = '{role}'::regrole AND provider = 'pgaadauth-int'"
    ))
}

/// As Terraform does: it writes a label, reads it back, and plans a change if the two differ.
#[test]
fn a_label_is_read_back_as_it_was_written() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = 0").start();
    cluster.sql("CREATE ROLE ann LOGIN");
    for text in [
        format!("aadauth,oid={PERSON},type=user"),
        format!("aadauth,type=user,oid={PERSON}"),
        format!("aadauth,oid={PERSON}"),
        format!("aadauth,tenant_id={TENANT},type=user,oid={}", PERSON.to_uppercase()),
    ] {
        let check = |what: &str| assert_eq!(own(&cluster, "ann"), text, "{what}");
        label(&cluster, "pgaadauth", "ann", &text);
        check("written");
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
        let tenant = "SELECT tenant_id FROM azure_ad_auth.principals WHERE role_name = 'ann'";
        assert_eq!(cluster.sql(tenant), TENANT);
        let token = token_of(PERSON);
        admitted(&cluster, "ann", &token);
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        check("revoked");
        revoked(&cluster, "ann", &token);
        // The label is written again, as after a change elsewhere.
        label(&cluster, "pgaadauth", "ann", &text);
        revoked(&cluster, "ann", &token);
        cluster.sql("SELECT azure_ad_auth.repair(); GRANT azure_ad_user TO ann");
        check("settled");
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')"));
        check("revoked everywhere");
        cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL");
        cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
        assert_eq!(own(&cluster, "ann"), "");
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
        revoked_when_linked_anew(&cluster, &token);
        cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL; SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL");
        assert_eq!(labels(&cluster, "ann"), "");
    }
}

fn revoked_when_linked_anew(cluster: &Cluster, token: &str) {
    label(cluster, "pgaadauth", "ann", &format!("aadauth,oid={PERSON},type=user"));
    revoked(cluster, "ann", token);
}

#[test]
fn what_either_label_demands_is_demanded_at_every_door() {
    at_every_door("", |_door, cluster, _provider| {
        let complete = format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}");
        let later = unix_now() - 60;
        let token = token_of(PERSON);
        for (role, own, internal, is_revoked) in [
            ("a", format!("{complete},not_before={later}"), "not_before=1".to_owned(), true),
            ("b", format!("{complete},not_before=1"), format!("not_before={later}"), true),
            ("c", complete.clone(), format!("not_before={later}"), true),
            ("d", complete.clone(), "not_before=1".to_owned(), false),
        ] {
            cluster.sql(&format!("CREATE ROLE {role} LOGIN"));
            label(&cluster, "pgaadauth", role, &own);
            label(&cluster, "pgaadauth-int", role, &internal);
            if is_revoked {
                revoked(&cluster, role, &token);
            } else {
                admitted(&cluster, role, &token);
            }
            let since = format!(
                "SELECT extract(epoch FROM tokens_not_before)::bigint FROM azure_ad_auth.principals WHERE role_name = '{role}'"
            );
            assert_eq!(cluster.sql(&since), if is_revoked { later.to_string() } else { "1".to_owned() });
        }
        cluster.sql("CREATE ROLE e LOGIN");
        label(&cluster, "pgaadauth", "e", &complete);
        label(&cluster, "pgaadauth-int", "e", "mfa");
        let weak = KEY.token(&with(user_v1(unix_now()), "amr", serde_json::json!(["pwd"])));
        refused(
            &cluster,
            "e",
            &weak,
            &Refusal {
                code: "mfa_required",
                sqlstate: "28P01",
                message: "role \"e\" requires multi-factor authentication",
                hint: None,
                facts: &["amr_present=true"],
            },
        );
        admitted(&cluster, "e", &token);
    });
}

#[test]
fn labels_as_a_live_flexible_server_has_them_are_read_and_kept() {
    let (cluster, _provider) = Scene::new().start();
    for (role, text, object, is_admin) in [
        ("ann", format!("type=user,oid={PERSON},tenant_id={TENANT},admin"), PERSON, false),
        ("boss", format!("admin,tenant_id={TENANT},oid={SECOND_ADMIN},type=user"), SECOND_ADMIN, true),
        ("eve", format!("oid={APPLICATION},mfa,type=user,tenant_id={TENANT}"), APPLICATION, false),
    ] {
        cluster.sql(&format!("CREATE ROLE {role} LOGIN"));
        label(&cluster, "pgaadauth", role, if is_admin { "aadauth,admin" } else { "aadauth" });
        label(&cluster, "pgaadauth-int", role, &text);
        assert_eq!(internal(&cluster, role), text);
        let row =
            format!("SELECT object_id, is_admin FROM azure_ad_auth.principals WHERE role_name = '{role}'");
        assert_eq!(cluster.sql(&row), format!("{object}|{}", if is_admin { "t" } else { "f" }));
        admitted(&cluster, role, &token_of(object));
        // What the label contains beyond what is written here stays. The default clock skew is 60
        // s.
        cluster.sql(&format!("SELECT azure_ad_auth.revoke_tokens('{role}', to_timestamp(7))"));
        assert_eq!(internal(&cluster, role), format!("{text},not_before=67"));
    }
}

#[test]
fn messages_name_the_provider_of_the_statement() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann; CREATE TABLE t ()");
    for (statement, expected) in [
        ("\"pgaadauth-int\" ON ROLE ann IS 'type=robot'", "ERROR:  invalid label for provider pgaadauth-int"),
        (
            "\"pgaadauth-int\" ON ROLE ann IS 'type=robot'",
            "HINT:  A label is type=user|group|service,oid=<uuid>,",
        ),
        ("\"pgaadauth-int\" ON ROLE ann IS 'owner=x'", "DETAIL:  \"owner=x\" is not known."),
        ("\"pgaadauth-int\" ON TABLE t IS 'type=user'", "labels of pgaadauth-int can be given to roles only"),
        ("pgaadauth ON ROLE ann IS 'aadauth,type=robot'", "ERROR:  invalid label for provider pgaadauth\n"),
        ("pgaadauth ON ROLE ann IS 'aadauth,type=robot'", "HINT:  A label is aadauth[,oid=<uuid>]"),
    ] {
        let output = cluster.sql_as("postgres", &format!("SECURITY LABEL FOR {statement}"));
        assert!(output.stderr.contains(expected), "{statement}: {}", output.stderr);
    }
}

#[test]
fn nobody_but_a_superuser_takes_a_revocation_back_by_either_label() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = 0").start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    assert!(admin.query(&create).is_ok());
    let token = token_of(PERSON);
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
    for statement in [
        format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},not_before=0'"),
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'not_before=0'".to_owned(),
        format!("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'tenant_id={TENANT}'"),
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL".to_owned(),
        format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL; \
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL; \
             SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},not_before=0'"
        ),
    ] {
        let result = admin.query(&statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
        revoked(&cluster, "ann", &token);
    }
    // Restoring a dump does not undo it either, in whichever order its labels come.
    for order in [["pgaadauth-int", "pgaadauth"], ["pgaadauth", "pgaadauth-int"]] {
        cluster.sql("CREATE ROLE bob LOGIN");
        for provider in order {
            let text = match provider {
                "pgaadauth" => format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT},not_before=1"),
                _ => format!("not_before={}", unix_now()),
            };
            label(&cluster, provider, "bob", &text);
        }
        revoked(&cluster, "bob", &token);
        // A superuser may do so deliberately.
        label(&cluster, "pgaadauth", "bob", &format!("aadauth,oid={PERSON},not_before=0"));
        admitted(&cluster, "bob", &token);
        cluster.sql("DROP ROLE bob");
    }
}

#[test]
fn what_was_found_out_about_another_object_goes_with_the_link() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann LOGIN");
    label(&cluster, "pgaadauth", "ann", "aadauth");
    label(&cluster, "pgaadauth-int", "ann", &format!("type=group,oid={GROUP},tenant_id={OTHER_TENANT}"));
    label(&cluster, "pgaadauth", "ann", &format!("aadauth,oid={PERSON}"));
    assert_eq!(
        labels(&cluster, "ann"),
        format!("pgaadauth: aadauth,oid={PERSON}; pgaadauth-int: tenant_id={TENANT}")
    );
    admitted(&cluster, "ann", &token_of(PERSON));
    // What is known of the new object already stays, as in a guide for Azure.
    label(&cluster, "pgaadauth-int", "ann", &format!("type=user,oid={APPLICATION},tenant_id={TENANT}"));
    label(&cluster, "pgaadauth", "ann", &format!("aadauth,oid={APPLICATION}"));
    assert_eq!(internal(&cluster, "ann"), format!("type=user,oid={APPLICATION},tenant_id={TENANT}"));
    // A function writes one complete label.
    link(&cluster, "bob", PERSON, "user");
    assert_eq!(
        labels(&cluster, "bob"),
        format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}")
    );
}

/// A time with many leading zeros makes a label as long as possible. The library appends to it, and
/// a label that is too long cannot be read.
#[test]
fn no_label_of_an_administrators_is_so_long_that_revoked_tokens_are_forgotten() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.clock_skew = 0").start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    assert!(admin.query(&create).is_ok());
    let token = token_of(PERSON);
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
    let own = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user'");
    assert!(admin.query(&own).is_ok());
    let (zeros, time) = ("0".repeat(1_000 - "not_before=".len() - 10), unix_now() + 60);
    let padded = format!("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'not_before={zeros}{time}'");
    let answer = admin.query(&padded);
    assert!(admin.query("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL").is_ok());
    revoked(&cluster, "ann", &token);
    assert_eq!(answer.expect_err("zeros").sqlstate, "22023");
}

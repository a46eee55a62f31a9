//! A role dump of Azure's Flexible Server.

use testbed::expect::admitted;
use testbed::issuer::{PERSON, app_v2, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY};

use crate::common::dumps::{flexible_dump, server_without_extension};
use crate::common::login::token_of;
use crate::common::server::run_script;
use crate::common::statements::{SECOND_ADMIN, link, run_all};

#[test]
fn a_role_dump_of_a_flexible_server_restores_and_its_people_log_in() {
    for extension_first in [true, false] {
        let (new, _provider) = server_without_extension();
        if extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        let output = run_script(&new, &flexible_dump());
        assert!(output.success, "{}", output.stderr);
        if !extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        new.await_keys();
        let person = user_v1(unix_now());
        for role in ["ann@contoso.example", "Database Readers"] {
            admitted(&new, role, &KEY.token(&person));
        }
        admitted(&new, "billing", &KEY.token(&app_v2(unix_now())));
        let admin = with(person, "oid", serde_json::json!(ADMIN));
        admitted(&new, "admin@contoso.example", &KEY.token(&admin));
        let guards = "SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'azure_ad_auth'";
        assert_eq!(new.sql(guards), "4");
        // From 16 on a role is granted to the administrator who created it. Here administrators
        // have no members.
        if new.major() >= 16 {
            let options = "WITH ADMIN OPTION, INHERIT FALSE, SET FALSE";
            let creator = "\"admin@contoso.example\"";
            assert!(
                run_script(&new, &format!("GRANT \"ann@contoso.example\" TO {creator} {options};")).success
            );
            new.sql(&format!(
                "SELECT azure_ad_auth.create_principal('deputy', '{SECOND_ADMIN}', 'user', true)"
            ));
            let output = run_script(&new, &format!("GRANT deputy TO {creator} {options};"));
            let message = "ERROR:  role \"deputy\" administers Azure AD roles and cannot have members";
            assert!(output.stderr.contains(message), "{}", output.stderr);
        }
    }
}

/// On Azure administrators create Azure AD roles. After a move they manage those that have no
/// further privileges.
#[test]
fn what_came_from_azure_is_the_administrators_to_manage() {
    const ADMINISTRATOR: &str = "admin@contoso.example";
    for extension_first in [true, false] {
        let (new, _provider) = server_without_extension();
        if extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        // A role with more privileges than administrators could have given it is managed by
        // superusers only, and so is one that a superuser links here.
        let mut dump = flexible_dump() + "GRANT pg_read_all_data TO billing;\n";
        if new.major() >= 16 {
            // As the dump has it, and as it can be restored.
            let granted = format!(
                "GRANT \"ann@contoso.example\" TO \"{ADMINISTRATOR}\" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY azuresu;\n"
            );
            assert!(!run_script(&new, &granted).success);
            dump += &granted.replace(" GRANTED BY azuresu", "");
        }
        let output = run_script(&new, &dump);
        assert!(output.success, "{}", output.stderr);
        if !extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        link(&new, "ours", PERSON, "user");
        new.sql(&format!(
            "CREATE ROLE labelled LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE labelled IS 'aadauth,oid={PERSON},type=user'"
        ));
        let output = new.sql_as("postgres", "SELECT azure_ad_auth.repair()");
        let withheld =
            "NOTICE:  role \"billing\" was created by an Azure AD administrator but is not granted";
        assert!(output.stderr.contains(withheld), "{}", output.stderr);
        assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "once is enough");
        new.await_keys();
        let mut admin = new.session(ADMINISTRATOR, &token_of(ADMIN));
        run_all(
            &mut admin,
            &[
                "ALTER ROLE \"ann@contoso.example\" SET work_mem = '1MB'",
                "GRANT \"Database Readers\" TO \"ann@contoso.example\"",
                &format!("SELECT azure_ad_auth.update_principal('Database Readers', '{SECOND_ADMIN}')"),
                "REVOKE \"Database Readers\" FROM \"ann@contoso.example\"",
                "SELECT azure_ad_auth.drop_principal('ann@contoso.example')",
                "DROP ROLE \"ann@contoso.example\"",
            ],
        );
        // Before 16 an administrator may change linked roles that have no more privileges than
        // administrators.
        let since_16 = new.major() >= 16;
        for role in if since_16 { vec!["billing", "ours", "labelled"] } else { vec!["billing"] } {
            let fault = admin.query(&format!("ALTER ROLE {role} SET work_mem = '1MB'")).expect_err(role);
            assert_eq!(fault.sqlstate, "42501", "{role}: {fault:?}");
        }
        let theirs =
            "SELECT string_agg(objoid::regrole::text, ' ') FROM pg_shseclabel WHERE label = 'managed'";
        assert_eq!(new.sql(theirs), if since_16 { "" } else { "\"Database Readers\"" });
    }
}

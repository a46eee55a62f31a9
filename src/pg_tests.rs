//! Tests that run in a session: texts, roles, links. Logins are tested by the crate under tests/.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::ffi::CString;

    use entra::{Code, FormatFault, JsonFault, Part, Refusal, TokenKind};
    use pgrx::prelude::*;

    use crate::catalog;
    use crate::catalog::Link;
    use crate::catalog::Standing;
    use crate::report;
    use crate::report::Denial;
    use crate::settings;

    /// The contract's table: code, SQLSTATE, what the client reads.
    const TEXTS: &[(&str, &str, &str)] = &[
        ("wrong_method", "28000", "role \"X\" is an Azure AD role and can only log in with an access token"),
        ("tls_required", "28000", "Azure AD authentication requires an encrypted connection"),
        ("not_configured", "28000", "Azure AD authentication is not configured on this server"),
        (
            "no_admin",
            "28000",
            "Azure AD authentication is disabled: the server has no Azure AD administrator",
        ),
        (
            "privileged_role",
            "28000",
            "role \"X\" cannot use Azure AD authentication because it is a superuser, replication or BYPASSRLS role",
        ),
        (
            "keys_unavailable",
            "57P03",
            "the signing keys of the Azure AD tenant are not available; try again later",
        ),
        ("invalid_format", "28P01", "the access token has an invalid format"),
        ("unsupported_algorithm", "28P01", "the access token's signature algorithm is not accepted"),
        ("unknown_key", "28P01", "the access token's signature could not be verified"),
        ("bad_signature", "28P01", "the access token's signature could not be verified"),
        ("invalid_claims", "28P01", "the access token lacks a valid claim"),
        ("wrong_tenant", "28P01", "the access token was issued by another tenant"),
        ("wrong_issuer", "28P01", "the access token was issued by another tenant"),
        ("wrong_audience", "28P01", "the access token was issued for another resource"),
        ("expired", "28P01", "the access token has expired"),
        ("not_yet_valid", "28P01", "the access token is not valid yet"),
        ("client_not_allowed", "28P01", "the access token was issued to an application that may not connect"),
        ("permission_missing", "28P01", "the access token lacks a required permission"),
        ("mfa_required", "28P01", "role \"X\" requires multi-factor authentication"),
        ("token_revoked", "28P01", "the access token is no longer accepted"),
        ("wrong_kind", "28P01", "the access token is of the wrong kind"),
        ("groups_overage", "28P01", "the access token does not list its groups because there are too many"),
        ("not_linked", "28P01", "Azure AD authentication failed for role \"X\""),
        ("oid_mismatch", "28P01", "Azure AD authentication failed for role \"X\""),
        ("not_a_member", "28P01", "Azure AD authentication failed for role \"X\""),
        ("account_disabled", "28P01", "the account that the access token was issued to is disabled"),
        ("account_deleted", "28P01", "the account that the access token was issued to no longer exists"),
        (
            "sessions_revoked",
            "28P01",
            "the access token was issued before the account's sign-in sessions were revoked",
        ),
        (
            "directory_unavailable",
            "57P03",
            "group membership cannot be verified at the moment; try again later",
        ),
        ("internal", "XX000", "Azure AD authentication failed for role \"X\""),
    ];

    fn sqlstate(code: PgSqlErrorCode) -> String {
        let mut packed = code as i32;
        (0..5)
            .map(|_| {
                let digit = char::from(u8::try_from(packed & 0x3f).unwrap() + b'0');
                packed >>= 6;
                digit
            })
            .collect()
    }

    #[pg_test]
    fn every_code_has_its_text_and_sqlstate() {
        assert_eq!(TEXTS.len(), Code::ALL.len());
        for (code, (name, state, text)) in Code::ALL.into_iter().zip(TEXTS) {
            let denial = Denial::new(code, "X", vec![]);
            assert_eq!(code.as_str(), *name);
            assert_eq!(
                (sqlstate(denial.sqlstate()).as_str(), denial.message.as_str()),
                (*state, *text),
                "{name}"
            );
        }
    }

    #[pg_test]
    fn what_a_client_reads_never_has_the_facts() {
        let fault = FormatFault::Json(Part::Claims, JsonFault::NotJson);
        for (refusal, text) in [
            (Refusal::InvalidFormat { fault, length: 7 }, "the access token has an invalid format (7 bytes)"),
            (
                Refusal::WrongKind { expected: entra::PrincipalKind::Service, found: TokenKind::User },
                "role \"X\" needs an application's access token",
            ),
            (
                Refusal::InvalidClaims { claim: "oid", problem: "missing" },
                "the access token lacks a valid \"oid\" claim",
            ),
        ] {
            assert_eq!(Denial::of(&refusal, "X").message, text);
        }
    }

    #[pg_test]
    fn times_are_shown_and_cut_to_what_can_be() {
        Spi::run("SET timezone = 'UTC'").unwrap();
        assert_eq!(report::timestamp(1_700_000_000), "2023-11-14 22:13:20+00");
        assert_eq!(report::timestamp(i64::MIN), "1970-01-01 00:00:00+00");
        assert_eq!(report::timestamp(i64::MAX), "9999-12-31 23:59:59+00");
    }

    // These tests run concurrently, each in a transaction of its own, so their roles have different
    // names.

    #[pg_test]
    fn roles_are_what_their_labels_and_memberships_make_them() {
        let standing = |name: &str| {
            let name = CString::new(name).unwrap();
            catalog::standing_of(&catalog::role_named(&name).unwrap())
        };
        Spi::run("CREATE ROLE plain; CREATE ROLE bea LOGIN").unwrap();
        Spi::run("SELECT azure_ad_auth.create_principal('bea', gen_random_uuid(), 'user')").unwrap();
        assert!(matches!(standing("plain"), Standing::Local));
        assert!(matches!(standing("bea"), Standing::Linked(_)));
        assert!(matches!(standing("azure_ad_user"), Standing::Marker));
        assert!(matches!(standing("azure_ad_admin"), Standing::Marker));
        Spi::run("SECURITY LABEL FOR pgaadauth ON ROLE bea IS 'aadauth,mfa'").unwrap();
        let bea = catalog::role_named(c"bea").unwrap();
        assert!(matches!(catalog::link_of(bea.id), Link::Unbound));
        assert!(matches!(standing("bea"), Standing::Local));
    }

    #[pg_test]
    fn settling_twice_does_nothing_the_second_time() {
        Spi::run("SELECT azure_ad_auth.set_admin('boss', gen_random_uuid())").unwrap();
        Spi::run("SELECT azure_ad_auth.create_principal('cora', gen_random_uuid(), 'group')").unwrap();
        let steps = "SELECT count(*) FROM azure_ad_auth.repair()";
        assert_eq!(Spi::get_one::<i64>(steps), Ok(Some(0)));
    }

    #[pg_test]
    fn savepoints_take_back_whole_links() {
        let linked =
            || Spi::get_one::<i64>("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'dora'");
        Spi::run(
            "DO $$ BEGIN \
               PERFORM azure_ad_auth.create_principal('dora', gen_random_uuid(), 'user'); \
               BEGIN PERFORM azure_ad_auth.drop_principal('dora'); RAISE 'no'; EXCEPTION WHEN others THEN END; \
             END $$",
        )
        .unwrap();
        assert_eq!(linked(), Ok(Some(1)));
        let member = "SELECT pg_has_role('dora', 'azure_ad_user', 'MEMBER')";
        assert_eq!(Spi::get_one::<bool>(member), Ok(Some(true)));
    }

    #[pg_test]
    fn a_statement_links_and_the_object_id_is_no_password() {
        let object = "22222222-aaaa-bbbb-cccc-000000000002";
        Spi::run("SET LOCAL aad_validate_oids_in_tenant = off").unwrap();
        Spi::run(&format!("CREATE USER eva PASSWORD '{object}' IN ROLE azure_ad_user")).unwrap();
        let eva = catalog::role_named(c"eva").unwrap();
        assert!(matches!(catalog::link_of(eva.id), Link::Bound(label) if label.kind.is_none()));
        assert!(!catalog::has_password(eva.id));
        Spi::run("REVOKE azure_ad_user FROM eva").unwrap();
        assert!(matches!(catalog::link_of(eva.id), Link::None));
    }

    #[pg_test(
        error = "role \"local\" cannot be a member of role \"fay\" because it is not linked to a directory object"
    )]
    fn a_member_without_a_link() {
        Spi::run("CREATE ROLE local").unwrap();
        Spi::run("SELECT azure_ad_auth.create_principal('fay', gen_random_uuid(), 'user')").unwrap();
        Spi::run("GRANT fay TO local").unwrap();
    }

    #[pg_test(error = "invalid label for provider pgaadauth")]
    fn a_label_with_a_mistake() {
        Spi::run("CREATE ROLE gail; SECURITY LABEL FOR pgaadauth ON ROLE gail IS 'aadauth,type=person'")
            .unwrap();
    }

    #[pg_test(error = "the signing keys could not be fetched")]
    fn keys_that_are_nowhere() {
        Spi::run("SELECT azure_ad_auth.refresh_keys()").unwrap();
    }

    #[pg_test]
    fn rules_are_complete() {
        let rules = settings::rules().unwrap();
        assert_eq!(rules.policy.audiences(), ["api://postgres"]);
        assert!(settings::unknown::look().is_none());
    }
}

//! Settings that make a policy, and those that do not.

use super::*;

const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";

fn raw() -> RawPolicy<'static> {
    RawPolicy::for_tenant(TENANT, "api://db, 22222222-aaaa-bbbb-cccc-000000000002")
}

fn fault(raw: &RawPolicy<'_>) -> Option<&'static str> {
    Policy::parse(raw).err().map(|fault| fault.setting)
}

#[test]
fn settings_that_parse() {
    let policy = Policy::parse(&raw()).unwrap();
    assert_eq!(policy.audiences(), ["api://db", "22222222-aaaa-bbbb-cccc-000000000002"]);
    assert_eq!(
        policy.issuers(),
        [
            format!("https://sts.windows.net/{TENANT}/"),
            format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        ]
    );
    assert!(policy.accepts_client(None));
}

#[test]
fn one_setting_missing_or_wrong() {
    let cases: &[(RawPolicy<'_>, &str)] = &[
        (RawPolicy { tenant_id: "", ..raw() }, "tenant_id"),
        (RawPolicy { tenant_id: "contoso.com", ..raw() }, "tenant_id"),
        (RawPolicy { tenant_id: "common", ..raw() }, "tenant_id"),
        (RawPolicy { audience: "", ..raw() }, "audience"),
        (RawPolicy { audience: " , ", ..raw() }, "audience"),
        (RawPolicy { audience: "a,,b", ..raw() }, "audience"),
        (RawPolicy { audience: "a b", ..raw() }, "audience"),
        (RawPolicy { issuers: "https://sts.example/", ..raw() }, "issuers"),
        (RawPolicy { issuers: "http://sts.example/{tenantid}/", ..raw() }, "issuers"),
        (RawPolicy { issuers: "https://sts.example/{tenantid}/,", ..raw() }, "issuers"),
        (RawPolicy { issuers: "https://x/22222222-aaaa-bbbb-cccc-000000000002/", ..raw() }, "issuers"),
        (RawPolicy { allowed_clients: "any", ..raw() }, "allowed_clients"),
        (RawPolicy { allowed_clients: ",", ..raw() }, "allowed_clients"),
        (RawPolicy { required_permission: "a,b", ..raw() }, "required_permission"),
        (RawPolicy { required_permission: "a b", ..raw() }, "required_permission"),
        (RawPolicy { clock_skew: 301, ..raw() }, "clock_skew"),
        (RawPolicy { clock_skew: -1, ..raw() }, "clock_skew"),
    ];
    for (raw, setting) in cases {
        assert_eq!(fault(raw), Some(*setting), "{raw:?}");
    }
}

#[test]
fn configured_issuers_replace_those_of_the_cloud() {
    let issuers = format!("https://sts.example/{{tenantid}}/, https://other.example/{TENANT}/v2.0");
    let policy = Policy::parse(&RawPolicy { issuers: &issuers, ..raw() }).unwrap();
    assert!(policy.accepts_issuer(&format!("https://sts.example/{TENANT}/")));
    assert!(policy.accepts_issuer(&format!("https://other.example/{TENANT}/v2.0")));
    assert!(!policy.accepts_issuer(&format!("https://sts.windows.net/{TENANT}/")));
    assert!(!policy.accepts_issuer("https://sts.example/{tenantid}/"));
}

#[test]
fn a_slash_at_the_end_of_an_audience_makes_no_difference() {
    let policy = Policy::parse(&RawPolicy { audience: "https://a.example/,api://b", ..raw() }).unwrap();
    for good in ["https://a.example", "https://a.example/", "api://b", "api://b/"] {
        assert!(policy.accepts_audience(good), "{good}");
    }
    for bad in ["https://a.example//", "API://b", "api://b ", "", "/"] {
        assert!(!policy.accepts_audience(bad), "{bad}");
    }
}

#[test]
fn a_client_id_is_an_id_in_either_case() {
    let (small, capital) = ("7abcdef7-aaaa-bbbb-cccc-000000000007", "7ABCDEF7-AAAA-BBBB-CCCC-000000000007");
    let api = |id| format!("api://{id}");
    for (written, carried) in [(small, capital), (capital, small), (capital, capital)] {
        let bare = Policy::parse(&RawPolicy { audience: written, ..raw() }).unwrap();
        assert!(bare.accepts_audience(carried) && bare.accepts_audience(&format!("{carried}/")));
        assert!(!bare.accepts_audience(&api(carried)), "another name of it");
        let address = Policy::parse(&RawPolicy { audience: &api(written), ..raw() }).unwrap();
        assert!(address.accepts_audience(&api(carried)) && !address.accepts_audience(carried));
        assert!(bare.doubts().is_empty() && address.doubts().is_empty());
    }
    let policy = Policy::parse(&RawPolicy { audience: capital, ..raw() }).unwrap();
    for other in ["7abcdef7-aaaa-bbbb-cccc-000000000008", "7abcdef7aaaabbbbcccc000000000007", "API://x", ""] {
        assert!(!policy.accepts_audience(other), "{other}");
    }
}

#[test]
fn items_that_no_token_carries_are_reported() {
    let doubts = |audience: &str, permission: &str| {
        let raw = RawPolicy { audience, required_permission: permission, ..raw() };
        let doubts = Policy::parse(&raw).unwrap().doubts();
        doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for good in [
        "api://db/a.b",
        "https://a.example/",
        "https://ossrdbms-aad.database.windows.net/",
        "api://MixedCase",
        "spn:22222222-aaaa-bbbb-cccc-000000000002",
    ] {
        assert_eq!(doubts(good, "Db.Connect-All_1"), "", "{good}");
    }
    for (bad, why) in [
        ("api://db/.default", "/.default is part of a scope"),
        ("22222222-aaaa-bbbb-cccc-000000000002/.default", "/.default is part of a scope"),
        ("'api://db'", "neither quotes"),
        ("\"api://db\"", "neither quotes"),
        ("api://db;", "neither quotes"),
        ("{22222222-aaaa-bbbb-cccc-000000000002}", "brackets"),
        ("API://db", "its scheme is written in small letters"),
        ("https://OSSRDBMS-aad.database.windows.net", "it is written in small letters"),
    ] {
        for all in [bad.to_owned(), format!("api://good, {bad}")] {
            let doubts = doubts(&all, "");
            assert!(
                doubts.starts_with("azure_ad_auth.audience has an item that no token carries, "),
                "{all}: {doubts}"
            );
            assert!(doubts.contains(why) && !doubts.contains('\n'), "{all}: {doubts}");
        }
    }
    for (bad, why) in [
        ("api://db/access", "without the resource"),
        ("db/.default", "without the resource"),
        ("'access'", "neither quotes"),
        ("access;", "neither quotes"),
    ] {
        let doubts = doubts("api://db", bad);
        assert!(
            doubts.starts_with("azure_ad_auth.required_permission has an item") && doubts.contains(why),
            "{doubts}"
        );
    }
}

#[test]
fn the_tenant_may_be_written_in_either_case() {
    let upper = TENANT.to_uppercase();
    let policy = Policy::parse(&RawPolicy { tenant_id: &upper, ..raw() }).unwrap();
    assert!(policy.accepts_issuer(&format!("https://sts.windows.net/{TENANT}/")));
}

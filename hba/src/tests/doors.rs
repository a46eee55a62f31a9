//! The methods, on servers with the library and without.

use super::{check, check_on, facts, preloaded, rows_of};
use crate::{Facts, Server};

#[test]
fn methods_that_admit_no_token() {
    for method in ["scram-sha-256", "md5", "password", "peer", "ident", "cert", "gss"] {
        check(&format!("hostssl all all all {method}"), &[("1 warning", "refused here (wrong_method): put")]);
        comes_after_ours(method);
    }
}

fn comes_after_ours(method: &str) {
    check(
        &format!("hostssl all +azure_ad_user all trust\nhostssl all all all {method}"),
        &[("1 ok", ""), ("2 ok", "never get here: line 1 of f matches first")],
    );
}

/// Clients answer any question for a password with their token, and some methods pass passwords on.
#[test]
fn methods_that_pass_the_token_on() {
    for (method, to) in [
        ("ldap", "ldap passes it on to the LDAP server"),
        ("radius", "radius passes it on to the RADIUS server"),
        ("bsd", "bsd passes it on to the login programs"),
        ("pam", "pam passes it on to the modules in /etc/pam.d/postgresql"),
        ("pam pamservice=postgresql", "pam passes it on to the modules in /etc/pam.d/postgresql"),
    ] {
        for users in ["all", "ann", "+readers"] {
            let line = format!("hostssl all {users} all {method}");
            check(&line, &[("1 danger", to)]);
            check_on(Server::NotPreloaded, &line, &[("1 danger", to)]);
        }
        comes_after_ours(method);
    }
}

#[test]
fn pam() {
    check("hostssl all +azure_ad_user all pam pamservice=ours", &[("1 ok", "log in here")]);
    check(
        "host all +azure_ad_user all pam pamservice=ours",
        &[("1 warning", "it matches connections without")],
    );
    for (service, users, verdict) in [
        ("strict", "+azure_ad_user", "warning"),
        ("strict", "all", "warning"),
        ("open", "+azure_ad_user", "warning"),
        ("open", "all", "danger"),
        ("open", "ann,bob", "danger"),
        // Once the role is unlinked, any client that satisfies the other modules gets in.
        ("open", "ann", "danger"),
        ("open", "+readers", "danger"),
    ] {
        let reason =
            if verdict == "danger" { "that let local roles in" } else { "has other modules as well" };
        let line = format!("hostssl all {users} all pam pamservice={service}");
        check(&line, &[(&format!("1 {verdict}"), reason)]);
    }
    check("hostssl all all all pam pamservice=none", &[("1 danger", "missing")]);
    // PostgreSQL takes an empty name for its default.
    check("hostssl all all all pam pamservice=", &[("1 danger", "pam by /etc/pam.d/postgresql")]);
    check(
        "hostssl all +azure_ad_user all trust
         hostssl all all all pam pamservice=none
         hostssl all ann all pam pamservice=none
         hostssl all all all pam pamservice=ours",
        &[
            ("1 ok", ""),
            ("2 ok", "never get here"),
            ("3 danger", "line 1 of f matches first: move this line above it"),
            ("4 warning", "line 1 of f matches first: put a line for +azure_ad_user alone above it"),
        ],
    );
}

#[test]
fn oauth_and_what_cannot_be_read() {
    check(
        "hostssl all +azure_ad_user all oauth map=m validator=azure_ad_auth",
        &[("1 warning", "because azure_ad_auth.audience is not set")],
    );
    let text = "! no such method: hunter2\nlocal all +azure_ad_user trust";
    check(text, &[("1 warning", "(no such method: hunter2)"), ("2 ok", "")]);
    let rows = rows_of(&Facts { shows_errors: false, ..facts(text, preloaded(true)) });
    assert!(!rows[0].reason.contains("hunter2"), "{rows:?}");
    assert!(rows[0].reason.contains("a superuser sees the reason in pg_hba_file_rules"), "{rows:?}");
    assert_eq!(rows[0].door, None);
}

#[test]
fn nothing_of_the_library_is_there() {
    for (line, verdict, reason) in [
        ("+azure_ad_user all trust", "danger", "no token is asked for here, and only the guard"),
        ("+azure_ad_user all pam pamservice=ours", "warning", "it admits nobody"),
        (
            "+azure_ad_user all pam pamservice=strict",
            "danger",
            "other modules in /etc/pam.d/strict may decide alone",
        ),
        (
            "+azure_ad_user all pam pamservice=open",
            "danger",
            "other modules in /etc/pam.d/open may decide alone",
        ),
        ("+azure_ad_user all pam pamservice=none", "danger", "missing"),
        ("all all pam", "danger", "nothing refuses Azure AD roles that pam by /etc/pam.d/postgresql"),
        ("+azure_ad_user all oauth validator=azure_ad_auth", "warning", "it admits nobody"),
        ("+azure_ad_user all oauth validator=/here/ours", "warning", "it admits nobody"),
        ("+azure_ad_user all oauth validator=other", "danger", "the validator other alone decides"),
        (
            "+azure_ad_user all oauth validator=/x/azure_ad_auth",
            "danger",
            "the validator /x/azure_ad_auth alone decides",
        ),
        (
            "all all cert",
            "warning",
            "nothing refuses Azure AD roles that cert admits here, and only the guard",
        ),
        ("all all scram-sha-256", "warning", "nothing refuses Azure AD roles"),
        ("all all reject", "ok", "on purpose"),
    ] {
        check_on(Server::NotPreloaded, &format!("hostssl all {line}"), &[(&format!("1 {verdict}"), reason)]);
    }
    check_on(
        Server::NotPreloaded,
        "hostssl all all all ident\nhost all all all password\nhostssl all all all md5",
        &[("1 warning", "ident"), ("2 warning", "tokens travel in clear"), ("3 ok", "never get here")],
    );
}

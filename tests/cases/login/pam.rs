//! The PAM door: other modules, other services and other programs.

use std::fs;
use std::process::Command;

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::{Cluster, Configuration};
use testbed::door::Door;
use testbed::expect::{Refusal, admitted, check_refusal, lacks_token, refused, without_debug};
use testbed::idp::Provider;
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::pam;
use testbed::pam::Service;
use testbed::scene::{KEY, Scene};
use testbed::template::Template;

use crate::common::doors::at_doors;
use crate::common::login::valid_token;
use crate::common::statements::link;

const PERMIT: &str = "auth required pam_permit.so\naccount required pam_permit.so\n";

/// Runs a case where PAM exists, in a scene in which `ann` is linked.
fn with_ann(case: impl Fn(Cluster, Provider)) {
    at_doors(&[Door::Pam], |door| {
        let (cluster, provider) = Scene::new().door(door).start();
        link(&cluster, "ann", PERSON, "user");
        case(cluster, provider);
    });
}

/// Has Azure AD roles authenticate by a service with this content. It exists until the returned
/// value is dropped.
fn serve_by(cluster: &Cluster, content: &str) -> Service {
    let service = Service::new(content);
    cluster.change_hba(&Door::hba(&Door::Pam.clause(service.name())));
    service
}

/// Expects a login with a valid token to fail with PostgreSQL's own message, which gives no reason.
fn refused_by_core(cluster: &Cluster, role: &str) {
    let mark = cluster.log_mark();
    match cluster.login(role, &valid_token()) {
        Outcome::Refused(error) => {
            let said = (error.severity.as_str(), error.sqlstate.as_str(), error.message.as_str());
            let message = format!("PAM authentication failed for user \"{role}\"");
            assert_eq!(said, ("FATAL", "28000", message.as_str()));
            assert_eq!((error.detail, error.hint), (None, None));
        }
        other => panic!("{other:?}: {}", without_debug(&cluster.log_since(mark))),
    }
    let output = cluster.psql(role, &valid_token(), "SELECT 1");
    assert!(!output.success && output.stdout.is_empty(), "psql was let in as {role}");
    assert!(!cluster.log_since(mark).contains("azure_ad_auth: accepted"));
}

#[test]
fn another_module_admits_no_linked_role() {
    with_ann(|cluster, _provider| {
        let _service = serve_by(&cluster, PERMIT);
        let message = "role \"ann\" is an Azure AD role and can only log in with an access token";
        let expected = Refusal { code: "wrong_method", sqlstate: "28000", message, hint: None, facts: &[] };
        for token in [valid_token(), "no-token".to_owned()] {
            refused(&cluster, "ann", &token, &expected);
        }
    });
}

/// Returns the path of pam_succeed_if, which like other modules calls its own `pam_sm_authenticate`
/// by name. In PostgreSQL the dynamic linker finds that of this library first.
fn succeed_if() -> String {
    let folders = fs::read_dir("/lib").expect("/lib").filter_map(|entry| Some(entry.ok()?.path()));
    let folders = folders.chain(["/usr/lib64", "/lib64"].map(Into::into));
    let mut modules = folders.map(|folder| folder.join("security/pam_succeed_if.so"));
    modules.find(|module| module.exists()).expect("pam_succeed_if.so").display().to_string()
}

#[test]
fn a_rule_about_accounts_is_asked_of_its_own_module() {
    with_ann(|cluster, _provider| {
        let (library, rule) = (cluster.sql_library().display().to_string(), succeed_if());
        let with_rule = |user: &str| {
            format!(
                "auth required {library}\naccount required {rule} user = {user}\naccount required {library}\n"
            )
        };
        let _service = serve_by(&cluster, &with_rule("somebody_else"));
        refused_by_core(&cluster, "ann");
        let _service = serve_by(&cluster, &with_rule("ann"));
        admitted(&cluster, "ann", &valid_token());
    });
}

#[test]
fn a_service_that_is_none_of_ours_works_as_without_us() {
    with_ann(|cluster, _provider| {
        cluster.sql("CREATE ROLE bob LOGIN; CREATE ROLE eve LOGIN");
        let rule = format!("auth required pam_permit.so\naccount required {} user = bob\n", succeed_if());
        let service = Service::new(&rule);
        cluster.change_hba(&format!(
            "local all postgres trust\nhost all all 127.0.0.1/32 {}\n",
            Door::Pam.clause(service.name())
        ));
        let mark = cluster.log_mark();
        assert_eq!(cluster.login("bob", "anything"), Outcome::Ready);
        assert!(matches!(cluster.login("eve", "anything"), Outcome::Refused(_)));
        assert!(
            !cluster.log_since(mark).contains("azure_ad_auth: "),
            "{}",
            without_debug(&cluster.log_since(mark))
        );
    });
}

#[test]
fn a_module_beside_ours_changes_no_verdict() {
    with_ann(|cluster, _provider| {
        let ours = cluster.sql_library().display().to_string();
        let _service = serve_by(
            &cluster,
            &format!(
                "auth optional {ours}\nauth required pam_permit.so\n\
                 account optional {ours}\naccount required pam_permit.so\n"
            ),
        );
        let message = "the access token has expired";
        let hint = Some("Acquire a new access token and try again.");
        let expected = Refusal { code: "expired", sqlstate: "28P01", message, hint, facts: &[] };
        let expired = KEY.token(&with(user_v1(unix_now()), "exp", serde_json::json!(1)));
        refused(&cluster, "ann", &expired, &expected);
        admitted(&cluster, "ann", &valid_token());
        // Another module may still refuse a login that this library admits.
        let deny = format!("auth required {ours}\nauth required pam_deny.so\naccount required {ours}\n");
        let _service = serve_by(&cluster, &deny);
        refused_by_core(&cluster, "ann");
    });
}

#[test]
fn a_second_copy_of_the_library_admits_nobody() {
    with_ann(|cluster, _provider| {
        // In a folder that the server's user can read.
        let library = fs::read(cluster.sql_library()).expect("the library");
        let copy = cluster.folder().write("azure_ad_auth.so", library);
        let _service = serve_by(&cluster, &pam::lines_of(&copy.display().to_string()));
        refused_by_core(&cluster, "ann");
        lacks_token(&cluster, &valid_token());
    });
}

#[test]
fn a_library_that_is_not_preloaded_admits_nobody() {
    with_ann(|cluster, _provider| {
        admitted(&cluster, "ann", &valid_token());
        cluster.stop("fast");
        cluster.configure(&Configuration::new().preload(""));
        cluster.start();
        refused_by_core(&cluster, "ann");
        assert_eq!(cluster.sql("SELECT 1"), "1", "others are left alone");
    });
}

#[test]
fn roles_that_are_not_linked_are_all_refused_alike() {
    with_ann(|cluster, _provider| {
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'; CREATE ROLE boss LOGIN SUPERUSER");
        let line = format!("host all all 127.0.0.1/32 {}", cluster.clause());
        cluster.change_hba(&format!("local all postgres trust\n{line}\n"));
        let token = valid_token();
        let mut asked = Vec::new();
        for role in ["local", "nobody", "boss", "postgres"] {
            let message = format!("Azure AD authentication failed for role \"{role}\"");
            let expected =
                Refusal { code: "not_linked", sqlstate: "28P01", message: &message, hint: None, facts: &[] };
            for password in [token.as_str(), "secret"] {
                let mut client = cluster.client();
                let mark = cluster.log_mark();
                client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
                let question = client.auth_request();
                asked.push(question.clone());
                let outcome = match question {
                    AuthRequest::Password => client.answer(password),
                    AuthRequest::Finished(outcome) => outcome,
                    other => panic!("{other:?}"),
                };
                if password == token {
                    check_refusal(&cluster, mark, role, &token, &outcome, &expected);
                } else {
                    assert!(matches!(outcome, Outcome::Refused(_)), "{role}: {outcome:?}");
                }
            }
        }
        let prompts = asked.iter().filter(|asked| **asked == AuthRequest::Password).count();
        assert!(prompts == 0 || prompts == asked.len(), "the question tells who is there: {asked:?}");
        admitted(&cluster, "ann", &token);
    });
}

#[test]
fn without_a_service_nobody_gets_in() {
    with_ann(|cluster, _provider| {
        // libpam uses the service "other" instead, whatever it contains.
        let clause = Door::Pam.clause("azure_ad_auth-trial-none");
        cluster.change_hba(&Door::hba(&clause));
        match cluster.login("ann", &valid_token()) {
            Outcome::Refused(error) => assert_eq!(error.sqlstate, "28000", "{error:?}"),
            other => panic!("{other:?}"),
        }
        lacks_token(&cluster, &valid_token());
    });
}

#[test]
fn to_a_program_that_is_no_backend_the_module_is_of_no_use() {
    with_ann(|cluster, _provider| {
        let program = cluster.path("pam_host");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/pam_host.c");
        let output = Command::new("cc").arg("-o").arg(&program).args([source, "-ldl"]).output();
        let output = output.expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = Command::new(program).arg(cluster.sql_library()).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        // PAM_AUTHINFO_UNAVAIL, unless loading fails before, because the server's functions are
        // missing.
        let missed = said.starts_with("not loaded: ") && said.contains("undefined symbol");
        assert!(said == "answer: 9\n" || missed, "{said}");
    });
}

#[test]
fn the_library_has_every_function_of_a_module() {
    at_doors(&[Door::Pam], |_| {
        let pkglibdir = Template::shared().installation.pg_config("--pkglibdir");
        let mut nm = Command::new("nm");
        let output = nm.args(["-D", "--defined-only"]).arg(format!("{pkglibdir}/azure_ad_auth.so")).output();
        let symbols = String::from_utf8_lossy(&output.expect("nm").stdout).into_owned();
        for function in ["authenticate", "setcred", "acct_mgmt", "open_session", "close_session", "chauthtok"]
        {
            assert!(symbols.contains(&format!(" T pam_sm_{function}\n")), "{function}: {symbols}");
        }
    });
}

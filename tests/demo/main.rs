//! The whole story on one screen: a server, an identity provider, who gets in and who does not.
//!
//! Every command is run as it is shown, and its output is what it printed. Nothing is left running,
//! unless asked for with `--keep`. `--no-directory` leaves the parts about the directory out, which
//! versions of the extension before 0.2.0 do not have.

#![allow(clippy::print_stdout, reason = "a demonstration")]

mod directory;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::{PsqlOutput, psql_with};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::installation::Installation;
use testbed::issuer::{
    APPLICATION, AUDIENCE, GROUP, OTHER_TENANT, PERSON, Signer, TENANT, app_v2, unix_now, user_v1, user_v2,
    with,
};
use testbed::pam;
use testbed::scene::{ADMIN, Scene};
use testbed::template::Template;

/// The lines of pg_hba.conf, with the door's method.
fn hba(clause: &str) -> String {
    format!(
        "local   all postgres                     trust\n\
         hostssl all +azure_ad_user 127.0.0.1/32  {clause}\n\
         host    all all            127.0.0.1/32  scram-sha-256\n"
    )
}

/// Set by an interrupt.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_signal: i32) {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

struct Story {
    cluster: Cluster,
    provider: Provider,
    key: Arc<Signer>,
}

fn main() {
    let wanted = |option: &str| std::env::args().any(|argument| argument == option);
    let keep = wanted("--keep");
    let door = if wanted("--pam") { Door::Pam } else { Door::Password };
    #[expect(unsafe_code, reason = "std has no signals")]
    // SAFETY: the handler does nothing but set a flag.
    unsafe {
        libc::signal(libc::SIGINT, interrupt as *const () as libc::sighandler_t);
        libc::signal(libc::SIGTERM, interrupt as *const () as libc::sighandler_t);
    }
    let story = Story::set_the_scene(door);
    story.the_administrator();
    story.everybody_else();
    story.who_does_not_get_in();
    if !wanted("--no-directory") {
        story.a_name_is_linked();
        story.somebody_in_too_many_groups();
        story.an_account_is_disabled();
    }
    if keep {
        story.keep();
    } else {
        heading("The server and the identity provider are stopped and removed.");
    }
}

impl Story {
    fn set_the_scene(door: Door) -> Self {
        let template = Arc::new(Template::new(Installation::chosen()));
        assert!(Door::all(&template.installation).contains(&door), "this PostgreSQL was built without PAM");
        let key = Arc::new(Signer::new("Signing-Key-1"));
        let provider = Provider::start(&template.authority, vec![Arc::clone(&key)], 0);
        let cluster = Scene::from_template(&template)
            .door(door)
            .keys_from(&provider)
            .settings("log_min_messages = warning\nlog_statement = none\nlog_line_prefix = ''")
            .create();
        let hba = hba(&cluster.clause());
        cluster.change_hba(&hba);
        cluster.start();
        heading("A scratch server with TLS, and an identity provider that signs tokens as Azure AD does");
        println!("PostgreSQL {} on port {}", cluster.major(), cluster.port);
        println!("identity provider: {}, tenant {TENANT}\n", provider.url());
        println!("postgresql.conf:");
        for line in [
            "shared_preload_libraries = 'azure_ad_auth'".to_owned(),
            format!("azure_ad_auth.tenant_id = '{TENANT}'"),
            format!("azure_ad_auth.audience = '{AUDIENCE}'"),
            format!("azure_ad_auth.authority_url = '{}'   # here only: the local provider", provider.url()),
        ] {
            println!("    {line}");
        }
        println!("pg_hba.conf:");
        hba.lines().for_each(|line| println!("    {line}"));
        if let Some(service) = cluster.service() {
            println!("{}:", service.path().display());
            pam::lines(cluster.installation()).lines().for_each(|line| println!("    {line}"));
        }
        Self { cluster, provider, key }
    }

    fn the_administrator(&self) {
        heading("1. The superuser makes somebody the Azure AD administrator");
        self.as_superuser("CREATE EXTENSION azure_ad_auth");
        self.as_superuser(&format!("SELECT azure_ad_auth.set_admin('admin@contoso.example', '{ADMIN}')"));
        self.as_superuser("SELECT azure_ad_auth.refresh_keys() AS signing_keys");
        heading("2. The administrator logs in, with an access token for a password, and links others");
        self.token("admin", &with(user_v2(unix_now()), "oid", json!(ADMIN)));
        self.is_let_in("admin@contoso.example", "admin", "SELECT session_user");
        for (role, object, kind) in [
            ("ann@contoso.example", PERSON, "user"),
            ("Database Readers", GROUP, "group"),
            ("billing-service", APPLICATION, "service"),
        ] {
            let command = format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')");
            self.is_let_in("admin@contoso.example", "admin", &command);
        }
        let table = "SELECT role_name, object_type, is_admin FROM azure_ad_auth.principals ORDER BY 1";
        self.is_let_in("admin@contoso.example", "admin", table);
    }

    fn everybody_else(&self) {
        heading("3. A person, a member of a group and an application log in");
        self.token("ann", &user_v1(unix_now()));
        self.is_let_in(
            "ann@contoso.example",
            "ann",
            "SELECT session_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        );
        self.is_let_in("Database Readers", "ann", "SELECT session_user");
        self.token("billing", &app_v2(unix_now()));
        self.is_let_in("billing-service", "billing", "SELECT session_user");
        println!("What the administrator finds in the log of the last one:\n");
        self.show_log("azure_ad_auth: accepted");
    }

    fn who_does_not_get_in(&self) {
        heading("4. Who does not get in");
        let now = unix_now();
        let good = self.key.token(&user_v2(now));
        let (head, signature) = good.rsplit_once('.').unwrap_or_default();
        let tampered = head.split_once('.').map(|(header, _)| {
            let claims = issuer::b64(with(user_v2(now), "oid", json!(ADMIN)).to_string());
            format!("{header}.{claims}.{signature}")
        });
        let issuer = json!(format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"));
        let foreign = with(with(user_v2(now), "tid", json!(OTHER_TENANT)), "iss", issuer);
        for (what, token) in [
            (
                "for another resource",
                self.key.token(&with(user_v2(now), "aud", json!("https://graph.microsoft.com"))),
            ),
            ("that has expired", self.key.token(&with(user_v2(now), "exp", json!(now - 3_600)))),
            ("of another tenant", self.key.token(&foreign)),
            ("somebody has changed", tampered.unwrap_or_default()),
        ] {
            println!("A token {what}:\n");
            self.cluster.folder().write("bad.token", &token);
            self.is_refused("ann@contoso.example", "bad", "SELECT session_user");
        }
        println!("Her own token, but another one's role:\n");
        self.is_refused("admin@contoso.example", "ann", "SELECT session_user");
    }

    /// Acquires a token, as `az account get-access-token` would.
    fn token(&self, name: &str, claims: &Value) {
        self.cluster.folder().write(&format!("{name}.token"), self.key.token(claims));
    }

    fn as_superuser(&self, command: &str) {
        println!("$ psql -U postgres -c \"{command}\"");
        let connection = format!(
            "host={} port={} dbname=postgres user=postgres",
            self.cluster.folder().path().display(),
            self.cluster.port
        );
        let program = self.cluster.installation().program("psql");
        let output = psql_with(&program, &[], &connection, None, command);
        show(&output);
        assert!(output.success, "the superuser could not: {command}");
    }

    fn connection(&self, role: &str) -> String {
        format!(
            "host=localhost port={} dbname=postgres user='{role}' sslmode=verify-full sslrootcert={}",
            self.cluster.port,
            self.cluster.path("ca.pem").display()
        )
    }

    fn is_let_in(&self, role: &str, token: &str, command: &str) {
        assert!(self.login(role, token, command), "{role} was refused");
    }

    fn is_refused(&self, role: &str, token: &str, command: &str) {
        assert!(!self.login(role, token, command), "{role} was let in");
        self.show_log("azure_ad_auth: refused");
    }

    /// Logs in by psql with the token in a file, shows what comes of it, and says whether it went
    /// well.
    fn login(&self, role: &str, token: &str, command: &str) -> bool {
        let quoted = command.replace('"', "\\\"");
        println!(
            "$ PGPASSWORD=$(cat {token}.token) psql \"host=… sslmode=verify-full user='{role}'\" -c \"{quoted}\""
        );
        let token = std::fs::read_to_string(self.cluster.path(&format!("{token}.token"))).unwrap_or_default();
        let program = self.cluster.installation().program("psql");
        let output = psql_with(&program, &[], &self.connection(role), Some(&token), command);
        show(&output);
        output.success
    }

    fn show_log(&self, what: &str) {
        let log = self.cluster.log();
        if let Some(line) = log.lines().rfind(|line| line.contains(what)) {
            println!("    log: {line}\n");
        }
    }

    fn keep(&self) {
        heading("Still running, until you press Ctrl-C");
        println!("    cd {}", self.cluster.folder().path().display());
        println!("    PGPASSWORD=$(cat ann.token) psql \"{}\"", self.connection("ann@contoso.example"));
        println!(
            "    psql -h {} -p {} -U postgres",
            self.cluster.folder().path().display(),
            self.cluster.port
        );
        println!("    tail -f {}", self.cluster.path("log").display());
        println!("    keys: {}/{TENANT}/discovery/v2.0/keys\n", self.provider.url());
        while !INTERRUPTED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(100));
        }
        println!();
    }
}

fn heading(text: &str) {
    println!("\n{text}\n{}\n", "-".repeat(text.chars().count()));
}

fn show(output: &PsqlOutput) {
    for text in [&output.stdout, &output.stderr] {
        text.lines().for_each(|line| println!("    {line}"));
    }
    println!();
}

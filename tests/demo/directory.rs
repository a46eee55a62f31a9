//! The part of the story in which the server asks the directory.

use std::thread;

use serde_json::{Value, json};
use testbed::cluster::SECRET_FILE;
use testbed::idp::directory::{SERVER_CLIENT, SERVER_SECRET};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, unix_now, user_v2, with};
use testbed::scene::ADMIN;
use testbed::waits::eventually;

use crate::{Story, heading};

/// The object id of a person who is in the directory and not linked yet.
const MIA: &str = "22222222-aaaa-bbbb-cccc-000000000022";
const MIA_NAME: &str = "mia@contoso.example";

impl Story {
    /// Fills the directory and has the server ask it.
    fn has_the_server_ask(&self) {
        let directory = self.provider.directory();
        directory.add_user(ADMIN, "admin@contoso.example");
        directory.add_user(PERSON, "ann@contoso.example");
        directory.add_user(MIA, MIA_NAME);
        directory.add_group(GROUP, "Database Readers");
        directory.add_member(GROUP, MIA);
        directory.add_service_principal(APPLICATION, CLIENT, "billing-service");
        let folder = self.cluster.folder();
        let secret = folder.write(SECRET_FILE, SERVER_SECRET);
        let lines = [
            "azure_ad_auth.directory = 'client_secret'".to_owned(),
            format!("azure_ad_auth.directory_client_id = '{SERVER_CLIENT}'"),
            format!("azure_ad_auth.directory_secret_file = '{}'", secret.display()),
            "azure_ad_auth.directory_refresh_interval = 1s   # here only: 5min is the default".to_owned(),
            format!(
                "azure_ad_auth.directory_url = '{}'   # here only: the local provider",
                self.provider.url()
            ),
        ];
        println!("postgresql.conf, in addition:");
        for line in &lines {
            println!("    {line}");
        }
        println!();
        let file = self.cluster.data().join("postgresql.conf");
        let before = std::fs::read_to_string(file).expect("the server's settings");
        folder.write("data/postgresql.conf", format!("{before}{}\n", lines.join("\n")));
        self.cluster.reload();
    }

    pub(crate) fn a_name_is_linked(&self) {
        heading("5. The server asks the directory, and the administrator links a name without its id");
        self.has_the_server_ask();
        self.as_superuser("SELECT azure_ad_auth.refresh_directory() AS objects");
        let command = format!("CREATE ROLE \"{MIA_NAME}\" LOGIN IN ROLE azure_ad_user");
        self.is_let_in("admin@contoso.example", "admin", &command);
    }

    pub(crate) fn somebody_in_too_many_groups(&self) {
        heading("6. A person in too many groups logs in as the role of one of them");
        let claims = with(user_v2(unix_now()), "oid", json!(MIA));
        let claims = with(with(claims, "groups", Value::Null), "hasgroups", json!(true));
        self.token("mia", &claims);
        println!("Her token says only that her groups are too many to list. The directory is asked:\n");
        self.is_let_in("Database Readers", "mia", "SELECT session_user");
    }

    pub(crate) fn an_account_is_disabled(&self) {
        heading("7. Her account is disabled in the directory, and her open session ends");
        println!("While this runs, her account is disabled:\n");
        let mut was_ended = false;
        thread::scope(|scope| {
            let session = scope.spawn(|| !self.login(MIA_NAME, "mia", "SELECT pg_sleep(60)"));
            let is_open =
                "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'mia@%' AND state = 'active'";
            assert!(eventually(|| self.cluster.sql(is_open) == "1"), "she has no session");
            self.provider.directory().disable(MIA);
            was_ended = session.join().is_ok_and(|ended| ended);
        });
        assert!(was_ended, "her session has not ended");
        self.cluster.await_log(0, "azure_ad_auth: ended");
        self.show_log("azure_ad_auth: ended");
        println!("Her token has not expired, but it is not accepted any more:\n");
        self.is_refused(MIA_NAME, "mia", "SELECT session_user");
    }
}

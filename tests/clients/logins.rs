//! The roles, their tokens, and what is tried with them.

use std::fs::File;

use serde_json::{Value, json};
use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::issuer::{
    APPLICATION, CLIENT, GROUP, KEY_ISSUER, PERSON, app_v1, app_v2, unix_now, user_v1, user_v2, with,
};
use testbed::process::signal;
use testbed::scene::{KEY, Scene, provider};

use crate::drivers::{Driver, Place};
use crate::play::Player;

/// The lengths of the tokens, in bytes.
const LENGTHS: [usize; 5] = [1_500, 4_500, 8_000, 12_000, 60_000];

/// A user.
pub(crate) const USER: &str = "ann@contoso.example";

/// An application.
pub(crate) const APPLICATION_ROLE: &str = "billing-service";

/// The roles: name, object, type.
const ROLES: [(&str, &str, &str); 3] = [
    (USER, PERSON, "user"),
    ("Database Readers", GROUP, "group"),
    (APPLICATION_ROLE, APPLICATION, "service"),
];

/// A server with a door, its provider, and the tokens to try there.
pub(crate) struct Site {
    door: Door,
    pub(crate) cluster: Cluster,
    provider: Provider,
}

/// What came of a driver at a door.
pub(crate) struct Outcome {
    /// The longest token that let in.
    pub(crate) longest: usize,
    /// What the user reads about a token that has expired.
    pub(crate) expired: String,
}

impl Site {
    /// Starts a server and links the roles.
    pub(crate) fn start(door: Door) -> Self {
        let provider = provider();
        let scene = Scene::new().door(door);
        let scene = if door == Door::OAuth {
            // Clients ask the provider that the line names.
            provider.hurry();
            let issuer = provider.issuer();
            let options = "delegate_ident_mapping=1";
            let line = format!("oauth issuer=\"{issuer}\" scope=\"api://postgres/access\" {options}");
            scene.hba(Door::hba(&line)).settings(format!(
                "azure_ad_auth.issuers = '{}/{{tenantid}}/v2.0, {KEY_ISSUER}'",
                provider.url()
            ))
        } else {
            scene
        };
        let site = Self { door, cluster: scene.start_with(&provider), provider };
        link_roles(&site.cluster);
        site
    }

    /// Whether a driver can use its door.
    pub(crate) fn is_for(&self, driver: &Driver) -> bool {
        self.door != Door::OAuth || driver.acquires_tokens
    }

    /// Has a driver log in with all tokens, replace one, and cancel.
    pub(crate) fn try_all(&self, driver: &Driver, place: &Place) -> Outcome {
        let mut player = self.player(driver, place);
        let mut longest = 0;
        for (role, _, kind) in ROLES {
            for length in LENGTHS {
                let token = KEY.token_of_length(&self.claims(kind), length);
                let said = self.play(&mut player, "login", role, &token);
                let place = format!("{} by {}, {length} bytes", driver.name, self.door.method());
                assert_eq!(said.as_deref(), Ok(role), "{place}");
                longest = longest.max(length);
            }
        }
        let old = with(self.claims("user"), "exp", json!(unix_now() - 3_600));
        let expired = self.play(&mut player, "login", USER, &KEY.token(&old)).expect_err("a refusal");
        assert!(expired.contains("the access token has expired"), "{}: {expired}", driver.name);
        // At the oauth door each connection acquires a token of its own.
        if self.door != Door::OAuth {
            self.replace(driver, &mut player);
        }
        self.cancel(driver, &mut player);
        Outcome { longest, expired }
    }

    /// Checks that the next connection takes the token that there is then.
    fn replace(&self, driver: &Driver, player: &mut Player) {
        let files = ["first", "second"].map(|name| {
            let token = KEY.token(&with(self.claims("user"), "uti", json!(name)));
            self.cluster.folder().write(name, token).display().to_string()
        });
        let [first, second] = files.each_ref().map(String::as_str);
        let said = player.play(&["refresh", USER, first, second]);
        assert_eq!(said.as_deref(), Ok("first second"), "{}", driver.name);
    }

    /// Checks that a running statement can be canceled.
    fn cancel(&self, driver: &Driver, player: &mut Player) {
        let mark = self.cluster.log_mark();
        let said = self.play(player, "cancel", USER, &KEY.token(&self.claims("user")));
        assert_eq!(said, Ok(format!("canceled {USER}")), "{}", driver.name);
        self.cluster.await_log(mark, "canceling statement due to user request");
    }

    /// Checks whether a driver goes on to this server when another has refused it with 57P03, for
    /// which there is a word in the other's log.
    pub(crate) fn is_reached_after(
        &self,
        other: &Cluster,
        word: &str,
        driver: &Driver,
        place: &Place,
    ) -> bool {
        let mut player = Player::start(driver.command(self.door, place), &[other, &self.cluster]);
        let mark = other.log_mark();
        let said = self.play(&mut player, "login", USER, &KEY.token(&self.claims("user")));
        let refused = other.log_since(mark).contains(word);
        match said {
            Ok(user) => {
                assert!(refused && user == USER, "{}: {user}", driver.name);
                true
            }
            Err(_) => false,
        }
    }

    fn claims(&self, kind: &str) -> Value {
        let now = unix_now();
        if self.door != Door::OAuth {
            return if kind == "service" { app_v1(now) } else { user_v1(now) };
        }
        let claims =
            if kind == "service" { app_v2(now) } else { with(user_v2(now), "groups", json!([GROUP])) };
        with(claims, "iss", json!(self.provider.issuer()))
    }

    fn play(&self, player: &mut Player, scenario: &str, role: &str, token: &str) -> Result<String, String> {
        // The oauth door's clients are given it by the provider.
        self.provider.grant(token);
        let file = self.cluster.folder().write("token", token);
        player.play(&[scenario, role, &file.display().to_string()])
    }

    fn player(&self, driver: &Driver, place: &Place) -> Player {
        let mut command = driver.command(self.door, place);
        if self.door == Door::OAuth {
            let service =
                format!("[clients]\noauth_issuer={}\noauth_client_id={CLIENT}\n", self.provider.issuer());
            command
                .env("PGSERVICEFILE", self.cluster.folder().write("services", service))
                .env("PGSERVICE", "clients")
                // Otherwise libpq trusts the system's authorities only. It writes down all that it
                // does, beside what it tells the user.
                .env("PGOAUTHDEBUG", "UNSAFE")
                .env("PGOAUTHCAFILE", self.cluster.template.ca_file())
                .stderr(File::create(place.target.join(format!("{}.log", driver.program))).expect("a log"));
        }
        Player::start(command, &[&self.cluster])
    }
}

/// Starts a server that cannot fetch its keys, and refuses with 57P03.
pub(crate) fn without_keys() -> Cluster {
    let settings = "azure_ad_auth.authority_url = 'https://127.0.0.1:1'\nazure_ad_auth.unknown_key_wait = 0";
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    link_roles(&cluster);
    cluster
}

/// Has a server shut down, which it does not do before the session that is returned ends. Until
/// then it refuses with 57P03.
pub(crate) fn shut_down(cluster: &Cluster) -> RawClient {
    let session = cluster.superuser();
    let mark = cluster.log_mark();
    signal(cluster.pid(), libc::SIGTERM);
    cluster.await_log(mark, "received smart shutdown request");
    session
}

/// Links the roles.
pub(crate) fn link_roles(cluster: &Cluster) {
    for (role, object, kind) in ROLES {
        cluster.sql(&format!(
            "SET aad_validate_oids_in_tenant = off; SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"
        ));
    }
}

//! The endpoints that a machine gets tokens from: that of a virtual machine, and that of Azure
//! Arc. They listen in clear text.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::credentials::SERVER_CLIENT;
use super::record::Kind;
use super::reply::{Answer, Reply};
use super::trouble::Place;
use super::{Directory, random_text};
use crate::idp::http::read_request;
use crate::idp::{Request, send_endlessly};
use crate::issuer::unix_now;
use crate::listener::{Bound, Listener};
use crate::mutex::lock;

const PATH: &str = "/metadata/identity/oauth2/token";
/// The life of a token of a machine, in seconds.
const USUAL_LIFE: i64 = 86_400;

/// A running endpoint. Stops when dropped.
pub struct IdentityEndpoint {
    state: Arc<State>,
    listener: Listener,
}

struct State {
    directory: Directory,
    /// Where Azure Arc writes its challenges; none if the machine is in Azure.
    folder: Option<PathBuf>,
    identities: Mutex<Identities>,
    stopped: AtomicBool,
}

/// What a machine has.
struct Identities {
    has_system: bool,
    /// Client ids of the identities that are assigned to the machine.
    assigned: Vec<String>,
    /// The platform keeps a token until it expires, by client id and resource.
    cached: BTreeMap<(String, String), String>,
    /// The path at which the server sees the folder of the challenges, if that is another one.
    shown_at: Option<PathBuf>,
    /// What a challenge names in place of its file.
    realm: Option<String>,
    /// The challenge that has not been answered yet.
    challenge: Option<(PathBuf, String)>,
}

impl IdentityEndpoint {
    pub(super) fn start(directory: Directory, folder: Option<&Path>) -> Self {
        let identities = Identities {
            has_system: true,
            assigned: Vec::new(),
            cached: BTreeMap::new(),
            shown_at: None,
            realm: None,
            challenge: None,
        };
        let state = Arc::new(State {
            directory,
            folder: folder.map(Path::to_owned),
            identities: Mutex::new(identities),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let listener = Bound::new(0).serve(move |connection| serve(connection, &shared));
        Self { state, listener }
    }

    /// Returns its root, as a setting takes it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listener.port())
    }

    /// Assigns an identity to the machine.
    pub fn assign(&self, client_id: &str) {
        lock(&self.state.identities).assigned.push(client_id.to_owned());
    }

    /// Takes the system-assigned identity from the machine.
    pub fn remove_system_identity(&self) {
        lock(&self.state.identities).has_system = false;
    }

    /// Forgets the tokens that the platform keeps.
    pub fn forget_tokens(&self) {
        lock(&self.state.identities).cached.clear();
    }

    /// Sets the path at which the server sees the folder of the challenges.
    pub fn show_challenges_at(&self, path: &str) {
        lock(&self.state.identities).shown_at = Some(PathBuf::from(path));
    }

    /// Sets what Azure Arc's challenges name in place of the file that was written.
    pub fn name_in_challenges(&self, realm: Option<&str>) {
        lock(&self.state.identities).realm = realm.map(ToOwned::to_owned);
    }
}

impl Drop for IdentityEndpoint {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
    }
}

fn serve(mut connection: TcpStream, state: &State) {
    while let Some(request) = read_request(&mut connection) {
        let places = [Place::Only(Kind::Identity), Place::Identity];
        let reply = state.directory.reply(Kind::Identity, &request, &places, |_| state.answer(&request));
        let (bytes, again) = match &reply {
            Reply::Whole(bytes) => (bytes, true),
            Reply::Last(bytes) => (bytes, false),
            Reply::Endless { opening, more, fault } => {
                let goes_on =
                    || !state.stopped.load(Ordering::SeqCst) && state.directory.still_suffers_from(*fault);
                return send_endlessly(&mut connection, opening, more, goes_on);
            }
        };
        if connection.write_all(bytes).is_err() || !again {
            return;
        }
    }
}

impl State {
    fn answer(&self, request: &Request) -> Answer {
        self.token(request).unwrap_or_else(|refusal| refusal)
    }

    fn token(&self, request: &Request) -> Result<Answer, Answer> {
        let invalid = |problem: &str| refusal(400, "invalid_request", problem);
        if request.path() != PATH {
            return Err(refusal(404, "not_found", "There is nothing here."));
        }
        if request.method != "GET" {
            return Err(refusal(405, "method_not_allowed", "Only GET is allowed."));
        }
        if request.header("metadata") != Some("true") || request.header("x-forwarded-for").is_some() {
            return Err(invalid("Required metadata header not specified"));
        }
        let versions: &[&str] =
            if self.folder.is_some() { &["2019-11-01", "2020-06-01"] } else { &["2018-02-01", "2019-08-01"] };
        if !request.parameter("api-version").is_some_and(|version| versions.contains(&version.as_str())) {
            return Err(invalid("A supported api-version must be specified"));
        }
        let resource = request.parameter("resource").unwrap_or_default();
        let audience = self.directory.audience(&resource);
        let audience = audience.ok_or_else(|| {
            let problem = format!("AADSTS500011: The resource principal named {resource} was not found.");
            refusal(400, "invalid_resource", &problem)
        })?;
        if let Some(folder) = &self.folder {
            self.check_challenge(request, folder)?;
        }
        let client = self.client(request).ok_or_else(|| invalid("Identity not found"))?;
        Ok(self.issue(&client, &audience))
    }

    /// Returns the client id of the identity that is asked for, if the machine has it.
    fn client(&self, request: &Request) -> Option<String> {
        let identities = lock(&self.identities);
        if self.folder.is_some() {
            // Azure Arc has one identity and does not read which one is asked for.
            return Some(SERVER_CLIENT.to_owned());
        }
        if ["object_id", "msi_res_id"].iter().any(|name| request.parameter(name).is_some()) {
            return None;
        }
        match request.parameter("client_id") {
            Some(client) => identities.assigned.contains(&client).then_some(client),
            None => identities.has_system.then(|| SERVER_CLIENT.to_owned()),
        }
    }

    /// Answers with the token that the platform keeps, or with a new one. Numbers are texts.
    fn issue(&self, client: &str, audience: &str) -> Answer {
        let mut identities = lock(&self.identities);
        let place = (client.to_owned(), audience.to_owned());
        let kept = identities
            .cached
            .get(&place)
            .and_then(|token| Some((token.clone(), self.directory.life_left(token)?)));
        let (token, left) = kept.unwrap_or_else(|| self.directory.issue(audience, USUAL_LIFE));
        identities.cached.insert(place, token.clone());
        Answer::ok(json!({
            "access_token": token, "client_id": client, "expires_in": left.to_string(),
            "expires_on": (unix_now() + left).to_string(), "ext_expires_in": left.to_string(),
            "not_before": (unix_now() - 300).to_string(), "resource": audience, "token_type": "Bearer",
        }))
    }

    /// Checks that the client has read the file of the last challenge. Writes a new one if not.
    fn check_challenge(&self, request: &Request, folder: &Path) -> Result<(), Answer> {
        let mut identities = lock(&self.identities);
        let answered = request.header("authorization").and_then(|line| line.strip_prefix("Basic "));
        let last = identities.challenge.take();
        if let Some((file, _)) = &last {
            let _ = fs::remove_file(file);
        }
        if let (Some(answered), Some((_, expected))) = (answered, &last)
            && answered == expected
        {
            return Ok(());
        }
        let text = random_text();
        let name = format!("{}.key", random_text());
        let file = folder.join(&name);
        fs::write(&file, &text).expect("a file for a challenge");
        self.directory.expect_challenge(&text);
        let shown = identities.shown_at.as_deref().unwrap_or(folder).join(&name);
        let realm = identities.realm.clone().unwrap_or_else(|| shown.display().to_string());
        identities.challenge = Some((file, text));
        let refusal = refusal(401, "unauthorized", "A challenge must be answered.");
        Err(refusal.with_header("WWW-Authenticate", format!("Basic realm={realm}")))
    }
}

fn refusal(status: u16, error: &str, problem: &str) -> Answer {
    let body: Value = json!({ "error": error, "error_description": problem });
    Answer { status, headers: Vec::new(), body }
}

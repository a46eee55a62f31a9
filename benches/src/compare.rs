//! Two builds of the library side by side: each in an installation of PostgreSQL and a server of
//! its own, to which clients log in in turn. The difference is far less than the variation of a
//! login, so there are many logins.

use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::installation::Installation;
use testbed::issuer::{PERSON, unix_now, user_v1};
use testbed::scene::{KEY, Scene};
use testbed::template::Template;

use crate::logins::{Kind, hba};

/// Logins of each kind at each server in one round.
const LOGINS: usize = 500;
const ROUNDS: usize = 10;

/// The first logins fill the caches that are full in a server in use.
const WARM_UP: usize = 50;

/// A login by the door that every server and every build has. `trust` shows the other differences
/// between the two.
const TOKEN: Kind = Kind::Token(Door::Password);

/// How much longer an admission may take, in microseconds.
const BUDGET: f64 = 20.0;

/// The unit of times in `/proc/…/stat`, in milliseconds, on every Linux.
const TICK: f64 = 10.0;

/// A server with one of the two builds.
struct Side {
    cluster: Cluster,
    _provider: Provider,
}

impl Side {
    fn new(installation: Installation) -> Self {
        let template = Arc::new(Template::new(installation));
        let settings =
            "autovacuum = off\nlog_min_messages = warning\nlog_statement = none\nlog_connections = off\n";
        let scene = Scene::from_template(&template)
            .settings(settings)
            .hba(hba(&[Kind::Trust, TOKEN], |door| door.clause("none")));
        let (cluster, provider) = scene.start();
        cluster.sql(&format!("CREATE ROLE {} LOGIN", Kind::Trust.role()));
        let role = TOKEN.role();
        cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{PERSON}', 'user')"));
        Self { cluster, _provider: provider }
    }

    /// Logs in and out. Returns the time in milliseconds until the client is ready for queries:
    /// from the beginning, and from the request for its token.
    fn timed(&self, kind: Kind, token: &str) -> [f64; 2] {
        let begin = Instant::now();
        let mut client = self.cluster.client();
        client.start(&[("user", kind.role()), ("database", "postgres")]).expect("a connection");
        let request = client.auth_request();
        let middle = Instant::now();
        let outcome = match request {
            AuthRequest::Password => client.answer(token),
            AuthRequest::Finished(outcome) => outcome,
            request => panic!("the server asks for something else: {request:?}"),
        };
        let times = [begin.elapsed(), middle.elapsed()];
        assert_eq!(outcome, Outcome::Ready);
        times.map(|time| time.as_secs_f64() * 1_000.0)
    }

    /// Returns the milliseconds for which those processes of the server ran that have ended.
    fn on_core(&self) -> f64 {
        let text =
            fs::read_to_string(format!("/proc/{}/stat", self.cluster.pid())).expect("a running server");
        // cutime and cstime are the 16th and the 17th field (proc(5)). The second field ends with
        // the only parenthesis.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(13).take(2).map(|field| field.parse::<u32>().expect("ticks"));
        ticks.map(f64::from).sum::<f64>() * TICK
    }
}

/// The costs of logins of one kind in milliseconds, at the other server and at this one.
#[derive(Default)]
struct Costs {
    whole: Vec<[f64; 2]>,
    from_token: Vec<[f64; 2]>,
    on_core: [f64; 2],
}

impl Costs {
    /// Adds one round of logins, at the two servers in turn.
    fn add(&mut self, sides: &[Side; 2], kind: Kind, token: &str) {
        let before = on_cores(sides);
        for round in 0..LOGINS {
            let (mut whole, mut from_token) = ([0.0; 2], [0.0; 2]);
            // A backend ends while the next one begins, so each side comes first equally often.
            for place in [round % 2, 1 - round % 2] {
                [whole[place], from_token[place]] = sides[place].timed(kind, token);
            }
            self.whole.push(whole);
            self.from_token.push(from_token);
        }
        let after = on_cores(sides);
        for place in 0..2 {
            self.on_core[place] += after[place] - before[place];
        }
    }

    fn on_core_each(&self) -> [f64; 2] {
        let count = f64::from(u32::try_from(self.whole.len()).expect("a small number"));
        self.on_core.map(|total| total / count)
    }
}

fn on_cores(sides: &[Side; 2]) -> [f64; 2] {
    // The last process ends after its client has disconnected.
    sleep(Duration::from_millis(200));
    sides.each_ref().map(Side::on_core)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Returns the median of each side, and the median of the differences, which noise disturbs least.
fn medians(pairs: &[[f64; 2]]) -> [f64; 3] {
    let of = |what: fn(&[f64; 2]) -> f64| median(pairs.iter().map(what).collect());
    [of(|pair| pair[0]), of(|pair| pair[1]), of(|pair| pair[1] - pair[0])]
}

/// Compares the library of the chosen installation with that of another one.
pub(crate) fn report(other: &str) {
    let token = KEY.token(&user_v1(unix_now()));
    let sides = [Installation::of(other), Installation::chosen()].map(Side::new);
    let (mut trusted, mut tokens) = (Costs::default(), Costs::default());
    for _ in 0..WARM_UP {
        for side in &sides {
            side.timed(Kind::Trust, &token);
            side.timed(TOKEN, &token);
        }
    }
    for _ in 0..ROUNDS {
        trusted.add(&sides, Kind::Trust, &token);
        tokens.add(&sides, TOKEN, &token);
    }
    println!(
        "\n{} logins of each kind in turn at each of two servers, TLS on loopback, a token of {} bytes\n",
        LOGINS * ROUNDS,
        token.len()
    );
    println!("| | the other library, ms | this one, ms | more, µs |");
    println!("| --- | --- | --- | --- |");
    let row = |name: &str, [other, this, more]: [f64; 3]| {
        println!("| {name} | {other:.3} | {this:.3} | {:+.0} |", more * 1_000.0);
        more * 1_000.0
    };
    let mean = |[other, this]: [f64; 2]| [other, this, this - other];
    row("`trust`, medians", medians(&trusted.whole));
    row("token, medians", medians(&tokens.whole));
    let more = row("token, from the token until ready, medians", medians(&tokens.from_token));
    row("`trust`, the server's time on a core, means", mean(trusted.on_core_each()));
    row("token, the server's time on a core, means", mean(tokens.on_core_each()));
    let verdict = if more <= BUDGET { "held" } else { "MISSED" };
    // The spread of the rounds shows how reliable the verdict is.
    let rounds = tokens.from_token.chunks(LOGINS).map(|round| medians(round)[2] * 1_000.0);
    let (least, most) =
        rounds.fold((f64::MAX, f64::MIN), |(least, most), more| (least.min(more), most.max(more)));
    println!(
        "\nbudget: an admission takes at most {BUDGET} µs longer: {verdict}, {more:+.0}, between {least:+.0} and {most:+.0} in \
         {ROUNDS} rounds"
    );
}

//! What stands between clients and servers: HAProxy, PgBouncer, and pgpool-II.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use testbed::client::psql;
use testbed::cluster::Cluster;
use testbed::issuer::{unix_now, user_v1};
use testbed::pooler::Pooler;
use testbed::port::free_port;
use testbed::process::{run_as_server, signal, system_program};
use testbed::scene::{KEY, Scene};
use testbed::scratch::Folder;
use testbed::waits::eventually;

use crate::drivers::{Place, of_debian, printed};
use crate::logins::{USER, link_roles};

/// The longest token that goes through HAProxy, of those that are tried.
pub(crate) const LONGEST_OF_HAPROXY: usize = 60_000;
/// The longest token that PgBouncer keeps.
pub(crate) const LONGEST_OF_PGBOUNCER: usize = 2_047;
/// The longest token that the PgBouncer of a newer Debian keeps, of those that are tried.
pub(crate) const LONGEST_OF_NEWER_PGBOUNCER: usize = 60_000;

/// What HAProxy is told, as the page shows it.
pub(crate) const HAPROXY: &str = "\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h

listen postgres
    bind 127.0.0.1:5433
    option pgsql-check user haproxy
    server one 127.0.0.1:5432 check
";

/// A program that ends when dropped.
struct Running {
    process: Child,
    /// The signal by which it ends at once, with processes and shared memory of its own.
    signal: i32,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            signal(pid, self.signal);
        }
        // A program can ignore signals, because the one that started it did.
        if !eventually(|| !matches!(self.process.try_wait(), Ok(None))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// What came of them.
pub(crate) struct Outcome {
    pub(crate) haproxy: String,
    pub(crate) pgbouncer: String,
    pub(crate) newer_pgbouncer: String,
    pub(crate) pgpool: String,
    /// What a client reads that sends a token to pgpool-II.
    pub(crate) refusal: String,
}

/// Tries all of them. Returns their versions.
pub(crate) fn try_all(place: &Place) -> Outcome {
    let (cluster, _provider) = Scene::new().start();
    link_roles(&cluster);
    through_haproxy(&cluster, place);
    let lengths = [(LONGEST_OF_PGBOUNCER, USER), (LONGEST_OF_PGBOUNCER + 1, "")];
    through_pgbouncer(&cluster, place, &lengths, || Command::new(system_program("pgbouncer")));
    let newer = Newer::new(place);
    let lengths = [(LONGEST_OF_PGBOUNCER + 1, USER), (LONGEST_OF_NEWER_PGBOUNCER, USER)];
    through_pgbouncer(&cluster, place, &lengths, || newer.command());
    Outcome {
        haproxy: of_debian("haproxy"),
        pgbouncer: of_debian("pgbouncer"),
        newer_pgbouncer: newer.version(),
        pgpool: of_debian("pgpool2"),
        refusal: through_pgpool(&cluster, place),
    }
}

/// HAProxy does not end TLS: a client sees the server's certificate.
fn through_haproxy(cluster: &Cluster, place: &Place) {
    let port = free_port();
    let text = HAPROXY.replace(":5433", &format!(":{port}")).replace(":5432", &format!(":{}", cluster.port));
    let file = cluster.folder().write("haproxy.cfg", text);
    let process =
        Command::new(system_program("haproxy")).args(["-db", "-f"]).arg(file).stdin(Stdio::null()).spawn();
    let _running = Running { process: process.expect("HAProxy"), signal: libc::SIGTERM };
    assert!(eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "HAProxy does not start");
    let connection = format!(
        "host=localhost port={port} dbname=postgres user={USER} sslmode=verify-full sslrootcert={}",
        cluster.path("ca.pem").display()
    );
    let token = KEY.token_of_length(&user_v1(unix_now()), LONGEST_OF_HAPROXY);
    let mark = cluster.log_mark();
    let program = place.installation.program("psql");
    let said = || psql(&program, &connection, Some(&token), "SELECT session_user");
    assert!(eventually(|| said().stdout == USER), "through HAProxy: {}", said().stderr);
    // Its check knocks and goes. It is not a login of anybody's.
    assert!(!cluster.log_since(mark).contains("refused code="), "{}", cluster.log_since(mark));
}

/// The PgBouncer of a newer Debian, in a folder that the server's user may read.
struct Newer(Folder);

impl Newer {
    fn new(place: &Place) -> Self {
        let folder = Folder::new("newer-pgbouncer");
        for file in fs::read_dir(place.target.join("pgbouncer")).expect("what tools/newer-pgbouncer makes") {
            let file = file.expect("a file");
            fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
        }
        Self(folder)
    }

    /// Returns a command that runs it by the loader and with the libraries that came with it.
    fn command(&self) -> Command {
        let folder = self.0.path();
        let mut command = Command::new(folder.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(folder).arg(folder.join("pgbouncer"));
        command
    }

    fn version(&self) -> String {
        let said = printed(self.command().arg("--version"));
        said.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }
}

/// PgBouncer logs in by the token of its configuration. An older one cuts a long token.
fn through_pgbouncer(
    cluster: &Cluster,
    place: &Place,
    lengths: &[(usize, &str)],
    program: impl Fn() -> Command,
) {
    let start = |token: &str, lines: &str| {
        let configuration = format!(
            "[databases]\nann = host=127.0.0.1 port={} dbname=postgres {token}\n[pgbouncer]\n{lines}\n\
             server_tls_sslmode = verify-full\nserver_tls_ca_file = {}\n",
            cluster.port,
            cluster.path("ca.pem").display()
        );
        Pooler::start_by(program(), &configuration)
    };
    let log_in = |pooler: &Pooler, user: &str, secret: Option<&str>| {
        let connection = format!("host=127.0.0.1 port={} dbname=ann user={user}", pooler.port());
        psql(&place.installation.program("psql"), &connection, secret, "SELECT session_user")
    };
    let token = |length| KEY.token_of_length(&user_v1(unix_now()), length);
    for &(length, expected) in lengths {
        let pooler = start(&format!("user={USER} password={}", token(length)), "");
        let said = log_in(&pooler, "whoever", None);
        assert_eq!(said.stdout, expected, "{length} bytes through PgBouncer: {}", said.stderr);
    }
    // Its own list of users: clients have to bring the token that stands there.
    let token = token(1_500);
    let users = cluster.folder().write("users", format!("\"{USER}\" \"{token}\"\n"));
    let pooler = start("", &format!("auth_type = plain\nauth_file = {}", users.display()));
    for (secret, expected) in [(token.as_str(), USER), ("another", "")] {
        let said = log_in(&pooler, USER, Some(secret));
        assert_eq!(said.stdout, expected, "by PgBouncer's list: {}", said.stderr);
    }
}

/// pgpool-II lets in by a password, and refuses a token. Returns what the client reads.
fn through_pgpool(cluster: &Cluster, place: &Place) -> String {
    cluster.sql("CREATE ROLE plain LOGIN PASSWORD 'a password'");
    let (port, folder) = (free_port(), cluster.folder());
    let text = format!(
        "backend_clustering_mode = 'raw'\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
         pcp_port = {}\npcp_listen_addresses = ''\npcp_socket_dir = '{path}'\npid_file_name = '{path}/pgpool.pid'\nlogdir = '{path}'\n\
         backend_hostname0 = '127.0.0.1'\nbackend_port0 = {}\nenable_pool_hba = off\n\
         allow_clear_text_frontend_auth = on\nssl = on\nssl_cert = '{path}/server.pem'\nssl_key = '{path}/server.key'\nnum_init_children = 2\n",
        free_port(),
        cluster.port,
        path = folder.path().display(),
    );
    let file = folder.write("pgpool.conf", text);
    let mut command = Command::new(system_program("pgpool"));
    command.arg("-n").arg("-f").arg(file).stdin(Stdio::null()).stderr(Stdio::null());
    run_as_server(&mut command);
    let _running = Running { process: command.spawn().expect("pgpool-II"), signal: libc::SIGINT };
    assert!(eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "pgpool-II does not start");
    let program = place.installation.program("psql");
    let log_in = |user: &str, secret: &str| {
        let connection = format!("host=127.0.0.1 port={port} dbname=postgres user={user} sslmode=require");
        psql(&program, &connection, Some(secret), "SELECT session_user")
    };
    let plain = log_in("plain", "a password");
    assert_eq!(plain.stdout, "plain", "{}", plain.stderr);
    let said = log_in(USER, &KEY.token_of_length(&user_v1(unix_now()), 1_500));
    assert!(!said.success, "a token has passed through pgpool-II");
    let words = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    words.find("ERROR:").and_then(|at| words.get(at..)).unwrap_or_default().to_owned()
}

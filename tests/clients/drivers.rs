//! The drivers, and how their programs are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::door::Door;
use testbed::installation::Installation;

/// A driver.
pub(crate) struct Driver {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The file in `programs/`.
    pub(crate) program: &'static str,
    /// The language of its program.
    language: Language,
    /// The package that has its version.
    package: &'static str,
    /// Whether it can have libpq of version 18, which acquires tokens by itself at the oauth door.
    pub(crate) acquires_tokens: bool,
}

enum Language {
    Python,
    Node,
    Java,
    Perl,
    Go,
    Rust,
    /// psql of the path.
    Shell,
    /// psql of the server that is tested.
    ShellOfServer,
}

const fn driver(
    name: &'static str,
    program: &'static str,
    language: Language,
    package: &'static str,
) -> Driver {
    Driver { name, program, language, package, acquires_tokens: false }
}

/// Marks a driver that can have libpq of version 18.
const fn acquiring(driver: Driver) -> Driver {
    Driver { acquires_tokens: true, ..driver }
}

/// All of them.
pub(crate) const DRIVERS: &[Driver] = &[
    driver("psql of Debian 12", "psql.sh", Language::Shell, ""),
    acquiring(driver("psql of the server", "psql.sh", Language::ShellOfServer, "")),
    acquiring(driver("psycopg 3", "psycopg3.py", Language::Python, "psycopg")),
    acquiring(driver("psycopg 3, its pool", "pool_of_psycopg.py", Language::Python, "psycopg-pool")),
    driver("psycopg2", "psycopg2_.py", Language::Python, "psycopg2-binary"),
    driver("asyncpg, its pool", "asyncpg_.py", Language::Python, "asyncpg"),
    acquiring(driver("SQLAlchemy", "sqlalchemy_.py", Language::Python, "sqlalchemy")),
    acquiring(driver("Django", "django_.py", Language::Python, "django")),
    driver("node-postgres (pg)", "pg.js", Language::Node, "pg"),
    driver("Postgres.js", "postgres.js", Language::Node, "postgres"),
    driver("pgjdbc", "Pgjdbc.java", Language::Java, ""),
    acquiring(driver("DBD::Pg", "dbd_pg.pl", Language::Perl, "")),
    driver("pgx, its pool", "pgx.go", Language::Go, "pgx"),
    driver("tokio-postgres", "tokio/src/main.rs", Language::Rust, "tokio-postgres"),
];

/// Debian's pgjdbc.
const JDBC: &str = "/usr/share/java/postgresql.jar";

impl Driver {
    /// Returns the language, as a fence of a document names it.
    pub(crate) const fn fence(&self) -> &'static str {
        match self.language {
            Language::Python => "python",
            Language::Node => "js",
            Language::Java => "java",
            Language::Perl => "perl",
            Language::Go => "go",
            Language::Rust => "rust",
            Language::Shell | Language::ShellOfServer => "shell",
        }
    }

    /// Returns the heading of its code on the page.
    pub(crate) const fn heading(&self) -> &'static str {
        match self.language {
            Language::Shell | Language::ShellOfServer => "psql",
            _ => self.name,
        }
    }

    /// Returns a command that runs its program at a door, for two minutes at most.
    pub(crate) fn command(&self, door: Door, place: &Place) -> Command {
        let with = |mut command: Command| {
            command
                .arg(place.programs.join(self.program))
                .env("NODE_PATH", place.target.join("node_modules"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env_remove("PGPASSWORD");
            command
        };
        let linked =
            |program: &Path| if door == Door::OAuth { place.with_libpq(program) } else { limited(program) };
        match self.language {
            Language::Python => with(linked(&place.python())),
            Language::Node => with(limited(Path::new("node"))),
            Language::Perl => with(linked(Path::new("/usr/bin/perl"))),
            Language::Go | Language::Rust => limited(&place.target.join("bin").join(self.package)),
            Language::Shell => with(limited(Path::new("sh"))),
            Language::ShellOfServer => {
                let mut command = with(limited(Path::new("sh")));
                let folder = place.installation.programs().display();
                command.env("PATH", format!("{folder}:/usr/bin:/bin"));
                command
            }
            Language::Java => {
                let mut command = limited(Path::new("java"));
                let classes = place.target.join("java");
                command.arg("-cp").arg(format!("{JDBC}:{}", classes.display())).arg("Pgjdbc");
                command
            }
        }
    }

    /// Returns its version.
    pub(crate) fn version(&self, place: &Place) -> String {
        let node = place.target.join("node_modules").join(self.package).join("package.json");
        let python = format!("import importlib.metadata as m; print(m.version('{}'))", self.package);
        match self.language {
            Language::Python => printed(Command::new(place.python()).args(["-c", &python])),
            Language::Node => {
                let text = std::fs::read(node).expect("a package of npm");
                let package: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                package["version"].as_str().unwrap_or_default().to_owned()
            }
            Language::Perl => {
                printed(Command::new("perl").args(["-MDBD::Pg", "-e", "print $DBD::Pg::VERSION"]))
            }
            Language::Shell => psql_version(Path::new("psql")),
            Language::ShellOfServer => psql_version(&place.installation.program("psql")),
            Language::Java => of_debian("libpostgresql-jdbc-java"),
            Language::Go => of_debian("golang-github-jackc-pgx-v4-dev"),
            Language::Rust => {
                let lock = std::fs::read_to_string(place.programs.join("tokio/Cargo.lock")).expect("a file");
                let package = format!("name = \"{}\"\nversion = \"", self.package);
                let found = lock.split_once(&package).and_then(|(_, rest)| rest.split('"').next());
                found.expect("a package that is pinned").to_owned()
            }
        }
    }
}

/// Returns a command that runs a program for two minutes at most.
pub(crate) fn limited(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").arg(program);
    command
}

/// Where everything is.
pub(crate) struct Place {
    /// The programs of the drivers.
    pub(crate) programs: PathBuf,
    /// What tools/clients has installed.
    pub(crate) target: PathBuf,
    /// The server that is tested.
    pub(crate) installation: Installation,
}

impl Place {
    /// Returns the Python that has the packages.
    pub(crate) fn python(&self) -> PathBuf {
        self.target.join("python/bin/python")
    }

    /// Returns a command that runs a program with the libraries of the server, libpq among them: by
    /// the loader by which the server's psql runs, because they can be of a newer system than this.
    fn with_libpq(&self, program: &Path) -> Command {
        let head = printed(
            Command::new("readelf").env("LC_ALL", "C").arg("-lW").arg(self.installation.program("psql")),
        );
        let loader = head.split_once("program interpreter: ").and_then(|(_, rest)| rest.split(']').next());
        let mut command = limited(Path::new(loader.expect("a loader")));
        command.arg("--library-path").arg(self.installation.pg_config("--libdir"));
        // Python finds its packages by its own name. psycopg's compiled part brings another libpq.
        command.arg("--argv0").arg(program).arg(program).env("PSYCOPG_IMPL", "python");
        command
    }
}

/// Returns the version of a package of Debian, as its authors call it.
pub(crate) fn of_debian(package: &str) -> String {
    printed(Command::new("dpkg-query").args(["-W", "-f", "${source:Upstream-Version}", package]))
}

fn psql_version(psql: &Path) -> String {
    let said = printed(Command::new(psql).arg("--version"));
    said.split(' ').nth(2).unwrap_or_default().to_owned()
}

/// Returns what a command prints.
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

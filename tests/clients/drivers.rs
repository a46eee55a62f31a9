//! The drivers, and how their programs are run.

use std::path::Path;
use std::process::Command;

use crate::printed;

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
}

enum Language {
    Python,
    Node,
    Java,
    Perl,
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
    Driver { name, program, language, package }
}

/// All of them.
pub(crate) const DRIVERS: &[Driver] = &[
    driver("psql of Debian 12", "psql.sh", Language::Shell, ""),
    driver("psql of the server", "psql.sh", Language::ShellOfServer, ""),
    driver("psycopg 3", "psycopg3.py", Language::Python, "psycopg"),
    driver("psycopg 3, its pool", "pool_of_psycopg.py", Language::Python, "psycopg-pool"),
    driver("psycopg2", "psycopg2_.py", Language::Python, "psycopg2-binary"),
    driver("asyncpg, its pool", "asyncpg_.py", Language::Python, "asyncpg"),
    driver("SQLAlchemy", "sqlalchemy_.py", Language::Python, "sqlalchemy"),
    driver("Django", "django_.py", Language::Python, "django"),
    driver("node-postgres (pg)", "pg.js", Language::Node, "pg"),
    driver("Postgres.js", "postgres.js", Language::Node, "postgres"),
    driver("pgjdbc", "Pgjdbc.java", Language::Java, ""),
    driver("DBD::Pg", "dbd_pg.pl", Language::Perl, ""),
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
            Language::Shell | Language::ShellOfServer => "shell",
        }
    }

    /// Returns a command that runs its program.
    pub(crate) fn command(&self, programs: &Path, target: &Path, psql: &Path) -> Command {
        let with = |interpreter: &Path| {
            let mut command = Command::new(interpreter);
            command.arg(programs.join(self.program)).env("NODE_PATH", target.join("node_modules"));
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        match self.language {
            Language::Python => with(&target.join("python/bin/python")),
            Language::Node => with(Path::new("node")),
            Language::Perl => with(Path::new("perl")),
            Language::Shell => with(Path::new("sh")),
            Language::ShellOfServer => {
                let mut command = with(Path::new("sh"));
                let folder = psql.parent().expect("a folder").display();
                command.env("PATH", format!("{folder}:/usr/bin:/bin"));
                command
            }
            Language::Java => {
                // pgjdbc finds the class of the plugin by name, so it has to be in a file.
                let classes = target.join("java");
                let source = programs.join(self.program);
                printed(Command::new("javac").args(["-cp", JDBC, "-d"]).arg(&classes).arg(source));
                let mut command = Command::new("java");
                command.arg("-cp").arg(format!("{JDBC}:{}", classes.display())).arg("Pgjdbc");
                command
            }
        }
    }

    /// Returns its version.
    pub(crate) fn version(&self, target: &Path, psql: &Path) -> String {
        let node = target.join("node_modules").join(self.package).join("package.json");
        let python = format!("import importlib.metadata as m; print(m.version('{}'))", self.package);
        match self.language {
            Language::Python => printed(Command::new(target.join("python/bin/python")).args(["-c", &python])),
            Language::Node => {
                let text = std::fs::read(node).expect("a package of npm");
                let package: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                package["version"].as_str().unwrap_or_default().to_owned()
            }
            Language::Perl => {
                printed(Command::new("perl").args(["-MDBD::Pg", "-e", "print $DBD::Pg::VERSION"]))
            }
            Language::Shell => psql_version(Path::new("psql")),
            Language::ShellOfServer => psql_version(psql),
            Language::Java => {
                let ask = ["-W", "-f", "${source:Upstream-Version}", "libpostgresql-jdbc-java"];
                printed(Command::new("dpkg-query").args(ask))
            }
        }
    }
}

fn psql_version(psql: &Path) -> String {
    let said = printed(Command::new(psql).arg("--version"));
    said.split(' ').nth(2).unwrap_or_default().to_owned()
}

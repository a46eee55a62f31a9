//! The library as a file, and what its build refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testbed::installation::Installation;
use testbed::scratch::Folder;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pg_config(what: &str) -> String {
    let output =
        Command::new(Installation::chosen().program("pg_config")).arg(what).output().expect("pg_config");
    text(&output.stdout).trim().to_owned()
}

fn library() -> PathBuf {
    Path::new(&pg_config("--pkglibdir")).join("azure_ad_auth.so")
}

/// The server has OpenSSL. Cryptographic functions of this library with the same names would
/// conflict with it.
#[test]
fn nothing_in_it_can_meet_the_servers_cryptography() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().expect("nm");
    let symbols = text(&output.stdout);
    let names: Vec<_> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert!(names.contains(&"_PG_init"), "{symbols}");
    let known = |name: &str| {
        [
            "Pg_magic_func",
            "_PG_init",
            "azure_ad_auth_worker_main",
            "azure_ad_auth_reaper_main",
            "__pgrx_marker",
        ]
        .contains(&name)
            || name == "_PG_oauth_validator_module_init"
            || name.starts_with("pam_sm_")
            || name.starts_with("pg_finfo_")
            || name.ends_with("_wrapper")
            || name.starts_with("__pgrx_")
    };
    let foreign: Vec<_> = names.into_iter().filter(|name| !known(name)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");

    let output = Command::new("readelf").arg("-d").arg(library()).output().expect("readelf");
    let needed = text(&output.stdout);
    assert!(needed.contains("libc.so"), "{needed}");
    assert!(!needed.contains("libssl") && !needed.contains("libcrypto"), "{needed}");
}

/// Runs the build script of this library with something missing.
fn build_script(feature: u32, pg_config: &Path, libclang: Option<&Path>) -> Output {
    let out = Folder::new("build");
    let mut command = Command::new(latest_build_script());
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("OUT_DIR", out.path())
        .env(format!("CARGO_FEATURE_PG{feature}"), "1")
        .env("PGRX_PG_CONFIG_PATH", pg_config);
    if let Some(path) = libclang {
        command.env("LIBCLANG_PATH", path);
    }
    command.output().expect("the build script")
}

fn latest_build_script() -> PathBuf {
    // target/debug/deps/logins-…
    let here = std::env::current_exe().expect("this program");
    let folder = here.parent().and_then(Path::parent).expect("target/debug").join("build");
    let scripts = fs::read_dir(&folder).expect("built libraries").filter_map(|entry| {
        let entry = entry.ok()?;
        let ours = entry.file_name().to_str()?.strip_prefix("azure_ad_auth-")?.len() == 16;
        let script = entry.path().join("build-script-build");
        let time = fs::metadata(&script).ok()?.modified().ok()?;
        ours.then_some((time, script))
    });
    scripts.max().expect("build the library first: tools/test does").1
}

/// Makes a pg_config that answers as the real one does, apart from one question.
fn pg_config_with(folder: &Folder, question: &str, answer: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.path().join("pg_config");
    let real = Installation::chosen().program("pg_config");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = {question} ]; then echo '{answer}'; else exec '{}' \"$@\"; fi\n",
        real.display()
    );
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its permissions");
    path
}

fn refuses(output: &Output, problem: &str, remedy: &str) {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!output.status.success(), "it was built");
    assert!(said.contains(problem) && said.contains(remedy), "{said}");
}

#[test]
fn the_build_wants_headers_of_the_version_it_is_for() {
    let major = Installation::chosen().major;
    let real = Installation::chosen().program("pg_config");
    let output = build_script(major, &real, None);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let folder = Folder::new("headers");
    let nowhere = folder.path().join("nowhere").display().to_string();
    let output = build_script(major, &pg_config_with(&folder, "--includedir-server", &nowhere), None);
    let remedy = format!("apt-get install postgresql-server-dev-{major}");
    refuses(&output, &format!("the server headers of PostgreSQL {major} are missing"), &remedy);

    let other = if major == 18 { 17 } else { 18 };
    let headers = folder.path().join("include");
    fs::create_dir(&headers).expect("a folder");
    fs::write(headers.join("postgres.h"), "").expect("a header");
    fs::write(headers.join("pg_config.h"), format!("#define PG_VERSION_NUM {other}0002\n"))
        .expect("a header");
    let headers = headers.display().to_string();
    let output = build_script(major, &pg_config_with(&folder, "--includedir-server", &headers), None);
    let problem = format!("are those of PostgreSQL {other}, but the feature pg{major} was chosen");
    refuses(&output, &problem, &format!("Choose pg{other}, or the pg_config of PostgreSQL {major}"));
}

#[test]
fn the_build_wants_libclang() {
    let chosen = Installation::chosen();
    let output = build_script(chosen.major, &chosen.program("pg_config"), Some(Path::new("/nowhere")));
    refuses(&output, "libclang is missing", "apt-get install libclang-dev");
}

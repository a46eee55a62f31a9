//! What a file of /etc/pam.d makes of the line that names it: whether this library alone decides.

use super::verdict::Finding;

/// The library, as a PAM module is named.
const FILE_NAME: &str = "azure_ad_auth.so";
/// What libpam falls back to.
const FALLBACK: &str = "other";

/// What a service is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    /// libpam finds no file of its name.
    Missing(Finding),
    /// Others decide, who know no tokens. With the file.
    Foreign(String),
    /// This library decides; with what is wrong.
    Ours(Vec<Finding>),
}

/// Which of libpam's questions a line of the file is for. The server asks no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Auth,
    Account,
    /// `@include`: for all of them.
    Every,
}

/// A line of the file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    question: Question,
    /// Begins with a dash: libpam passes over a module that is not there.
    optional_file: bool,
    /// Without its success nobody is let in.
    required: bool,
    module: String,
}

/// The file that libpam looks for, in any of its folders; none: a name that no file can have.
pub(crate) fn file_name(service: &str) -> Option<String> {
    // libpam writes names in lower case.
    let name = service.to_ascii_lowercase();
    (!name.is_empty() && !name.contains(['/', '\0']) && !name.contains("..")).then_some(name)
}

/// A service without a file.
pub(crate) fn missing(service: &str, module: &str) -> Service {
    Service::Missing(Finding::danger(match file_name(service) {
        None => format!("\"{service}\" is no name of a file in /etc/pam.d: name another service"),
        Some(name) => format!(
            "there is no /etc/pam.d/{name} that the server can read, so libpam falls back to the service \
             \"{FALLBACK}\", whatever that admits: create it with the two lines \"auth required {module}\" and \
             \"account required {module}\""
        ),
    }))
}

/// What is said in a file. `is_same`: whether another path leads to the file `module`.
pub(crate) fn judge(file: &str, content: &str, module: &str, is_same: &dyn Fn(&str) -> bool) -> Service {
    let is_ours = |entry: &Entry| {
        entry.module == module || entry.module.rsplit('/').next() == Some(FILE_NAME) || is_same(&entry.module)
    };
    let (ours, others): (Vec<_>, Vec<_>) = entries(content).into_iter().partition(is_ours);
    if ours.is_empty() {
        return Service::Foreign(file.to_owned());
    }
    let mut findings = Vec::new();
    for (question, word) in [(Question::Auth, "auth"), (Question::Account, "account")] {
        let asked: Vec<_> = ours.iter().filter(|entry| entry.question == question).collect();
        if !asked.iter().any(|entry| entry.required) {
            let reason =
                format!("{file} does not leave {word} to azure_ad_auth: write \"{word} required {module}\"");
            // A stack that lacks the second question alone has asked for the token.
            let lacks_account = question == Question::Account && asked.is_empty();
            findings.push(if lacks_account { Finding::warning(reason) } else { Finding::danger(reason) });
        }
    }
    if let Some(other) = ours.iter().find(|entry| entry.module != module) {
        findings.push(Finding::warning(format!(
            "{file} names the library as {}, and after an upgrade of the package libpam would load a second copy, \
             which refuses everyone: write exactly {module}",
            other.module
        )));
    }
    if ours.iter().any(|entry| entry.optional_file) {
        findings.push(Finding::warning(format!(
            "{file} has a dash before auth or account, so libpam passes over azure_ad_auth when its file is missing: \
             remove the dash"
        )));
    }
    if !others.is_empty() {
        findings.push(Finding::warning(format!(
            "{file} asks other modules too, and what they decide is refused for linked roles while azure_ad_auth is \
             preloaded, and is all that decides when it is not: leave them out"
        )));
    }
    Service::Ours(findings)
}

/// The lines that bear on a login.
fn entries(content: &str) -> Vec<Entry> {
    logical_lines(content).iter().filter_map(|line| entry(line)).collect()
}

/// A comment ends a line, a backslash at its end goes on with the next.
fn logical_lines(content: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in content.lines() {
        let (text, is_cut) = line.split_once('#').map_or((line, false), |(text, _)| (text, true));
        let text = text.trim_end();
        match text.strip_suffix('\\') {
            Some(text) if !is_cut => {
                open.push_str(text);
                open.push(' ');
            }
            _ => {
                open.push_str(text);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    lines.push(open);
    lines
}

fn entry(line: &str) -> Option<Entry> {
    let mut rest = line;
    let first = field(&mut rest)?.to_ascii_lowercase();
    let kind = first.strip_prefix('-').unwrap_or(&first);
    let question = match kind {
        "auth" => Question::Auth,
        "account" => Question::Account,
        "@include" => Question::Every,
        _ => return None,
    };
    let required = question != Question::Every && is_required(field(&mut rest)?);
    let module = field(&mut rest).unwrap_or_default().to_owned();
    Some(Entry { question, optional_file: kind != first, required, module })
}

/// The next field; one in square brackets may have blanks.
fn field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let end = match text.strip_prefix('[') {
        Some(inside) => inside.find(']').map_or(text.len(), |end| end + 2),
        None => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let (field, after) = text.split_at_checked(end)?;
    *rest = after;
    (!field.is_empty()).then_some(field)
}

/// Whether a control lets nobody in without the module: one of two words, or what they stand for (pam.conf(5)).
fn is_required(control: &str) -> bool {
    let Some(pairs) = control.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) else {
        return ["required", "requisite"].iter().any(|word| control.eq_ignore_ascii_case(word));
    };
    let mut falls_through = false;
    let fits = pairs.split_whitespace().all(|pair| match pair.split_once('=') {
        Some(("success" | "new_authtok_reqd", action)) => action == "ok",
        Some(("ignore", action)) => ["ignore", "bad", "die"].contains(&action),
        Some((value, action)) => {
            falls_through |= value == "default";
            ["bad", "die"].contains(&action)
        }
        None => false,
    });
    fits && falls_through
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Verdict;
    use super::{Service, file_name, judge, missing};

    const MODULE: &str = "/usr/lib/postgresql/15/lib/azure_ad_auth.so";

    /// The verdicts of a file's findings; none: others decide. `M` is the module.
    fn verdicts(content: &str) -> Option<Vec<Verdict>> {
        let same = |path: &str| path == "/alias/to-it.so";
        match judge("/etc/pam.d/x", &content.replace('M', MODULE), MODULE, &same) {
            Service::Ours(findings) => Some(findings.iter().map(|finding| finding.verdict).collect()),
            Service::Foreign(_) => None,
            Service::Missing(finding) => panic!("{finding:?}"),
        }
    }

    #[test]
    fn a_stack_of_ours_alone() {
        for content in [
            "auth required M\naccount required M\n",
            "#%PAM-1.0\n\nAUTH\tRequisite  M debug # why\naccount required M\nsession required pam_limits.so",
            "auth \\\n  required \\\nM\naccount required M",
            "auth [success=ok new_authtok_reqd=ok ignore=ignore default=die] M\naccount [success=ok default=bad] M",
        ] {
            assert_eq!(verdicts(content), Some(vec![]), "{content}");
        }
    }

    #[test]
    fn a_stack_that_leaves_something_to_others() {
        use Verdict::{Danger, Warning};
        for (content, expected) in [
            ("auth required M", vec![Warning]),
            ("account required M", vec![Danger]),
            ("auth required M\naccount optional M", vec![Danger]),
            ("auth sufficient M\naccount required M", vec![Danger]),
            ("auth [success=done default=bad] M\naccount required M", vec![Danger]),
            ("auth [success=ok] M\naccount required M", vec![Danger]),
            ("auth [success=ok default=ignore] M\naccount required M", vec![Danger]),
            ("-auth required M\naccount required M", vec![Warning]),
            ("auth required /old/azure_ad_auth.so\naccount required M", vec![Warning]),
            ("auth required /alias/to-it.so\naccount required M", vec![Warning]),
            ("auth required azure_ad_auth.so\naccount required M", vec![Warning]),
            ("auth required M\naccount required M\n@include common-auth", vec![Warning]),
            ("auth required M\naccount required M\naccount include common-account", vec![Warning]),
            ("auth sufficient pam_unix.so\nauth sufficient M\naccount required M", vec![Danger, Warning]),
            ("auth required M # \\\naccount required M", vec![]),
            ("# auth required M \\\nauth required M", vec![Warning]),
        ] {
            assert_eq!(verdicts(content), Some(expected), "{content}");
        }
    }

    #[test]
    fn a_stack_of_others() {
        for content in [
            "",
            "@include common-auth\n",
            "auth required pam_unix.so",
            "# auth required M",
            "session required M",
        ] {
            assert_eq!(verdicts(content), None, "{content}");
        }
    }

    #[test]
    fn a_name_is_one_of_a_file() {
        assert_eq!(file_name("PostgreSQL").as_deref(), Some("postgresql"));
        for name in ["", "../shadow", "a/b", "/etc/passwd", ".."] {
            assert_eq!(file_name(name), None, "{name}");
            assert!(matches!(missing(name, MODULE), Service::Missing(_)));
        }
    }
}

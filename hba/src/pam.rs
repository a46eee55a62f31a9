//! Finds out from the file of a PAM service whether this library alone decides for the line of
//! pg_hba.conf that names it.

use crate::finding::Finding;
use crate::line::Rule;
use crate::pam_syntax::{Entry, Question, Weight, entries};
use crate::place::TOPIC;

/// The PAM service of a line that names none.
const DEFAULT_SERVICE: &str = "postgresql";
/// The library, as a PAM module is named.
const FILE_NAME: &str = "azure_ad_auth.so";
/// The service that libpam falls back to.
const FALLBACK: &str = "other";

/// The effect of a PAM service on a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// libpam finds no file with its name.
    Missing(Finding),
    /// Other modules decide, which know no tokens. Has the file.
    Foreign(String),
    /// This library is among its modules.
    Ours(Stack),
}

/// The modules of a service, one of which is this library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The file.
    pub file: String,
    /// The faults of the lines that name this library.
    pub findings: Vec<Finding>,
    /// How far the other modules can decide a login.
    pub others: Others,
}

/// The other modules of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// There are none.
    None,
    /// They can refuse a login, and cannot accept one without this library.
    Refuse,
    /// They can accept a login without this library.
    Admit,
}

/// Returns the PAM service that a line names, if its method is PAM.
#[must_use]
pub fn pam_service(rule: &Rule) -> Option<&str> {
    let named = rule.option("pamservice").filter(|name| !name.is_empty());
    (rule.method == "pam").then(|| named.unwrap_or(DEFAULT_SERVICE))
}

/// Returns the name of the file that libpam looks for in its folders, or none if no file can have
/// the name.
#[must_use]
pub fn file_name(service: &str) -> Option<String> {
    // libpam writes names in lower case.
    let name = service.to_ascii_lowercase();
    (!name.is_empty() && !name.contains(['/', '\0']) && !name.contains("..")).then_some(name)
}

/// Returns a service that has no file.
#[must_use]
pub fn missing(service: &str, module: &str) -> Service {
    let reason = match file_name(service) {
        None => format!("\"{service}\" cannot be the name of a file in /etc/pam.d: name another service"),
        Some(name) => format!(
            "there is no /etc/pam.d/{name} that the server can read, so libpam uses the service \
             \"{FALLBACK}\" instead: create the file with the two lines \"auth required {module}\" and \
             \"account required {module}\""
        ),
    };
    Service::Missing(Finding::danger(TOPIC, reason))
}

/// Returns what a file says. `is_same`: whether another path leads to the file `module`.
pub fn read_service(file: &str, content: &str, module: &str, is_same: &dyn Fn(&str) -> bool) -> Service {
    let is_ours = |entry: &Entry| {
        entry.module == module || entry.module.rsplit('/').next() == Some(FILE_NAME) || is_same(&entry.module)
    };
    let entries: Vec<_> = entries(content).into_iter().map(|entry| (is_ours(&entry), entry)).collect();
    let ours: Vec<_> = entries.iter().filter(|(is_ours, _)| *is_ours).map(|(_, entry)| entry).collect();
    if ours.is_empty() {
        return Service::Foreign(file.to_owned());
    }
    let others = if ours.len() == entries.len() {
        Others::None
    } else if can_do_without(&entries, Question::Auth) && can_do_without(&entries, Question::Account) {
        Others::Admit
    } else {
        Others::Refuse
    };
    let questions = [(Question::Auth, "auth"), (Question::Account, "account")];
    let mut findings: Vec<_> = questions
        .into_iter()
        .filter_map(|(question, word)| not_left_to(&ours, question, word, file, module))
        .collect();
    findings.extend(misnamed(&ours, file, module));
    Service::Ours(Stack { file: file.to_owned(), findings, others })
}

/// Returns whether the modules can answer a question with yes although this library says no.
fn can_do_without(entries: &[(bool, Entry)], question: Question) -> bool {
    let mut needs_ours = false;
    for (is_ours, entry) in entries.iter().filter(|(_, entry)| entry.is_for(question)) {
        match entry.weight {
            Weight::Required if *is_ours => needs_ours = true,
            Weight::Skips if !is_ours && !needs_ours => return true,
            Weight::Forgets if !is_ours => return true,
            _ => {}
        }
    }
    !needs_ours
}

/// Returns a finding if no answer of this library decides a question.
fn not_left_to(ours: &[&Entry], question: Question, word: &str, file: &str, module: &str) -> Option<Finding> {
    let asked = || ours.iter().filter(|entry| entry.question == question);
    if asked().any(|entry| entry.weight == Weight::Required) {
        return None;
    }
    let reason =
        format!("azure_ad_auth does not decide about {word} in {file}: write \"{word} required {module}\"");
    // A file that lacks only account still has this library ask for the token.
    let lacks_account = question == Question::Account && asked().next().is_none();
    Some(if lacks_account { Finding::warning(TOPIC, reason) } else { Finding::danger(TOPIC, reason) })
}

/// Returns what is wrong with the way the file names this library.
fn misnamed(ours: &[&Entry], file: &str, module: &str) -> Vec<Finding> {
    let other_path = ours.iter().find(|entry| entry.module != module).map(|entry| {
        format!(
            "{file} names the library as {}, and after an upgrade of the package libpam would load a second copy, \
             which refuses everyone: write exactly {module}",
            entry.module
        )
    });
    let dash = ours.iter().any(|entry| entry.optional_file).then(|| {
        format!(
            "{file} has a dash before auth or account, so libpam skips azure_ad_auth when its file is missing: \
             remove the dash"
        )
    });
    [other_path, dash].into_iter().flatten().map(|reason| Finding::warning(TOPIC, reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Others, Service, Stack, file_name, missing, read_service};
    use crate::finding::Level;

    const MODULE: &str = "/usr/lib/postgresql/15/lib/azure_ad_auth.so";

    /// Returns the modules of a file, or none if only other modules decide. `M` is the module.
    fn stack(content: &str) -> Option<Stack> {
        let same = |path: &str| path == "/alias/to-it.so";
        match read_service("/etc/pam.d/x", &content.replace('M', MODULE), MODULE, &same) {
            Service::Ours(stack) => Some(stack),
            Service::Foreign(_) => None,
            Service::Missing(finding) => panic!("{finding:?}"),
        }
    }

    /// Returns how grave the findings about a file are.
    fn levels(content: &str) -> Option<Vec<Level>> {
        Some(stack(content)?.findings.iter().map(|finding| finding.level).collect())
    }

    #[test]
    fn a_stack_of_ours_alone() {
        for content in [
            "auth required M\naccount required M\n",
            "#%PAM-1.0\n\nAUTH\tRequisite  M debug # why\naccount required M\nsession required pam_limits.so",
            "auth \\\n  required \\\nM\naccount required M",
            "auth [success=ok new_authtok_reqd=ok ignore=ignore default=die] M\naccount [success=ok default=bad] M",
        ] {
            assert_eq!(levels(content), Some(vec![]), "{content}");
        }
    }

    #[test]
    fn a_stack_that_leaves_something_to_others() {
        use Level::{Danger, Warning};
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
            ("auth sufficient pam_unix.so\nauth sufficient M\naccount required M", vec![Danger]),
            ("auth required M # \\\naccount required M", vec![]),
            ("# auth required M \\\nauth required M", vec![Warning]),
        ] {
            assert_eq!(levels(content), Some(expected), "{content}");
        }
    }

    #[test]
    fn a_stack_that_asks_others_too() {
        let (auth, account) = ("auth required M", "account required M");
        for (content, expected) in [
            (format!("{auth}\n{account}"), Others::None),
            (
                format!("{auth}\n{account}\nauth sufficient pam_permit.so\naccount sufficient p.so"),
                Others::Refuse,
            ),
            (format!("auth required pam_unix.so\n{auth}\n{account}"), Others::Refuse),
            // This library still answers the second question, and knows that another module has
            // answered the first.
            (format!("auth sufficient pam_permit.so\n{auth}\n{account}"), Others::Refuse),
            (format!("auth sufficient p.so\n{auth}\naccount sufficient p.so\n{account}"), Others::Admit),
            (format!("auth [success=done] p.so\n{auth}\naccount [success=1] p.so\n{account}"), Others::Admit),
            (format!("auth sufficient p.so\n{auth}"), Others::Admit),
            (format!("@include common\n{auth}\n{account}"), Others::Admit),
            (format!("{auth}\n{account}\n@include common"), Others::Refuse),
            (
                format!("{auth}\n{account}\nauth [default=reset] p.so\naccount [default=reset] p.so"),
                Others::Admit,
            ),
            (format!("auth substack p\n{auth}\naccount substack p\n{account}"), Others::Refuse),
        ] {
            assert_eq!(stack(&content).map(|stack| stack.others), Some(expected), "{content}");
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
            assert_eq!(levels(content), None, "{content}");
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

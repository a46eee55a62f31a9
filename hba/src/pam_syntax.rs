//! The lines of a file of /etc/pam.d (pam.conf(5)).

/// The question of libpam that a line of the file is for. The server asks these two only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Auth,
    Account,
    /// `@include`: for both.
    Every,
}

/// A line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) question: Question,
    /// It begins with a dash: libpam then skips a module whose file is missing.
    pub(crate) optional_file: bool,
    pub(crate) weight: Weight,
    pub(crate) module: String,
}

/// The effect of an entry's answer on the answers of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Without its success no login succeeds.
    Required,
    /// It can make libpam skip entries below it.
    Skips,
    /// It can make libpam forget the entries above it.
    Forgets,
    Other,
}

impl Entry {
    /// Returns whether it is for a question.
    pub(crate) fn is_for(&self, question: Question) -> bool {
        [question, Question::Every].contains(&self.question)
    }
}

/// Returns the lines that concern a login.
pub(crate) fn entries(content: &str) -> Vec<Entry> {
    logical_lines(content).iter().filter_map(|line| entry(line)).collect()
}

/// Returns the lines without comments. A backslash at the end of a line joins it with the next.
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
    let weight = if question == Question::Every { Weight::Skips } else { weight(field(&mut rest)?) };
    let module = field(&mut rest).unwrap_or_default().to_owned();
    Some(Entry { question, optional_file: kind != first, weight, module })
}

/// Takes the next field. A field in square brackets may have blanks.
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

/// Returns what a control means, which is a word, or pairs in brackets.
fn weight(control: &str) -> Weight {
    let Some(pairs) = control.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) else {
        return match control.to_ascii_lowercase().as_str() {
            "required" | "requisite" => Weight::Required,
            // The included file may have sufficient entries.
            "sufficient" | "include" => Weight::Skips,
            _ => Weight::Other,
        };
    };
    let actions = || pairs.split_whitespace().filter_map(|pair| Some(pair.split_once('=')?.1));
    if actions().any(|action| action == "reset") {
        Weight::Forgets
    } else if actions().any(|action| action == "done" || action.parse::<u32>().is_ok()) {
        Weight::Skips
    } else if is_required(pairs) {
        Weight::Required
    } else {
        Weight::Other
    }
}

/// Returns whether no login succeeds without the module: the pairs say what `required` or
/// `requisite` stand for, or are stricter.
fn is_required(pairs: &str) -> bool {
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
    use super::{Weight, weight};

    #[test]
    fn a_control_has_its_weight() {
        for (control, expected) in [
            ("required", Weight::Required),
            ("Requisite", Weight::Required),
            ("[success=ok new_authtok_reqd=ok ignore=ignore default=bad]", Weight::Required),
            ("sufficient", Weight::Skips),
            ("[success=done default=ignore]", Weight::Skips),
            ("[success=1 default=ignore]", Weight::Skips),
            ("[success=ok default=reset]", Weight::Forgets),
            ("include", Weight::Skips),
            ("substack", Weight::Other),
            ("optional", Weight::Other),
            ("[success=ok default=ignore]", Weight::Other),
            ("[success=ok]", Weight::Other),
        ] {
            assert_eq!(weight(control), expected, "{control}");
        }
    }
}

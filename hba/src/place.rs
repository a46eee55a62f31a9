//! Where a line is, and short lists, as messages show them.

use std::fmt;

/// The topic of every finding about a line.
pub const TOPIC: &str = "pg_hba.conf";

/// A line of pg_hba.conf, or of a file that it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The number of the line in it.
    pub number: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {}", self.number, self.file)
    }
}

/// Returns the first items of a list, and how many more there are.
pub fn first_few(items: impl ExactSizeIterator<Item = String>, shown: usize) -> Vec<String> {
    let more = items.len().saturating_sub(shown);
    let others = (more > 0).then(|| format!("{more} others"));
    items.take(shown).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::first_few;

    #[test]
    fn what_is_left_out_is_counted() {
        let few = |count: usize| first_few((0..count).map(|item| item.to_string()), 2).join(", ");
        assert_eq!([few(0), few(1), few(2), few(4)], ["", "0", "0, 1", "0, 1, 2 others"]);
    }
}

//! The resource units by which Graph throttles.

use super::query::Question;
use super::record::Kind;

/// Returns what a request or an item of a batch costs.
pub(super) fn cost(kind: Kind, question: &Question) -> usize {
    let collection = question.path.first().map(String::as_str).unwrap_or_default();
    let full: usize = match kind {
        Kind::Batch | Kind::Other | Kind::Token | Kind::Identity => return 0,
        Kind::GetByIds | Kind::Members => 3,
        Kind::Membership => 4,
        Kind::Lookup if collection == "servicePrincipals" || collection == "applications" => 1,
        Kind::Lookup | Kind::Deleted => 2,
    };
    let option = |wanted: &str| question.options.iter().find(|(name, _)| name == wanted);
    let short = option("$top").and_then(|(_, value)| value.parse::<usize>().ok()).is_some_and(|top| top < 20);
    let reduction = usize::from(option("$select").is_some()) + usize::from(short);
    full.saturating_sub(reduction).max(1)
}

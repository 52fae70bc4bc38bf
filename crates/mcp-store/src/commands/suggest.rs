//! Hints about names that the file or database does not have.

use tower_mcp_store::query::{NameKind, Reader, RequestFilter};

use crate::error::CliError;
use crate::sanitize::escape_control;

/// The most names of a kind that are compared. Clients choose names, so there may be any
/// number.
pub(crate) const COMPARED: usize = 1_000;

/// The least similarity of a suggested name, from 0 to 1.
const SIMILAR: f64 = 0.7;

/// Writes to standard error which names of a filter the file does not have, with similar names.
/// Call it if the filter found nothing.
pub(crate) fn names(
    reader: &Reader,
    filter: &RequestFilter,
    is_empty: bool,
) -> Result<(), CliError> {
    names_of(
        |kind| Ok(reader.names(kind, "", COMPARED)?),
        filter,
        is_empty,
    )
}

/// Like [`names`], with the names that `read` returns.
pub(crate) fn names_of(
    mut read: impl FnMut(NameKind) -> Result<Vec<String>, CliError>,
    filter: &RequestFilter,
    is_empty: bool,
) -> Result<(), CliError> {
    if !is_empty {
        return Ok(());
    }
    for (kind, what, option, name) in [
        (NameKind::Tool, "tool", "--tool", &filter.tool),
        (NameKind::Method, "method", "--method", &filter.method),
        (NameKind::Server, "server", "--server", &filter.server_name),
        (NameKind::Client, "client", "--client", &filter.client),
        (
            NameKind::Principal,
            "principal",
            "--principal",
            &filter.principal,
        ),
    ] {
        let Some(name) = name.as_deref().filter(|name| !is_pattern(name)) else {
            continue;
        };
        let known = read(kind)?;
        if known.iter().any(|known| is_meant(kind, name, known)) {
            continue;
        }
        let mut text = format!("no {what} has the name {name}");
        if let Some(like) = closest(name, &known) {
            text.push_str(&format!("; did you mean {option} {like}?"));
        }
        eprintln!("{}", escape_control(&text));
    }
    Ok(())
}

/// Returns whether a name is a pattern.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn is_meant(kind: NameKind, name: &str, known: &str) -> bool {
    match kind {
        NameKind::Client => known.to_lowercase().starts_with(&name.to_lowercase()),
        _ => known == name,
    }
}

fn closest<'n>(name: &str, known: &'n [String]) -> Option<&'n str> {
    let name = name.to_lowercase();
    let similar = known.iter().map(|known| {
        let similarity = strsim::jaro_winkler(&name, &known.to_lowercase());
        (similarity, known.as_str())
    });
    let most = similar.max_by(|(a, _), (b, _)| a.total_cmp(b));
    most.filter(|(similarity, _)| *similarity >= SIMILAR)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn closest_name_is_suggested_only_if_it_is_similar() {
        let known = ["search_hotels", "search_flights", "book"].map(str::to_owned);
        assert_eq!(closest("serch_flights", &known), Some("search_flights"));
        assert_eq!(closest("Search", &known), Some("search_hotels"));
        assert_eq!(closest("weather", &known), None);
    }
}

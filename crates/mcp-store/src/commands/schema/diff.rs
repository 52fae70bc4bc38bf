//! `mcp-store schema --diff`: differences between two times.

use serde::Serialize;
use tower_mcp_store::query::{Comparison, Difference, Reader, SchemaFilter, Severity};

use crate::error::CliError;
use crate::output::{Align, Cell, Column, Output, Tone};

/// The first schema version that keeps earlier listings.
const HISTORY_SINCE: i64 = 5;

const COLUMNS: [Column; 8] = [
    Column::new("SEVERITY", Align::Left),
    Column::new("SERVER", Align::Cut).from(120),
    Column::new("UPSTREAM", Align::Cut).from(150),
    Column::new("METHOD", Align::Cut).from(100),
    Column::new("ITEM", Align::Cut),
    Column::new("MEMBER", Align::Cut),
    Column::new("BEFORE", Align::Cut),
    Column::new("AFTER", Align::Cut),
];

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    proxy: &'a str,
    upstream_url: &'a str,
    method: &'a str,
    old_hash: Option<&'a str>,
    new_hash: &'a str,
    #[serde(flatten)]
    difference: &'a Difference,
}

pub(super) fn run(
    reader: &Reader,
    filter: &SchemaFilter,
    (from, to): (i64, i64),
    output: &mut Output,
) -> Result<(), CliError> {
    if from > to {
        return Err(CliError::Message(
            "the earlier time must come first, as in --diff 7d 0s".to_owned(),
        ));
    }
    if reader.version() < HISTORY_SINCE {
        return Err(CliError::Message(format!(
            "a file of version {} does not keep what listings were before; \
             once it was opened for recording, it does from then on",
            reader.version()
        )));
    }
    let comparisons = reader.compare(filter, from, to)?;
    let mut lines: Vec<Line<'_>> = Vec::new();
    for comparison in &comparisons {
        lines.extend(
            comparison
                .differences
                .iter()
                .map(|one| line(comparison, one)),
        );
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.difference.severity));
    Ok(output.list(&lines, "differences", &COLUMNS, cells)?)
}

fn line<'a>(comparison: &'a Comparison, difference: &'a Difference) -> Line<'a> {
    Line {
        proxy: &comparison.proxy,
        upstream_url: &comparison.upstream_url,
        method: &comparison.method,
        old_hash: comparison.old_hash.as_deref(),
        new_hash: &comparison.new_hash,
        difference,
    }
}

fn cells(line: &Line<'_>) -> Vec<Cell> {
    let difference = line.difference;
    let tone = match difference.severity {
        Severity::Breaking => Tone::Bad,
        Severity::Compatible => Tone::Good,
        _ => Tone::Plain,
    };
    let path = Some(&difference.path).filter(|path| !path.is_empty());
    vec![
        Cell::toned(difference.severity.as_str(), tone),
        Cell::new(line.proxy),
        super::upstream(line.upstream_url),
        Cell::new(line.method),
        Cell::new(difference.item.as_deref().unwrap_or(line.method)),
        Cell::of(path, String::clone),
        Cell::of(difference.before.as_ref(), String::clone),
        Cell::of(difference.after.as_ref(), String::clone),
    ]
}

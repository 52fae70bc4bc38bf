//! `mcp-store schema`: the current listings.

use serde::Serialize;
use tower_mcp_store::query::{Reader, SchemaFilter, Snapshot};

use super::number;
use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Output, Tone};

const COLUMNS: [Column; 8] = [
    Column::new("SERVER", Align::Cut),
    Column::new("UPSTREAM", Align::Cut).from(110),
    Column::new("METHOD", Align::Cut),
    Column::new("ITEMS", Align::Right),
    Column::new("SIZE", Align::Right),
    Column::new("CAPTURED", Align::Moment),
    Column::new("STATE", Align::Left),
    Column::new("HASH", Align::Left),
];

/// How many characters of a hash are shown.
const HASH: usize = 8;

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    items: Option<usize>,
    bytes: usize,
}

pub(super) fn run(
    reader: &Reader,
    filter: &SchemaFilter,
    output: &mut Output,
) -> Result<(), CliError> {
    let snapshots = reader.snapshots(filter)?;
    let lines: Vec<Line<'_>> = snapshots.iter().map(line).collect();
    Ok(output.list(&lines, "listings", &COLUMNS, cells)?)
}

fn line(row: &Snapshot) -> Line<'_> {
    Line {
        snapshot: row,
        items: row.items(),
        bytes: row.payload.len(),
    }
}

fn cells(line: &Line<'_>) -> Vec<Cell> {
    let row = line.snapshot;
    let (state, tone) = match row.stale_since {
        None => ("current", Tone::Good),
        Some(_) => ("stale", Tone::Doubtful),
    };
    let hash: String = row.schema_hash.chars().take(HASH).collect();
    vec![
        Cell::new(&row.proxy),
        super::upstream(&row.upstream_url),
        Cell::new(&row.method),
        Cell::of(line.items, |items| output::count(number(items))),
        Cell::new(output::bytes(number(line.bytes))),
        Cell::second(row.captured_at),
        Cell::toned(state, tone),
        Cell::new(hash),
    ]
}

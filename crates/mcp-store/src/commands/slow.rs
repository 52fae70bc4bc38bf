//! `mcp-store slow`.

use std::path::Path;

use serde::Serialize;
use tower_mcp_store::query::{Reader, Request};

use super::logs::{self, Line};
use super::suggest;
use crate::args::Slow;
use crate::error::{self, CliError};
use crate::output::{Align, Cell, Column, Format, Output, Table};

/// Marks a slow request among its neighbours.
const MARK: &str = ">";

pub(crate) fn run(db: &Path, args: Slow, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let filter = super::filter(&reader, args.filters)?;
    let rows = reader.slow(&filter, args.limit)?;
    match args.context {
        Some(count) if !rows.is_empty() => in_context(&reader, &rows, count, output)?,
        _ => logs::write(output, &rows)?,
    }
    suggest::names(&reader, &filter, rows.is_empty())
}

/// A request as a record of JSON or CSV.
#[derive(Serialize)]
struct Neighbour<'a> {
    kind: &'static str,
    #[serde(flatten)]
    line: Line<'a>,
}

/// Writes each request between its neighbours, with an empty line between two groups.
fn in_context(
    reader: &Reader,
    slow: &[Request],
    count: usize,
    output: &mut Output,
) -> Result<(), CliError> {
    let groups = slow.iter().map(|of| reader.neighbours(of, count));
    let groups: Vec<Vec<Request>> = groups.collect::<Result<_, _>>()?;
    if output.format() != Format::Table {
        for (of, rows) in slow.iter().zip(&groups) {
            for row in rows {
                let kind = if row.id == of.id { "match" } else { "context" };
                let line = Line::of(row);
                output.record(&Neighbour { kind, line })?;
            }
        }
        return Ok(());
    }
    let all: Vec<Request> = groups.iter().flatten().cloned().collect();
    let mut columns = vec![Column::new("", Align::Left)];
    columns.extend(logs::columns(&all));
    let mut table = Table::new(&columns, output);
    for (place, (of, rows)) in slow.iter().zip(&groups).enumerate() {
        if place > 0 {
            output.line("")?;
        }
        let cells = rows.iter().map(|row| {
            let mark = if row.id == of.id { MARK } else { "" };
            let mut cells = vec![Cell::new(mark)];
            cells.extend(logs::cells(row));
            cells
        });
        table.write(output, &Vec::from_iter(cells))?;
    }
    Ok(())
}

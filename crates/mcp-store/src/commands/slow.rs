//! `mcp-store slow`.

use std::path::Path;

use serde::Serialize;
use tower_mcp_store::query::Request;

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
        Some(count) if !rows.is_empty() => {
            let groups = rows.iter().map(|of| reader.neighbours(of, count));
            let groups = groups.collect::<Result<Vec<_>, _>>()?;
            in_context(&rows, &groups, output, logs::row_number)?;
        }
        _ => logs::write(output, &rows, logs::row_number)?,
    }
    suggest::names(&reader, &filter, rows.is_empty())
}

/// A request as a record of JSON or CSV.
#[derive(Serialize)]
struct Neighbour<'a, R> {
    kind: &'static str,
    #[serde(flatten)]
    line: Line<'a, R>,
}

/// Writes each slow request between its neighbours, with an empty line between two groups.
pub(crate) fn in_context<R: AsRef<Request> + PartialEq + Serialize>(
    slow: &[R],
    groups: &[Vec<R>],
    output: &mut Output,
    name: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    if output.format() != Format::Table {
        for (of, rows) in slow.iter().zip(groups) {
            for row in rows {
                let kind = if row == of { "match" } else { "context" };
                let line = Line::of(row);
                output.record(&Neighbour { kind, line })?;
            }
        }
        return Ok(());
    }
    let mut columns = vec![Column::new("", Align::Left)];
    columns.extend(logs::columns(groups.iter().flatten().map(R::as_ref)));
    let mut table = Table::new(&columns, output);
    for (place, (of, rows)) in slow.iter().zip(groups).enumerate() {
        if place > 0 {
            output.line("")?;
        }
        let cells = rows.iter().map(|row| {
            let mark = if row == of { MARK } else { "" };
            let mut cells = vec![Cell::new(mark)];
            cells.extend(logs::cells(row.as_ref(), name(row)));
            cells
        });
        table.write(output, &Vec::from_iter(cells))?;
    }
    Ok(())
}

//! `mcp-store sql`.

use std::ops::ControlFlow;
use std::path::Path;

use serde::{Serialize, Serializer};
use tower_mcp_store::query::Value;

use crate::args::Sql;
use crate::error::{self, CliError};
use crate::output::{Cell, Column, Output, Table};

/// The bounds, in rows and in bytes, of a block of rows with common column widths.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;

pub(crate) fn run(db: &Path, args: &Sql, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let mut table = None;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut bytes = 0;
    let mut written = Ok(());
    reader.sql(&args.statement, |columns, values| {
        if output.is_json() {
            written = output.json(&Object(columns, &values));
        } else {
            let table = table.get_or_insert_with(|| {
                let columns: Vec<Column> = columns.iter().map(|name| Column::named(name)).collect();
                Table::new(&columns, output)
            });
            let row: Vec<Cell> = values.iter().map(cell).collect();
            bytes += row.iter().map(|cell| cell.text().len()).sum::<usize>();
            rows.push(row);
            if rows.len() == BATCH || bytes > BATCH_BYTES {
                written = table.write(output, &rows);
                rows.clear();
                bytes = 0;
            }
        }
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    written?;
    if let Some(table) = table.as_mut().filter(|_| !rows.is_empty()) {
        table.write(output, &rows)?;
    }
    Ok(())
}

/// Serialises a row as an object, in the order of its columns.
struct Object<'a>(&'a [String], &'a [Value]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::new("-"),
        Value::Integer(number) => Cell::new(number.to_string()),
        Value::Real(number) => Cell::new(number.to_string()),
        Value::Text(text) => Cell::new(text),
        Value::Blob(bytes) => Cell::new(format!("{} bytes", bytes.len())),
    }
}

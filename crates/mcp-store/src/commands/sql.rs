//! `mcp-store sql`.

mod rows;
mod statement;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Serialize, Serializer};
use tower_mcp_store::query::{Reader, Value};

use crate::args::Sql;
use crate::error::{self, CliError};
use crate::output::{Format, Output};
use rows::Rows;

pub(crate) fn run(db: &Path, args: &Sql, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let sql = statement::read(args)?;
    match output.format() {
        Format::Table => {
            let mut rows = Rows::default();
            query(&reader, &sql, |columns, values| {
                rows.add(output, columns, &values)
            })?;
            Ok(rows.end(output)?)
        }
        Format::Json => {
            let write =
                |columns: &[String], values: Vec<Value>| output.json(&Object(columns, &values));
            query(&reader, &sql, write).map(drop)
        }
        Format::Csv => {
            let mut has_rows = false;
            let columns = query(&reader, &sql, |columns, values| {
                if !has_rows {
                    output.csv(columns)?;
                    has_rows = true;
                }
                output.csv(values.iter().map(text))
            })?;
            if !has_rows {
                output.csv(columns)?;
            }
            Ok(())
        }
    }
}

/// Runs the statement, writes each row, and returns the names of the columns.
fn query(
    reader: &Reader,
    sql: &str,
    mut write: impl FnMut(&[String], Vec<Value>) -> io::Result<()>,
) -> Result<Vec<String>, CliError> {
    let mut written = Ok(());
    let columns = reader.sql(sql, |columns, values| {
        written = write(columns, values);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    let columns = columns.map_err(|error| statement::refused(sql, error))?;
    written?;
    Ok(columns)
}

/// Serialises a row as an object, in the order of its columns.
struct Object<'a>(&'a [String], &'a [Value]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

/// Formats a value for CSV: NULL is empty, and bytes are hexadecimal digits.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

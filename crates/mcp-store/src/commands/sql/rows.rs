//! Rows for a person: a table, or one line per field if the table does not fit.

use std::io;
use std::mem;

use tower_mcp_store::query::Value;

use crate::output::{Cell, Column, Fields, Output, Table};

/// The bounds, in rows and in bytes, of a block of rows with common column widths.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;

/// The rows of one statement. Once a block does not fit as a table, all later rows are written
/// one field per line.
#[derive(Debug, Default)]
pub(super) struct Rows {
    columns: Vec<String>,
    table: Option<Table>,
    is_by_field: bool,
    /// The rows of the current block, and their bytes.
    block: Vec<Vec<Cell>>,
    bytes: usize,
    /// How many rows were written.
    written: usize,
}

impl Rows {
    pub(super) fn add(
        &mut self,
        output: &mut Output,
        columns: &[String],
        values: &[Value],
    ) -> io::Result<()> {
        if self.columns.is_empty() {
            self.columns = columns.to_vec();
        }
        let row: Vec<Cell> = values.iter().map(cell).collect();
        self.bytes += row.iter().map(|cell| cell.text().len()).sum::<usize>();
        self.block.push(row);
        if self.block.len() < BATCH && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.write_block(output)
    }

    /// Writes the remaining rows.
    pub(super) fn end(mut self, output: &mut Output) -> io::Result<()> {
        if !self.block.is_empty() {
            return self.write_block(output);
        }
        if self.written == 0 {
            // It goes to standard error, because the answer is empty.
            eprintln!("no rows found");
        }
        Ok(())
    }

    fn write_block(&mut self, output: &mut Output) -> io::Result<()> {
        let block = mem::take(&mut self.block);
        self.bytes = 0;
        if !self.is_by_field {
            let table = self.table.get_or_insert_with(|| {
                let columns: Vec<Column> = self
                    .columns
                    .iter()
                    .map(|name| Column::named(name))
                    .collect();
                Table::new(&columns, output)
            });
            if table.fits(&block) {
                self.written += block.len();
                return table.write(output, &block);
            }
            self.is_by_field = true;
        }
        block
            .iter()
            .try_for_each(|row| self.write_fields(output, row))
    }

    fn write_fields(&mut self, output: &mut Output, row: &[Cell]) -> io::Result<()> {
        self.written += 1;
        output.line(&format!("-[ {} ]-", self.written))?;
        let mut fields = Fields::default();
        for (name, cell) in self.columns.iter().zip(row) {
            fields = fields.field(name.clone(), cell.text());
        }
        fields.write(output)
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

//! Standard output: tables, fields, JSON and CSV.

mod csv;
mod fields;
mod json;
mod record;
mod table;

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

use clap::{ColorChoice, ValueEnum};
use ratatui::crossterm::cursor::MoveTo;
use ratatui::crossterm::terminal::{self, Clear, ClearType};
use serde::Serialize;

pub(crate) use fields::Fields;
pub(crate) use mcp_store_text::numbers::{bytes, count, percent};
pub(crate) use table::{Align, CUT, Cell, Column, Table, Tone, padded};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    /// One object per line
    Json,
    /// With a header
    Csv,
}

/// Standard output, with its format and width.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    format: Format,
    colored: bool,
    /// The last header of CSV.
    header: Option<Vec<String>>,
}

impl Output {
    pub(crate) fn new(format: Format, color: ColorChoice) -> Self {
        let colored = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
            }
        };
        Self {
            stdout: BufWriter::new(io::stdout()),
            format,
            colored,
            header: None,
        }
    }

    /// Returns whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn is_colored(&self) -> bool {
        self.colored
    }

    /// Returns a text in the colour of a tone, if the output is coloured.
    pub(crate) fn colored(&self, text: &str, tone: Tone) -> String {
        match self.colored {
            true => tone.of(text),
            false => text.to_owned(),
        }
    }

    /// Writes one object as one line.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> io::Result<()> {
        object.serialize(&mut json::serializer(&mut self.stdout))?;
        self.stdout.write_all(b"\n")
    }

    /// Writes a record with its times in UTC, as one object or as one line of CSV, after a
    /// header if it is the first one with these fields.
    pub(crate) fn record(&mut self, record: &impl Serialize) -> io::Result<()> {
        let record = record::with_times(record)?;
        if self.format != Format::Csv {
            return self.json(&record);
        }
        let names: Vec<String> = record.keys().cloned().collect();
        if self.header.as_ref() != Some(&names) {
            self.csv(&names)?;
            self.header = Some(names);
        }
        self.csv(record.values().map(record::text))
    }

    /// Returns one object as one line, without its end.
    pub(crate) fn json_line(object: &impl Serialize) -> io::Result<String> {
        let mut line = Vec::new();
        object.serialize(&mut json::serializer(&mut line))?;
        String::from_utf8(line).map_err(io::Error::other)
    }

    /// Writes one record of CSV.
    pub(crate) fn csv<T: AsRef<str>>(
        &mut self,
        fields: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        self.stdout.write_all(&csv::record(fields)?)
    }

    /// Clears the terminal, if tables are written to one.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.format != Format::Table || !io::stdout().is_terminal() {
            return Ok(());
        }
        let (all, first) = (Clear(ClearType::All), MoveTo(0, 0));
        ratatui::crossterm::queue!(self.stdout, all, first)
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }

    /// Writes records, each as an object or as a row of a table.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        found: &[T],
        things: &str,
        columns: &[Column],
        cells: fn(&T) -> Vec<Cell>,
    ) -> io::Result<()> {
        if self.format != Format::Table {
            return found.iter().try_for_each(|one| self.record(one));
        }
        let rows: Vec<Vec<Cell>> = found.iter().map(cells).collect();
        self.table(columns, &rows, things)
    }

    /// Writes a table, or a message to standard error if it would be empty.
    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: &[Vec<Cell>],
        things: &str,
    ) -> io::Result<()> {
        if rows.is_empty() {
            // On standard error, because the answer is empty.
            eprintln!("no {things} found");
            return Ok(());
        }
        Table::new(columns, self).write(self, rows)
    }

    /// Returns how many characters a line holds: the value of `COLUMNS`, or the width of the
    /// terminal. Lines of other outputs are unbounded.
    pub(crate) fn width(&self) -> Option<u16> {
        let terminal = || Some(terminal::size().ok()?.0);
        let told = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = if io::stdout().is_terminal() {
            terminal().or_else(told)
        } else {
            told()
        };
        width.filter(|width| *width > 0)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

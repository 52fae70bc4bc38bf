//! `mcp-store schema --weight` and `--unused`: the size of definitions, and tools without calls.

use std::io::Write as _;

use serde::Serialize;
use tower_mcp_store::query::{Reader, SchemaFilter, Tool, Usage};

use super::number;
use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Format, Output, Table, Tone};

const COLUMNS: [Column; 6] = [
    Column::new("TOOL", Align::Cut),
    Column::new("SERVER", Align::Cut),
    Column::new("UPSTREAM", Align::Cut).from(110),
    Column::new("SIZE", Align::Right),
    Column::new("TOKENS", Align::Right),
    Column::new("USED", Align::Left),
];

/// The tools to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Tools without calls in the window.
    Unused,
}

/// The size of several definitions together.
#[derive(Default, Serialize)]
struct Total {
    tools: usize,
    bytes: usize,
    estimated_tokens: usize,
}

/// One line of JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Tool(&'a Tool),
    Total(Total),
}

pub(super) fn run(
    reader: &Reader,
    filter: &SchemaFilter,
    which: Which,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut tools = reader.tools(filter)?;
    let listed = tools.len();
    let is_unknown = |tool: &&Tool| tool.usage == Usage::Unknown;
    let unknown = tools.iter().filter(is_unknown).count();
    tools.retain(|tool| which == Which::All || tool.usage == Usage::Uncalled);
    let mut total = Total::default();
    for tool in &tools {
        total.tools += 1;
        total.bytes += tool.bytes;
        total.estimated_tokens += tool.estimated_tokens;
    }
    if output.format() != Format::Table {
        // The total has other fields, so CSV has none.
        let total = (output.format() == Format::Json).then_some(Line::Total(total));
        let mut lines = tools.iter().map(Line::Tool).chain(total);
        return Ok(lines.try_for_each(|line| output.record(&line))?);
    }
    if tools.is_empty() {
        // It goes to standard error, because the answer is empty.
        match listed {
            0 => eprintln!("no tools found"),
            _ if unknown > 0 => eprintln!("no listed tool is known to have no calls"),
            1 => eprintln!("the only listed tool was called"),
            _ => eprintln!("all {listed} listed tools were called"),
        }
        tell(unknown);
        return Ok(());
    }
    let mut rows: Vec<Vec<Cell>> = tools.iter().map(cells).collect();
    rows.push(vec![
        Cell::new(format!("total of {}", output::count(number(total.tools)))),
        Cell::new(""),
        Cell::new(""),
        Cell::new(output::bytes(number(total.bytes))),
        Cell::new(output::count(number(total.estimated_tokens))),
        Cell::new(""),
    ]);
    Table::new(&COLUMNS, output).write(output, &rows)?;
    output.flush()?;
    // Notes about the table go to standard error, so that a program reads only the table.
    eprintln!("\ntokens are estimated: one for four bytes of JSON");
    tell(unknown);
    Ok(())
}

/// Says how many tools may have been called: their calls may be counted as (other).
fn tell(unknown: usize) {
    if unknown > 0 {
        let unknown = output::count(number(unknown));
        eprintln!("these tools may have calls that are counted only as (other): {unknown}");
    }
}

fn cells(tool: &Tool) -> Vec<Cell> {
    let (used, tone) = match tool.usage {
        Usage::Called => ("yes", Tone::Plain),
        Usage::Uncalled => ("no", Tone::Doubtful),
        _ => ("?", Tone::Doubtful),
    };
    vec![
        Cell::new(&tool.name),
        Cell::new(&tool.proxy),
        super::upstream(&tool.upstream_url),
        Cell::new(output::bytes(number(tool.bytes))),
        Cell::new(output::count(number(tool.estimated_tokens))),
        Cell::toned(used, tone),
    ]
}

//! `mcp-store schema --changes`: changes of listings, and the calls of tools before and after.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tower_mcp_store::query::{CallStats, ChangeImpact, Reader, SchemaChange, SchemaFilter};

use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Format, Output, Tone};
use crate::time;

/// The time before and after a change in which calls are counted.
const SPAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const COLUMNS: [Column; 9] = [
    Column::new("TIME", Align::Moment),
    Column::new("SERVER", Align::Cut).from(100),
    Column::new("UPSTREAM", Align::Cut).from(150),
    Column::new("METHOD", Align::Cut).from(120),
    Column::new("CHANGE", Align::Cut),
    Column::new("ITEM", Align::Cut),
    Column::new("CALLS", Align::Left).from(130),
    Column::new("FAILED", Align::Left),
    Column::new("P95", Align::Left),
];

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    change: &'a SchemaChange,
    before: Option<&'a CallStats>,
    after: Option<&'a CallStats>,
}

pub(super) fn run(
    reader: &Reader,
    filter: &SchemaFilter,
    tail: usize,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut rows = reader.schema_changes(filter, tail)?;
    rows.reverse();
    let impacts = impacts(reader, filter, &rows)?;
    if output.format() != Format::Table {
        for change in &rows {
            let impact = impacts.get(&change.id);
            output.record(&Line {
                change,
                before: impact.map(|impact| &impact.before),
                after: impact.map(|impact| &impact.after),
            })?;
        }
        return Ok(());
    }
    let cells = rows.iter().map(|row| cells(row, impacts.get(&row.id)));
    let cells: Vec<Vec<Cell>> = cells.collect();
    Ok(output.table(&COLUMNS, &cells, "changes")?)
}

/// Returns the impacts of changes that are sorted by time.
fn impacts(
    reader: &Reader,
    filter: &SchemaFilter,
    changes: &[SchemaChange],
) -> Result<HashMap<i64, ChangeImpact>, CliError> {
    let of_tools =
        |change: &SchemaChange| change.method == "tools/list" && change.item_name.is_some();
    let count = changes.iter().filter(|change| of_tools(change)).count();
    if count == 0 {
        return Ok(HashMap::new());
    }
    let impacts = reader.change_impacts(filter, SPAN, count)?;
    Ok(impacts
        .into_iter()
        .filter(|impact| impact.before.calls + impact.after.calls > 0)
        .map(|impact| (impact.change.id, impact))
        .collect())
}

fn cells(row: &SchemaChange, impact: Option<&ChangeImpact>) -> Vec<Cell> {
    let failed = |of: &CallStats| {
        let failed = of.errors.saturating_add(of.tool_errors);
        (of.calls > 0).then(|| output::percent(failed, of.calls))
    };
    let p95 = |of: &CallStats| of.p95_us.map(time::latency);
    let calls = |of: &CallStats| Some(output::count(of.calls));
    let worse = impact.and_then(ChangeImpact::failure_rate_delta);
    let tone = match worse {
        Some(delta) if delta > 0.0 => Tone::Bad,
        _ => Tone::Plain,
    };
    vec![
        Cell::second(row.detected_at),
        Cell::new(&row.proxy),
        super::upstream(&row.upstream_url),
        Cell::new(&row.method),
        Cell::new(&row.change_type),
        // A change of the listing itself concerns no item.
        Cell::new(row.item_name.as_ref().unwrap_or(&row.method)),
        Cell::new(step(impact, calls)),
        Cell::toned(step(impact, failed), tone),
        Cell::new(step(impact, p95)),
    ]
}

/// Returns a figure before and after, or an empty text if a change has no figures.
fn step(impact: Option<&ChangeImpact>, figure: impl Fn(&CallStats) -> Option<String>) -> String {
    let Some(impact) = impact else {
        return String::new();
    };
    let shown = |of| figure(of).unwrap_or_else(|| "-".to_owned());
    format!("{} → {}", shown(&impact.before), shown(&impact.after))
}

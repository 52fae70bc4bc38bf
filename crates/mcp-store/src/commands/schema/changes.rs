//! `mcp-store schema --changes`: changes of listings, and the calls of tools before and after.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tower_mcp_store::query::{Effect, Figures, Reader, SchemaChange, SchemaFilter, Window};

use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Output, Tone};
use crate::time;

/// How long before and after a change calls are counted.
const SPAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const COLUMNS: [Column; 9] = [
    Column::new("TIME", Align::Moment),
    Column::new("PROXY", Align::Cut).from(100),
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
    before: Option<&'a Figures>,
    after: Option<&'a Figures>,
}

pub(super) fn run(
    reader: &Reader,
    filter: &SchemaFilter,
    window: Window,
    tail: usize,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut rows = reader.schema_changes(filter, window, tail)?;
    rows.reverse();
    let effects = effects(reader, filter, window, &rows)?;
    if output.is_json() {
        for change in &rows {
            let effect = effects.get(&change.id);
            output.json(&Line {
                change,
                before: effect.map(|effect| &effect.before),
                after: effect.map(|effect| &effect.after),
            })?;
        }
        return Ok(());
    }
    let cells = rows.iter().map(|row| cells(row, effects.get(&row.id)));
    let cells: Vec<Vec<Cell>> = cells.collect();
    Ok(output.table(&COLUMNS, &cells, "changes")?)
}

/// Returns the effects of changes that are sorted by time.
fn effects(
    reader: &Reader,
    filter: &SchemaFilter,
    window: Window,
    changes: &[SchemaChange],
) -> Result<HashMap<i64, Effect>, CliError> {
    let of_tools =
        |change: &SchemaChange| change.method == "tools/list" && change.item_name.is_some();
    let count = changes.iter().filter(|change| of_tools(change)).count();
    if count == 0 {
        return Ok(HashMap::new());
    }
    let effects = reader.effects(filter, window, SPAN, count)?;
    Ok(effects
        .into_iter()
        .filter(|effect| effect.before.calls + effect.after.calls > 0)
        .map(|effect| (effect.change.id, effect))
        .collect())
}

fn cells(row: &SchemaChange, effect: Option<&Effect>) -> Vec<Cell> {
    let failed = |of: &Figures| {
        let failed = of.errors.saturating_add(of.tool_errors);
        (of.calls > 0).then(|| output::percent(failed, of.calls))
    };
    let p95 = |of: &Figures| of.p95_us.map(time::latency);
    let calls = |of: &Figures| Some(output::count(of.calls));
    let worse = effect.and_then(Effect::failure_rate_delta);
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
        Cell::new(step(effect, calls)),
        Cell::toned(step(effect, failed), tone),
        Cell::new(step(effect, p95)),
    ]
}

/// Returns a figure before and after, or an empty text if a change has no figures.
fn step(effect: Option<&Effect>, figure: impl Fn(&Figures) -> Option<String>) -> String {
    let Some(effect) = effect else {
        return String::new();
    };
    let shown = |of| figure(of).unwrap_or_else(|| "-".to_owned());
    format!("{} → {}", shown(&effect.before), shown(&effect.after))
}

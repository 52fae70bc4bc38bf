//! Counts by chosen names, from the requests that were not removed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::Write as _;

use serde_json::{Map, Value, json};
use tower_mcp_store::query::{Breakdown, GroupBy, RequestFilter};

use super::describe;
use crate::args::{By, Sort};
use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Format, Output, Tone};
use crate::time;

const FIGURES: [Column; 11] = [
    Column::new("CALLS", Align::Right),
    Column::new("REQUESTS", Align::Right).from(100),
    Column::new("FAILED", Align::Right),
    Column::new("ERRORS", Align::Right).from(100),
    Column::new("TIMEOUTS", Align::Right).from(120),
    Column::new("TOOL ERR", Align::Right).from(100),
    Column::new("CALLER ERR", Align::Right).from(120),
    Column::new("GONE", Align::Right).from(120),
    Column::new("P50", Align::Right),
    Column::new("P95", Align::Right),
    Column::new("MAX", Align::Right),
];

/// Writes counts by these names. `count` counts the requests that a filter takes.
pub(crate) fn run(
    count: impl FnOnce(&RequestFilter, &[GroupBy]) -> Result<Vec<Breakdown>, CliError>,
    filter: &RequestFilter,
    by: &[By],
    sort: Option<Sort>,
    limit: usize,
    output: &mut Output,
) -> Result<(), CliError> {
    let by = match by {
        [] => &[By::Method, By::Tool],
        by => by,
    };
    let mut filter = filter.clone();
    if by.contains(&By::Tool) && !by.contains(&By::Method) && filter.method.is_none() {
        // Requests of other methods have no tool.
        filter.method = Some(super::TOOLS_CALL.to_owned());
    }
    let filter = &filter;
    let group_by: Vec<GroupBy> = by
        .iter()
        .map(|by| group_by(*by, filter))
        .collect::<Result<_, _>>()?;
    let mut groups = count(filter, &group_by)?;
    let by_time = matches!(by[0], By::Hour | By::Day);
    let sort = sort.unwrap_or(if by_time { Sort::Name } else { Sort::Calls });
    sort_by(&mut groups, sort);
    groups.truncate(limit);
    if output.format() != Format::Table {
        let mut records = groups.iter().map(|group| record(by, group));
        return Ok(records.try_for_each(|record| output.record(&record))?);
    }
    let columns: Vec<Column> = by.iter().map(|by| column(*by)).chain(FIGURES).collect();
    let rows: Vec<Vec<Cell>> = groups.iter().map(|group| cells(by, group)).collect();
    output.table(&columns, &rows, "requests")?;
    output.flush()?;
    eprintln!(
        "\n{}\ncounted from the requests that were not removed; percentiles are within half a percent",
        describe(filter.window)
    );
    Ok(())
}

fn group_by(by: By, filter: &RequestFilter) -> Result<GroupBy, CliError> {
    Ok(match by {
        By::Tool => GroupBy::Tool,
        By::Method => GroupBy::Method,
        By::Server => GroupBy::Server,
        By::Client => GroupBy::Client,
        By::Principal => GroupBy::Principal,
        By::Protocol => GroupBy::Protocol,
        By::Outcome => GroupBy::Outcome,
        By::Reason => GroupBy::Reason,
        By::Hour | By::Day => {
            let until = filter.window.until.min(time::now());
            let starts = time::starts(filter.window.since, until, by == By::Day);
            GroupBy::Time(starts.ok_or_else(|| {
                CliError::Message("too many hours or days; use a later --since".to_owned())
            })?)
        }
    })
}

fn failed(group: &Breakdown) -> i64 {
    group.errors + group.timeouts + group.tool_errors + group.caller_errors + group.gone
}

/// Sorts groups. Groups with the same first name stay together, and are placed by the sum of their
/// counts, or by their highest latency: with `--by tool,client`, the tool with the most failures
/// over all its clients comes first.
fn sort_by(groups: &mut [Breakdown], sort: Sort) {
    let mut of_first: HashMap<Option<String>, Figures> = HashMap::new();
    for group in &*groups {
        let first = group.keys.first().cloned().flatten();
        of_first.entry(first).or_default().add(group);
    }
    groups.sort_by_cached_key(|group| {
        let first = group.keys.first().cloned().flatten();
        let together = of_first.get(&first).map(|figures| figures.place(sort));
        let mut alone = Figures::default();
        alone.add(group);
        let keys = group.keys.clone();
        (together, first, alone.place(sort), keys)
    });
}

/// The figures by which groups are sorted, of one group or of several.
#[derive(Default)]
struct Figures {
    calls: i64,
    failed: i64,
    /// The highest of the groups.
    p50_us: Option<i64>,
    p95_us: Option<i64>,
    max_us: Option<i64>,
}

impl Figures {
    fn add(&mut self, group: &Breakdown) {
        self.calls += group.calls;
        self.failed += failed(group);
        self.p50_us = self.p50_us.max(group.p50_us);
        self.p95_us = self.p95_us.max(group.p95_us);
        self.max_us = self.max_us.max(group.max_us);
    }

    /// Returns the place in the order: the lowest comes first.
    fn place(&self, sort: Sort) -> Reverse<Option<i64>> {
        Reverse(match sort {
            Sort::Calls => Some(self.calls),
            Sort::Errors => Some(self.failed),
            Sort::P50 => self.p50_us,
            Sort::P95 => self.p95_us,
            Sort::Max => self.max_us,
            Sort::Name => None,
        })
    }
}

fn column(by: By) -> Column {
    match by {
        By::Tool => Column::new("TOOL", Align::Cut),
        By::Method => Column::new("METHOD", Align::Cut),
        By::Server => Column::new("SERVER", Align::Cut),
        By::Client => Column::new("CLIENT", Align::Cut),
        By::Principal => Column::new("PRINCIPAL", Align::Cut),
        By::Protocol => Column::new("PROTOCOL", Align::Cut),
        By::Outcome => Column::new("OUTCOME", Align::Left),
        By::Reason => Column::new("REASON", Align::Cut),
        By::Hour => Column::new("HOUR", Align::Left),
        By::Day => Column::new("DAY", Align::Left),
    }
}

fn cells(by: &[By], group: &Breakdown) -> Vec<Cell> {
    let mut cells: Vec<Cell> = by
        .iter()
        .zip(&group.keys)
        .map(|(by, key)| {
            let time = |format: fn(i64) -> String| key.as_ref()?.parse().ok().map(format);
            match by {
                By::Hour => Cell::of(time(time::local_minute), |time| time),
                By::Day => Cell::of(time(time::local_day), |time| time),
                _ => Cell::of(key.as_ref(), String::clone),
            }
        })
        .collect();
    let share = |count, tone| {
        let tone = if count > 0 { tone } else { Tone::Plain };
        Cell::toned(output::percent(count, group.requests), tone)
    };
    cells.extend([
        Cell::new(output::count(group.calls)),
        Cell::new(output::count(group.requests)),
        share(failed(group), Tone::Bad),
        share(group.errors, Tone::Bad),
        share(group.timeouts, Tone::Bad),
        share(group.tool_errors, Tone::Doubtful),
        share(group.caller_errors, Tone::Doubtful),
        share(group.gone, Tone::Doubtful),
        Cell::of(group.p50_us, time::latency),
        Cell::of(group.p95_us, time::latency),
        Cell::of(group.max_us, time::latency),
    ]);
    cells
}

/// Returns a group as a record of JSON or CSV.
fn record(by: &[By], group: &Breakdown) -> Map<String, Value> {
    let mut record = Map::new();
    record.insert("kind".to_owned(), "group".into());
    for (by, key) in by.iter().zip(&group.keys) {
        let name = match by {
            By::Tool => "tool",
            By::Method => "method",
            By::Server => "proxy",
            By::Client => "client_name",
            By::Principal => "principal",
            By::Protocol => "protocol_version",
            By::Outcome => "outcome",
            By::Reason => "reason",
            By::Hour => "hour_ts",
            By::Day => "day_ts",
        };
        let value = match by {
            By::Hour | By::Day => json!(key.as_ref().and_then(|key| key.parse::<i64>().ok())),
            _ => json!(key),
        };
        record.insert(name.to_owned(), value);
    }
    for (name, figure) in [
        ("calls", Some(group.calls)),
        ("requests", Some(group.requests)),
        ("failed", Some(failed(group))),
        ("errors", Some(group.errors)),
        ("timeouts", Some(group.timeouts)),
        ("tool_errors", Some(group.tool_errors)),
        ("caller_errors", Some(group.caller_errors)),
        ("gone", Some(group.gone)),
        ("p50_us", group.p50_us),
        ("p95_us", group.p95_us),
        ("p99_us", group.p99_us),
        ("max_us", group.max_us),
    ] {
        record.insert(name.to_owned(), json!(figure));
    }
    record
}

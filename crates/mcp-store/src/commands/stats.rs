//! `mcp-store stats`.

pub(crate) mod groups;
mod plot;

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use tower_mcp_store::query::{
    CallStats, Group, Loss, Percentiles, Request, RequestFilter, StatsFilter, StatsReport, Window,
};

use super::suggest;
use crate::args::{self, By, Sort};
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Format, Output, Table, Tone};
use crate::sanitize::escape_control;
use crate::time;

/// The method whose requests have a tool.
const TOOLS_CALL: &str = "tools/call";

/// How many losses have a line of their own.
const LOSSES_SHOWN: usize = 10;

const COLUMNS: [Column; 16] = [
    Column::new("METHOD", Align::Cut),
    Column::new("TOOL", Align::Cut),
    Column::new("CALLS", Align::Right),
    Column::new("ERRORS", Align::Right),
    Column::new("TIMEOUTS", Align::Right).from(120),
    Column::new("TOOL ERR", Align::Right),
    Column::new("CALLER ERR", Align::Right).from(140),
    Column::new("GONE", Align::Right).from(140),
    Column::new("OPEN", Align::Right).from(100),
    Column::new("P50", Align::Right),
    Column::new("P95", Align::Right),
    Column::new("P99", Align::Right).from(100),
    Column::new("MAX", Align::Right).from(90),
    Column::new("WALL P95", Align::Right).from(140),
    Column::new("IN", Align::Right).from(120),
    Column::new("OUT", Align::Right).from(120),
];

/// One line of JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Group(&'a Group),
    Total {
        #[serde(flatten)]
        window: Window,
        percentiles: Percentiles,
        other_calls: i64,
        polls: Window,
        #[serde(flatten)]
        figures: &'a CallStats,
    },
    Loss(&'a Loss),
}

pub(crate) fn run(db: &Path, args: args::Stats, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let window = args.window()?;
    let mut filter = super::filter(&reader, args.filters)?;
    filter.window = window;
    let (by, sort, limit) = (each_once(args.by), args.sort, args.limit);
    if args.plot {
        plot::run(&reader, &filter, output)?;
        if output.format() != Format::Table {
            return Ok(());
        }
    }
    match plain(&filter, &by) {
        Some(plain) => {
            let mut stats = reader.stats(&plain)?;
            arrange(&mut stats.groups, sort, limit);
            let newest = || Ok(reader.requests(&RequestFilter::default(), 1, None)?.pop());
            whole(newest, &plain, &stats, output)?;
        }
        None => {
            let count = |filter: &_, by: &_| Ok(reader.breakdown(filter, by)?);
            groups::run(count, &filter, &by, sort, limit, output)?;
        }
    }
    let found = reader.requests(&filter, 1, None)?;
    suggest::names(&reader, &filter, found.is_empty())
}

/// Removes names that were given before.
pub(crate) fn each_once(mut by: Vec<By>) -> Vec<By> {
    let mut named = Vec::new();
    by.retain(|by| {
        let is_new = !named.contains(by);
        named.push(*by);
        is_new
    });
    by
}

/// Returns the filter of statistics that also count removed requests, if these have all
/// conditions and are grouped like this.
pub(crate) fn plain(filter: &RequestFilter, by: &[By]) -> Option<StatsFilter> {
    let mut plain = StatsFilter::new().window(filter.window);
    plain.server_name.clone_from(&filter.server_name);
    plain.method.clone_from(&filter.method);
    plain.tool.clone_from(&filter.tool);
    let mut same = RequestFilter::new().window(filter.window);
    same.server_name.clone_from(&filter.server_name);
    same.method.clone_from(&filter.method);
    same.tool.clone_from(&filter.tool);
    let names = [&filter.method, &filter.tool];
    let has_pattern = names
        .into_iter()
        .flatten()
        .any(|name| suggest::is_pattern(name));
    match by {
        [] => {}
        [By::Tool] if plain.method.is_none() => plain.method = Some(TOOLS_CALL.to_owned()),
        _ => return None,
    }
    (same == *filter && !has_pattern).then_some(plain)
}

/// Writes statistics of each method and tool. The newest request is looked up if there are none.
pub(crate) fn whole(
    newest: impl FnOnce() -> Result<Option<Request>, CliError>,
    filter: &StatsFilter,
    stats: &StatsReport,
    output: &mut Output,
) -> Result<(), CliError> {
    if output.format() != Format::Table {
        return write_records(stats, output);
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for group in &stats.groups {
        let tool = group.tool.as_deref().unwrap_or("-");
        rows.push(cells(&group.method, tool, &group.figures));
    }
    rows.push(cells("total", "", &stats.total));
    Table::new(&COLUMNS, output).write(output, &rows)?;
    output.flush()?;
    // Notes about the table go to standard error, so that a program reads only the table.
    eprintln!("\n{}", describe(stats.window));
    if stats.window != filter.window {
        eprintln!("{}", widened(stats));
    }
    if stats.polls != stats.window {
        let window = describe(stats.polls);
        eprintln!("polls and pings are counted in whole hours or days, {window}");
    }
    eprintln!("{}", percentiles(stats.percentiles));
    if stats.other_calls > 0 {
        let calls = output::count(stats.other_calls);
        eprintln!("up to {calls} more calls are counted only as (other), without their tool");
    }
    for line in loss_lines(&stats.losses) {
        eprintln!("{line}");
    }
    let newest = match stats.total.calls {
        0 => newest()?,
        _ => None,
    };
    if let Some(newest) = newest.filter(|newest| newest.ts < filter.window.since) {
        let newest = time::local_second(newest.ts);
        eprintln!("the newest request is from {newest}; use --since to look further back");
    }
    Ok(())
}

/// Sorts groups, and leaves out those after the first `limit`.
pub(crate) fn arrange(groups: &mut Vec<Group>, sort: Option<Sort>, limit: usize) {
    sort_by(groups, sort.unwrap_or(Sort::Calls));
    groups.truncate(limit);
}

fn sort_by(groups: &mut [Group], sort: Sort) {
    let failed = |group: &Group| {
        let of = &group.figures;
        of.errors + of.tool_errors + of.caller_errors + of.gone
    };
    groups.sort_by(|a, b| match sort {
        Sort::Calls => b.figures.calls.cmp(&a.figures.calls),
        Sort::Errors => failed(b).cmp(&failed(a)),
        Sort::P50 => b.figures.p50_us.cmp(&a.figures.p50_us),
        Sort::P95 => b.figures.p95_us.cmp(&a.figures.p95_us),
        Sort::Max => b.figures.max_us.cmp(&a.figures.max_us),
        Sort::Name => (&a.method, &a.tool).cmp(&(&b.method, &b.tool)),
    });
}

/// Writes groups. JSON also has the total and what is missing, which have other fields.
fn write_records(stats: &StatsReport, output: &mut Output) -> Result<(), CliError> {
    for group in &stats.groups {
        output.record(&Line::Group(group))?;
    }
    if output.format() == Format::Csv {
        return Ok(());
    }
    output.record(&Line::Total {
        window: stats.window,
        percentiles: stats.percentiles,
        other_calls: stats.other_calls,
        polls: stats.polls,
        figures: &stats.total,
    })?;
    for loss in &stats.losses {
        output.record(&Line::Loss(loss))?;
    }
    Ok(())
}

fn cells(method: &str, tool: &str, figures: &CallStats) -> Vec<Cell> {
    let part = |count, tone| {
        let tone = if count > 0 { tone } else { Tone::Plain };
        Cell::toned(output::percent(count, figures.calls), tone)
    };
    vec![
        Cell::new(method),
        Cell::new(tool),
        Cell::new(output::count(figures.calls)),
        part(figures.errors, Tone::Bad),
        part(figures.timeouts, Tone::Bad),
        part(figures.tool_errors, Tone::Doubtful),
        part(figures.caller_errors, Tone::Doubtful),
        part(figures.gone, Tone::Doubtful),
        Cell::new(output::count(figures.open)),
        Cell::of(figures.p50_us, time::latency),
        Cell::of(figures.p95_us, time::latency),
        Cell::of(figures.p99_us, time::latency),
        Cell::of(figures.max_us, time::latency),
        Cell::of(figures.wall_p95_us, time::latency),
        Cell::new(output::bytes(figures.bytes_in)),
        Cell::new(output::bytes(figures.bytes_out)),
    ]
}

fn describe(window: Window) -> String {
    let since = time::local_second(window.since);
    if window.until == i64::MAX {
        format!("since {since}")
    } else {
        format!("from {since} to {}", time::local_second(window.until))
    }
}

/// Returns why the window differs from the requested one.
fn widened(stats: &StatsReport) -> &'static str {
    let window = stats.window;
    if window.since >= window.until {
        "all records of that time were removed"
    } else if stats.percentiles == Percentiles::Exact {
        // Only requests are counted, so the window begins with the first ones.
        "there are no records of the time before"
    } else {
        "the requests of that time were removed; these are counts of whole hours and days (UTC)"
    }
}

fn percentiles(percentiles: Percentiles) -> String {
    match percentiles {
        Percentiles::Exact => "percentiles are exact".to_owned(),
        Percentiles::Estimated { error } => {
            let percent = error * 100.0;
            format!("percentiles are estimated, within {percent:.1} % of the exact ones")
        }
        other => format!("percentiles: {other:?}"),
    }
}

/// Returns a line for each of the newest losses, after a line for all older ones. A server that
/// is often killed has many, which would push the answer off the screen.
pub(crate) fn loss_lines(losses: &[Loss]) -> Vec<String> {
    let (older, newest) = losses.split_at(losses.len().saturating_sub(LOSSES_SHOWN));
    let summary = older.first().map(|first| {
        format!(
            "missing at {} earlier times, the first from {}",
            output::count(i64::try_from(older.len()).unwrap_or(i64::MAX)),
            time::local_second(first.from_ts)
        )
    });
    summary
        .into_iter()
        .chain(newest.iter().map(format_loss))
        .collect()
}

/// Returns a loss as one line.
fn format_loss(loss: &Loss) -> String {
    let (from, to) = (
        time::local_second(loss.from_ts),
        time::local_second(loss.to_ts),
    );
    let how_many = loss
        .dropped
        .map_or("an unknown number of".to_owned(), output::count);
    format!(
        "missing from {from} to {to}: {how_many} events ({})",
        escape_control(loss.reason.as_str())
    )
}

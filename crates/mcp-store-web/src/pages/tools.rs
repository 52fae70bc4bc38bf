//! All tools: their calls, their definitions and whether they are used.

use std::collections::HashMap;

use maud::{Markup, html};
use tower_mcp_store::query::{Reader, RequestFilter, SchemaFilter, Tool, Usage, Window};

use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::summary::{Figures, Group, Summary, TOOLS_CALL};
use crate::view::{Name, Own, View};

/// The most tools that are shown. Clients choose names, so there may be any number.
const ROWS: usize = 300;

const COLUMNS: [Column; 14] = [
    Column::text("Tool"),
    Column::number("Calls"),
    Column::number("Failed"),
    Column::number("p50"),
    Column::number("p95"),
    Column::number("p99"),
    Column::number("p50 of each half"),
    Column::number("Errors"),
    Column::number("Tool errors"),
    Column::number("Caller errors"),
    Column::number("Gone"),
    Column::number("Open"),
    Column::number("Tokens"),
    Column::text("Used"),
];

/// The order of the tools. The words are those of `mcp-store stats --sort`, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Calls,
    /// By the share of calls that failed.
    Errors,
    P50,
    P95,
    /// By how much slower the second half of the range was than the first.
    Slower,
    Name,
}

impl Sort {
    const ALL: [Self; 6] = [
        Self::Calls,
        Self::Errors,
        Self::P50,
        Self::P95,
        Self::Slower,
        Self::Name,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Errors => "errors",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Slower => "slower",
            Self::Name => "name",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Errors => "share that failed",
            Self::P50 => "median",
            Self::P95 => "p95",
            Self::Slower => "became slower",
            Self::Name => "name",
        }
    }
}

/// A tool that was called, is listed, or both.
#[derive(Debug, Default)]
struct Row {
    name: String,
    figures: Figures,
    /// The figures of each half of the range.
    halves: [Half; 2],
    /// The sizes of all its definitions, in tokens.
    tokens: Option<i64>,
    usage: Option<Usage>,
}

/// The figures of a tool in one half of the range.
#[derive(Debug, Clone, Copy, Default)]
struct Half {
    calls: i64,
    p50_us: Option<i64>,
}

impl Row {
    /// Returns the number of calls in the half that has fewer.
    fn fewest(&self) -> i64 {
        let [before, after] = self.halves;
        before.calls.min(after.calls)
    }

    /// Returns how many times as long calls took in the second half of the range, or 0 if that is
    /// not known. Few calls say nothing.
    fn growth(&self) -> f64 {
        let [before, after] = self.halves;
        if self.fewest() < html::ENOUGH {
            return 0.0;
        }
        match (before.p50_us, after.p50_us) {
            (Some(before), Some(after)) => after as f64 / before.max(1) as f64,
            _ => 0.0,
        }
    }
}

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let sort = sort(view)?;
    let filter = view.filter(reader)?;
    let summary = Summary::of(reader, &calls(filter.clone()))?;
    let mut listed = SchemaFilter::new().window(view.window);
    listed.server_name.clone_from(&filter.server_name);
    // Conditions on requests do not apply to tools without requests.
    let shows_listed = Summary::is_of_all(&filter) && filter.tool.is_none();
    let tools = match shows_listed {
        true => reader.tools(&listed)?,
        false => Vec::new(),
    };
    let halves = halves(reader, view, &filter)?;
    let mut rows = rows(&summary.groups, &tools);
    for row in &mut rows {
        row.halves = halves
            .each_ref()
            .map(|half| half.get(&row.name).copied().unwrap_or_default());
    }
    sort_by(&mut rows, sort);
    let shown = rows.iter().take(ROWS);
    let cells: Vec<Vec<Markup>> = shown.map(|row| cells(view, row)).collect();
    let unused = rows
        .iter()
        .filter(|row| row.usage == Some(Usage::Uncalled))
        .count();
    Ok(html! {
        h1 { "Tools" }
        p.sorts {
            "Sort by "
            @for (at, other) in Sort::ALL.into_iter().enumerate() {
                @if at > 0 { " · " }
                @if other == sort { strong aria-current="true" { (other.label()) } }
                @else { a href=(view.to(Page::Tools).own(Own::Sort, other.as_str()).href()) { (other.label()) } }
            }
        }
        (html::table("Tools", &COLUMNS, &cells))
        @if rows.len() > ROWS { p { "The first " (ROWS) " of " (rows.len()) " are shown." } }
        p { "▲ marks tools whose median in the second half of the range is at least one and a half times that in the first half, if each half has 10 calls or more." }
        @if unused > 0 { p { "Listed tools without calls in this range: " (unused) "." } }
        @if shows_listed {
            p { "Tokens are estimated: one for four bytes of a definition's JSON." }
        } @else {
            p.note { "With these conditions, only tools with calls are shown." }
        }
        @for note in &summary.notes { p.note { (note) } }
    })
}

fn sort(view: &View) -> Result<Sort, Fault> {
    let Some(text) = view.own(Own::Sort) else {
        return Ok(Sort::Calls);
    };
    let found = Sort::ALL.into_iter().find(|sort| sort.as_str() == text);
    found.ok_or_else(|| {
        let names = Sort::ALL.map(Sort::as_str).join(", ");
        Fault::BadRequest(format!("sort: expected one of {names}"))
    })
}

/// Returns the filter that takes calls of tools only.
pub(super) fn calls(filter: RequestFilter) -> RequestFilter {
    match filter.method {
        None => filter.method(TOOLS_CALL),
        Some(_) => filter,
    }
}

/// Returns the figures of each tool in the first and in the second half of the range.
fn halves(
    reader: &Reader,
    view: &View,
    filter: &RequestFilter,
) -> Result<[HashMap<String, Half>; 2], Fault> {
    let Window { since, until } = view.window.until(view.end());
    let middle = since.saturating_add(until.saturating_sub(since) / 2);
    let half = |since, until| -> Result<HashMap<String, Half>, Fault> {
        let window = Window { since, until };
        let summary = Summary::of(reader, &calls(filter.clone().window(window)))?;
        let named = summary.groups.into_iter().filter_map(|group| {
            let Figures { calls, p50_us, .. } = group.figures;
            Some((group.tool?, Half { calls, p50_us }))
        });
        Ok(named.collect())
    };
    Ok([half(since, middle)?, half(middle, until)?])
}

fn rows(groups: &[Group], tools: &[Tool]) -> Vec<Row> {
    let mut rows: HashMap<&str, Row> = HashMap::new();
    for group in groups {
        let Some(name) = group.tool.as_deref() else {
            continue;
        };
        let row = rows.entry(name).or_default();
        row.figures = group.figures.clone();
    }
    for tool in tools {
        let row = rows.entry(&tool.name).or_default();
        let tokens = i64::try_from(tool.estimated_tokens).unwrap_or(i64::MAX);
        row.tokens = Some(row.tokens.unwrap_or(0).saturating_add(tokens));
        // A tool that one of several servers lists was called if it was called there.
        if row.usage != Some(Usage::Called) {
            row.usage = Some(tool.usage);
        }
    }
    let named = rows.into_iter().map(|(name, row)| Row {
        name: name.to_owned(),
        ..row
    });
    named.collect()
}

fn sort_by(rows: &mut [Row], sort: Sort) {
    let share = |row: &Row| match row.figures.calls {
        0 => 0.0,
        calls => row.figures.failed() as f64 / calls as f64,
    };
    rows.sort_by(|a, b| {
        let order = match sort {
            Sort::Calls => b.figures.calls.cmp(&a.figures.calls),
            Sort::Errors => share(b).total_cmp(&share(a)),
            Sort::P50 => b.figures.p50_us.cmp(&a.figures.p50_us),
            Sort::P95 => b.figures.p95_us.cmp(&a.figures.p95_us),
            Sort::Slower => b.growth().total_cmp(&a.growth()),
            Sort::Name => a.name.cmp(&b.name),
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
}

fn cells(view: &View, row: &Row) -> Vec<Markup> {
    let figures = &row.figures;
    let [before, after] = row.halves;
    let used = match row.usage {
        Some(Usage::Called) => "yes",
        Some(Usage::Uncalled) => "no",
        Some(_) => "unknown",
        None if figures.calls > 0 => "not listed",
        None => "–",
    };
    vec![
        html::link(
            &view.to(Page::Tool).with(Name::Tool, &*row.name).href(),
            &row.name,
        ),
        html::count(figures.calls),
        html::percent(figures.failed(), figures.calls),
        html::latency(figures.p50_us),
        html::latency(figures.p95_us),
        html::latency(figures.p99_us),
        html::latency_step(before.p50_us, after.p50_us, row.fewest()),
        html::bad_count(figures.errors),
        html::bad_count(figures.tool_errors),
        html::count(figures.caller_errors),
        html::count(figures.gone),
        html::maybe_count(figures.open),
        html::maybe_count(row.tokens),
        html! { (used) },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Half, Row, Sort, sort_by};
    use crate::summary::Figures;

    fn row(name: &str, calls: i64, errors: i64) -> Row {
        Row {
            name: name.to_owned(),
            figures: Figures {
                calls,
                errors,
                ..Figures::default()
            },
            ..Row::default()
        }
    }

    #[test]
    fn tools_with_few_calls_are_not_the_ones_that_became_slower() {
        let halves = |calls, before, after| {
            [before, after].map(|p50_us| Half {
                calls,
                p50_us: Some(p50_us),
            })
        };
        let mut rows = [row("few", 2, 0), row("slower", 20, 0), row("same", 20, 0)];
        rows[0].halves = halves(1, 10, 1_000);
        rows[1].halves = halves(10, 10, 20);
        rows[2].halves = halves(10, 10, 10);
        sort_by(&mut rows, Sort::Slower);
        assert_eq!(rows.map(|row| row.name), ["slower", "same", "few"]);
    }

    #[test]
    fn tools_are_sorted_by_the_share_that_failed() {
        let mut rows = [row("a", 100, 1), row("b", 0, 0), row("c", 2, 1)];
        sort_by(&mut rows, Sort::Errors);
        assert_eq!(rows.map(|row| row.name), ["c", "a", "b"]);
    }
}

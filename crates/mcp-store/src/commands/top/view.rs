//! Draws the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize as _;
use ratatui::text::{Line, Span};
use ratatui::widgets::{RenderDirection, Sparkline, SparklineBar};
use tower_mcp_store::query::{Group, Request, Session};

use super::feed;
use super::outcome;
use super::state::{self, State};
use super::table::{self, Theme};
use crate::commands::{logs, sessions};
use crate::output::{self, Align, Cell, Column, Tone};
use crate::sanitize::escape_control;
use crate::time;

/// The minimal width at which sessions and failures are side by side.
const WIDE: u16 = 120;

const TOOLS: [Column; 7] = [
    Column::new("TOOL OR METHOD", Align::Cut),
    Column::new("CALLS", Align::Right),
    Column::new("ERRORS", Align::Right),
    Column::new("TOOL ERR", Align::Right),
    Column::new("P50", Align::Right).from(100),
    Column::new("P95", Align::Right),
    Column::new("MAX", Align::Right),
];

const SESSIONS: [Column; 5] = [
    Column::new("AGO", Align::Right),
    Column::new("CLIENT", Align::Cut),
    Column::new("CALLS", Align::Right),
    Column::new("ERRORS", Align::Right),
    Column::new("SESSION", Align::Cut),
];

const FAILURES: [Column; 5] = [
    Column::new("AGO", Align::Right),
    Column::new("TOOL OR METHOD", Align::Cut),
    Column::new("STATUS", Align::Left),
    Column::new("LATENCY", Align::Right),
    Column::new("NOTE", Align::Cut),
];

/// The constant part of the screen.
#[derive(Debug)]
pub(crate) struct View {
    /// The path of the file, as typed.
    pub(crate) db: String,
    pub(crate) theme: Theme,
}

impl View {
    /// Draws everything. All text from the file passes through [`Cell`], which replaces control
    /// characters.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, state: &State) {
        let is_wide = frame.area().width >= WIDE;
        let lists = if is_wide { 2 } else { 4 };
        let [head, totals, timeline, tools, below, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(4),
            Constraint::Fill(3),
            Constraint::Fill(lists),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let halves = [Constraint::Fill(1); 2];
        let [left, right] = if is_wide {
            Layout::horizontal(halves).spacing(2).areas(below)
        } else {
            Layout::vertical(halves).areas(below)
        };
        self.head(frame, head, state);
        self.totals(frame, totals, state);
        self.timeline(frame, timeline, state);
        self.tools(frame, tools, state);
        self.sessions(frame, left, state);
        self.failures(frame, right, state);
        self.keys(frame, keys, state);
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let range = Line::from(format!("last {}", state.range().as_str()));
        let [left, right] = Layout::horizontal([
            Constraint::Fill(1),
            Constraint::Length(range.width().try_into().unwrap_or(u16::MAX)),
        ])
        .spacing(2)
        .areas(area);
        let db = escape_control(&self.db).into_owned();
        frame.render_widget(Line::from(vec!["mcp-store top  ".bold(), db.into()]), left);
        frame.render_widget(range, right);
    }

    fn totals(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let Some(stats) = state.stats() else { return };
        let figures = &stats.total;
        let mut parts = Vec::new();
        if !stats.losses.is_empty() {
            let known = stats.losses.iter().filter_map(|loss| loss.dropped);
            let lost = match known.fold(0, i64::saturating_add) {
                0 => "some".to_owned(),
                known => output::count(known),
            };
            parts.push((format!("missing {lost}"), Tone::Bad));
        }
        parts.push((
            format!("calls {}", output::count(figures.calls)),
            Tone::Plain,
        ));
        for (name, count, tone) in [
            ("errors", figures.errors, Tone::Bad),
            ("tool errors", figures.tool_errors, Tone::Doubtful),
        ] {
            let percent = output::percent(count, figures.calls);
            parts.push((format!("{name} {percent}"), if_any(count, tone)));
        }
        for (name, us) in [
            ("p50", figures.p50_us),
            ("p95", figures.p95_us),
            ("p99", figures.p99_us),
            ("max", figures.max_us),
        ] {
            let latency = us.map_or("-".to_owned(), time::latency);
            parts.push((format!("{name} {latency}"), Tone::Plain));
        }
        let mut spans: Vec<Span<'_>> = Vec::new();
        for (text, tone) in parts {
            spans.push(Span::styled(text, self.theme.style(tone)));
            spans.push("  ".into());
        }
        frame.render_widget(Line::from(spans), area);
    }

    /// Calls and latencies by second, the newest on the right.
    fn timeline(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let [calls, latencies] = Layout::horizontal([Constraint::Fill(1); 2])
            .spacing(2)
            .areas(area);
        let seconds = || {
            state
                .timeline()
                .last(calls.width.max(latencies.width), state.now())
        };

        let per_second: Vec<SparklineBar> = seconds()
            .map(|second| {
                let failed = second.is_some_and(|second| second.failed > 0);
                let tone = if failed { Tone::Bad } else { Tone::Good };
                let bar = SparklineBar::from(second.map_or(0, |second| second.calls));
                bar.style(self.theme.style(tone))
            })
            .rev()
            .collect();
        let most = seconds().flatten().map(|second| second.calls).max();
        let title = format!("calls/s {:.1}", state.timeline().rate(state.now()));
        let highest = most.map(|most| output::count(to_i64(most)));
        sparkline(frame, calls, highest_of(title, highest), per_second);

        let p95 = || seconds().map(|second| second.and_then(|second| second.p95_us()));
        let latency = |us: u64| time::latency(to_i64(us));
        let newest = p95().rev().find_map(|us| us);
        let title = format!("latency p95 {}", newest.map_or("-".to_owned(), latency));
        let highest = p95().flatten().max().map(latency);
        let bars = p95().rev().map(SparklineBar::from).collect();
        sparkline(frame, latencies, highest_of(title, highest), bars);
    }

    fn tools(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let tools = state.tools();
        let which = if state.is_failing_only() {
            "failing "
        } else {
            ""
        };
        let title = format!(
            "{which}tools and methods by {}: {}",
            state.sort().as_str(),
            tools.len()
        );
        let rows = tools.into_iter().map(tool);
        table::draw(frame, area, (title, &TOOLS), rows, self.theme);
    }

    fn sessions(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let rows = state.sessions();
        let more = if rows.len() == feed::SESSIONS {
            " or more"
        } else {
            ""
        };
        let title = format!("active sessions: {}{more}", rows.len());
        let rows = rows.into_iter().map(|row| session(row, state.now()));
        table::draw(frame, area, (title, &SESSIONS), rows, self.theme);
    }

    fn failures(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let rows = state.failures();
        let rows = rows.into_iter().map(|row| failure(row, state.now()));
        let title = "newest errors".to_owned();
        table::draw(frame, area, (title, &FAILURES), rows, self.theme);
    }

    /// The help for the keys, or the filter while it is typed.
    fn keys(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let filter = escape_control(state.filter());
        if state.is_typing() {
            let line = format!("filter: {filter}_  Enter keep  Esc drop");
            frame.render_widget(line, area);
            return;
        }
        let of_filter = if filter.is_empty() {
            "filter".to_owned()
        } else {
            format!("filter: {filter}")
        };
        let of_failing = if state.is_failing_only() {
            "all"
        } else {
            "failing only"
        };
        let mut spans: Vec<Span<'_>> = Vec::new();
        for (key, what) in [
            ("q", "quit".to_owned()),
            ("s", "sort".to_owned()),
            ("w", "window".to_owned()),
            ("e", of_failing.to_owned()),
            ("/", of_filter),
        ] {
            spans.extend([key.bold(), format!(" {what}   ").into()]);
        }
        frame.render_widget(Line::from(spans), area);
    }
}

fn tool(group: &Group) -> Vec<Cell> {
    let figures = &group.figures;
    let part = |count, tone| {
        let percent = output::percent(count, figures.calls);
        Cell::toned(percent, if_any(count, tone))
    };
    vec![
        Cell::new(state::name(group)),
        Cell::new(output::count(figures.calls)),
        part(figures.errors, Tone::Bad),
        part(figures.tool_errors, Tone::Doubtful),
        Cell::of(figures.p50_us, time::latency),
        Cell::of(figures.p95_us, time::latency),
        Cell::of(figures.max_us, time::latency),
    ]
}

fn session(row: &Session, now: i64) -> Vec<Cell> {
    let errors = row.total_errors;
    vec![
        Cell::new(ago(row.last_seen_at, now)),
        Cell::of(sessions::client(row), |name| name),
        Cell::new(output::count(row.total_calls)),
        Cell::toned(output::count(errors), if_any(errors, Tone::Bad)),
        Cell::new(&row.session_id),
    ]
}

fn failure(row: &Request, now: i64) -> Vec<Cell> {
    let (status, tone) = logs::status(row);
    vec![
        Cell::new(ago(outcome::ended(row), now)),
        Cell::new(row.tool.as_ref().unwrap_or(&row.method)),
        Cell::toned(status, tone),
        Cell::new(time::latency(row.latency_us)),
        Cell::new(logs::note(row)),
    ]
}

fn if_any(count: i64, tone: Tone) -> Tone {
    if count > 0 { tone } else { Tone::Plain }
}

/// Formats how long ago a time is. A time in the future counts as now, because clocks differ.
fn ago(then: i64, now: i64) -> String {
    time::span(now.saturating_sub(then).max(0))
}

fn highest_of(title: String, highest: Option<String>) -> String {
    match highest {
        Some(highest) => format!("{title}, highest {highest}"),
        None => title,
    }
}

/// Returns bars, the newest first and on the right.
fn sparkline(frame: &mut Frame<'_>, area: Rect, title: String, bars: Vec<SparklineBar>) {
    let sparkline = Sparkline::default()
        .data(bars)
        .direction(RenderDirection::RightToLeft)
        .block(table::block(title));
    frame.render_widget(sparkline, area);
}

fn to_i64(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

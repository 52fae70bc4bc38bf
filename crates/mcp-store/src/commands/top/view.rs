//! Draws the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize as _;
use ratatui::text::{Line, Span};
use ratatui::widgets::{RenderDirection, Sparkline, SparklineBar};
use tower_mcp_store::query::{Group, Session};

use super::areas::Areas;
use super::failure::Failure;
use super::feed;
use super::help;
use super::keys::Mode;
use super::scroll::List;
use super::state::{self, State};
use super::table::{self, Theme};
use crate::commands::sessions;
use crate::output::{self, Align, Cell, Column, Tone};
use crate::sanitize::escape_control;
use crate::time;

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
        let areas = Areas::of(frame.area());
        self.head(frame, areas.head, state);
        self.totals(frame, areas.totals, state);
        self.timeline(frame, areas.timeline, state);
        self.tools(frame, areas.tools, state);
        self.sessions(frame, areas.sessions, state);
        self.failures(frame, areas.failures, state);
        self.keys(frame, areas.keys, state);
        if state.mode() == Mode::Help {
            help::draw(frame, self.theme);
        }
    }

    /// Returns how many rows of each list a screen shows.
    pub(crate) fn heights(&self, screen: Rect) -> [usize; 3] {
        let areas = Areas::of(screen);
        List::ALL.map(|list| {
            table::rows_in(match list {
                List::Tools => areas.tools,
                List::Sessions => areas.sessions,
                List::Failures => areas.failures,
            })
        })
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let mut range: Vec<Span<'_>> = Vec::new();
        if state.is_paused() {
            range.extend(["paused".bold(), "  ".into()]);
        }
        range.push(format!("last {}", state.range().as_str()).into());
        let range = Line::from(range);
        let [left, right] = Layout::horizontal([
            Constraint::Fill(1),
            Constraint::Length(range.width().try_into().unwrap_or(u16::MAX)),
        ])
        .spacing(2)
        .areas(area);
        const NAME: &str = "mcp-store top  ";
        let room = usize::from(left.width).saturating_sub(NAME.len());
        // The end of the path is its most useful part.
        let db = table::cut_start(&escape_control(&self.db), room);
        frame.render_widget(Line::from(vec![NAME.bold(), db.into()]), left);
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
        let calls = figures.calls;
        parts.push((format!("calls {}", output::count(calls)), Tone::Plain));
        for (name, count) in [
            ("errors", figures.errors),
            ("tool errors", figures.tool_errors),
        ] {
            let percent = output::percent(count, calls);
            parts.push((format!("{name} {percent}"), share(count, calls)));
        }
        for (name, us) in [
            ("p50", figures.p50_us),
            ("p95", figures.p95_us),
            ("max", figures.max_us),
            ("p99", figures.p99_us),
        ] {
            let latency = us.map_or("-".to_owned(), time::latency);
            parts.push((format!("{name} {latency}"), Tone::Plain));
        }
        // A figure that does not fit is left out, so that no figure is cut.
        let mut room = usize::from(area.width);
        let mut spans: Vec<Span<'_>> = Vec::new();
        for (text, tone) in parts {
            let gap = if spans.is_empty() { "" } else { "  " };
            let Some(left) = room.checked_sub(gap.len() + text.len()) else {
                break;
            };
            room = left;
            spans.extend([gap.into(), Span::styled(text, self.theme.style(tone))]);
        }
        frame.render_widget(Line::from(spans), area);
    }

    /// Draws calls and latencies by second, the newest on the right.
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
                let (failed, calls) = second.map_or((0, 0), |second| (second.failed, second.calls));
                let tone = match share(to_i64(failed), to_i64(calls)) {
                    Tone::Plain => Tone::Good,
                    tone => tone,
                };
                SparklineBar::from(calls).style(self.theme.style(tone))
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
        let title = format!("{which}tools and methods by {}", state.sort().as_str());
        let rows = tools.iter().map(|group| tool(group));
        self.list(frame, area, state, List::Tools, (title, "", &TOOLS), rows);
    }

    fn sessions(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let rows = state.sessions();
        let more = if rows.len() == feed::SESSIONS {
            " or more"
        } else {
            ""
        };
        let title = "active sessions".to_owned();
        let rows = rows.iter().map(|row| session(row, state.now()));
        self.list(
            frame,
            area,
            state,
            List::Sessions,
            (title, more, &SESSIONS),
            rows,
        );
    }

    fn failures(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let rows = state.failures();
        let rows = rows.iter().map(|row| failure(row, state.now()));
        let title = "newest errors".to_owned();
        self.list(
            frame,
            area,
            state,
            List::Failures,
            (title, "", &FAILURES),
            rows,
        );
    }

    /// Draws a list from its first shown row on. The title says which rows are shown.
    fn list(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        state: &State,
        list: List,
        (title, more, columns): (String, &str, &[Column]),
        rows: impl ExactSizeIterator<Item = Vec<Cell>>,
    ) {
        let scroll = state.scroll();
        let (first, height, count) = (scroll.first(list), table::rows_in(area), rows.len());
        let last = (first + height).min(count);
        let title = match (first, last) {
            (0, last) if last == count => format!("{title}: {count}{more}"),
            _ => format!("{title}: {} to {last} of {count}{more}", first + 1),
        };
        let title = if scroll.chosen() == list {
            title.bold()
        } else {
            title.into()
        };
        let rows = rows.skip(first).take(height);
        table::draw(frame, area, (title, columns), rows, self.theme);
    }

    /// Draws the help for the keys, or the filter while it is typed.
    fn keys(&self, frame: &mut Frame<'_>, area: Rect, state: &State) {
        let filter = escape_control(state.filter());
        if state.mode() == Mode::Typing {
            // Unlike a string, a `Line` may be drawn into an area outside a small screen.
            let line = Line::from(format!("filter: {filter}_  Enter keep  Esc drop"));
            frame.render_widget(line, area);
            return;
        }
        let of_failing = if state.is_failing_only() {
            "all"
        } else {
            "failing only"
        };
        let of_pause = if state.is_paused() { "resume" } else { "pause" };
        let mut spans: Vec<Span<'_>> = Vec::new();
        for (key, what) in [
            ("q", "quit"),
            ("?", "help"),
            ("s", "sort"),
            ("w", "window"),
            ("p", of_pause),
            ("e", of_failing),
            ("/", "filter"),
        ] {
            let gap = if spans.is_empty() { "" } else { "   " };
            spans.extend([gap.into(), key.bold(), format!(" {what}").into()]);
        }
        if !filter.is_empty() {
            let room = usize::from(area.width).saturating_sub(Line::from(spans.clone()).width());
            let filter = format!(": {filter}");
            spans.push(table::cut(&filter, room).into_owned().into());
        }
        frame.render_widget(Line::from(spans), area);
    }
}

fn tool(group: &Group) -> Vec<Cell> {
    let figures = &group.figures;
    let part = |count| {
        let percent = output::percent(count, figures.calls);
        Cell::toned(percent, share(count, figures.calls))
    };
    vec![
        Cell::new(state::name(group)),
        Cell::new(output::count(figures.calls)),
        part(figures.errors),
        part(figures.tool_errors),
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
        Cell::new(output::count(row.operations)),
        Cell::toned(output::count(errors), share(errors, row.total_calls)),
        Cell::new(&row.session_id),
    ]
}

fn failure(of: &Failure, now: i64) -> Vec<Cell> {
    vec![
        Cell::new(ago(of.ended_ts, now)),
        Cell::new(of.name()),
        Cell::toned(of.outcome.as_str(), of.tone()),
        Cell::new(of.took()),
        Cell::new(&of.note),
    ]
}

/// Returns the tone of the share of calls that failed: bad from a fifth on.
fn share(failed: i64, calls: i64) -> Tone {
    match failed {
        ..=0 => Tone::Plain,
        _ if failed.saturating_mul(5) < calls => Tone::Doubtful,
        _ => Tone::Bad,
    }
}

/// Formats how long ago a time is, in its largest unit. A time in the future counts as now,
/// because clocks differ.
fn ago(then: i64, now: i64) -> String {
    let seconds = now.saturating_sub(then).max(0) / 1_000;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
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
        .block(table::block(title.into()));
    frame.render_widget(sparkline, area);
}

fn to_i64(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

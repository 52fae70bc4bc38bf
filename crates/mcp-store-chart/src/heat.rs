//! A heat map of latencies over time, with lines.

use crate::canvas::Canvas;
use crate::color::{Color, LEVELS};
use crate::frame::{Frame, Key, Sample, keys_of};
use crate::lines::{self, Line};
use crate::marks::{Mark, Span};
use crate::scale::Scale;
use crate::svg::push_rect;
use crate::table::Table;
use crate::time_axis::TimeAxis;
use crate::unit::Unit;

/// How often each latency occurred over time. The axis of latencies is logarithmic.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// The title.
    pub title: String,
    /// What the chart shows, in one or two sentences.
    pub description: String,
    /// The time that it shows.
    pub time: TimeAxis,
    /// The columns, oldest first.
    pub columns: Vec<HeatColumn>,
    /// Lines above the columns, such as percentiles in microseconds.
    pub lines: Vec<Line>,
    /// Moments to mark.
    pub marks: Vec<Mark>,
    /// Stretches of time to hatch.
    pub spans: Vec<Span>,
}

/// The latencies of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatColumn {
    /// The first moment, in unix milliseconds.
    pub since: i64,
    /// The moment after the last, in unix milliseconds.
    pub until: i64,
    /// The counts, in any order.
    pub cells: Vec<HeatCell>,
}

/// A number of calls with nearly the same latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeatCell {
    /// Their latency in microseconds.
    pub us: u64,
    /// Their number.
    pub count: u64,
}

/// The rows of one decade of latency: few enough to be seen, and fine enough for steps of 1,
/// 2 and 5.
const ROWS_PER_DECADE: f64 = 6.0;

/// The counts of all columns in rows of latency.
#[derive(Debug)]
struct Grid {
    /// The number of the lowest row, counted from 1 µs.
    first: usize,
    /// The number of rows.
    rows: usize,
    /// The counts of each column, lowest row first.
    counts: Vec<Vec<u64>>,
    highest: u64,
}

impl Grid {
    fn of(columns: &[HeatColumn]) -> Self {
        let row = |us: u64| ((us.max(1) as f64).log10() * ROWS_PER_DECADE).floor() as usize;
        let cells = || columns.iter().flat_map(|column| &column.cells);
        let present = || {
            cells()
                .filter(|cell| cell.count > 0)
                .map(|cell| row(cell.us))
        };
        let first = present().min().unwrap_or(0);
        let rows = present().max().map_or(1, |last| last - first + 1);
        let counts: Vec<Vec<u64>> = columns
            .iter()
            .map(|column| {
                let mut counts = vec![0_u64; rows];
                for cell in column.cells.iter().filter(|cell| cell.count > 0) {
                    if let Some(count) = counts.get_mut(row(cell.us) - first) {
                        *count = count.saturating_add(cell.count);
                    }
                }
                counts
            })
            .collect();
        let highest = counts.iter().flatten().copied().max().unwrap_or(0);
        Self {
            first,
            rows,
            counts,
            highest,
        }
    }

    /// Returns the lowest latency of a row, in microseconds.
    fn latency(&self, row: usize) -> f64 {
        10_f64.powf((self.first + row) as f64 / ROWS_PER_DECADE)
    }

    /// Returns the level of a count; `None` for none. Levels are logarithmic, because counts
    /// differ by orders of magnitude.
    fn level(&self, count: u64) -> Option<u8> {
        if count == 0 {
            return None;
        }
        let highest = (self.highest as f64).max(2.0).ln();
        let part = (count as f64).ln() / highest;
        Some(((part * f64::from(LEVELS)) as u8).min(LEVELS - 1))
    }

    /// Returns the highest count of a level.
    fn most(&self, level: u8) -> u64 {
        let highest = (self.highest as f64).max(2.0).ln();
        let part = f64::from(level + 1) / f64::from(LEVELS);
        ((highest * part).exp().ceil() as u64 - 1).clamp(1, self.highest.max(1))
    }
}

impl HeatMap {
    /// Draws the chart.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let grid = Grid::of(&self.columns);
        let mut legend = self.levels(&grid);
        legend.extend(lines::legend(&self.lines));
        legend.extend(keys_of(&self.marks, &self.spans));
        let mut frame = Frame::new(canvas, &self.title, &self.description, 56.0, &legend);
        let range = (frame.bottom, frame.top);
        let lines = self.lines.iter().flat_map(|line| &line.points);
        let highest = lines.filter_map(|(_, number)| *number);
        let highest = highest.fold(grid.latency(grid.rows), f64::max);
        let scale = Scale::log(grid.latency(0), highest, range);
        match grid.highest {
            0 => frame.nothing(),
            _ => frame.vertical_axis(&scale, Unit::Microseconds),
        }
        for level in 0..LEVELS {
            let path = self.cells(&frame, &scale, &grid, level);
            frame.svg.fill(&path, Color::Heat(level));
        }
        frame.time_axis(&self.time);
        for line in &self.lines {
            line.draw(&mut frame, &self.time, &scale);
        }
        for (place, column) in self.columns.iter().enumerate() {
            let [from, to] = [column.since, column.until].map(|at| frame.x(&self.time, at));
            if let Some(text) = self.describe(column) {
                let area = [from, frame.top, to - from, frame.height()];
                frame.svg.tip(area, place, &text);
            }
        }
        frame.spans(&self.time, &self.spans);
        frame.marks(&self.time, &self.marks);
        frame.svg.finish()
    }

    /// Returns the numbers of the lines, and the calls of each column.
    pub fn table(&self) -> Table {
        let names = self.lines.iter().map(|line| line.name.as_str());
        let mut table = Table::new(["time", "calls"].into_iter().chain(names));
        for column in &self.columns {
            let calls = column.cells.iter().map(|cell| cell.count);
            let calls = calls.fold(0_u64, u64::saturating_add);
            let time = self.time.span(column.since, column.until);
            let mut row = vec![time, Unit::Count.full(calls as f64)];
            row.extend(self.lines.iter().map(|line| {
                let number = number_in(line, column);
                number.map_or_else(String::new, |us| Unit::Microseconds.full(us))
            }));
            table.rows.push(row);
        }
        table
    }

    /// Returns the path of all cells of a level. Neighbours in a row become one.
    fn cells(&self, frame: &Frame<'_>, scale: &Scale, grid: &Grid, level: u8) -> String {
        let mut path = String::new();
        for row in 0..grid.rows {
            let bottom = scale.at(grid.latency(row));
            let top = scale.at(grid.latency(row + 1));
            let mut open: Option<(i64, i64)> = None;
            let mut close = |open: &mut Option<(i64, i64)>| {
                if let Some((since, until)) = open.take() {
                    let [from, to] = [since, until].map(|at| frame.x(&self.time, at));
                    push_rect(&mut path, [from, top, to - from, bottom - top]);
                }
            };
            for (column, counts) in self.columns.iter().zip(&grid.counts) {
                let found = counts.get(row).and_then(|count| grid.level(*count));
                if found != Some(level) {
                    close(&mut open);
                    continue;
                }
                match &mut open {
                    Some((_, until)) if *until == column.since => *until = column.until,
                    open => {
                        close(open);
                        *open = Some((column.since, column.until));
                    }
                }
            }
            close(&mut open);
        }
        path
    }

    /// Returns the entries of the legend that say what the levels mean.
    fn levels(&self, grid: &Grid) -> Vec<Key> {
        if grid.highest == 0 {
            return Vec::new();
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut below = 0;
        for level in 0..LEVELS {
            let most = grid.most(level);
            if most <= below {
                continue;
            }
            let label = match most == below + 1 {
                true => Unit::Count.tick(most as f64),
                false => format!(
                    "{}–{}",
                    Unit::Count.tick((below + 1) as f64),
                    Unit::Count.tick(most as f64)
                ),
            };
            below = most;
            keys.push(Key {
                label,
                sample: Sample::Area(Color::Heat(level)),
            });
        }
        if let Some(last) = keys.last_mut() {
            last.label.push_str(" calls");
        }
        keys
    }

    fn describe(&self, column: &HeatColumn) -> Option<String> {
        let calls = column.cells.iter().map(|cell| cell.count);
        let calls = calls.fold(0_u64, u64::saturating_add);
        if calls == 0 {
            return None;
        }
        let time = self.time.span(column.since, column.until);
        let mut text = format!("{time}: {} calls", Unit::Count.full(calls as f64));
        for line in &self.lines {
            if let Some(us) = number_in(line, column) {
                text.push_str(&format!(", {} {}", line.name, Unit::Microseconds.full(us)));
            }
        }
        Some(text)
    }
}

/// Returns the number of a line in the time of a column.
fn number_in(line: &Line, column: &HeatColumn) -> Option<f64> {
    let mut points = line.points.iter();
    points
        .find(|(at, _)| (column.since..column.until).contains(at))
        .and_then(|(_, number)| *number)
}

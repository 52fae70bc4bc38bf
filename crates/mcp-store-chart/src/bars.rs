//! Bars over time, stacked by series.

use crate::canvas::Canvas;
use crate::color::Color;
use crate::frame::{Frame, Key, Sample, keys_of};
use crate::marks::{Mark, Span};
use crate::scale::Scale;
use crate::svg::push_rect;
use crate::table::Table;
use crate::time_axis::TimeAxis;
use crate::unit::Unit;

/// Counts over time, stacked by series.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedBars {
    /// The title.
    pub title: String,
    /// What the chart shows, in one or two sentences.
    pub description: String,
    /// The time that it shows.
    pub time: TimeAxis,
    /// The series, lowest first.
    pub series: Vec<Series>,
    /// The bars, oldest first.
    pub bars: Vec<Bar>,
    /// Moments to mark.
    pub marks: Vec<Mark>,
    /// Stretches of time to hatch.
    pub spans: Vec<Span>,
}

/// A series of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name in the legend and the table.
    pub name: String,
    /// Its colour.
    pub color: Color,
}

impl Series {
    /// Returns a series.
    pub fn new(name: impl Into<String>, color: Color) -> Self {
        Self {
            name: name.into(),
            color,
        }
    }
}

/// The counts of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The first moment, in unix milliseconds.
    pub since: i64,
    /// The moment after the last, in unix milliseconds.
    pub until: i64,
    /// The count of each series.
    pub values: Vec<u64>,
}

impl Bar {
    fn total(&self) -> u64 {
        self.values
            .iter()
            .fold(0, |sum, value| sum.saturating_add(*value))
    }
}

impl StackedBars {
    /// Draws the chart. Bars that are wider than the shortest stand for a rate: their
    /// height is the count of the shortest width.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let series = self.shown();
        let mut legend: Vec<Key> = series
            .iter()
            .map(|(_, series)| Key {
                label: series.name.clone(),
                sample: Sample::Area(series.color),
            })
            .collect();
        legend.extend(keys_of(&self.marks, &self.spans));
        let mut frame = Frame::new(canvas, &self.title, &self.description, 46.0, &legend);
        let usual = self.usual_width();
        let height = |bar: &Bar, count: u64| {
            let times = (bar.until.saturating_sub(bar.since) as f64 / usual).max(1.0);
            count as f64 / times
        };
        let highest = self.bars.iter().map(|bar| height(bar, bar.total()));
        let highest = highest.fold(0.0, f64::max);
        let range = (frame.bottom, frame.top);
        let scale = Scale::linear(highest, Unit::Count, range, frame.tick_room());
        frame.vertical_axis(&scale, Unit::Count);
        for (place, series) in &series {
            let mut path = String::new();
            for bar in &self.bars {
                let below = bar.values.iter().take(*place);
                let below = below.fold(0_u64, |sum, value| sum.saturating_add(*value));
                let value = bar.values.get(*place).copied().unwrap_or(0);
                if value == 0 {
                    continue;
                }
                let bottom = scale.at(height(bar, below));
                let top = scale.at(height(bar, below.saturating_add(value)));
                let (x, width) = self.place(&frame, bar);
                // A failure among a million calls is still seen.
                let top = top.min(bottom - 1.0);
                push_rect(&mut path, [x, top, width, bottom - top]);
            }
            frame.svg.fill(&path, series.color);
        }
        frame.time_axis(&self.time);
        if series.is_empty() {
            frame.nothing();
        }
        for (place, bar) in self.bars.iter().enumerate() {
            if bar.total() > 0 {
                let (x, width) = self.place(&frame, bar);
                let area = [x, frame.top, width, frame.height()];
                frame.svg.tip(area, place, &self.describe(bar));
            }
        }
        frame.spans(&self.time, &self.spans);
        frame.marks(&self.time, &self.marks);
        frame.svg.finish()
    }

    /// Returns the counts of each bar.
    pub fn table(&self) -> Table {
        let names = self.series.iter().map(|series| series.name.as_str());
        let mut table = Table::new(["time"].into_iter().chain(names));
        table.rows = self
            .bars
            .iter()
            .map(|bar| {
                let counts = (0..self.series.len()).map(|place| {
                    let count = bar.values.get(place).copied().unwrap_or(0);
                    Unit::Count.full(count as f64)
                });
                let time = self.time.span(bar.since, bar.until);
                [time].into_iter().chain(counts).collect()
            })
            .collect();
        table
    }

    /// Returns the series that have a count, and their places.
    fn shown(&self) -> Vec<(usize, &Series)> {
        let has_count = |place: usize| {
            let mut bars = self.bars.iter();
            bars.any(|bar| bar.values.get(place).is_some_and(|count| *count > 0))
        };
        let series = self.series.iter().enumerate();
        series.filter(|(place, _)| has_count(*place)).collect()
    }

    /// Returns the width of most bars, in milliseconds.
    fn usual_width(&self) -> f64 {
        let mut widths: Vec<i64> = self
            .bars
            .iter()
            .map(|bar| bar.until.saturating_sub(bar.since).max(1))
            .collect();
        widths.sort_unstable();
        // The first and the last bar may be cut, and wider ones stand for removed data.
        let place = (widths.len() / 8)
            .max(2)
            .min(widths.len().saturating_sub(1));
        widths.get(place).copied().unwrap_or(1) as f64
    }

    /// Returns the left edge and the width of a bar, in pixels.
    fn place(&self, frame: &Frame<'_>, bar: &Bar) -> (f64, f64) {
        let [from, to] = [bar.since, bar.until].map(|at| frame.x(&self.time, at));
        let width = to - from;
        let gap = if width > 4.0 { 1.0 } else { 0.0 };
        (from + gap / 2.0, (width - gap).max(0.5))
    }

    fn describe(&self, bar: &Bar) -> String {
        let counts = self.series.iter().zip(&bar.values);
        let counts = counts.filter(|(_, count)| **count > 0);
        let counts: Vec<String> = counts
            .map(|(series, count)| format!("{} {}", Unit::Count.full(*count as f64), series.name))
            .collect();
        let time = self.time.span(bar.since, bar.until);
        format!("{time}: {}", counts.join(", "))
    }
}

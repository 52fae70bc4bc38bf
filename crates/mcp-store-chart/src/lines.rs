//! Lines over time.

use std::fmt::Write as _;

use crate::canvas::Canvas;
use crate::color::Color;
use crate::frame::{Frame, Key, Sample, keys_of};
use crate::marks::{Mark, Span};
use crate::scale::Scale;
use crate::svg::N;
use crate::table::Table;
use crate::time_axis::TimeAxis;
use crate::unit::Unit;

/// Numbers over time as lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// The title.
    pub title: String,
    /// What the chart shows, in one or two sentences.
    pub description: String,
    /// The time that it shows.
    pub time: TimeAxis,
    /// What the numbers measure. Latencies have a logarithmic axis.
    pub unit: Unit,
    /// The lines.
    pub lines: Vec<Line>,
    /// Moments to mark.
    pub marks: Vec<Mark>,
    /// Stretches of time to hatch.
    pub spans: Vec<Span>,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in the legend and the table.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// How it is dashed.
    pub dash: Dash,
    /// Its points, oldest first: a time in unix milliseconds, and a number. Where there is no
    /// number, the line has a gap.
    pub points: Vec<(i64, Option<f64>)>,
}

/// How a line is dashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dash {
    /// Not at all.
    Solid,
    /// In long dashes.
    Dashed,
    /// In dots.
    Dotted,
}

impl Dash {
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Solid => "",
            Self::Dashed => " stroke-dasharray=\"6 3\"",
            Self::Dotted => " stroke-dasharray=\"2 2\"",
        }
    }
}

impl Lines {
    /// Draws the chart.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let mut legend = legend(&self.lines);
        legend.extend(keys_of(&self.marks, &self.spans));
        let mut frame = Frame::new(canvas, &self.title, &self.description, 56.0, &legend);
        let range = (frame.bottom, frame.top);
        let points = self.lines.iter().flat_map(|line| &line.points);
        let numbers = points.filter_map(|(_, number)| *number);
        let numbers: Vec<f64> = numbers.filter(|number| number.is_finite()).collect();
        let highest = numbers.iter().copied().fold(0.0, f64::max);
        let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let scale = match self.unit {
            Unit::Microseconds => Scale::log(lowest / 1.2, highest * 1.2, range),
            unit => Scale::linear(highest, unit, range, frame.tick_room()),
        };
        frame.vertical_axis(&scale, self.unit);
        frame.time_axis(&self.time);
        if numbers.is_empty() {
            frame.nothing();
        }
        for line in &self.lines {
            line.draw(&mut frame, &self.time, &scale);
        }
        frame.spans(&self.time, &self.spans);
        frame.marks(&self.time, &self.marks);
        frame.svg.finish()
    }

    /// Returns the numbers of each line by time.
    pub fn table(&self) -> Table {
        table(&self.time, &self.lines, self.unit)
    }
}

/// Returns the numbers of lines by time.
pub(crate) fn table(time: &TimeAxis, lines: &[Line], unit: Unit) -> Table {
    let names = lines.iter().map(|line| line.name.as_str());
    let mut table = Table::new(["time"].into_iter().chain(names));
    let points = lines.iter().flat_map(|line| &line.points);
    let mut times: Vec<i64> = points.map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.dedup();
    table.rows = times
        .into_iter()
        .map(|at| {
            let numbers = lines.iter().map(|line| {
                let point = line.points.iter().find(|(time, _)| *time == at);
                let number = point.and_then(|(_, number)| *number);
                number.map_or_else(String::new, |number| unit.full(number))
            });
            [time.moment(at)].into_iter().chain(numbers).collect()
        })
        .collect();
    table
}

pub(crate) fn legend(lines: &[Line]) -> Vec<Key> {
    let keys = lines.iter().map(|line| Key {
        label: line.name.clone(),
        sample: Sample::Line(line.color, line.dash.attribute()),
    });
    keys.collect()
}

impl Line {
    /// Draws the line. A line in the background's colour below it keeps it visible on any
    /// ground.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, time: &TimeAxis, scale: &Scale) {
        let mut path = String::new();
        let mut is_down = false;
        for (place, (at, number)) in self.points.iter().enumerate() {
            let Some(number) = number.filter(|number| number.is_finite()) else {
                is_down = false;
                continue;
            };
            let (x, y) = (frame.x(time, *at), scale.at(number));
            let _ = match is_down {
                true => write!(path, "L{} {}", N(x), N(y)),
                false => write!(path, "M{} {}", N(x), N(y)),
            };
            // A point without neighbours is a short line.
            let next = self.points.get(place + 1).and_then(|(_, number)| *number);
            if !is_down && next.is_none() {
                path.push_str("m-4 0h8");
            }
            is_down = true;
        }
        let joins = " stroke-linejoin=\"round\" stroke-linecap=\"round\" stroke-opacity=\".7\"";
        frame.svg.stroke(&path, Color::Paper, 4.0, joins);
        let dash = self.dash.attribute();
        let joins = format!(" stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}");
        frame.svg.stroke(&path, self.color, 1.8, &joins);
    }
}

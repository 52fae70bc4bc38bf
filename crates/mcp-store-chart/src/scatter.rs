//! Single calls by time and latency.

use std::fmt::Write as _;

use crate::canvas::Canvas;
use crate::color::Color;
use crate::frame::{Frame, Key, Sample, keys_of};
use crate::marks::{Mark, Span};
use crate::scale::Scale;
use crate::svg::{N, push_rect};
use crate::table::Table;
use crate::time_axis::TimeAxis;
use crate::unit::Unit;

/// Single calls by time and latency. The axis of latencies is logarithmic.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// The title.
    pub title: String,
    /// What the chart shows, in one or two sentences.
    pub description: String,
    /// The time that it shows.
    pub time: TimeAxis,
    /// The points, by series.
    pub series: Vec<PointSeries>,
    /// Moments to mark.
    pub marks: Vec<Mark>,
    /// Stretches of time to hatch.
    pub spans: Vec<Span>,
}

/// Points of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointSeries {
    /// Its name in the legend and the table.
    pub name: String,
    /// The colour of its points.
    pub color: Color,
    /// The shape of its points.
    pub shape: Shape,
    /// The points.
    pub points: Vec<Point>,
}

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A filled circle.
    Circle,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A cross.
    Cross,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When, in unix milliseconds.
    pub at: i64,
    /// Its latency in microseconds.
    pub us: u64,
}

impl Scatter {
    /// Draws the chart.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let shown = || {
            self.series
                .iter()
                .filter(|series| !series.points.is_empty())
        };
        let mut legend: Vec<Key> = shown()
            .map(|series| Key {
                label: series.name.clone(),
                sample: Sample::Area(series.color),
            })
            .collect();
        legend.extend(keys_of(&self.marks, &self.spans));
        let mut frame = Frame::new(canvas, &self.title, &self.description, 56.0, &legend);
        let latencies = || {
            shown()
                .flat_map(|series| &series.points)
                .map(|point| point.us)
        };
        let lowest = latencies().min().unwrap_or(1) as f64 / 1.3;
        let highest = latencies().max().unwrap_or(1_000) as f64 * 1.3;
        let scale = Scale::log(lowest, highest, (frame.bottom, frame.top));
        frame.vertical_axis(&scale, Unit::Microseconds);
        frame.time_axis(&self.time);
        if shown().next().is_none() {
            frame.nothing();
        }
        for series in shown() {
            let mut path = String::new();
            for point in &series.points {
                let (x, y) = (frame.x(&self.time, point.at), scale.at(point.us as f64));
                series.shape.push(&mut path, x, y);
            }
            let color = series.color;
            match series.shape {
                Shape::Circle => {
                    let caps = " stroke-linecap=\"round\" stroke-opacity=\".75\"";
                    frame.svg.stroke(&path, color, 5.0, caps);
                }
                Shape::Cross => frame.svg.stroke(&path, color, 1.8, ""),
                Shape::Square | Shape::Triangle => frame.svg.fill(&path, color),
            }
        }
        frame.spans(&self.time, &self.spans);
        frame.marks(&self.time, &self.marks);
        frame.svg.finish()
    }

    /// Returns each point, oldest first.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["time", "latency", "outcome"]);
        let series = self.series.iter();
        let points = series.flat_map(|series| series.points.iter().map(move |it| (it, series)));
        let mut points: Vec<(&Point, &PointSeries)> = points.collect();
        points.sort_by_key(|(point, _)| point.at);
        let rows = points.into_iter().map(|(point, series)| {
            vec![
                self.time.moment(point.at),
                Unit::Microseconds.full(point.us as f64),
                series.name.clone(),
            ]
        });
        table.rows = rows.collect();
        table
    }
}

impl Shape {
    /// Appends the shape to a path.
    fn push(self, path: &mut String, x: f64, y: f64) {
        // Writing to a text cannot fail.
        let _ = match self {
            // The round ends of a line without length make a circle.
            Self::Circle => write!(path, "M{} {}h0", N(x), N(y)),
            Self::Square => {
                push_rect(path, [x - 2.5, y - 2.5, 5.0, 5.0]);
                Ok(())
            }
            Self::Triangle => write!(path, "M{} {}h7l-3.5-6z", N(x - 3.5), N(y + 3.0)),
            Self::Cross => write!(path, "M{} {}l6 6m0-6l-6 6", N(x - 3.0), N(y - 3.0)),
        };
    }
}

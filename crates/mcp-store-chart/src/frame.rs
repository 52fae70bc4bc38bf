//! The parts that all charts over time have: title, legend, axes and marks.

use std::fmt::Write as _;

use crate::canvas::Canvas;
use crate::color::Color;
use crate::marks::{Mark, MarkKind, Span, SpanKind};
use crate::scale::Scale;
use crate::svg::{Anchor, N, Svg};
use crate::text::{SIZE, fitting, width};
use crate::time_axis::TimeAxis;
use crate::unit::Unit;

/// The margins of the data, in pixels.
const RIGHT: f64 = 12.0;
const BOTTOM: f64 = 20.0;
const LINE: f64 = 16.0;

/// The least distance between the centres of two labels of time, in pixels.
const TIME_LABEL: f64 = 68.0;

/// Marks that are closer share a line.
const MARK_DISTANCE: f64 = 5.0;

/// The most labels of one line.
const MARK_LABELS: usize = 6;

/// An entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) label: String,
    pub(crate) sample: Sample,
}

/// How an entry of a legend looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sample {
    Area(Color),
    Line(Color, &'static str),
    Hatch,
}

/// A chart that is being drawn, and the rectangle of its data.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) svg: Svg<'a>,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl<'a> Frame<'a> {
    /// Begins a chart. A chart of a document shows its title, because no page has it.
    pub(crate) fn new(
        canvas: &'a Canvas,
        title: &str,
        description: &str,
        left: f64,
        legend: &[Key],
    ) -> Self {
        let mut svg = Svg::new(canvas, title, description);
        let mut top = 6.0;
        if canvas.scheme.is_some() {
            let room = canvas.width - 2.0 * RIGHT;
            svg.raw("<g font-size=\"14\">");
            // The size is 14 instead of 11.
            let title = fitting(title, room * SIZE / 14.0);
            svg.text(RIGHT, 20.0, Anchor::Start, Color::Ink, &title);
            svg.raw("</g>");
            top = 28.0;
        }
        top = draw_legend(&mut svg, legend, top, canvas.width);
        Self {
            svg,
            left,
            right: (canvas.width - RIGHT).max(left + 1.0),
            top: top + 6.0,
            bottom: (canvas.height - BOTTOM).max(top + 7.0),
        }
    }

    pub(crate) fn x(&self, time: &TimeAxis, at: i64) -> f64 {
        self.left + time.part(at) * (self.right - self.left)
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Returns how many ticks a vertical axis has room for.
    pub(crate) fn tick_room(&self) -> usize {
        ((self.height() / 28.0) as usize).clamp(2, 8)
    }

    /// Draws the lines and labels of a vertical axis.
    pub(crate) fn vertical_axis(&mut self, scale: &Scale, unit: Unit) {
        let ticks = scale.ticks(unit, self.tick_room());
        let (left, right) = (self.left, self.right);
        let mut grid = String::new();
        for tick in &ticks {
            let _ = write!(grid, "M{} {}H{}", N(left), N(scale.at(*tick)), N(right));
        }
        self.svg.stroke(&grid, Color::Grid, 1.0, "");
        for tick in ticks {
            let label = unit.tick(tick);
            let y = scale.at(tick) + SIZE * 0.35;
            self.svg
                .text(left - 6.0, y, Anchor::End, Color::Faint, &label);
        }
    }

    /// Draws the labels of the axis of time.
    pub(crate) fn time_axis(&mut self, time: &TimeAxis) {
        let most = ((self.right - self.left) / TIME_LABEL) as usize;
        let ticks = time.ticks(most.clamp(2, 12));
        let bottom = self.bottom;
        let mut lines = format!("M{} {}H{}", N(self.left), N(bottom), N(self.right));
        for tick in &ticks {
            let _ = write!(lines, "M{} {}v4", N(self.x(time, tick.at)), N(bottom));
        }
        self.svg.stroke(&lines, Color::Faint, 1.0, "");
        let area = [self.left, self.top, self.right - self.left, self.height()];
        self.svg.plot(area, time.since, time.until);
        let end = self.right + RIGHT;
        for tick in ticks {
            let x = self.x(time, tick.at);
            let (x, anchor) = match x + width(&tick.label) / 2.0 > end {
                true => (end, Anchor::End),
                false => (x, Anchor::Middle),
            };
            self.svg
                .text(x, bottom + 15.0, anchor, Color::Faint, &tick.label);
        }
    }

    /// Says that there are no data.
    pub(crate) fn nothing(&mut self) {
        let (x, y) = (self.left + self.right, self.top + self.bottom);
        let text = "nothing in this time";
        self.svg
            .text(x / 2.0, y / 2.0, Anchor::Middle, Color::Faint, text);
    }

    /// Hatches stretches of time. Their entries in the legend define the hatching.
    pub(crate) fn spans(&mut self, time: &TimeAxis, spans: &[Span]) {
        for (place, span) in spans.iter().enumerate() {
            if span.until < time.since || span.since >= time.until {
                continue;
            }
            let from = self.x(time, span.since);
            // A loss may be shorter than a pixel.
            let width = (self.x(time, span.until) - from)
                .max(3.0)
                .min(self.right - from + 3.0);
            let area = [from, self.top, width, self.height()];
            self.svg.hatch(area);
            let label = format!(
                "{}: {}, {}",
                span.kind.name(),
                span.label,
                time.span(span.since, span.until)
            );
            self.svg.tip(area, place, &label);
        }
    }

    /// Draws a line for each mark. Marks that are close share one.
    pub(crate) fn marks(&mut self, time: &TimeAxis, marks: &[Mark]) {
        for kind in MarkKind::ALL {
            let mut of_kind: Vec<&Mark> = marks
                .iter()
                .filter(|mark| mark.kind == kind && (time.since..time.until).contains(&mark.at))
                .collect();
            of_kind.sort_by_key(|mark| mark.at);
            let mut groups: Vec<(f64, Vec<&Mark>)> = Vec::new();
            for mark in of_kind {
                let x = self.x(time, mark.at);
                match groups.last_mut() {
                    Some((first, group)) if x - *first < MARK_DISTANCE => group.push(mark),
                    _ => groups.push((x, vec![mark])),
                }
            }
            let (top, bottom) = (self.top - 5.0, self.bottom);
            let mut lines = String::new();
            let mut heads = String::new();
            for (x, _) in &groups {
                let _ = write!(lines, "M{} {}V{}", N(*x), N(top), N(bottom));
                let _ = write!(heads, "M{} {}h7l-3.5 6z", N(x - 3.5), N(top));
            }
            self.svg.stroke(&lines, kind.color(), 1.0, kind.dashes());
            self.svg.fill(&heads, kind.color());
            for (place, (x, group)) in groups.iter().enumerate() {
                let area = [x - 4.0, top, 8.0, bottom - top];
                self.svg.tip(area, place, &describe(time, kind, group));
            }
        }
    }
}

fn describe(time: &TimeAxis, kind: MarkKind, marks: &[&Mark]) -> String {
    let shown = marks.iter().take(MARK_LABELS);
    let lines = shown.map(|mark| format!("{}: {}", time.moment(mark.at), mark.label));
    let mut text = format!("{}: {}", kind.name(), lines.collect::<Vec<_>>().join("; "));
    if marks.len() > MARK_LABELS {
        let _ = write!(text, "; {} more", marks.len() - MARK_LABELS);
    }
    text
}

/// Returns the entries of a legend for marks and stretches of time.
pub(crate) fn keys_of(marks: &[Mark], spans: &[Span]) -> Vec<Key> {
    let marks = MarkKind::ALL
        .into_iter()
        .filter(|kind| marks.iter().any(|mark| mark.kind == *kind))
        .map(|kind| Key {
            label: kind.name().to_owned(),
            sample: Sample::Line(kind.color(), kind.dashes()),
        });
    let spans = SpanKind::ALL
        .into_iter()
        .filter(|kind| spans.iter().any(|span| span.kind == *kind))
        .map(|kind| Key {
            label: kind.name().to_owned(),
            sample: Sample::Hatch,
        });
    marks.chain(spans).collect()
}

/// Draws a legend of one or several lines. Returns where it ends.
fn draw_legend(svg: &mut Svg<'_>, legend: &[Key], top: f64, right: f64) -> f64 {
    if legend.is_empty() {
        return top;
    }
    if legend.iter().any(|key| matches!(key.sample, Sample::Hatch)) {
        svg.define_hatch();
    }
    let (mut x, mut y) = (RIGHT, top);
    for key in legend {
        let room = (right - 2.0 * RIGHT - 16.0).clamp(1.0, 220.0);
        let label = fitting(&key.label, room);
        let entry = 16.0 + width(&label) + 14.0;
        if x > RIGHT && x + entry > right {
            (x, y) = (RIGHT, y + LINE);
        }
        match key.sample {
            Sample::Area(color) => svg.rect([x, y + 3.0, 10.0, 10.0], color),
            Sample::Hatch => svg.hatch([x, y + 3.0, 10.0, 10.0]),
            Sample::Line(color, dashes) => {
                let path = format!("M{} {}h12", N(x - 1.0), N(y + 8.0));
                svg.stroke(&path, color, 2.0, dashes);
            }
        }
        svg.text(x + 15.0, y + 12.0, Anchor::Start, Color::Ink, &label);
        x += entry;
    }
    y + LINE
}

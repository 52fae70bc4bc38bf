//! A small line without axes, for a row of a table.

use std::fmt::Write as _;

use crate::canvas::Canvas;
use crate::color::Color;
use crate::svg::{N, Svg};

/// A small line of numbers at equal distances.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparkline {
    /// A description with the most important numbers, because there is no table.
    pub title: String,
    /// The colour of the line.
    pub color: Color,
    /// The numbers, oldest first. Where there is none, the line has a gap.
    pub values: Vec<Option<f64>>,
}

impl Sparkline {
    /// Draws the line. The lowest place is 0.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let mut svg = Svg::new(canvas, &self.title, "");
        let numbers = self.values.iter().flatten().copied();
        let highest = numbers
            .filter(|number| number.is_finite())
            .fold(0.0, f64::max);
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = canvas.width / self.values.len().max(1) as f64;
        let (top, bottom) = (2.0, canvas.height - 1.0);
        let (mut line, mut area) = (String::new(), String::new());
        let mut from: Option<f64> = None;
        for (place, value) in self.values.iter().enumerate() {
            let x = (place as f64 + 0.5) * step;
            let Some(value) = value.filter(|value| value.is_finite()) else {
                close(&mut area, &mut from, x - step, bottom);
                continue;
            };
            let y = bottom - (value.max(0.0) / highest) * (bottom - top);
            // Writing to a text cannot fail.
            let _ = match from {
                Some(_) => write!(line, "L{} {}", N(x), N(y)),
                None => write!(line, "M{} {}h.1", N(x), N(y)),
            };
            let _ = match from {
                Some(_) => write!(area, "L{} {}", N(x), N(y)),
                None => write!(area, "M{} {}L{} {}", N(x), N(bottom), N(x), N(y)),
            };
            from = from.or(Some(x));
        }
        let end = (self.values.len() as f64 - 0.5) * step;
        close(&mut area, &mut from, end, bottom);
        svg.raw("<g fill-opacity=\".2\">");
        svg.fill(&area, self.color);
        svg.raw("</g>");
        let joins = " stroke-linejoin=\"round\" stroke-linecap=\"round\"";
        svg.stroke(&line, self.color, 1.4, joins);
        svg.finish()
    }
}

/// Ends an area at the bottom, if one is open.
fn close(area: &mut String, from: &mut Option<f64>, x: f64, bottom: f64) {
    if from.take().is_some() {
        let _ = write!(area, "L{} {}z", N(x), N(bottom));
    }
}

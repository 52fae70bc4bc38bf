//! What happened in which order: one row for each call.

use crate::canvas::Canvas;
use crate::color::Color;
use crate::frame::{Frame, Key, Sample};
use crate::svg::{Anchor, push_rect};
use crate::table::Table;
use crate::text::{SIZE, fitting, width};
use crate::time_axis::TimeAxis;

/// The height of a row, in pixels.
const ROW: f64 = 18.0;

/// The room above and below the rows, without a legend.
const MARGINS: f64 = 60.0;

/// Calls in the order of their start, each with its stretches of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// The title.
    pub title: String,
    /// What the chart shows, in one or two sentences.
    pub description: String,
    /// The time that it shows.
    pub time: TimeAxis,
    /// The rows, uppermost first.
    pub rows: Vec<WaterfallRow>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaterfallRow {
    /// The name of the call.
    pub label: String,
    /// The outcome and the duration.
    pub note: String,
    /// The colour of the stretches in which the server worked.
    pub color: Color,
    /// Its stretches of time, oldest first.
    pub stretches: Vec<Stretch>,
}

/// A stretch of time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first moment, in unix milliseconds.
    pub since: i64,
    /// The moment after the last, in unix milliseconds.
    pub until: i64,
    /// Whether the server waited for its client. Such a stretch is hatched.
    pub is_client: bool,
}

impl Waterfall {
    /// Returns the height at which every row has room, in pixels.
    pub fn height(&self) -> f64 {
        self.rows.len() as f64 * ROW + MARGINS
    }

    /// Draws the chart. Rows for which there is no room are left out.
    pub fn svg(&self, canvas: &Canvas) -> String {
        let stretches = self.rows.iter().flat_map(|row| &row.stretches);
        let has_client = stretches.clone().any(|stretch| stretch.is_client);
        let legend: Vec<Key> = has_client
            .then(|| Key {
                label: "the server waits for the client".to_owned(),
                sample: Sample::Hatch,
            })
            .into_iter()
            .collect();
        let names = self.rows.iter().map(|row| width(&row.label) + 12.0);
        let left = names.fold(40.0, f64::max).min(canvas.width * 0.3).max(40.0);
        let mut frame = Frame::new(canvas, &self.title, &self.description, left, &legend);
        frame.time_axis(&self.time);
        let room = ((frame.height() / ROW) as usize).max(1);
        for (place, row) in self.rows.iter().take(room).enumerate() {
            self.draw(&mut frame, place, row);
        }
        frame.svg.finish()
    }

    fn draw(&self, frame: &mut Frame<'_>, place: usize, row: &WaterfallRow) {
        let top = frame.top + place as f64 * ROW;
        let label = fitting(&row.label, frame.left - 12.0);
        let baseline = top + ROW / 2.0 + SIZE * 0.35;
        frame
            .svg
            .text(frame.left - 6.0, baseline, Anchor::End, Color::Ink, &label);
        let mut path = String::new();
        let mut end = frame.left;
        let mut begin = frame.right;
        for stretch in &row.stretches {
            let from = frame.x(&self.time, stretch.since);
            let to = frame.x(&self.time, stretch.until).max(from + 1.5);
            (begin, end) = (begin.min(from), end.max(to));
            match stretch.is_client {
                true => frame.svg.hatch([from, top + 5.0, to - from, ROW - 10.0]),
                false => push_rect(&mut path, [from, top + 3.0, to - from, ROW - 6.0]),
            }
        }
        frame.svg.fill(&path, row.color);
        // The note stands behind the bar, or before it if there is more room.
        let (after, before) = (frame.right - end - 5.0, begin - frame.left - 5.0);
        let (x, anchor, room) = match width(&row.note) <= after || after >= before {
            true => (end + 5.0, Anchor::Start, after),
            false => (begin - 5.0, Anchor::End, before),
        };
        if room > 24.0 {
            let note = fitting(&row.note, room);
            frame.svg.text(x, baseline, anchor, Color::Faint, &note);
        }
        let area = [frame.left, top, frame.right - frame.left, ROW];
        let tip = format!("{}: {}", row.label, row.note);
        frame.svg.tip(area, place, &tip);
    }

    /// Returns the stretches of each row.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["call", "outcome", "begin", "end", "time of"]);
        for row in &self.rows {
            for stretch in &row.stretches {
                let side = if stretch.is_client {
                    "client"
                } else {
                    "server"
                };
                table.rows.push(vec![
                    row.label.clone(),
                    row.note.clone(),
                    self.time.moment(stretch.since),
                    self.time.moment(stretch.until),
                    side.to_owned(),
                ]);
            }
        }
        table
    }
}

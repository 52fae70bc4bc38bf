//! Draws charts as SVG text.
//!
//! A chart is a struct of data. `svg` draws it on a [`Canvas`]. `table` returns its numbers, for
//! people who cannot see the chart.
//!
//! ```
//! use mcp_store_chart::{Bar, Canvas, Color, Series, StackedBars, TimeAxis};
//!
//! let chart = StackedBars {
//!     title: "Calls".to_owned(),
//!     description: "Calls of one minute by outcome".to_owned(),
//!     time: TimeAxis::utc(0, 60_000),
//!     series: vec![Series::new("ok", Color::Ok), Series::new("error", Color::ServerError)],
//!     bars: vec![Bar { since: 0, until: 60_000, values: vec![40, 2] }],
//!     marks: Vec::new(),
//!     spans: Vec::new(),
//! };
//! let svg = chart.svg(&Canvas::for_page("calls", 800.0, 220.0));
//! assert!(svg.starts_with("<svg"));
//! assert_eq!(chart.table().rows[0][1], "40");
//! ```
//!
//! # Colours
//!
//! A chart for a page has classes, and [`css`] returns their rules for light and dark. A chart
//! for a document has its colours in attributes. People with colour blindness can distinguish the
//! colours of a chart, and each has a contrast of 3:1 or more against the background.
//!
//! # Text
//!
//! All text is escaped. Control characters, and characters that change the direction of text,
//! are replaced. A label that is too long is cut.

mod bars;
mod canvas;
mod color;
mod frame;
mod heat;
mod lines;
mod marks;
mod scale;
mod scatter;
mod sparkline;
mod svg;
mod table;
mod text;
mod time_axis;
mod unit;
mod waterfall;

pub use bars::{Bar, Series, StackedBars};
pub use canvas::Canvas;
pub use color::{Color, Scheme, css};
pub use heat::{HeatCell, HeatColumn, HeatMap};
pub use lines::{Dash, Line, Lines};
pub use marks::{Mark, MarkKind, Span, SpanKind};
pub use scatter::{Point, PointSeries, Scatter, Shape};
pub use sparkline::Sparkline;
pub use table::Table;
pub use time_axis::TimeAxis;
pub use unit::Unit;
pub use waterfall::{Stretch, Waterfall, WaterfallRow};

#[cfg(test)]
mod tests;

//! Where a chart is drawn.

use crate::color::Scheme;

/// The size of a chart, and where its colours come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas {
    /// The beginning of each `id` in the chart. No other chart of a page has the same.
    pub(crate) id: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The colours, if the chart carries them.
    pub(crate) scheme: Option<Scheme>,
}

/// The least and the greatest width and height, in pixels.
const SIDES: (f64, f64) = (16.0, 8_192.0);

impl Canvas {
    /// Returns a canvas for a page whose stylesheet has the rules of [`css`](crate::css).
    /// Of the id, only ASCII letters, digits and `-` are kept.
    pub fn for_page(id: &str, width: f64, height: f64) -> Self {
        Self::new(id, width, height, None)
    }

    /// Returns a canvas for a picture with its own background and colours.
    pub fn for_document(width: f64, height: f64, scheme: Scheme) -> Self {
        Self::new("chart", width, height, Some(scheme))
    }

    fn new(id: &str, width: f64, height: f64, scheme: Option<Scheme>) -> Self {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let bounded = |side: f64| match side.is_nan() {
            true => SIDES.0,
            false => side.clamp(SIDES.0, SIDES.1),
        };
        Self {
            id: id.chars().filter(is_plain).collect(),
            width: bounded(width),
            height: bounded(height),
            scheme,
        }
    }
}

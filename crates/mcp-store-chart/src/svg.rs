//! Elements of SVG as text.

use std::fmt::Write as _;

use crate::canvas::Canvas;
use crate::color::Color;
use crate::text::push_escaped;

/// The text of an SVG document that is being written.
#[derive(Debug)]
pub(crate) struct Svg<'a> {
    out: String,
    canvas: &'a Canvas,
}

/// A number with one decimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct N(pub(crate) f64);

impl std::fmt::Display for N {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let (sign, tenths) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
        match tenths % 10 {
            0 => write!(f, "{sign}{}", tenths / 10),
            rest => write!(f, "{sign}{}.{rest}", tenths / 10),
        }
    }
}

/// Where a text is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl<'a> Svg<'a> {
    /// Begins a document with a title and a description.
    pub(crate) fn new(canvas: &'a Canvas, title: &str, description: &str) -> Self {
        let (id, width, height) = (&canvas.id, N(canvas.width), N(canvas.height));
        let mut this = Self {
            out: format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
                 viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
                 aria-labelledby=\"{id}-title {id}-desc\""
            ),
            canvas,
        };
        if canvas.scheme.is_some() {
            this.raw(" font-family=\"system-ui, sans-serif\"");
        }
        this.raw(&format!(" font-size=\"11\"><title id=\"{id}-title\">"));
        push_escaped(&mut this.out, title);
        this.raw(&format!("</title><desc id=\"{id}-desc\">"));
        push_escaped(&mut this.out, description);
        this.raw("</desc>");
        if canvas.scheme.is_some() {
            this.rect([0.0, 0.0, canvas.width, canvas.height], Color::Paper);
        }
        this
    }

    pub(crate) fn finish(mut self) -> String {
        self.raw("</svg>");
        self.out
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Returns the id of a part of this document.
    pub(crate) fn id(&self, part: &str) -> String {
        format!("{}-{part}", self.canvas.id)
    }

    /// Writes the attributes that fill a shape or draw its outline.
    fn paint(&mut self, fill: Option<Color>, line: Option<Color>) {
        match self.canvas.scheme {
            None => {
                self.raw(" class=\"");
                let fill = fill.map(|color| format!("f-{}", color.name()));
                let line = line.map(|color| format!("l-{}", color.name()));
                let classes: Vec<String> = fill.into_iter().chain(line).collect();
                self.raw(&classes.join(" "));
                self.raw("\"");
            }
            Some(scheme) => {
                if let Some(color) = fill {
                    self.raw(&format!(" fill=\"{}\"", color.hex(scheme)));
                }
                if let Some(color) = line {
                    self.raw(&format!(" stroke=\"{}\"", color.hex(scheme)));
                }
            }
        }
        if fill.is_none() {
            self.raw(" fill=\"none\"");
        }
    }

    /// Draws a rectangle: x, y, width and height.
    pub(crate) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: Color) {
        self.raw("<rect");
        self.paint(Some(fill), None);
        let _ = write!(
            self.out,
            " x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            N(x),
            N(y),
            N(width),
            N(height)
        );
    }

    /// Fills a path.
    pub(crate) fn fill(&mut self, path: &str, color: Color) {
        if path.is_empty() {
            return;
        }
        self.raw("<path");
        self.paint(Some(color), None);
        self.raw(&format!(" d=\"{path}\"/>"));
    }

    /// Draws a path. The attributes are written as they are.
    pub(crate) fn stroke(&mut self, path: &str, color: Color, width: f64, attributes: &str) {
        if path.is_empty() {
            return;
        }
        self.raw("<path");
        self.paint(None, Some(color));
        let _ = write!(
            self.out,
            " stroke-width=\"{}\"{attributes} d=\"{path}\"/>",
            N(width)
        );
    }

    /// Fills a rectangle with the hatching, which [`define_hatch`](Self::define_hatch)
    /// defines.
    pub(crate) fn hatch(&mut self, [x, y, width, height]: [f64; 4]) {
        let _ = write!(
            self.out,
            "<rect fill=\"url(#{})\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            self.id("hatch"),
            N(x),
            N(y),
            N(width),
            N(height)
        );
    }

    pub(crate) fn define_hatch(&mut self) {
        let id = self.id("hatch");
        self.raw(&format!(
            "<defs><pattern id=\"{id}\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
        ));
        self.stroke("M1 0v6", Color::Faint, 1.0, " stroke-opacity=\".6\"");
        self.raw("</pattern></defs>");
    }

    /// Writes text whose baseline begins, ends or is centred at a point.
    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, color: Color, text: &str) {
        self.raw("<text");
        self.paint(Some(color), None);
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = write!(self.out, " x=\"{}\" y=\"{}\"{anchor}>", N(x), N(y));
        push_escaped(&mut self.out, text);
        self.raw("</text>");
    }

    /// Writes an invisible rectangle that has the times of its left and right edge in unix
    /// milliseconds, by which a page can tell the time under the pointer.
    pub(crate) fn plot(&mut self, [x, y, width, height]: [f64; 4], since: i64, until: i64) {
        if self.canvas.scheme.is_some() {
            return;
        }
        let _ = write!(
            self.out,
            "<rect class=\"plot\" data-since=\"{since}\" data-until=\"{until}\" \
             fill-opacity=\"0\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            N(x),
            N(y),
            N(width),
            N(height)
        );
    }

    /// Writes an invisible rectangle that shows a text under the pointer. `place` is the
    /// number of the thing that it stands for.
    pub(crate) fn tip(&mut self, [x, y, width, height]: [f64; 4], place: usize, text: &str) {
        let _ = write!(
            self.out,
            "<rect class=\"tip\" data-i=\"{place}\" fill-opacity=\"0\" x=\"{}\" y=\"{}\" \
             width=\"{}\" height=\"{}\"><title>",
            N(x),
            N(y),
            N(width),
            N(height)
        );
        push_escaped(&mut self.out, text);
        self.raw("</title></rect>");
    }
}

/// Appends a rectangle to a path.
pub(crate) fn push_rect(path: &mut String, [x, y, width, height]: [f64; 4]) {
    // The distances are those between rounded corners, so neighbours leave no gap.
    let [left, right] = [x, x + width].map(|x| (x * 10.0).round() / 10.0);
    let [top, bottom] = [y, y + height].map(|y| (y * 10.0).round() / 10.0);
    let _ = write!(
        path,
        "M{} {}h{}v{}h{}z",
        N(left),
        N(top),
        N(right - left),
        N(bottom - top),
        N(left - right)
    );
}

#[cfg(test)]
mod tests {
    use super::N;

    #[test]
    fn numbers_have_one_decimal_at_most() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.04, "0"),
            (-0.05, "-0.1"),
            (12.0, "12"),
            (1.26, "1.3"),
            (-3.5, "-3.5"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(N(number).to_string(), expected);
        }
    }
}

//! The colours of charts in light and dark.
//!
//! The hues are those of Okabe and Ito, which people with any kind of colour vision can tell
//! apart, lightened or darkened for the contrast.

use std::fmt::Write as _;

/// A colour, by what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Color {
    /// A call that succeeded.
    Ok,
    /// A call whose tool failed.
    ToolError,
    /// A call that failed by a fault of the caller.
    CallerError,
    /// A call that ended in an error of the server.
    ServerError,
    /// A call that ended in a timeout.
    Timeout,
    /// A call that its caller left.
    Gone,
    /// A call that has not ended.
    Open,
    /// A series by its place among others; after six they repeat.
    Series(u8),
    /// A level of a heat map, from 0 to 5.
    Heat(u8),
    /// Text and lines in the foreground.
    Ink,
    /// Labels of axes.
    Faint,
    /// Lines behind the data.
    Grid,
    /// The background.
    Paper,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Dark on white.
    Light,
    /// Light on nearly black.
    Dark,
}

/// The number of levels of a heat map.
pub(crate) const LEVELS: u8 = 6;

/// The number of colours of series.
const SERIES: u8 = 6;

impl Color {
    /// All colours, each once.
    fn all() -> impl Iterator<Item = Self> {
        let named = [
            Self::Ok,
            Self::ToolError,
            Self::CallerError,
            Self::ServerError,
            Self::Timeout,
            Self::Gone,
            Self::Open,
            Self::Ink,
            Self::Faint,
            Self::Grid,
            Self::Paper,
        ];
        let series = (0..SERIES).map(Self::Series);
        named
            .into_iter()
            .chain(series)
            .chain((0..LEVELS).map(Self::Heat))
    }

    /// Returns the name in classes and custom properties.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool-error",
            Self::CallerError => "caller-error",
            Self::ServerError => "server-error",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Open => "open",
            Self::Series(n) => ["s0", "s1", "s2", "s3", "s4", "s5"][usize::from(n % SERIES)],
            Self::Heat(n) => ["h0", "h1", "h2", "h3", "h4", "h5"][usize::from(n.min(LEVELS - 1))],
            Self::Ink => "ink",
            Self::Faint => "faint",
            Self::Grid => "grid",
            Self::Paper => "paper",
        }
    }

    pub(crate) fn hex(self, scheme: Scheme) -> &'static str {
        let [light, dark] = match self {
            Self::Ok => ["#0072b2", "#4ca9dd"],
            Self::ToolError => ["#b57d00", "#e69f00"],
            Self::CallerError => ["#b5628f", "#d795b8"],
            Self::ServerError => ["#c34e00", "#ef6c0f"],
            Self::Timeout => ["#3d3d3d", "#f3ecc0"],
            Self::Gone => ["#858585", "#8b929c"],
            Self::Open => ["#00835f", "#13b98a"],
            Self::Series(n) => {
                return match n % SERIES {
                    0 => Self::Ok,
                    1 => Self::ToolError,
                    2 => Self::Open,
                    3 => Self::CallerError,
                    4 => Self::Timeout,
                    _ => Self::Gone,
                }
                .hex(scheme);
            }
            Self::Heat(n) => match n {
                0 => ["#d6e6f4", "#173a5e"],
                1 => ["#abcfe6", "#1f5687"],
                2 => ["#6aaed6", "#2d76b3"],
                3 => ["#3787c0", "#4b9bd5"],
                4 => ["#105ba4", "#86c1ea"],
                _ => ["#08306b", "#d3e9fb"],
            },
            Self::Ink => ["#1b1f26", "#e6e9ee"],
            Self::Faint => ["#555e6b", "#a5afbd"],
            Self::Grid => ["#dde2e9", "#2c333d"],
            Self::Paper => ["#ffffff", "#14171c"],
        };
        match scheme {
            Scheme::Light => light,
            Scheme::Dark => dark,
        }
    }
}

/// Returns the rules of a stylesheet for charts in a page, in light and dark.
pub fn css() -> String {
    let properties = |scheme| {
        let properties =
            Color::all().map(|color| format!("--c-{}:{}", color.name(), color.hex(scheme)));
        properties.collect::<Vec<_>>().join(";")
    };
    let mut css = format!(
        ".chart{{{}}}\n@media (prefers-color-scheme:dark){{.chart{{{}}}}}\n",
        properties(Scheme::Light),
        properties(Scheme::Dark)
    );
    for color in Color::all() {
        let name = color.name();
        // Writing to a text cannot fail.
        let _ = writeln!(
            css,
            ".chart .f-{name}{{fill:var(--c-{name})}}.chart .l-{name}{{stroke:var(--c-{name})}}"
        );
    }
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the relative luminance, as in WCAG 2.2.
    fn luminance(hex: &str) -> f64 {
        let part = |at: usize| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn data_and_text_contrast_with_the_background() {
        for scheme in [Scheme::Light, Scheme::Dark] {
            let paper = Color::Paper.hex(scheme);
            for color in Color::all() {
                let least = match color {
                    Color::Ink | Color::Faint => 4.5,
                    // The levels of a heat map begin near the background, and the table has
                    // their numbers.
                    Color::Heat(0..=2) | Color::Grid | Color::Paper => 1.0,
                    _ => 3.0,
                };
                let found = contrast(color.hex(scheme), paper);
                assert!(found >= least, "{color:?} in {scheme:?}: {found}");
            }
        }
    }

    #[test]
    fn levels_of_a_heat_map_rise_in_contrast() {
        for scheme in [Scheme::Light, Scheme::Dark] {
            let paper = Color::Paper.hex(scheme);
            let levels = (0..LEVELS).map(|level| contrast(Color::Heat(level).hex(scheme), paper));
            let levels: Vec<f64> = levels.collect();
            assert!(
                levels.windows(2).all(|pair| pair[0] * 1.2 < pair[1]),
                "{levels:?}"
            );
        }
    }

    #[test]
    fn stylesheet_has_a_rule_for_each_colour() {
        let css = css();
        for color in Color::all() {
            assert!(css.contains(&format!(".f-{}{{", color.name())));
        }
        assert_eq!(css.matches('{').count(), css.matches('}').count());
    }
}

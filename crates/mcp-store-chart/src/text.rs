//! Text of charts, escaped and cut to the available width.

use mcp_store_text::sanitize::must_escape;

/// The size of text, in pixels.
pub(crate) const SIZE: f64 = 11.0;

/// Appends text that is escaped for XML and has no characters that could control a
/// terminal or change the direction of other text.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML 1.0 section 2.2 excludes U+FFFE and U+FFFF.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if must_escape(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// Returns about how wide a text is in pixels.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> f64 {
    let em = match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '-' | '.' | ',' | ':' | ';' | '\'' | '|' | ' '
        | '/' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' => 0.88,
        'A'..='Z' => 0.68,
        // Most characters beyond these blocks are as wide as they are high.
        '\u{1100}'.. => 1.05,
        _ => 0.58,
    };
    em * SIZE
}

/// Returns as much of a text as fits into `room` pixels. A cut text ends in an ellipsis.
pub(crate) fn fitting(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = char_width('…');
    let mut cut = String::new();
    for c in text.chars() {
        used += char_width(c);
        if used > room {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_controls_are_replaced() {
        let mut out = String::new();
        push_escaped(&mut out, "<b a=\"'\">&\0\u{202e}\u{ffff}\u{1b}é");
        assert_eq!(
            out,
            "&lt;b a=&quot;&#39;&quot;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}\u{fffd}é"
        );
    }

    #[test]
    fn long_text_is_cut_to_its_room() {
        assert_eq!(fitting("search", 200.0), "search");
        let cut = fitting(&"x".repeat(300), 60.0);
        assert!(cut.ends_with('…') && width(&cut) <= 60.0, "{cut}");
        assert_eq!(fitting("search", 0.0), "…");
    }
}

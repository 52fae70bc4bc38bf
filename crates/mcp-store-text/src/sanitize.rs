//! Text from the wire, made safe for a terminal or a page.

use std::borrow::Cow;

/// Replaces characters that could control a terminal or be invisible: control
/// characters, characters that change the direction of text, and those without width.
pub fn escape_control(text: &str) -> Cow<'_, str> {
    if text.contains(must_escape) {
        text.replace(must_escape, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Returns whether [`escape_control`] replaces a character.
pub fn must_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{13430}'..='\u{1345f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::escape_control;

    #[test]
    fn ordinary_text_of_any_script_is_unchanged() {
        for text in ["search", "méthode ✗", "検索", "ابحث", "חיפוש", "🔧", ""] {
            assert_eq!(escape_control(text), text);
        }
    }

    #[test]
    fn control_and_invisible_characters_are_replaced() {
        for harmful in [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\n',
            '\r',
            '\t',
            '\u{8}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{e0041}',
            '\u{1d173}',
            '\u{2028}',
        ] {
            let text = format!("a{harmful}b");
            assert_eq!(escape_control(&text), "a\u{fffd}b", "{harmful:?}");
        }
    }
}

//! JSON that is safe on a terminal.

use std::io::{self, Write};

use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::sanitize::must_escape;

/// Escapes characters that could control a terminal. A JSON parser reads the same text. The
/// library by itself escapes only the first 32 characters.
pub(super) struct Escaping;

pub(super) fn serializer<W: Write>(writer: W) -> Serializer<W, Escaping> {
    Serializer::with_formatter(writer, Escaping)
}

impl Formatter for Escaping {
    fn write_string_fragment<W>(&mut self, writer: &mut W, mut text: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        while let Some((at, harmful)) = text.char_indices().find(|(_, char)| must_escape(*char)) {
            let (before, rest) = text.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in harmful.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            text = &rest[harmful.len_utf8()..];
        }
        writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;

    use super::serializer;

    #[test]
    fn control_characters_are_escaped_and_the_text_stays_the_same() {
        for (text, expected) in [
            ("search \u{e9} \"q\"", "\"search \u{e9} \\\"q\\\"\""),
            ("a\u{9b}31m\u{202e}b", "\"a\\u009b31m\\u202eb\""),
            ("\u{1b}\u{7f}", "\"\\u001b\\u007f\""),
            ("\u{e0041}", "\"\\udb40\\udc41\""),
        ] {
            let mut written = Vec::new();
            text.serialize(&mut serializer(&mut written)).unwrap();
            let written = String::from_utf8(written).unwrap();
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}

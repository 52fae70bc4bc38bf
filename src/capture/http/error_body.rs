//! The text of an error body, which is the error text if there is no JSON-RPC
//! error.

use serde::de::IgnoredAny;

use super::failure::{ERROR_BYTES, ERROR_TEXT};
use super::media::Media;
use super::text::bounded;
use crate::wire::uri::Prose;

/// The beginning of an error body that may be plain text.
pub(in crate::capture) struct ErrorBody {
    beginning: Prose,
    media: Media,
}

impl ErrorBody {
    /// Returns a reader for a body of this media type; `None` if the type is not text.
    pub(in crate::capture) fn of(media: Media) -> Option<Self> {
        matches!(media, Media::Text | Media::Unnamed).then(|| Self {
            beginning: Prose::new(ERROR_BYTES),
            media,
        })
    }

    /// Reads on. Returns whether it needs more.
    pub(in crate::capture) fn read(&mut self, data: &[u8]) -> bool {
        self.beginning.read(data)
    }

    /// Returns the text without JSON data and without the userinfo of URIs, which must
    /// not be stored. `is_whole` says whether the body came to its end.
    ///
    /// Servers and proxies send JSON under any media type, or none, and put it after
    /// words of their own.
    pub(in crate::capture) fn text(&self, is_whole: bool) -> Option<Box<str>> {
        let text = self.beginning.text(is_whole);
        let is_space = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
        let text = text.trim_matches(is_space);
        let is_json =
            text.starts_with(['{', '[', '"']) || serde_json::from_str::<IgnoredAny>(text).is_ok();
        let is_markup = text.starts_with('<') && self.media == Media::Unnamed;
        // It is in an encoding that is not decoded.
        let is_wide = text.contains('\0');
        if is_json || is_markup || is_wide {
            return None;
        }
        let words = text.match_indices('{').find(|(start, _)| {
            let object = text[start + 1..].trim_start();
            object.starts_with('"')
        });
        let text = words.map_or(text, |(start, _)| text[..start].trim_end());
        (!text.is_empty()).then(|| bounded(text, ERROR_TEXT).0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(media: Media, body: &[u8]) -> Option<String> {
        let mut read = ErrorBody::of(media)?;
        for byte in body.chunks(1) {
            read.read(byte);
        }
        read.text(true).map(Into::into)
    }

    #[test]
    fn words_are_kept_and_data_is_not() {
        for (body, kept) in [
            ("not found\n", Some("not found")),
            ("expected `,` or `}`: {x}", Some("expected `,` or `}`: {x}")),
            ("<b>late</b>", Some("<b>late</b>")),
            ("", None),
            (" {\"detail\":1}", None),
            ("\u{feff}[1]", None),
            ("\u{c}\u{a0}{'a': 1}", None),
            ("\"text\"", None),
            ("12345678", None),
            ("upstream says: {\n \"data\": 1}", Some("upstream says:")),
            ("data: {\"data\":1}", Some("data:")),
        ] {
            assert_eq!(
                text(Media::Text, body.as_bytes()).as_deref(),
                kept,
                "{body}"
            );
        }
        assert_eq!(text(Media::Unnamed, b"<b>late</b>"), None);
        assert_eq!(text(Media::Unnamed, b"late").as_deref(), Some("late"));
        assert_eq!(text(Media::Other, b"late"), None);
    }

    #[test]
    fn json_in_wide_characters_is_data() {
        let json = "{\"detail\":\"x\"}";
        let little: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = json.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for body in [little, big] {
            assert_eq!(text(Media::Text, &body), None);
            let marked = [b"\xfe\xff", &body[..]].concat();
            assert_eq!(text(Media::Text, &marked), None);
        }
    }

    #[test]
    fn userinfo_is_not_kept_wherever_the_text_is_cut() {
        let long = format!("no https://me:{}@host here", "pw".repeat(2_000));
        assert_eq!(
            text(Media::Text, long.as_bytes()).as_deref(),
            Some("no https://host here")
        );
        let mut broken_off = ErrorBody::of(Media::Text).unwrap();
        assert!(broken_off.read(&long.as_bytes()[..3_000]));
        assert_eq!(broken_off.text(false).as_deref(), Some("no https://"));
    }

    #[test]
    fn long_text_is_cut_to_its_bound() {
        let long = "é".repeat(5_000);
        let kept = text(Media::Text, long.as_bytes()).unwrap();
        assert_eq!(kept, "é".repeat(ERROR_TEXT));
    }
}

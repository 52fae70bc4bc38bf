//! The media type of a body, as it decides how the body is read.

/// How a body is read, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum Media {
    Json,
    EventStream,
    Text,
    /// No `Content-Type`: servers send JSON and plain error text that way.
    Unnamed,
    Other,
}

impl Media {
    pub(super) fn named(name: &[u8]) -> Self {
        // The usual spelling.
        match name {
            b"application/json" => return Self::Json,
            b"text/event-stream" => return Self::EventStream,
            _ => {}
        }
        // Only the essence counts; parameters follow a semicolon (RFC 9110, section 8.3.1).
        let essence = name.split(|b| *b == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii();
        let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
        if is(b"application/json") {
            Self::Json
        } else if is(b"text/event-stream") {
            Self::EventStream
        } else if is(b"text/plain") {
            Self::Text
        } else {
            Self::Other
        }
    }
}

/// Returns whether a media type has a `charset` of UTF-7. Only letters and digits
/// of the name count, as in the library that Express decodes with.
#[cold]
pub(super) fn names_utf_7(media: &[u8]) -> bool {
    let mut parameters = media.split(|b| *b == b';').skip(1);
    parameters.any(|parameter| {
        let mut halves = parameter.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let value = halves.next().unwrap_or_default().iter();
        let letters = value.filter(|b| b.is_ascii_alphanumeric());
        let letters = letters.map(u8::to_ascii_lowercase).take(4);
        name.eq_ignore_ascii_case(b"charset") && letters.eq(*b"utf7")
    })
}

//! White space of JSON, and the other characters that servers skip before a
//! document.

/// Returns whether a byte is white space between the tokens of JSON.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Returns whether a document of messages may begin with this byte: white space, a
/// byte order mark, an object or an array.
pub(crate) fn begins_json(first: u8) -> bool {
    is_space(first) || matches!(first, b'{' | b'[' | 0xef)
}

/// The characters before a document that servers skip and that are not JSON white
/// space.
///
/// Body decoders strip a byte order mark, and tower-mcp strips all Unicode white
/// space. No server skips these characters between tokens.
#[derive(Default)]
pub(super) struct Preamble {
    /// The bytes of an incomplete character, and how many there are.
    bytes: [u8; 3],
    len: u8,
}

impl Preamble {
    /// Reads the next byte. Returns whether it completes its character, or `None` if no
    /// server skips the character.
    pub(super) fn skip(&mut self, byte: u8) -> Option<bool> {
        let len = usize::from(self.len);
        // Each of these characters takes at most three bytes.
        *self.bytes.get_mut(len)? = byte;
        match str::from_utf8(&self.bytes[..=len]) {
            Ok(text) => {
                self.len = 0;
                let is_skipped = |c: char| c.is_whitespace() || c == '\u{feff}';
                text.chars().all(is_skipped).then_some(true)
            }
            Err(error) => {
                self.len += 1;
                error.error_len().is_none().then_some(false)
            }
        }
    }
}

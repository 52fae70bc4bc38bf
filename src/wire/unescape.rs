//! Decodes the escapes of JSON strings that may be split anywhere.

use super::swar::plain_text;

/// Reads one string after its opening quote.
#[derive(Default)]
pub(super) struct Unescape {
    escape: Escape,
    /// A high surrogate that a low one may follow.
    high: Option<u16>,
}

/// The position within an escape at the end of the last chunk.
#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    Outside,
    Backslash,
    /// After `\u` and this many digits.
    Hex {
        digits: u8,
        value: u16,
    },
}

impl Unescape {
    /// Passes the text to `out` in pieces. Returns the length up to and including the
    /// closing quote, or `None` if the string does not end in this chunk.
    ///
    /// An invalid escape and half of a surrogate pair become U+FFFD. The text's own
    /// bytes pass unchanged, valid or not. An escape never completes a UTF-8 sequence
    /// that they began, so the caller can validate the string at its end.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.escape {
                Escape::Outside => {
                    let rest = &bytes[at..];
                    let plain = plain_text(rest);
                    if plain > 0 {
                        self.give_up_pair(out);
                        out(&rest[..plain]);
                        at += plain;
                        continue;
                    }
                    at += 1;
                    if byte == b'"' {
                        self.give_up_pair(out);
                        return Some(at);
                    }
                    self.escape = Escape::Backslash;
                }
                Escape::Backslash => {
                    at += 1;
                    if byte == b'u' {
                        self.escape = Escape::Hex {
                            digits: 0,
                            value: 0,
                        };
                    } else {
                        self.escape = Escape::Outside;
                        self.give_up_pair(out);
                        match byte {
                            b'"' | b'\\' | b'/' => out(&[byte]),
                            b'b' => out(b"\x08"),
                            b'f' => out(b"\x0c"),
                            b'n' => out(b"\n"),
                            b'r' => out(b"\r"),
                            b't' => out(b"\t"),
                            _ => put(char::REPLACEMENT_CHARACTER, out),
                        }
                    }
                }
                Escape::Hex { digits, value } => {
                    let Some(digit) = char::from(byte).to_digit(16) else {
                        // The byte may end the string, so it is read again.
                        self.escape = Escape::Outside;
                        self.give_up_pair(out);
                        put(char::REPLACEMENT_CHARACTER, out);
                        continue;
                    };
                    at += 1;
                    let value = value << 4 | digit as u16;
                    if digits < 3 {
                        self.escape = Escape::Hex {
                            digits: digits + 1,
                            value,
                        };
                    } else {
                        self.escape = Escape::Outside;
                        self.code_unit(value, out);
                    }
                }
            }
        }
        None
    }

    fn code_unit(&mut self, unit: u16, out: &mut impl FnMut(&[u8])) {
        if let Some(high) = self.high
            && let Some(Ok(pair)) = char::decode_utf16([high, unit]).next()
        {
            self.high = None;
            return put(pair, out);
        }
        self.give_up_pair(out);
        match char::from_u32(unit.into()) {
            Some(char) => put(char, out),
            None if unit < 0xdc00 => self.high = Some(unit),
            None => put(char::REPLACEMENT_CHARACTER, out),
        }
    }

    /// Replaces a high surrogate that no low one followed.
    fn give_up_pair(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.high.take().is_some() {
            put(char::REPLACEMENT_CHARACTER, out);
        }
    }
}

fn put(char: char, out: &mut impl FnMut(&[u8])) {
    out(char.encode_utf8(&mut [0; 4]).as_bytes());
}

//! Ids and cursors: values that are compared in full and never shown.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

use super::text_buffer::TextBuffer;

/// A JSON string or number that can be compared with another.
///
/// Two ids are equal if their values are equal: `1`, `1.0` and `10e-1` are one
/// number, and `"1"` is not a number. A long value is kept as its SHA-256, so the
/// size is fixed. A number of more than 256 characters is compared as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JsonId {
    kind: Kind,
    len: u8,
    /// The value, then zeros.
    bytes: [u8; Self::INLINE],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    String,
    StringDigest,
    Number,
    NumberDigest,
}

impl JsonId {
    /// Longest value that is kept as is, in bytes: a UUID with its hyphens.
    pub(crate) const INLINE: usize = 36;

    /// Returns the value if it is an integer of 64 bits.
    pub(crate) fn integer(&self) -> Option<i64> {
        if self.kind != Kind::Number {
            return None;
        }
        let text = str::from_utf8(self.value()?).ok()?;
        // Few ids have an exponent.
        let Some((digits, exponent)) = text.split_once('e') else {
            return text.parse().ok();
        };
        let power = 10_i64.checked_pow(exponent.parse().ok()?)?;
        digits.parse::<i64>().ok()?.checked_mul(power)
    }

    /// Returns the value if it is a string that is kept whole.
    pub(crate) fn text(&self) -> Option<&str> {
        match self.kind {
            Kind::String => str::from_utf8(self.value()?).ok(),
            Kind::StringDigest | Kind::Number | Kind::NumberDigest => None,
        }
    }

    fn value(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len.into())
    }

    /// Makes an id from the bytes that [`store`] left; `None` if they are not valid.
    pub(super) fn new(number: bool, digest: bool, value: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::INLINE];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self {
            kind: match (number, digest) {
                (false, false) => Kind::String,
                (false, true) => Kind::StringDigest,
                (true, false) => Kind::Number,
                (true, true) => Kind::NumberDigest,
            },
            len: value.len() as u8,
            bytes,
        })
    }
}

/// Shortens the value that begins at `start` so that it fits into a [`JsonId`]: a
/// long value is replaced by its digest. If only the beginning of the value is in
/// the buffer, `digest` is the digest of the whole. Returns whether the buffer now
/// holds a digest.
pub(super) fn store(buf: &mut TextBuffer, start: usize, digest: Option<[u8; 32]>) -> bool {
    let digest = match digest {
        Some(digest) => digest,
        None if buf.len() - start <= JsonId::INLINE => return false,
        None => Sha256::digest(&buf[start..]).into(),
    };
    buf.truncate(start);
    buf.extend_from_slice(&digest);
    true
}

/// Rewrites the JSON number that begins at `start` so that equal values are equal
/// bytes: sign, digits without zeros at either end, `e` and exponent. Returns false
/// if it is not a number.
pub(super) fn normalise(buf: &mut TextBuffer, start: usize) -> bool {
    if is_normal(&buf[start..]) {
        return true;
    }
    let written = TextBuffer::from_slice(&buf[start..]);
    let Some(Number {
        negative,
        whole,
        fraction,
        exponent,
    }) = Number::parse(&written)
    else {
        return false;
    };
    // A number with an exponent out of range stays as it was sent.
    let Some(mut exponent) = exponent.and_then(|e| e.checked_sub(fraction.len() as i64)) else {
        return true;
    };
    buf.truncate(start);
    if negative {
        buf.push(b'-');
    }
    let before = buf.len();
    let digits = written[whole].iter().chain(&written[fraction]);
    buf.extend(digits.skip_while(|digit| **digit == b'0').copied());
    while buf.len() > before && buf.ends_with(b"0") {
        buf.pop();
        exponent = exponent.saturating_add(1);
    }
    if buf.len() == before {
        buf.truncate(start);
        buf.push(b'0');
    } else if exponent != 0 {
        // The buffer holds any exponent, so writing cannot fail.
        let mut text = [0; "e-9223372036854775808".len()];
        let mut room = &mut text[..];
        let _ = write!(room, "e{exponent}");
        let unused = room.len();
        let len = text.len() - unused;
        buf.extend_from_slice(&text[..len]);
    }
    true
}

/// Returns whether `text` is a JSON number.
pub(super) fn is_number(text: &[u8]) -> bool {
    is_normal(text) || Number::parse(text).is_some()
}

/// Returns whether `text` is a number that [`normalise`] does not change, as most
/// ids are.
pub(super) fn is_normal(text: &[u8]) -> bool {
    match text {
        b"0" => true,
        [b'0', ..] | [.., b'0'] | [] => false,
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// The parts of a JSON number, as ranges of its bytes.
struct Number {
    negative: bool,
    whole: std::ops::Range<usize>,
    fraction: std::ops::Range<usize>,
    /// `None` if the exponent does not fit.
    exponent: Option<i64>,
}

impl Number {
    fn parse(text: &[u8]) -> Option<Self> {
        let digits_from = |start: usize| {
            let rest = text.get(start..).unwrap_or_default();
            start..start + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let negative = text.first() == Some(&b'-');
        let whole = digits_from(negative.into());
        if whole.is_empty() || whole.len() > 1 && text[whole.start] == b'0' {
            return None;
        }
        let mut end = whole.end;
        let mut fraction = end..end;
        if text.get(end) == Some(&b'.') {
            fraction = digits_from(end + 1);
            if fraction.is_empty() {
                return None;
            }
            end = fraction.end;
        }
        let mut exponent = Some(0);
        if let Some(b'e' | b'E') = text.get(end) {
            let signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
            let digits = digits_from(end + 1 + usize::from(signed));
            if digits.is_empty() {
                return None;
            }
            exponent = std::str::from_utf8(&text[end + 1..digits.end])
                .ok()
                .and_then(|exponent| exponent.parse().ok());
            end = digits.end;
        }
        (end == text.len()).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }
}

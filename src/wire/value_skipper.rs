//! Skips values without parsing them, 64 bytes at a time.
//!
//! A skipped value is not validated: only the position of its last byte matters. A
//! backslash escapes the next byte, a quote begins or ends a string, and brackets
//! of either kind nest outside of strings.
//!
//! Most bytes of real traffic are skipped here. A loop over bytes would pay a
//! mispredicted branch for nearly each token. Instead, the bytes of a block are
//! compared together, each kind of byte becomes a bit mask, and the rest is
//! arithmetic.

use memchr::memchr2;

use super::swar::repeat;

const BLOCK: usize = 64;

/// In a long text, escapes closer together than this are handled block by block.
const NEAR: usize = 16;

/// A value that is being skipped.
#[derive(Default)]
pub(super) struct ValueSkipper {
    /// Open brackets; 0 if the value is a string.
    depth: u64,
    in_string: bool,
    /// The last byte was a backslash that escapes the next byte.
    escaped: bool,
}

impl ValueSkipper {
    /// Starts after the opening quote of a string.
    pub(super) fn string() -> Self {
        Self {
            in_string: true,
            ..Self::default()
        }
    }

    /// Starts after the opening bracket of an object or array.
    pub(super) fn nested() -> Self {
        Self {
            depth: 1,
            ..Self::default()
        }
    }

    /// Returns the length up to and including the value's last byte, or `None` if the
    /// value does not end in `bytes`.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let mut padded = [0; BLOCK];
            let (block, len) = if let Some(block) = rest.first_chunk() {
                (block, BLOCK)
            } else {
                padded[..rest.len()].copy_from_slice(rest);
                (&padded, rest.len())
            };
            let quote = places(block, 0, b'"');
            let backslash = rare_places(block, b'\\');
            if let Some(end) = self.block(block, len, quote, backslash) {
                return Some(at + end);
            }
            at += len;
            if self.in_string && (quote | backslash) >> (BLOCK - NEAR) == 0 {
                at += self.long_text(&bytes[at..]);
            }
        }
        None
    }

    /// Reads the first `len` bytes of a block, by the positions of its quotes and
    /// backslashes.
    fn block(
        &mut self,
        block: &[u8; BLOCK],
        len: usize,
        quote: u64,
        backslash: u64,
    ) -> Option<usize> {
        let quote = match backslash == 0 && !self.escaped {
            true => quote,
            false => quote & !self.escaped(len, backslash),
        };
        let inside = parity(quote) ^ u64::from(self.in_string).wrapping_neg();
        self.in_string = inside >> (BLOCK - 1) == 1;

        if self.depth == 0 {
            let closing = quote & !inside;
            return (closing != 0).then(|| closing.trailing_zeros() as usize + 1);
        }
        if inside == u64::MAX {
            return None;
        }
        // `[` and `]` differ from `{` and `}` in one bit alone.
        let open = places(block, 0x20, b'{') & !inside;
        let close = places(block, 0x20, b'}') & !inside;
        if u64::from(close.count_ones()) < self.depth {
            self.depth += u64::from(open.count_ones());
            self.depth -= u64::from(close.count_ones());
            return None;
        }
        let mut brackets = open | close;
        while brackets != 0 {
            let place = brackets.trailing_zeros();
            if close >> place & 1 == 0 {
                self.depth += 1;
            } else if self.depth > 1 {
                self.depth -= 1;
            } else {
                return Some(place as usize + 1);
            }
            brackets &= brackets - 1;
        }
        None
    }

    /// Returns the bytes of a block that a backslash escapes.
    fn escaped(&mut self, len: usize, backslash: u64) -> u64 {
        let escaping = escaping(backslash & !u64::from(self.escaped));
        let escaped = escaping << 1 | u64::from(self.escaped);
        self.escaped = match len {
            BLOCK => escaping >> (BLOCK - 1) == 1,
            _ => escaped >> len & 1 == 1,
        };
        escaped
    }

    /// Skips to the next quote of a string, or to escapes that are close together.
    /// Returns the number of bytes skipped.
    fn long_text(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(plain) = memchr2(b'"', b'\\', rest) else {
                return bytes.len();
            };
            if rest[plain] == b'"' || plain < NEAR {
                return at + plain;
            }
            at += plain + 2;
            if at > bytes.len() {
                self.escaped = true;
                return bytes.len();
            }
        }
    }
}

/// Returns one bit for each byte of the block that equals `byte` once the bits of
/// `fold` are set.
#[inline]
fn places(block: &[u8; BLOCK], fold: u8, byte: u8) -> u64 {
    transpose(compare(block, fold, byte))
}

/// Like [`places`], for a byte that few blocks hold.
#[inline]
fn rare_places(block: &[u8; BLOCK], byte: u8) -> u64 {
    match compare(block, 0, byte) {
        0 => 0,
        bits => transpose(bits),
    }
}

/// Like [`places`], but bit `i` of byte `j` stands for byte `8 * i + j`.
///
/// The compiler can turn this form into vector instructions on any processor. Few
/// processors can gather bits, so words are folded into one.
#[inline]
fn compare(block: &[u8; BLOCK], fold: u8, byte: u8) -> u64 {
    /// For each byte, the bit of its word.
    const WORD: [u8; BLOCK] = {
        let mut bits = [0; BLOCK];
        let mut i = 0;
        while i < BLOCK {
            bits[i] = 1 << (i / 8);
            i += 1;
        }
        bits
    };
    let bits: [u8; BLOCK] = std::array::from_fn(|i| match block[i] | fold == byte {
        true => WORD[i],
        false => 0,
    });
    let (words, _) = bits.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(0, |all, word| all | word)
}

/// Transposes an 8 by 8 bit matrix: bit `i` of byte `j` becomes bit `j` of byte
/// `i`.
#[inline]
fn transpose(mut bits: u64) -> u64 {
    for (distance, half) in [
        (7, 0x00aa_00aa_00aa_00aa),
        (14, 0x0000_cccc_0000_cccc),
        (28, 0x0000_0000_f0f0_f0f0),
    ] {
        let swapped = (bits ^ bits >> distance) & half;
        bits ^= swapped ^ swapped << distance;
    }
    bits
}

/// Returns the backslashes that escape the next byte: the first, third, ... of each
/// run.
#[inline]
fn escaping(backslash: u64) -> u64 {
    const EVEN: u64 = repeat(0b0101_0101);
    let starts = backslash & !(backslash << 1);
    // Adding a run's first bit carries through the run and clears it.
    let from_even = backslash & !backslash.wrapping_add(starts & EVEN);
    (from_even & EVEN) | (backslash & !from_even & !EVEN)
}

/// Returns, for each bit, whether the number of set bits up to it is odd. The
/// result covers each string from its opening quote to before the closing one.
#[inline]
fn parity(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same rules, one byte at a time.
    fn reference(nested: bool, bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (u64::from(nested), !nested, false);
        for (i, byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut escaped) {
                // The byte is escaped. A bracket outside of a string counts nevertheless.
                if *byte == b'"' || *byte == b'\\' {
                    continue;
                }
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string && nested => depth += 1,
                b'}' | b']' if !in_string && nested => depth -= 1,
                _ => {}
            }
            if depth == 0 && !in_string {
                return Some(i + 1);
            }
        }
        None
    }

    /// Bytes with a meaning, among runs of bytes without one.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => prop::sample::select(&br#""\{}[]a:"#[..]).prop_map(|byte| vec![byte]),
            1 => (prop::sample::select(&b"x\\\xff[]"[..]), 0..150usize).prop_map(|(byte, times)| vec![byte; times]),
            1 => Just(b"long enough to be a text of its own \\n which has lines \\\"".to_vec()),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn blocks_and_texts_end_where_a_loop_over_bytes_does(
            nested: bool,
            bytes in bytes(),
            chunk in 1..200usize,
        ) {
            let mut skip = if nested { ValueSkipper::nested() } else { ValueSkipper::string() };
            let mut end = None;
            for (i, chunk_bytes) in bytes.chunks(chunk).enumerate() {
                end = skip.feed(chunk_bytes).map(|len| i * chunk + len);
                if end.is_some() {
                    break;
                }
            }
            prop_assert_eq!(end, reference(nested, &bytes));
        }
    }
}

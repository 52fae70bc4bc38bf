//! Compares eight bytes at a time in an ordinary word.

use memchr::memchr2;

pub(super) const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Returns the high bit of each byte of `word` that equals `byte`.
#[inline]
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = repeat(0x7f);
    let differs = word ^ repeat(byte);
    // The sum reaches the high bit unless the seven low ones are zero.
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// Returns the length of the text before the next quote or backslash.
///
/// Most strings are short, so the first words are compared here.
#[inline]
pub(super) fn plain_text(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks();
    for (i, word) in words.iter().take(4).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return 8 * i + found.trailing_zeros() as usize / 8;
        }
    }
    let seen = 8 * words.len().min(4);
    let rest = &bytes[seen..];
    seen + memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
}

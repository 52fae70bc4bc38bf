//! Ways to cut bytes into pieces.

/// Returns pieces of one to sixteen bytes, many of one, as `seed` decides.
pub(crate) fn pieces(seed: u8, mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // Xorshift: the next value only has to differ.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let len = match state % 3 {
            0 => 1,
            _ => 1 + (state as usize >> 8) % 16,
        };
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

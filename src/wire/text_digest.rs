//! SHA-256 of a text that arrives in pieces.

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

/// Hashes a text with U+FFFD in place of invalid UTF-8, like
/// [`String::from_utf8_lossy`]. The result does not depend on where the text is
/// split.
#[derive(Default)]
pub(super) struct TextDigest {
    sha256: Sha256,
    /// The first bytes of a character that is not complete yet.
    partial: SmallVec<[u8; 4]>,
}

impl TextDigest {
    /// Returns the hash of a whole text.
    pub(super) fn of(text: &[u8]) -> [u8; 32] {
        Sha256::digest(String::from_utf8_lossy(text).as_bytes()).into()
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !self.partial.is_empty()
            && let Some((&next, rest)) = bytes.split_first()
        {
            self.partial.push(next);
            match str::from_utf8(&self.partial) {
                Ok(character) => self.sha256.update(character),
                Err(error) if error.error_len().is_none() => {
                    bytes = rest;
                    continue;
                }
                // The byte is not part of this character. The code below reads it.
                Err(_) => {
                    self.replace();
                    self.partial.clear();
                    break;
                }
            }
            self.partial.clear();
            bytes = rest;
        }
        while let Err(error) = str::from_utf8(bytes) {
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            self.sha256.update(valid);
            let Some(invalid) = error.error_len() else {
                self.partial.extend_from_slice(rest);
                return;
            };
            self.replace();
            bytes = &rest[invalid..];
        }
        self.sha256.update(bytes);
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        if !self.partial.is_empty() {
            self.replace();
        }
        self.sha256.finalize().into()
    }

    fn replace(&mut self) {
        let mut utf8 = [0; 4];
        let replacement = char::REPLACEMENT_CHARACTER.encode_utf8(&mut utf8);
        self.sha256.update(replacement);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_hash_as_the_whole_does(
            pieces in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![
                        1 => Just(b'a'),
                        3 => prop::sample::select(&b"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\xff"[..]),
                    ],
                    0..6,
                ),
                0..12,
            ),
        ) {
            let mut digest = TextDigest::default();
            for piece in &pieces {
                digest.update(piece);
            }
            prop_assert_eq!(digest.finish(), TextDigest::of(&pieces.concat()));
        }
    }
}

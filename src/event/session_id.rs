use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Longest id that is kept as it is, in characters.
const LONGEST: usize = 256;

/// Bytes of the hash that stands for the rest of a longer one.
const HASH: usize = 16;

/// What is kept of its beginning, in characters: with `~` and the hash's digits
/// it is as long as the longest.
const BEGINNING: usize = LONGEST - 1 - 2 * HASH;

/// Returns an id as it is kept: of one that is too long, its beginning, `~` and a
/// hash of the whole. So two ids are the same where what is kept of them is.
pub(crate) fn bounded_id(id: &str) -> Cow<'_, str> {
    // A character is a byte at least.
    if id.len() <= LONGEST || id.chars().nth(LONGEST).is_none() {
        return Cow::Borrowed(id);
    }
    Cow::Owned(cut(id, &Sha256::digest(id).into()))
}

/// Returns the same of an id of which only the first 256 characters and the hash of the
/// whole are known.
pub(super) fn bounded_id_of<'a>(text: &'a str, sha256: &[u8; 32]) -> Cow<'a, str> {
    // Only an id that was cut has another hash than what is left of it.
    if text.chars().nth(LONGEST - 1).is_none() || Sha256::digest(text).as_slice() == sha256 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(cut(text, sha256))
}

fn cut(id: &str, sha256: &[u8; 32]) -> String {
    let end = id.char_indices().nth(BEGINNING);
    let (beginning, _) = id.split_at(end.map_or(id.len(), |(end, _)| end));
    let mut kept = format!("{beginning}~");
    for byte in sha256.iter().take(HASH) {
        // Writing to a text cannot fail.
        let _ = write!(kept, "{byte:02x}");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_256_characters_stays_as_it_is() {
        for id in [String::new(), "a".repeat(256), "é".repeat(256)] {
            assert_eq!(bounded_id(&id), id);
        }
    }

    #[test]
    fn a_longer_id_keeps_its_beginning_and_a_hash_of_the_whole() {
        // The digest is what sha256sum says of 300 letters a.
        let kept = format!("{}~9835fa6bf4e20a9b9ea812506302e989", "a".repeat(223));
        assert_eq!(bounded_id(&"a".repeat(300)), kept);
        let kept = bounded_id(&"é".repeat(300)).into_owned();
        assert_eq!(kept.chars().count(), 256);
        assert_eq!(bounded_id(&kept), kept);
    }

    #[test]
    fn ids_that_differ_in_their_last_character_are_kept_apart() {
        let [a, b] = ["a", "b"].map(|last| "x".repeat(256) + last);
        assert_ne!(bounded_id(&a), bounded_id(&b));
    }
}

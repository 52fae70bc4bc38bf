use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The length of the longest id that is kept whole, in characters.
const LONGEST: usize = 256;

/// How many bytes of the hash stand for the rest of a longer id.
const HASH: usize = 16;

/// How many characters of a longer id are kept. With `~` and the digits of the hash they
/// are as many as [`LONGEST`].
const BEGINNING: usize = LONGEST - 1 - 2 * HASH;

/// Returns an id as the file holds it. An id that is too long becomes its beginning, `~` and
/// a hash of the whole id. So two ids are the same if their results are.
pub(crate) fn bounded_id(id: &str) -> Cow<'_, str> {
    // A character has at least one byte.
    if id.len() <= LONGEST || id.chars().nth(LONGEST).is_none() {
        return Cow::Borrowed(id);
    }
    Cow::Owned(cut(id, &Sha256::digest(id).into()))
}

/// Returns the same as [`bounded_id`], from the first 256 characters of an id and the hash
/// of the whole id.
pub(super) fn bounded_id_of<'a>(text: &'a str, sha256: &[u8; 32]) -> Cow<'a, str> {
    // If the id was cut, `sha256` is not the hash of `text`.
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
    fn longer_id_keeps_its_beginning_and_a_hash_of_the_whole() {
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

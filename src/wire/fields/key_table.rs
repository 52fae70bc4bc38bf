//! Finds a watched member by the object it lies in and its key.

use super::{COUNT, Field, Node};

/// The logarithm of the table's size. In a table so sparse, a seed that puts
/// each member at a place of its own is soon found.
const BITS: u32 = 9;

/// A hash table without collisions, made when the crate is compiled: most keys
/// that come are not watched, and one look tells.
pub(super) struct KeyTable {
    seed: u64,
    members: [Option<Field>; 1 << BITS],
}

impl KeyTable {
    pub(super) const fn of(tree: &[Node; COUNT]) -> Self {
        let mut seed = 1;
        loop {
            if let Some(members) = members(tree, seed) {
                return Self { seed, members };
            }
            seed = next_seed(seed);
        }
    }

    /// The member of `object` that is named by the first `len` bytes of `text`.
    #[inline]
    pub(super) fn member(&self, object: Field, text: &[u8], len: usize) -> Option<Field> {
        let key = text.get(..len)?;
        let place = place(object, head_of(text, len), len, self.seed);
        let member = self.members[place]?;
        let node = member.node();
        (node.parent as u8 == object as u8 && node.key.as_bytes() == key).then_some(member)
    }
}

/// The table for this seed, if no two members have the same place in it.
const fn members(tree: &[Node; COUNT], seed: u64) -> Option<[Option<Field>; 1 << BITS]> {
    let mut members = [None; 1 << BITS];
    // The message itself is no member.
    let mut i = 1;
    while i < COUNT {
        let key = tree[i].key.as_bytes();
        let place = place(tree[i].parent, head(key), key.len(), seed);
        if members[place].is_some() {
            return None;
        }
        members[place] = Some(tree[i].field);
        i += 1;
    }
    Some(members)
}

/// Another odd number, by a generator of Knuth's.
const fn next_seed(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_406)
}

/// Where a member of `object` is looked for. Keys with the same beginning
/// differ in their length.
const fn place(object: Field, head: u64, len: usize, seed: u64) -> usize {
    let all = head ^ (object as u64) << 32 ^ len as u64;
    (all.wrapping_mul(seed) >> (u64::BITS - BITS)) as usize
}

/// The first eight bytes of a key, zeros after a shorter one.
const fn head(key: &[u8]) -> u64 {
    let (mut head, mut i) = (0, if key.len() < 8 { key.len() } else { 8 });
    while i > 0 {
        i -= 1;
        head = head << 8 | key[i] as u64;
    }
    head
}

/// The [`head`] of the key that is the first `len` bytes of `text`: a word is
/// read at once where more follows.
fn head_of(text: &[u8], len: usize) -> u64 {
    match text.first_chunk() {
        Some(word) => {
            let beyond = 8_usize.saturating_sub(len) as u32 * 8;
            let mask = u64::MAX.checked_shr(beyond).unwrap_or(0);
            u64::from_le_bytes(*word) & mask
        }
        None => head(&text[..len]),
    }
}

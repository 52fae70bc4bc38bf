//! Finds a watched member by the object that contains it and its key.

use super::{COUNT, Field, Node};

/// The logarithm of the table's size. In a sparse table, a seed without collisions
/// is found quickly.
const BITS: u32 = 9;

/// Number of bytes of a key that are compared at once.
const HEAD: usize = size_of::<u64>();

/// A hash table without collisions, built at compile time. Most keys in traffic are
/// not watched, and one look-up is enough to know.
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

    /// Returns the member of `object` whose key is the first `len` bytes of `text`.
    #[inline]
    pub(super) fn member(&self, object: Field, text: &[u8], len: usize) -> Option<Field> {
        let key = text.get(..len)?;
        let head = head_of(text, len);
        let member = self.members[place(object, head, len, self.seed)]?;
        let node = member.node();
        let is_member = node.parent as u8 == object as u8
            && node.head == head
            && node.key.len() == len
            // The head of a short key is the whole key.
            && (len <= HEAD || node.key.as_bytes() == key);
        is_member.then_some(member)
    }
}

/// Returns the table for this seed, if no two members collide.
const fn members(tree: &[Node; COUNT], seed: u64) -> Option<[Option<Field>; 1 << BITS]> {
    let mut members = [None; 1 << BITS];
    // The message itself is not a member.
    let mut i = 1;
    while i < COUNT {
        let place = place(tree[i].parent, tree[i].head, tree[i].key.len(), seed);
        if members[place].is_some() {
            return None;
        }
        members[place] = Some(tree[i].field);
        i += 1;
    }
    Some(members)
}

/// Returns another odd number, from one of Knuth's generators.
const fn next_seed(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_406)
}

/// Returns the place of a member of `object`. Keys with the same beginning differ
/// in their length.
const fn place(object: Field, head: u64, len: usize, seed: u64) -> usize {
    let all = head ^ (object as u64) << 32 ^ len as u64;
    (all.wrapping_mul(seed) >> (u64::BITS - BITS)) as usize
}

/// Returns the first [`HEAD`] bytes of a key, padded with zeros.
pub(super) const fn head(key: &[u8]) -> u64 {
    let (mut head, mut i) = (0, if key.len() < HEAD { key.len() } else { HEAD });
    while i > 0 {
        i -= 1;
        head = head << 8 | key[i] as u64;
    }
    head
}

/// Returns the [`head`] of the key that is the first `len` bytes of `text`. If more
/// text follows, one word is read at once.
fn head_of(text: &[u8], len: usize) -> u64 {
    match text.first_chunk() {
        Some(word) => {
            let beyond = HEAD.saturating_sub(len) as u32 * 8;
            let mask = u64::MAX.checked_shr(beyond).unwrap_or(0);
            u64::from_le_bytes(*word) & mask
        }
        None => head(&text[..len]),
    }
}

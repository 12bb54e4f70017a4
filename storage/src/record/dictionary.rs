//! What many events share is written once and then called by its number. Numbers go by first appearance, so the encoded
//! bytes do not depend on the hash.

use super::wire::put_length;
use std::hash::BuildHasher;

/// Distinct keys (encoded bytes), numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// All keys, one after the other: this is also how they are written.
    keys: Vec<u8>,
    /// Of each key its hash and where it ends in `keys`.
    entries: Vec<Entry>,
    /// Open addressing: number + 1, 0 for free; a power of two long, at most half full.
    slots: Vec<u32>,
    /// The number found last: most events share it with the event before.
    last: u32,
    seed: Seed,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    end: usize,
}

/// Keys come from outside: without a secret, names could be chosen so that all of them collide.
#[derive(Debug)]
struct Seed(u64);

// === impl Seed ===

impl Default for Seed {
    fn default() -> Self {
        Self(std::hash::RandomState::new().hash_one(0u8))
    }
}

// === impl Dictionary ===

impl Dictionary {
    /// The key's number; a new one for a new key.
    #[inline]
    pub(super) fn number(&mut self, key: &[u8]) -> u32 {
        if self.key(self.last) == Some(key) {
            return self.last;
        }
        self.last = self.find_or_add(key);
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len()
    }

    /// Writes count and keys, and forgets them.
    pub(super) fn drain_into(&mut self, out: &mut Vec<u8>) {
        put_length(out, self.entries.len());
        out.extend_from_slice(&self.keys);
        self.keys.clear();
        self.entries.clear();
        self.slots.fill(0);
        self.last = 0;
    }

    fn key(&self, number: u32) -> Option<&[u8]> {
        let number = usize::try_from(number).ok()?;
        let end = self.entries.get(number)?.end;
        let start = number.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |entry| entry.end);
        self.keys.get(start..end)
    }

    fn find_or_add(&mut self, key: &[u8]) -> u32 {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash(self.seed.0, key);
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        while let Some(number) = self.slots.get(at).copied().unwrap_or(0).checked_sub(1) {
            let same_hash = self.entry_hash(number) == Some(hash);
            if same_hash && self.key(number) == Some(key) {
                return number;
            }
            at = (at + 1) & mask;
        }
        self.keys.extend_from_slice(key);
        self.entries.push(Entry { hash, end: self.keys.len() });
        // A record has far fewer than 2³² entries: its bytes would not fit a log's frame.
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if let Some(free) = self.slots.get_mut(at) {
            *free = count;
        }
        count - 1
    }

    fn entry_hash(&self, number: u32) -> Option<u64> {
        self.entries.get(usize::try_from(number).ok()?).map(|entry| entry.hash)
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(16);
        self.slots.clear();
        self.slots.resize(length, 0);
        let mask = length - 1;
        for (entry, count) in self.entries.iter().zip(1u32..) {
            let mut at = slot(entry.hash, mask);
            while self.slots.get(at).is_some_and(|taken| *taken != 0) {
                at = (at + 1) & mask;
            }
            if let Some(free) = self.slots.get_mut(at) {
                *free = count;
            }
        }
    }
}

fn slot(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & u64::try_from(mask).unwrap_or(u64::MAX)).unwrap_or(0)
}

/// Folded multiplication over 8 bytes at a time.
#[inline]
fn hash(seed: u64, key: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, tail) = key.as_chunks::<8>();
    let mut state = seed ^ u64::try_from(key.len()).unwrap_or(0);
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), ODD);
    }
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    fold(fold(state ^ u64::from_le_bytes(last), ODD), seed | 1)
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the halves of a product are what is folded
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

//! One table of the index: a sorted array with gaps.

use crate::codec::{Malformed, Reader};

/// The bits of [`Entry::hash`] that hold the day's code.
const CODE: u64 = (1 << super::TABLE_BITS) - 1;
/// The fewest homes of a table that holds anything.
const HOMES_MIN: usize = 14;

pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();

/// One id; all zero when empty.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// The hash after the table's bits; in their place, at the low end, the day's code.
    pub(super) hash: u64,
    pub(super) low: u64,
    pub(super) payload: u64,
}

/// Entries in the order of their hashes, each at its home or after it with nothing empty between.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Entry>,
    /// Homes; a few slots after them take what overflows.
    homes: usize,
    count: u32,
}

// === impl Entry ===

impl Entry {
    pub(super) const fn code(&self) -> u64 {
        self.hash & CODE
    }

    const fn is_empty(&self) -> bool {
        self.code() == 0
    }

    pub(super) const fn key(&self) -> (u64, u64) {
        (self.hash & !CODE, self.low)
    }

    /// The hash's first half, out of an entry of the table with this number.
    pub(super) fn high(&self, table: usize) -> u64 {
        u64::try_from(table).unwrap_or(0) << (64 - super::TABLE_BITS) | self.hash >> super::TABLE_BITS
    }

    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        for (to, part) in bytes.chunks_exact_mut(8).zip([self.hash, self.low, self.payload]) {
            to.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (parts, _) = bytes.as_chunks::<8>();
        let part = |at: usize| parts.get(at).copied().map_or(0, u64::from_le_bytes);
        Self { hash: part(0), low: part(1), payload: part(2) }
    }
}

// === impl Table ===

impl Table {
    pub(super) fn slots(&self) -> usize {
        self.slots.capacity()
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter(|entry| !entry.is_empty())
    }

    pub(super) fn read_ahead(&self, rest: u64) -> u64 {
        self.slots.get(home(self.homes, rest)).map_or(0, |entry| entry.low)
    }

    pub(super) fn get(&self, rest: u64, low: u64) -> Option<&Entry> {
        let (_, found) = self.find(rest & !CODE, low);
        found
    }

    /// Where an entry with this key is, or has to stand.
    fn find(&self, rest: u64, low: u64) -> (usize, Option<&Entry>) {
        let from = home(self.homes, rest);
        for (at, entry) in self.slots.iter().enumerate().skip(from) {
            if entry.is_empty() {
                return (at, None);
            }
            let kept = entry.hash & !CODE;
            if kept < rest {
                continue;
            }
            if kept == rest && entry.low == low {
                return (at, Some(entry));
            }
            if kept > rest || entry.low > low {
                return (at, None);
            }
        }
        (self.slots.len(), None)
    }

    /// Puts an entry in, in place of the one with the same key.
    pub(super) fn insert(&mut self, rest: u64, low: u64, payload: u64, code: u64, live: impl Fn(u64) -> bool) {
        let entry = Entry { hash: rest & !CODE | code, low, payload };
        let (mut at, found) = self.find(rest & !CODE, low);
        if found.is_some() {
            self.slots[at] = entry;
            return;
        }
        if usize::try_from(self.count).unwrap_or(usize::MAX) >= self.homes / 8 * 7 {
            self.rebuild(&live);
            at = self.find(rest & !CODE, low).0;
        }
        let gap = self.slots.iter().skip(at).position(Entry::is_empty);
        let end = if let Some(gap) = gap {
            at + gap
        } else {
            self.slots.reserve_exact(8);
            self.slots.push(Entry::default());
            self.slots.len() - 1
        };
        self.slots.copy_within(at..end, at + 1);
        self.slots[at] = entry;
        self.count += 1;
    }

    /// Copies what lives into a table with room.
    fn rebuild(&mut self, live: impl Fn(u64) -> bool) {
        let count = self.entries().filter(|entry| live(entry.code())).count();
        let mut next = Self::with_room(count);
        let mut last = None;
        for entry in self.slots.iter().filter(|entry| !entry.is_empty() && live(entry.code())) {
            last = Some(next.place_after(last, *entry));
        }
        *self = next;
    }

    /// Removes what does not live.
    pub(super) fn sweep(&mut self, live: impl Fn(u64) -> bool) {
        let kept = self.entries().filter(|entry| live(entry.code())).count();
        if kept * 2 < self.homes {
            self.rebuild(live);
            return;
        }
        if u32::try_from(kept).is_ok_and(|kept| kept == self.count) {
            return;
        }
        // In place: an entry only moves towards its home, so never onto one that was not yet looked at.
        let mut last: Option<usize> = None;
        for at in 0..self.slots.len() {
            let entry = std::mem::take(&mut self.slots[at]);
            if !entry.is_empty() && live(entry.code()) {
                let place = home(self.homes, entry.hash & !CODE).max(last.map_or(0, |last| last + 1));
                self.slots[place] = entry;
                last = Some(place);
            }
        }
        self.count = u32::try_from(kept).unwrap_or(u32::MAX);
    }

    /// A table for `count` entries that takes a sixth more before it grows again, twice as many while it is small.
    fn with_room(count: usize) -> Self {
        if count == 0 {
            return Self { slots: vec![Entry::default(); HOMES_MIN + 2], homes: HOMES_MIN + 2, count: 0 };
        }
        let homes = if count < 200 { count * 2 } else { count / 3 * 4 };
        let homes = homes.max(HOMES_MIN).next_multiple_of(8);
        Self { slots: vec![Entry::default(); homes], homes, count: 0 }
    }

    /// Puts an entry behind all others.
    fn place_after(&mut self, last: Option<usize>, entry: Entry) -> usize {
        let place = home(self.homes, entry.hash & !CODE).max(last.map_or(0, |last| last + 1));
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = entry;
        } else {
            self.slots.reserve_exact(8);
            self.slots.push(entry);
        }
        self.count += 1;
        place
    }

    /// Reads `count` entries, which come in order.
    pub(super) fn read(count: u32, from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if count == 0 {
            return Ok(Self::default());
        }
        let mut table = Self::with_room(usize::try_from(count).unwrap_or(0));
        let mut last: Option<(usize, (u64, u64))> = None;
        for _ in 0..count {
            let entry = Entry { hash: from.u64()?, low: from.u64()?, payload: from.u64()? };
            if entry.is_empty() || last.is_some_and(|(_, key)| key >= entry.key()) {
                return Err(Malformed("ids that are not in order"));
            }
            last = Some((table.place_after(last.map(|(at, _)| at), entry), entry.key()));
        }
        Ok(table)
    }
}

/// Where an entry would like to be: proportional to its hash.
fn home(homes: usize, rest: u64) -> usize {
    let scaled = u128::from(rest & !CODE) * u128::try_from(homes).unwrap_or(0);
    usize::try_from(scaled >> 64).unwrap_or(0)
}

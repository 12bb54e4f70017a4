//! The ids that were folded, so that a copy is known when it comes.
//!
//! An id is the keyed 128-bit SipHash of (tenant, customer, source, id); beside it stand 64 bits of the payload's hash and
//! the day of log time on which it was folded: 24 bytes. The first 12 bits of the hash choose one of 4,096 tables and are
//! not kept; the day takes their place.
//!
//! A table is one sorted array with gaps: an entry's home is proportional to its hash, it lies at its home or after it,
//! and nothing between is empty. So a search reads a few neighbours, growing and sweeping are one forward copy, and the
//! entries come out in one order whatever the order they came in: what a snapshot writes does not depend on history.
//! Tables grow one by one, by a sixth, so that no growth holds up a shard and at most a quarter of the memory is empty.
//!
//! What takes more memory than it may goes to disk: all of the tables at once, as one file that never changes (see
//! `run.rs`). Newer ids stand in memory, then in newer files; the first that is found stands. Nothing of this is seen from
//! outside: a snapshot has the same bytes, and a file goes when all its ids are forgotten.
//!
//! Which ids are known is decided by days alone (each tenant has the day from which on it knows). Sweeping, which frees
//! the memory of older ones, goes a few tables at a time and is never seen from outside.

mod run;
mod table;

use crate::codec::{Malformed, Reader, Writer};
use run::Run;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use table::{Entry, Table};

/// How many tables: one for each value of the first 12 bits of a hash.
const TABLES: usize = 1 << TABLE_BITS;
/// The bits of a hash that choose the table, and as many for the day.
const TABLE_BITS: u32 = 12;
/// Days that an entry can tell apart; 0 marks an empty one.
const DAYS: i64 = (1 << TABLE_BITS) - 1;
/// The longest that an id can be known.
pub(crate) const KNOWN_DAYS_MAX: u32 = 3_990;
/// Tables swept by each call while there is something to sweep.
const SWEEP_TABLES: usize = 16;

/// The secret of a shard's id hashes, out of its `Open` record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

/// How much memory the ids of a shard may take, and where the rest goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of memory.
    pub bytes_max: usize,
    /// Under this name files are made, one after the other; each loses it at once, and is gone with the process. None:
    /// all ids stay in memory.
    pub file: Option<PathBuf>,
}

/// Why ids cannot be kept or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room.
    #[error(
        "the known ids take {bytes} bytes of memory, of {bytes_max} allowed for the shard; allow more memory, or use more \
         raters"
    )]
    Full {
        /// Bytes taken.
        bytes: usize,
        /// Of so many.
        bytes_max: usize,
    },
    /// Not written or read.
    #[error("known ids on disk cannot be written or read: {0}")]
    Disk(String),
    /// The bytes are not what was written.
    #[error("known ids on disk are damaged in bucket {bucket}; a restart makes the file anew")]
    Damaged {
        /// Which part of the file.
        bucket: usize,
    },
}

/// A day of log time since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) i64);

/// The hash of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    high: u64,
    low: u64,
}

/// A hasher that has read tenant, customer and source, and lacks the id.
#[derive(Clone)]
pub(crate) struct Prefix(SipHasher13);

/// All ids that are known.
pub(crate) struct Index {
    tables: Vec<Table>,
    count: u64,
    slots: usize,
    /// No entry is older.
    oldest: Day,
    /// Entries before it may go.
    forget: Day,
    /// The next table to sweep; `TABLES` when nothing is left to sweep.
    sweep_next: usize,
    room: Room,
    /// Files, the oldest first.
    runs: Vec<Run>,
    /// What went wrong when an id was looked for on disk: whatever was decided since is void.
    lost: OnceLock<Error>,
}

// === impl Room ===

impl Default for Room {
    fn default() -> Self {
        Self { bytes_max: usize::MAX, file: None }
    }
}

// === impl Key ===

impl Key {
    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits?;
        let mut key = [0u8; 16];
        if digits.len() != 2 * key.len() {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Some(Self(key))
    }

    /// 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Hashes all of an identity but the id.
    pub(crate) fn prefix(&self, tenant: &str, customer: &str, source: &str) -> Prefix {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        for part in [tenant, customer, source] {
            hasher.write(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        Prefix(hasher)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key(secret)")
    }
}

// === impl Prefix ===

impl Prefix {
    /// The hash of the whole identity.
    pub(crate) fn id(&self, id: &str) -> Id {
        let mut hasher = self.0;
        hasher.write(id.as_bytes());
        let hash = hasher.finish128();
        Id { high: hash.h1, low: hash.h2 }
    }
}

// === impl Id ===

impl Id {
    fn table(self) -> usize {
        index(self.high >> (64 - TABLE_BITS))
    }

    fn rest(self) -> u64 {
        self.high << TABLE_BITS
    }
}

// === impl Day ===

impl Day {
    /// The day that holds a time.
    pub(crate) const fn of(time: pricing::time::Instant) -> Self {
        Self(time.nanos().div_euclid(86_400_000_000_000))
    }

    fn code(self) -> u64 {
        u64::try_from(self.0.rem_euclid(DAYS) + 1).unwrap_or(1)
    }

    /// The day that has a code and is not before `oldest`.
    fn from_code(code: u64, oldest: Self) -> Self {
        let code = i64::try_from(code).unwrap_or(1) - 1;
        Self(oldest.0 + (code - oldest.0).rem_euclid(DAYS))
    }
}

// === impl Index ===

impl Default for Index {
    fn default() -> Self {
        Self {
            tables: empty_tables(),
            count: 0,
            slots: 0,
            oldest: Day(0),
            forget: Day(i64::MIN),
            sweep_next: TABLES,
            room: Room::default(),
            runs: Vec::new(),
            lost: OnceLock::new(),
        }
    }
}

fn empty_tables() -> Vec<Table> {
    (0..TABLES).map(|_| Table::default()).collect()
}

impl Index {
    /// Reads the homes of some ids, so that the memory behind them is near when they are looked up: the reads do not wait
    /// for each other.
    pub(crate) fn read_ahead(&self, ids: &[Id]) {
        let read = ids.iter().fold(0, |read, id| read ^ self.tables[id.table()].read_ahead(id.rest()));
        let filters = self.runs.iter().flat_map(|run| ids.iter().map(|id| run.read_ahead(*id)));
        std::hint::black_box(filters.fold(read, |read, word| read ^ word));
    }

    /// The payload's hash of an id that was folded on `from` or later.
    pub(crate) fn get(&self, id: Id, from: Day) -> Option<u64> {
        let (payload, day) = match self.tables[id.table()].get(id.rest(), id.low) {
            Some(entry) => (entry.payload, Day::from_code(entry.code(), self.oldest)),
            None => self.get_on_disk(id)?,
        };
        (day >= from).then_some(payload)
    }

    fn get_on_disk(&self, id: Id) -> Option<(u64, Day)> {
        let found = self.runs.iter().rev().find_map(|run| run.get(id).transpose());
        match found? {
            Ok(found) => Some(found),
            Err(error) => {
                self.lose(error);
                None
            }
        }
    }

    fn lose(&self, error: Error) {
        // The first error says it all.
        let _ = self.lost.set(error);
    }

    /// What went wrong on disk since the beginning: what was answered, and written, since then cannot be trusted.
    pub(crate) fn lost(&self) -> Option<&Error> {
        self.lost.get()
    }

    /// Keeps an id that was folded on `day`; what was kept under it before is forgotten.
    pub(crate) fn insert(&mut self, id: Id, payload: u64, day: Day) {
        if self.count == 0 {
            self.oldest = day;
        }
        let table = &mut self.tables[id.table()];
        let slots = table.slots();
        let (oldest, forget) = (self.oldest, self.forget);
        let before = table.count();
        table.insert(id.rest(), id.low, payload, day.code(), |code| Day::from_code(code, oldest) >= forget);
        self.slots = self.slots + table.slots() - slots;
        self.count = (self.count + u64::from(table.count())).saturating_sub(u64::from(before));
    }

    /// Allows entries from before `day` to go.
    pub(crate) fn forget_before(&mut self, day: Day) {
        if day <= self.forget {
            return;
        }
        // Codes tell days apart only inside a window, so a long leap sweeps at once, before anything new comes in.
        let leap = day.0.saturating_sub(self.oldest.0) > DAYS - i64::from(KNOWN_DAYS_MAX);
        self.forget = day;
        self.runs.retain(|run| run.newest() >= day);
        self.sweep_next = 0;
        if leap {
            self.sweep(TABLES);
        }
    }

    /// Frees the memory of some entries that may go.
    pub(crate) fn sweep_some(&mut self) {
        self.sweep(SWEEP_TABLES);
    }

    fn sweep(&mut self, tables_max: usize) {
        if self.sweep_next >= TABLES {
            return;
        }
        let until = (self.sweep_next + tables_max).min(TABLES);
        let (oldest, forget) = (self.oldest, self.forget);
        for table in &mut self.tables[self.sweep_next..until] {
            let (slots, count) = (table.slots(), table.count());
            table.sweep(|code| Day::from_code(code, oldest) >= forget);
            self.slots = self.slots + table.slots() - slots;
            self.count = (self.count + u64::from(table.count())).saturating_sub(u64::from(count));
        }
        self.sweep_next = until;
        if until == TABLES {
            self.oldest = self.oldest.max(forget);
        }
    }

    /// How many entries there are, those included that may go.
    pub(crate) fn count(&self) -> u64 {
        self.count + self.runs.iter().map(Run::count).sum::<u64>()
    }

    /// Memory that is taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots * size_of::<Entry>() + self.runs_bytes()
    }

    fn runs_bytes(&self) -> usize {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.runs.iter().map(Run::file_bytes).sum()
    }

    /// Says how much room there is.
    pub(crate) fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Brings all entries to disk when they take more memory than they may. On an error all is as before.
    pub(crate) fn make_room(&mut self) -> Result<(), Error> {
        let (bytes, bytes_max) = (self.bytes(), self.room.bytes_max);
        if bytes <= bytes_max {
            return Ok(());
        }
        // What is kept in memory of each file leaves half of the room to new ids: so files are few, and large.
        match self.room.file.clone().filter(|_| self.runs_bytes() <= bytes_max / 2) {
            Some(file) => self.spill(&file),
            None => Err(Error::Full { bytes, bytes_max }),
        }
    }

    /// Brings all entries to disk.
    pub(crate) fn spill(&mut self, file: &Path) -> Result<(), Error> {
        let (oldest, forget) = (self.oldest, self.forget);
        let run = Run::write(file, &self.tables, oldest, |entry| Day::from_code(entry.code(), oldest) >= forget)?;
        if run.count() > 0 {
            self.runs.push(run);
        }
        (self.tables, self.count, self.slots) = (empty_tables(), 0, 0);
        Ok(())
    }

    /// How many pieces a snapshot of it has.
    pub(crate) const fn pieces() -> usize {
        TABLES
    }

    /// Writes one piece: the entries that are known from the day on that [`Index::forget_before`] named.
    pub(crate) fn write_piece(&self, piece: usize, out: &mut Writer) {
        let is_live = |entry: &&Entry| Day::from_code(entry.code(), self.oldest) >= self.forget;
        let mut entries: Vec<Entry> = self.tables[piece].entries().filter(is_live).copied().collect();
        for run in self.runs.iter().rev() {
            match run.table(piece, self.forget) {
                Ok(older) => entries.extend(older),
                Err(error) => return self.lose(error),
            }
        }
        // Stable: the newest of equal ones comes first.
        entries.sort_by_key(Entry::key);
        entries.dedup_by_key(|entry| entry.key());
        out.u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        for entry in entries {
            out.u64(entry.hash);
            out.u64(entry.low);
            out.u64(entry.payload);
        }
    }

    /// The days that the pieces' codes count from.
    pub(crate) fn write_days(&self, out: &mut Writer) {
        out.i64(self.forget.0);
    }

    /// Reads what [`Index::write_days`] wrote, before any piece. `today` is the day of log time.
    pub(crate) fn read_days(&mut self, from: &mut Reader<'_>, today: Day) -> Result<(), Malformed> {
        self.forget = Day(from.i64()?);
        // Entries are at most `KNOWN_DAYS_MAX` old, so any day that is not later than the oldest of them serves.
        self.oldest = Day(self.forget.0.max(today.0.saturating_sub(i64::from(KNOWN_DAYS_MAX))));
        Ok(())
    }

    /// Reads what [`Index::write_piece`] wrote.
    pub(crate) fn read_piece(&mut self, piece: usize, from: &mut Reader<'_>) -> Result<(), Malformed> {
        let count = from.u32()?;
        let table = Table::read(count, from)?;
        self.count += u64::from(count);
        self.slots += table.slots();
        *self.tables.get_mut(piece).ok_or(Malformed("an id table that is not there"))? = table;
        Ok(())
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;

//! Ids on disk: a sorted file that never changes, with an index and a filter in memory.
//!
//! The file holds entries of 24 bytes in the order of their hashes and nothing else. Where each bucket of about
//! [`BUCKET`] entries begins, and its checksum, stay in memory, and so does a filter that says of nearly all other ids that
//! they are not here: 2 bytes an id. An id that may be here costs one read of its bucket.
//!
//! The file has no name: it is gone with the process. A snapshot holds all ids, so a start makes the files anew.

use super::table::{ENTRY_BYTES, Entry};
use super::{Day, Error, Id, TABLE_BITS, Table};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Entries in a bucket, about.
const BUCKET: u64 = 128;
/// Entries for each word of the filter: with [`FILTER_BITS`] bits each, 4 of 1,000 ids that are not here seem to be.
const ENTRIES_A_WORD: usize = 4;
const FILTER_BITS: u32 = 5;

/// One file.
pub(super) struct Run {
    file: File,
    /// The first so many bits of a hash choose the bucket; at least those that choose the table.
    bits: u32,
    /// How many entries stand before each bucket, and at last how many there are.
    starts: Vec<u32>,
    /// The buckets' checksums.
    sums: Vec<u32>,
    filter: Filter,
    /// The days' codes count from it.
    oldest: Day,
    /// No entry is newer.
    newest: Day,
}

/// A Bloom filter with all bits of an entry in one word.
pub(super) struct Filter(Vec<u64>);

// === impl Run ===

impl Run {
    /// Writes entries that are alive. The name `path` is there for a moment only.
    pub(super) fn write(
        path: &Path,
        tables: &[Table],
        oldest: Day,
        is_live: impl Fn(&Entry) -> bool,
    ) -> Result<Self, Error> {
        let count = tables.iter().flat_map(Table::entries).filter(|entry| is_live(entry)).count();
        if u32::try_from(count).is_err() {
            return Err(Error::Disk(format!("{count} ids are too many for one file")));
        }
        let bits = (u64::try_from(count).unwrap_or(0) / BUCKET).max(1).ilog2().max(TABLE_BITS);
        let file = create(path).map_err(|error| Error::Disk(format!("{}: {error}", path.display())))?;
        let mut run = Self {
            file,
            bits,
            starts: vec![0],
            sums: Vec::new(),
            filter: Filter::new(count),
            oldest,
            newest: Day(i64::MIN),
        };
        run.fill(tables, is_live).map_err(|error| Error::Disk(format!("{}: {error}", path.display())))?;
        Ok(run)
    }

    fn fill(&mut self, tables: &[Table], is_live: impl Fn(&Entry) -> bool) -> io::Result<()> {
        let file = self.file.try_clone()?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let (mut count, mut sum) = (0u32, 0u32);
        for (number, table) in tables.iter().enumerate() {
            for entry in table.entries().filter(|entry| is_live(entry)) {
                let high = entry.high(number);
                let bucket = super::index(high >> (64 - self.bits));
                while self.sums.len() < bucket {
                    self.sums.push(std::mem::take(&mut sum));
                    self.starts.push(count);
                }
                let bytes = entry.to_bytes();
                sum = crc32c::crc32c_append(sum, &bytes);
                out.write_all(&bytes)?;
                count += 1;
                self.filter.insert(Id { high, low: entry.low });
                self.newest = self.newest.max(Day::from_code(entry.code(), self.oldest));
            }
        }
        while self.sums.len() < 1 << self.bits {
            self.sums.push(std::mem::take(&mut sum));
            self.starts.push(count);
        }
        out.flush()
    }

    /// Reads what says whether an id may be here.
    pub(super) fn read_ahead(&self, id: Id) -> u64 {
        self.filter.word(id).copied().unwrap_or(0)
    }

    /// The payload's hash of an id, and its day.
    pub(super) fn get(&self, id: Id) -> Result<Option<(u64, Day)>, Error> {
        if !self.filter.may_hold(id) {
            return Ok(None);
        }
        let bucket = super::index(id.high >> (64 - self.bits));
        let wanted = Entry { hash: id.rest(), low: id.low, payload: 0 }.key();
        let found = self.read(bucket..bucket + 1)?.into_iter().find(|entry| entry.key() == wanted);
        Ok(found.map(|entry| (entry.payload, Day::from_code(entry.code(), self.oldest))))
    }

    /// The entries of a table that were folded on `from` or later.
    pub(super) fn table(&self, table: usize, from: Day) -> Result<impl Iterator<Item = Entry>, Error> {
        let buckets = 1usize << (self.bits - TABLE_BITS);
        let entries = self.read(table * buckets..(table + 1) * buckets)?;
        let oldest = self.oldest;
        Ok(entries.into_iter().filter(move |entry| Day::from_code(entry.code(), oldest) >= from))
    }

    fn read(&self, buckets: Range<usize>) -> Result<Vec<Entry>, Error> {
        let start = |bucket: usize| self.starts.get(bucket).map_or(0, |start| super::index(u64::from(*start)));
        let (first, last) = (start(buckets.start), start(buckets.end));
        let mut bytes = vec![0; (last - first) * ENTRY_BYTES];
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let place = u64::try_from(first * ENTRY_BYTES).unwrap_or(u64::MAX);
        self.file.read_exact_at(&mut bytes, place).map_err(|error| Error::Disk(error.to_string()))?;
        let mut rest = &bytes[..];
        for bucket in buckets {
            let (of_bucket, behind) = rest.split_at((start(bucket + 1) - start(bucket)) * ENTRY_BYTES);
            if self.sums.get(bucket) != Some(&crc32c::crc32c(of_bucket)) {
                return Err(Error::Damaged { bucket });
            }
            rest = behind;
        }
        let (entries, _) = bytes.as_chunks();
        Ok(entries.iter().map(Entry::from_bytes).collect())
    }

    pub(super) fn newest(&self) -> Day {
        self.newest
    }

    pub(super) fn count(&self) -> u64 {
        self.starts.last().copied().map_or(0, u64::from)
    }

    /// Memory of what is kept of it beside the file, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.filter.0) + size_of_val(&*self.starts) + size_of_val(&*self.sums)
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.count() * u64::try_from(ENTRY_BYTES).unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Damages one byte of the file.
    #[cfg(test)]
    pub(super) fn damage(&self, at: u64) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, at).expect("a byte");
        self.file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    }
}

/// A file that goes when it is closed.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

// === impl Filter ===

impl Filter {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(ENTRIES_A_WORD).max(1)])
    }

    fn place(&self, id: Id) -> usize {
        let scaled = u128::from(id.low) * u128::try_from(self.0.len()).unwrap_or(0);
        usize::try_from(scaled >> 64).unwrap_or(0)
    }

    /// The bits of an id, out of those that choose neither table nor word.
    fn mask(id: Id) -> u64 {
        (0..FILTER_BITS).fold(0, |mask, bit| mask | 1 << (id.high >> (6 * bit) & 63))
    }

    fn word(&self, id: Id) -> Option<&u64> {
        self.0.get(self.place(id))
    }

    pub(super) fn may_hold(&self, id: Id) -> bool {
        let mask = Self::mask(id);
        self.word(id).is_some_and(|word| word & mask == mask)
    }

    fn insert(&mut self, id: Id) {
        let place = self.place(id);
        if let Some(word) = self.0.get_mut(place) {
            *word |= Self::mask(id);
        }
    }
}

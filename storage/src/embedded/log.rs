//! The log in segment files, for one machine.
//!
//! # Files
//! | path | is |
//! |---|---|
//! | `lock` | locked while a process has the log open |
//! | `format.json` | version, count of shards, key of the frame checksums |
//! | `shard-N/OFFSET.log` | frames, one after the other, from the record OFFSET (20 digits) on |
//!
//! # Writing
//! Each shard has a thread. It takes all appends that wait, writes them as one batch to the end of the newest segment,
//! calls fdatasync once, and answers them all. The next batch is written only when the one before is durable. When a write
//! fails (the disk is full), the file is cut back to where it was and the appends are refused. When fdatasync fails, the
//! system may have dropped pages that it calls clean: nothing is appended any more until the log is opened again.
//!
//! # Damage
//! Each frame names its record's offset and the offset at which its batch began, so everything before that was durable.
//! A frame that does not fit is **torn** when the machine went down while it was written: bytes are missing or zero, and no
//! later frame shows that it was durable. A torn tail is cut off when the log is opened; nobody was told that it stood.
//! Everything else is **damage**: reading gives [`Error::Damaged`], and reading from the next offset finds the next frame,
//! by the length of the damaged one or by searching. Frame checksums have a secret key, so that no event can hold bytes
//! that pass for a frame.

// Reading order: bytes, where they go, one shard, its writer, opening.
mod disk;
mod frame;
mod open;
mod shard;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use open::OpenError;

use crate::log::{Entry, Error};
use crate::shard::{Offset, Shard, ShardCount};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How the log keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many shards; fixed when the log is made.
    pub shards: ShardCount,
    /// A segment that has reached this is followed by a new one.
    pub segment_bytes: u64,
    /// The newest records of a shard that are kept in memory for readers.
    pub cache_bytes: usize,
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    count: ShardCount,
    shards: Vec<Arc<shard::State>>,
    queues: Vec<mpsc::Sender<writer::Append>>,
    writers: Vec<JoinHandle<()>>,
    _lock: File,
}

/// Appends of a shard that wait to be taken by its writer.
const QUEUE_APPENDS_MAX: usize = 1024;

// === impl Options ===

impl Options {
    /// So many shards, segments of 256 MiB, 8 MiB of records in memory for each shard.
    pub const fn new(shards: ShardCount) -> Self {
        Self { shards, segment_bytes: 256 << 20, cache_bytes: 8 << 20 }
    }
}

// === impl Log ===

impl Log {
    /// Opens the log in `dir`, makes it when there is none, and cuts off torn tails. Reads the newest segments: call it
    /// where blocking is allowed.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_on(dir, options, &(Arc::new(disk::Real) as Arc<dyn disk::Disk>))
    }

    fn open_on(dir: &Path, options: Options, disk: &Arc<dyn disk::Disk>) -> Result<Self, OpenError> {
        let (lock, key) = open::prepare(dir, options.shards)?;
        let (mut shards, mut queues, mut writers) = (Vec::new(), Vec::new(), Vec::new());
        for shard in options.shards.all() {
            let (state, end) = open::shard(dir, shard, key, options)?;
            let state = Arc::new(state);
            let (queue, appends) = mpsc::channel(QUEUE_APPENDS_MAX);
            let writer = writer::Writer::new(Arc::clone(&state), end, options, Arc::clone(disk));
            let thread = std::thread::Builder::new().name(format!("log-{shard}"));
            let handle = thread.spawn(move || writer.run(appends)).map_err(|source| open::io(dir, source))?;
            shards.push(state);
            queues.push(queue);
            writers.push(handle);
        }
        Ok(Self { count: options.shards, shards, queues, writers, _lock: lock })
    }

    fn missing(&self, shard: Shard) -> Error {
        Error::Unavailable { reason: format!("there is no shard {shard}: the log has {}, from 0", self.count.get()) }
    }

    fn shard(&self, shard: Shard) -> Result<&Arc<shard::State>, Error> {
        self.shards.get(usize::from(shard.0)).ok_or_else(|| self.missing(shard))
    }
}

#[async_trait]
impl crate::log::Log for Log {
    fn shards(&self) -> ShardCount {
        self.count
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error> {
        let queue = self.queues.get(usize::from(shard.0)).ok_or_else(|| self.missing(shard))?;
        let (answer, answered) = oneshot::channel();
        let append = writer::Append { records, answer };
        let closed = || Error::Unavailable { reason: format!("the writer of shard {shard} has ended") };
        queue.send(append).await.map_err(|_| closed())?;
        answered.await.map_err(|_| Error::Unknown { reason: format!("the writer of shard {shard} has ended") })?
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let state = self.shard(shard)?;
        let mut durable = state.durable();
        loop {
            let next = *durable.borrow_and_update();
            state.check_range(from, next)?;
            if from < next {
                break;
            }
            let closed = |_| Error::Unavailable { reason: "the log is closed".to_owned() };
            durable.changed().await.map_err(closed)?;
        }
        if let Some(entries) = state.read_cache(from, bytes_max) {
            return Ok(entries);
        }
        let state = Arc::clone(state);
        let read = tokio::task::spawn_blocking(move || state.read_files(from, bytes_max));
        read.await.map_err(|error| Error::Unavailable { reason: format!("the reader ended: {error}") })?
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        let state = self.shard(shard)?;
        let next = *state.durable().borrow();
        Ok(state.first()..next)
    }
}

impl Drop for Log {
    /// What was taken is still written; the folder can be opened again when this returns.
    fn drop(&mut self) {
        self.queues.clear();
        for writer in self.writers.drain(..) {
            // A writer that panicked has told its callers already, by dropping their answers.
            let _ = writer.join();
        }
    }
}

//! The thread that writes one shard: many appends, one fdatasync.

use super::disk::Disk;
use super::shard::{Segment, State};
use super::{Options, frame, open};
use crate::log::Error;
use crate::shard::Offset;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Records on their way in, and who waits for them.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) records: Vec<Bytes>,
    pub(super) answer: oneshot::Sender<Result<Offset, Error>>,
}

/// Where the next frame goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// In the newest segment.
    pub(super) at: u64,
    /// The newest segment ends in damage: nothing is written behind it.
    pub(super) damaged: bool,
}

/// Writes one shard.
#[derive(Debug)]
pub(super) struct Writer {
    state: Arc<State>,
    end: End,
    options: Options,
    disk: Arc<dyn Disk>,
    /// Why nothing is written any more.
    refusal: Option<String>,
    buffer: Vec<u8>,
    places: Vec<u64>,
}

/// Why a batch was not written.
enum Failure {
    /// And the file is as it was.
    Nothing(String),
    /// And it is not known what stands in the file.
    Unknown(String),
}

/// A batch takes no more appends from here on.
const BATCH_BYTES_MAX: usize = 16 << 20;

// === impl Writer ===

impl Writer {
    pub(super) fn new(state: Arc<State>, end: End, options: Options, disk: Arc<dyn Disk>) -> Self {
        Self { state, end, options, disk, refusal: None, buffer: Vec::new(), places: Vec::new() }
    }

    /// Until no one can append any more.
    pub(super) fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        let mut batch = Vec::new();
        while let Some(first) = appends.blocking_recv() {
            let mut bytes = first.bytes();
            batch.push(first);
            while bytes < BATCH_BYTES_MAX
                && let Ok(next) = appends.try_recv()
            {
                bytes += next.bytes();
                batch.push(next);
            }
            self.serve(&mut batch);
        }
    }

    /// Writes and answers all of `batch`.
    fn serve(&mut self, batch: &mut Vec<Append>) {
        if let Some(reason) = &self.refusal {
            let error = Error::Unavailable { reason: reason.clone() };
            return answer_all(batch, &error);
        }
        let first = self.state.next().0;
        match self.write(batch, first) {
            Ok(()) => self.publish(batch, first),
            Err(Failure::Nothing(reason)) => {
                tracing::warn!(shard = %self.state.shard, %reason, "the log takes no records now");
                answer_all(batch, &Error::Unavailable { reason });
            }
            Err(Failure::Unknown(reason)) => {
                tracing::error!(shard = %self.state.shard, %reason, "the log takes no records until it is opened again");
                answer_all(batch, &Error::Unknown { reason: reason.clone() });
                self.refusal = Some(format!("{reason}; restart to open the log again"));
            }
        }
    }

    fn write(&mut self, batch: &[Append], first: u64) -> Result<(), Failure> {
        self.frame(batch, first)?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let added = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        if self.end.damaged || (self.end.at > 0 && self.end.at.saturating_add(added) > self.options.segment_bytes) {
            self.roll(first).map_err(|error| Failure::Nothing(format!("no new segment: {error}")))?;
        }
        let Some((_, file)) = self.state.newest() else {
            return Err(Failure::Nothing("the shard has no segment".to_owned()));
        };
        if let Err(error) = self.disk.write_all_at(&file, &self.buffer, self.end.at) {
            return Err(self.take_back(&file, &error));
        }
        match self.disk.sync(&file) {
            Ok(()) => {
                self.end.at += added;
                Ok(())
            }
            Err(error) => Err(Failure::Unknown(format!("fdatasync failed: {error}"))),
        }
    }

    /// A failed write may have left a part of the batch.
    fn take_back(&self, file: &File, error: &io::Error) -> Failure {
        match file.set_len(self.end.at) {
            Ok(()) => Failure::Nothing(format!("writing failed: {error}")),
            Err(cut) => Failure::Unknown(format!("writing failed: {error}; cutting it off failed too: {cut}")),
        }
    }

    /// Fills the buffer; frames' places count from its start.
    fn frame(&mut self, batch: &[Append], first: u64) -> Result<(), Failure> {
        self.buffer.clear();
        self.places.clear();
        for (record, offset) in batch.iter().flat_map(|append| &append.records).zip(first..) {
            self.places.push(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
            frame::put(&mut self.buffer, record, offset, first, self.state.key)
                .map_err(|_| Failure::Nothing("a record has 4 GiB or more".to_owned()))?;
        }
        Ok(())
    }

    fn roll(&mut self, first: u64) -> io::Result<()> {
        let path = self.state.dir.join(open::segment_name(first));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        File::open(&self.state.dir)?.sync_all()?;
        self.state.add_segment(Segment::new(first, path, file));
        self.end = End { at: 0, damaged: false };
        Ok(())
    }

    fn publish(&mut self, batch: &mut Vec<Append>, first: u64) {
        let written = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let start = self.end.at.saturating_sub(written);
        self.places.iter_mut().for_each(|place| *place += start);
        let records = batch.iter_mut().flat_map(|append| append.records.iter().cloned()).collect();
        self.state.publish(first, records, &self.places);
        let mut next = first;
        for append in batch.drain(..) {
            // Whoever no longer waits is not told.
            let _ = append.answer.send(Ok(Offset(next)));
            next += u64::try_from(append.records.len()).unwrap_or(0);
        }
        if self.buffer.capacity() > BATCH_BYTES_MAX * 2 {
            self.buffer = Vec::new();
        }
    }
}

fn answer_all(batch: &mut Vec<Append>, error: &Error) {
    for append in batch.drain(..) {
        let _ = append.answer.send(Err(error.clone()));
    }
}

// === impl Append ===

impl Append {
    fn bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

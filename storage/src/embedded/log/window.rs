//! Reading frames from a segment, and finding the next one after damage.

use super::frame::{HEADER_BYTES, Header, Key, MAGIC, TRAILER};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The smallest unit that a disk writes: of a torn write it has been written, or not.
const SECTOR_BYTES: u64 = 512;
/// How much is read ahead when frames are walked.
const READ_BYTES: usize = 1 << 20;

/// A part of a file in memory, moved along as it is read.
#[derive(Debug)]
pub(super) struct Window<'f> {
    file: &'f File,
    key: Key,
    /// The file's length, or where reading ends.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    /// Where it begins.
    pub(super) at: u64,
}

/// What stands where a frame should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole frame.
    Frame(Frame),
    /// The end of the file.
    End,
    /// Something else.
    Bad(Bad),
}

/// No whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// Where it begins.
    pub(super) at: u64,
    /// What does not fit.
    pub(super) what: &'static str,
    /// Bytes are missing or zero, as after a write that was cut short.
    pub(super) torn: bool,
    /// Where the next frame begins, when the header can be believed.
    pub(super) next: Option<u64>,
}

// === impl Frame ===

impl Frame {
    /// Where the next one begins.
    pub(super) fn next(&self) -> u64 {
        self.at + self.header.frame_bytes()
    }
}

// === impl Window ===

impl<'f> Window<'f> {
    pub(super) fn new(file: &'f File, key: Key, end: u64) -> Self {
        Self { file, key, end, start: 0, bytes: Vec::new() }
    }

    /// Bytes of the file, fewer where it ends.
    pub(super) fn get(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        let range = range.start.min(self.end)..range.end.min(self.end);
        let have = self.start..self.start + length(self.bytes.len());
        if range.start < have.start || range.end > have.end {
            let wanted = size(range.end - range.start)?.max(READ_BYTES);
            let wanted = wanted.min(size(self.end - range.start)?);
            self.bytes.resize(wanted, 0);
            self.start = range.start;
            let read = read_at_most(self.file, &mut self.bytes, range.start);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        let skipped = size(range.start - self.start)?;
        let count = size(range.end - range.start)?;
        Ok(self.bytes.get(skipped..skipped + count).unwrap_or_default())
    }

    /// What stands at `at`, where the record `offset` should.
    pub(super) fn frame(&mut self, at: u64, offset: u64) -> io::Result<Found> {
        if at >= self.end {
            return Ok(Found::End);
        }
        let key = self.key;
        let head = self.get(at..at + length(HEADER_BYTES))?;
        let Some(bytes) = head.first_chunk::<HEADER_BYTES>() else {
            let begun = head.iter().zip(MAGIC).all(|(found, magic)| *found == magic);
            let torn = begun || head.iter().all(|byte| *byte == 0);
            return Ok(Found::Bad(Bad { at, what: "the file ends inside a frame's header", torn, next: None }));
        };
        let Some(header) = Header::read(bytes, key) else {
            let body_at = at + length(HEADER_BYTES);
            let torn = self.has_empty_sector(at..body_at)? || self.is_zero(body_at..self.end)?;
            return Ok(Found::Bad(Bad { at, what: "the frame's header does not fit its checksum", torn, next: None }));
        };
        let frame = Frame { header, at };
        let bad = |what, torn, next| Ok(Found::Bad(Bad { at, what, torn, next }));
        if header.offset != offset {
            return bad("the frame is that of another offset", false, None);
        }
        if frame.next() > self.end {
            return bad("the file ends inside the record", true, None);
        }
        let (fits, ended) = self.body_fits(&frame)?;
        if fits && ended.is_ok() {
            return Ok(Found::Frame(frame));
        }
        let torn = ended == Err(Unended::Zero) || (!fits && self.has_empty_sector(at..frame.next())?);
        bad("the record does not fit its checksum", torn, Some(frame.next()))
    }

    /// The first whole frame at `from` or later whose offset lies in `offsets`.
    pub(super) fn search(&mut self, from: u64, offsets: Range<u64>) -> io::Result<Option<Frame>> {
        let mut at = from;
        while at + length(HEADER_BYTES) <= self.end {
            let chunk = self.get(at..at + length(READ_BYTES))?;
            let Some(skipped) = chunk.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else {
                at += length(chunk.len().saturating_sub(MAGIC.len() - 1).max(1));
                continue;
            };
            at += length(skipped);
            let key = self.key;
            let header =
                self.get(at..at + length(HEADER_BYTES))?.first_chunk().and_then(|head| Header::read(head, key));
            if let Some(header) = header.filter(|header| offsets.contains(&header.offset))
                && let Found::Frame(frame) = self.frame(at, header.offset)?
            {
                return Ok(Some(frame));
            }
            at += 1;
        }
        Ok(None)
    }

    fn body_fits(&mut self, frame: &Frame) -> io::Result<(bool, Result<(), Unended>)> {
        let sum = frame.header.sum;
        let bytes = self.get(frame.at + length(HEADER_BYTES)..frame.next())?;
        let Some((record, trailer)) = bytes.split_last_chunk::<4>() else {
            return Ok((false, Err(Unended::Other)));
        };
        let ended = match trailer {
            trailer if *trailer == TRAILER => Ok(()),
            [.., 0] => Err(Unended::Zero),
            _ => Err(Unended::Other),
        };
        Ok((crc32c::crc32c(record) == sum, ended))
    }

    /// True when no byte of some sector, as far as it lies in the range, was written.
    fn has_empty_sector(&mut self, range: Range<u64>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            let sector_end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let part_end = sector_end.min(range.end);
            if self.get(at..part_end)?.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            at = part_end;
        }
        Ok(false)
    }

    fn is_zero(&mut self, range: Range<u64>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            let part_end = range.end.min(at + length(READ_BYTES));
            if self.get(at..part_end)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at = part_end;
        }
        Ok(true)
    }
}

/// How a frame ends that does not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unended {
    /// Its last byte was never written.
    Zero,
    /// Something else stands there.
    Other,
}

/// Fills `bytes` as far as the file goes; gives how many. A writer may cut off what it could not write while this reads.
pub(super) fn read_at_most(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + length(filled)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn size(count: u64) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::other("more bytes than memory can hold"))
}

//! A record's frame in a segment. All integers are little-endian.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `FRM1` |
//! | 4 | length of the record |
//! | 8 | offset of the record |
//! | 8 | offset at which the batch began that wrote this: all before it was durable by then |
//! | 4 | crc32c of the record |
//! | 4 | crc32c, keyed, of the 28 bytes before |
//! | … | the record |
//! | 4 | `1MRF`: no byte of it is zero, so that a frame whose end was not written shows it |

use crate::shard::Shard;

/// Bytes before the record.
pub(super) const HEADER_BYTES: usize = 32;
/// What ends a frame.
pub(super) const TRAILER: [u8; 4] = *b"1MRF";
/// What begins a frame.
pub(super) const MAGIC: [u8; 4] = *b"FRM1";

/// The key of one shard's header checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) offset: u64,
    pub(super) batch: u64,
    pub(super) sum: u32,
}

// === impl Key ===

impl Key {
    pub(super) fn new(secret: [u8; 16], shard: Shard) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(&secret), &shard.0.to_le_bytes()))
    }

    fn sum(self, header: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, header)
    }
}

// === impl Header ===

impl Header {
    /// None when the bytes are no header of this shard.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES], key: Key) -> Option<Self> {
        let (checked, sum) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = checked.split_first_chunk::<4>()?;
        if *magic != MAGIC || key.sum(checked) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (batch, rest) = rest.split_first_chunk::<8>()?;
        let (sum, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            offset: u64::from_le_bytes(*offset),
            batch: u64::from_le_bytes(*batch),
            sum: u32::from_le_bytes(*sum),
        })
    }

    /// The whole frame's length in bytes.
    pub(super) fn frame_bytes(&self) -> u64 {
        u64::from(self.length) + 36
    }
}

/// Appends a record's frame. A record of 4 GiB or more has none.
pub(super) fn put(out: &mut Vec<u8>, record: &[u8], offset: u64, batch: u64, key: Key) -> Result<(), TooLong> {
    let length = u32::try_from(record.len()).map_err(|_| TooLong)?;
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
    let sum = key.sum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(record);
    out.extend_from_slice(&TRAILER);
    Ok(())
}

/// The record is 4 GiB or longer.
#[derive(Debug)]
pub(super) struct TooLong;

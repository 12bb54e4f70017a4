//! Many charges of one series in one blob.
//!
//! | part | is |
//! |---|---|
//! | version | byte, 2 |
//! | shard | varint |
//! | sources | varint count, then text, each |
//! | rows | varint count, then each: offset less the one before, index, event offset (zigzag, less offset), event index + 1 (0: none), time (zigzag, less the one before), quantity and amount (zigzag, 128 bits), twice the tier and 1 if there is a level, the level if there is one (zigzag, 128 bits), source's number, id as text |
//! | checksum | crc32c of all before it, 4 bytes, little-endian |

use crate::output::{ChargeRow, ChargeRows, EventPlace};
use crate::record::DecodeError;
use crate::record::wire::{Reader, put_length, put_text, put_varint, unzigzag, zigzag};
use crate::shard::{Offset, Shard};
use pricing::number::{self, Amount, Quantity};
use pricing::time::Instant;

/// Collects rows of one series.
#[derive(Debug, Default)]
pub(super) struct Builder {
    rows: Vec<u8>,
    /// The numbers, in the output, of the sources that occur.
    sources: Vec<u32>,
    before: (u64, i64),
    pub(super) totals: Totals,
    pub(super) out: Vec<u8>,
}

/// What a chunk comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) count: u64,
    /// How many of the rows an event caused.
    pub(super) events: u64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) quantity: Quantity,
    pub(super) amount: Amount,
}

/// The rows of a chunk, borrowed from its bytes.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) shard: Shard,
    pub(super) sources: Vec<&'a str>,
    left: u64,
    reader: Reader<'a>,
    before: (u64, i64),
}

/// A row of a chunk. `source` counts [`Rows::sources`]; `series` and `id_end` mean nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) charge: ChargeRow,
    pub(super) id: &'a str,
}

const VERSION: u8 = 2;

fn malformed(what: &'static str) -> DecodeError {
    DecodeError::Malformed { what }
}

fn put_signed(out: &mut Vec<u8>, value: i128) {
    let mut rest = ((value << 1) ^ (value >> 127)).cast_unsigned();
    loop {
        // Seven bits always fit a byte.
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn signed(reader: &mut Reader<'_>) -> Result<i128, DecodeError> {
    let mut value = 0u128;
    for shift in (0..128).step_by(7) {
        let byte = reader.byte()?;
        if shift == 126 && byte > 3 {
            break;
        }
        value |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(malformed("a number has more than 128 bits"))
}

// === impl Builder ===

impl Builder {
    /// Adds a row with its id; false, and nothing is added, where a total would overflow. An empty chunk takes any row.
    #[must_use]
    pub(super) fn push(&mut self, row: &ChargeRow, id: &str) -> bool {
        let Ok(totals) = self.totals.with(row) else { return false };
        self.totals = totals;
        let known = self.sources.iter().rposition(|source| *source == row.source);
        let source = known.unwrap_or_else(|| {
            self.sources.push(row.source);
            self.sources.len() - 1
        });
        let out = &mut self.rows;
        put_varint(out, row.offset.0.wrapping_sub(self.before.0));
        put_varint(out, u64::from(row.index));
        put_varint(out, zigzag(row.event.offset.0.wrapping_sub(row.offset.0).cast_signed()));
        put_varint(out, u64::from(row.event.index.wrapping_add(1)));
        put_varint(out, zigzag(row.time.nanos().wrapping_sub(self.before.1)));
        put_signed(out, row.quantity.raw());
        put_signed(out, row.amount.raw());
        put_varint(out, u64::from(row.tier) << 1 | u64::from(row.level.is_some()));
        if let Some(level) = row.level {
            put_signed(out, level.raw());
        }
        put_length(out, source);
        put_text(out, id);
        self.before = (row.offset.0, row.time.nanos());
        true
    }

    /// Packs what was added into `out`, and is empty again but for `out` and `totals`.
    pub(super) fn finish(&mut self, shard: Shard, charges: &ChargeRows) {
        let out = &mut self.out;
        out.clear();
        out.push(VERSION);
        put_varint(out, u64::from(shard.0));
        put_length(out, self.sources.len());
        for source in self.sources.drain(..) {
            let text = usize::try_from(source).ok().and_then(|source| charges.sources.get(source));
            put_text(out, text.map_or("", |text| text));
        }
        put_varint(out, self.totals.count);
        out.extend_from_slice(&self.rows);
        let sum = crc32c::crc32c(out);
        out.extend_from_slice(&sum.to_le_bytes());
        self.rows.clear();
        self.before = (0, 0);
    }
}

// === impl Totals ===

impl Totals {
    fn with(&self, row: &ChargeRow) -> Result<Self, number::Error> {
        let time = row.time.nanos();
        let is_first = self.count == 0;
        Ok(Self {
            count: self.count + 1,
            events: self.events + u64::from(row.event.is_event()),
            time_min: if is_first { time } else { self.time_min.min(time) },
            time_max: if is_first { time } else { self.time_max.max(time) },
            quantity: self.quantity.add(row.quantity)?,
            amount: self.amount.add(row.amount)?,
        })
    }
}

// === impl Rows ===

impl<'a> Rows<'a> {
    /// Checks the checksum and reads what rows share.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (checked, sum) = bytes.split_last_chunk::<4>().ok_or(malformed("the chunk ends early"))?;
        let (found, computed) = (u32::from_le_bytes(*sum), crc32c::crc32c(checked));
        if found != computed {
            return Err(DecodeError::Checksum { found, computed });
        }
        let mut reader = Reader::new(checked);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(DecodeError::Version { found: version, newest: VERSION });
        }
        let shard = Shard(u16::try_from(reader.varint()?).map_err(|_| malformed("the shard has more than 16 bits"))?);
        let sources = reader.list(Reader::text)?;
        let left = reader.varint()?;
        Ok(Self { shard, sources, left, reader, before: (0, 0) })
    }

    fn row(&mut self) -> Result<Row<'a>, DecodeError> {
        let reader = &mut self.reader;
        let small = |value: u64| u32::try_from(value).map_err(|_| malformed("a number has more than 32 bits"));
        let offset = self.before.0.wrapping_add(reader.varint()?);
        let index = small(reader.varint()?)?;
        let event_offset = offset.wrapping_add(unzigzag(reader.varint()?).cast_unsigned());
        let event_index = small(reader.varint()?)?.wrapping_sub(1);
        let time = self.before.1.wrapping_add(unzigzag(reader.varint()?));
        let quantity = Quantity::from_raw(signed(reader)?).map_err(|_| malformed("a quantity is too large"))?;
        let amount = Amount::from_raw(signed(reader)?).map_err(|_| malformed("an amount is too large"))?;
        let tier = reader.varint()?;
        let level = if tier & 1 == 1 { Some(signed(reader)?) } else { None };
        let level = level.map(Quantity::from_raw).transpose().map_err(|_| malformed("a level is too large"))?;
        let tier = small(tier >> 1)?;
        let source = small(reader.varint()?)?;
        let id = reader.text()?;
        self.before = (offset, time);
        let event = EventPlace { offset: Offset(event_offset), index: event_index };
        let time = Instant::from_nanos(time);
        let (offset, id_end) = (Offset(offset), 0);
        let charge = ChargeRow { series: 0, offset, index, event, id_end, source, time, quantity, amount, tier, level };
        Ok(Row { charge, id })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let row = self.row();
        if row.is_err() {
            self.left = 0;
        }
        Some(row)
    }
}

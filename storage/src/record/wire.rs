//! Numbers and text on the wire, with every length checked.

use super::DecodeError;

/// The first bytes of every record.
pub(crate) const MAGIC: [u8; 2] = *b"FR";
/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 8;
/// The kind of a record without events.
pub(crate) const KIND_CONTROL: u8 = 0;
/// The kind of a record of events.
pub(crate) const KIND_EVENTS: u8 = 1;

/// The account is that of the event before.
pub(crate) const SAME_ACCOUNT: u8 = 1;
/// The type is that of the event before.
pub(crate) const SAME_TYPE: u8 = 2;
/// The source is that of the event before.
pub(crate) const SAME_SOURCE: u8 = 4;
/// The shape is that of the event before.
pub(crate) const SAME_SHAPE: u8 = 8;

/// Appends the lowest 7 bits first.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    // The loop leaves fewer than 8 bits.
    out.push((value & 0x7f) as u8);
}

/// Appends a length; a length in memory always fits 64 bits.
#[inline]
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Appends text after its length.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Small numbers of either sign become small unsigned ones.
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The checksum of a record: over the header before it and the body after it.
pub(crate) fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

/// Reads from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const ENDS_EARLY: DecodeError = DecodeError::Malformed { what: "the bytes end early" };

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn fixed_u64(&mut self) -> Result<u64, DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<8>().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.varint_long(u64::from(first & 0x7f))
    }

    fn varint_long(&mut self, low: u64) -> Result<u64, DecodeError> {
        let mut value = low;
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed { what: "a number has more than 64 bits" })
    }

    /// A varint that counts bytes or things in memory.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?).map_err(|_| ENDS_EARLY)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.length()?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Malformed { what: "text is not UTF-8" })
    }

    /// A counted list; `read` reads one.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.length()?;
        // Each takes a byte at least, so that no count in damaged bytes asks for memory that is not there.
        let mut list = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

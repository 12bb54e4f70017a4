//! How state is written: little-endian numbers and length-prefixed parts, in frames, so that a snapshot streams.

use bytes::Bytes;

/// Bytes are not what this Farthing writes; the text says which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot holds {0}")]
pub struct Malformed(pub(crate) &'static str);

/// Collects bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

/// Puts frames together out of chunks that were cut anywhere.
pub(crate) struct Frames<I> {
    chunks: I,
    buffer: Vec<u8>,
}

/// What a frame starts with: its kind and its length.
const FRAME_HEAD: usize = 9;

// === impl Writer ===

macro_rules! numbers {
    ($($name:ident: $type:ty),*) => {
        impl Writer {$(
            pub(crate) fn $name(&mut self, value: $type) {
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
        )*}

        impl Reader<'_> {$(
            pub(crate) fn $name(&mut self) -> Result<$type, Malformed> {
                self.array().map(<$type>::from_le_bytes)
            }
        )*}
    };
}
numbers!(u32: u32, u64: u64, i64: i64);

impl Writer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.u64(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn blob(&mut self, blob: &[u8]) {
        self.count(blob.len());
        self.bytes.extend_from_slice(blob);
    }

    /// All bytes as one frame of `kind`; the writer is empty again.
    pub(crate) fn frame(&mut self, kind: u8) -> Bytes {
        let mut frame = Vec::with_capacity(self.bytes.len() + FRAME_HEAD);
        frame.push(kind);
        frame.extend_from_slice(&u64::try_from(self.bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        frame.append(&mut self.bytes);
        Bytes::from(frame)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(Malformed("less than it says"))?;
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("less than it says"))
    }

    /// A number of things that each take at least a byte.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.u64()?).map_err(|_| Malformed("a count beyond all memory"))?;
        if count > self.bytes.len() { Err(Malformed("a count beyond its bytes")) } else { Ok(count) }
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.count()?;
        self.take(count)
    }
}

// === impl Frames ===

impl<I, E> Frames<I>
where
    I: Iterator<Item = Result<Bytes, E>>,
    E: From<Malformed>,
{
    pub(crate) fn new(chunks: I) -> Self {
        Self { chunks, buffer: Vec::new() }
    }

    /// The next frame, if there is one: its kind and its bytes.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, E> {
        if !self.fill(FRAME_HEAD)? {
            return if self.buffer.is_empty() { Ok(None) } else { Err(Malformed("half a frame").into()) };
        }
        let mut head = Reader::new(&self.buffer);
        let [kind] = head.array()?;
        let length = usize::try_from(head.u64()?).map_err(|_| Malformed("a frame beyond all memory"))?;
        if !self.fill(FRAME_HEAD.saturating_add(length))? {
            return Err(Malformed("half a frame").into());
        }
        let rest = self.buffer.split_off(FRAME_HEAD + length);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.drain(..FRAME_HEAD);
        Ok(Some((kind, frame)))
    }

    /// Reads until the buffer holds `length` bytes; false when the chunks end before.
    fn fill(&mut self, length: usize) -> Result<bool, E> {
        while self.buffer.len() < length {
            match self.chunks.next() {
                Some(chunk) => self.buffer.extend_from_slice(&chunk?),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

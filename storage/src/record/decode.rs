//! Decoding, without copies: see the format in [`super`]. Any bytes give a record or an error, never a panic.

use super::wire::{
    HEADER_BYTES, KIND_CONTROL, KIND_EVENTS, MAGIC, Reader, SAME_ACCOUNT, SAME_SHAPE, SAME_SOURCE, SAME_TYPE, checksum,
    unzigzag,
};
use super::{DecodeError, Record, version_newest};
use pricing::time::Instant;

/// The events of a record. The dictionary is read at once; [`Events::iter`] reads the events one by one.
#[derive(Debug)]
pub struct Events<'a> {
    /// Tenant and customer.
    pub accounts: Vec<(&'a str, &'a str)>,
    /// Event types.
    pub types: Vec<&'a str>,
    /// Sources.
    pub sources: Vec<&'a str>,
    /// Property names, sorted; one list for each shape.
    pub shapes: Vec<Vec<&'a str>>,
    /// How many events.
    pub count: u32,
    /// The events' numbers.
    numbers: &'a [u8],
    /// The events' ids and values.
    text: &'a str,
}

/// One event of a record, borrowed.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Index into [`Events::accounts`], always inside.
    pub account: u32,
    /// Index into [`Events::types`], always inside.
    pub event_type: u32,
    /// Index into [`Events::sources`], always inside.
    pub source: u32,
    /// Index into [`Events::shapes`], always inside.
    pub shape: u32,
    /// The id as sent.
    pub id: &'a str,
    /// When it happened.
    pub time: Instant,
    /// See [`super::payload_hash`].
    pub payload: u64,
    /// The properties' values, in the shape's order (at most 64 by default); borrowed from the record.
    pub values: Values<'a>,
}

/// The values of an event's properties, encoded.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    lengths: &'a [u8],
    text: &'a str,
}

/// Reads events one after the other.
struct EventIter<'e, 'a> {
    events: &'e Events<'a>,
    left: u32,
    numbers: Reader<'a>,
    text: &'a str,
    account: u32,
    event_type: u32,
    source: u32,
    shape: u32,
    time: i64,
    first: bool,
    failed: bool,
}

/// Checks and decodes a record.
///
/// # Errors
/// See [`DecodeError`]. The checksum comes first, so a damaged version byte is [`DecodeError::Checksum`].
pub fn decode(record: &[u8]) -> Result<Record<'_>, DecodeError> {
    let malformed = |what| DecodeError::Malformed { what };
    let Some((header, body)) = record.split_first_chunk::<HEADER_BYTES>() else {
        return Err(malformed("it is shorter than a header"));
    };
    let [first, second, version, kind, sum @ ..] = *header;
    if [first, second] != MAGIC {
        return Err(malformed("it does not begin with 'FR'"));
    }
    let (found, computed) = (u32::from_le_bytes(sum), checksum(&[first, second, version, kind], body));
    if found != computed {
        return Err(DecodeError::Checksum { found, computed });
    }
    let newest = version_newest();
    if version > newest {
        return Err(DecodeError::Version { found: version, newest });
    }
    match (version, kind) {
        (0, _) => Err(malformed("version 0 was never written")),
        (_, KIND_CONTROL) => match serde_json::from_slice(body) {
            Ok(control) => Ok(Record::Control(Box::new(control))),
            Err(_) => Err(malformed("its body is no control record in JSON")),
        },
        (_, KIND_EVENTS) => decode_events(body).map(Record::Events),
        _ => Err(malformed("its kind is neither control nor events")),
    }
}

fn decode_events(body: &[u8]) -> Result<Events<'_>, DecodeError> {
    let mut reader = Reader::new(body);
    let accounts = reader.list(|reader| Ok((reader.text()?, reader.text()?)))?;
    let types = reader.list(Reader::text)?;
    let sources = reader.list(Reader::text)?;
    let shapes = reader.list(|reader| reader.list(Reader::text))?;
    let count = u32::try_from(reader.varint()?)
        .map_err(|_| DecodeError::Malformed { what: "it has more than 2³² events" })?;
    let numbers_bytes = reader.length()?;
    let numbers = reader.bytes(numbers_bytes)?;
    let text = std::str::from_utf8(reader.rest()).map_err(|_| DecodeError::Malformed { what: "text is not UTF-8" })?;
    Ok(Events { accounts, types, sources, shapes, count, numbers, text })
}

// === impl Events ===

impl<'a> Events<'a> {
    /// The events in order. Malformed bytes (which the checksum should have caught) are an error, and the last item.
    pub fn iter(&self) -> impl Iterator<Item = Result<Event<'a>, DecodeError>> + '_ {
        EventIter {
            events: self,
            left: self.count,
            numbers: Reader::new(self.numbers),
            text: self.text,
            account: 0,
            event_type: 0,
            source: 0,
            shape: 0,
            time: 0,
            first: true,
            failed: false,
        }
    }
}

// === impl EventIter ===

impl<'a> Iterator for EventIter<'_, 'a> {
    type Item = Result<Event<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.left == 0 {
            let done = self.numbers.rest().is_empty() && self.text.is_empty();
            self.failed = !done;
            return (!done).then_some(Err(DecodeError::Malformed { what: "bytes are left over after the last event" }));
        }
        self.left -= 1;
        let event = self.event();
        self.failed = event.is_err();
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left).ok().and_then(|left| left.checked_add(1)))
    }
}

impl<'a> EventIter<'_, 'a> {
    #[inline]
    fn event(&mut self) -> Result<Event<'a>, DecodeError> {
        let flags = self.numbers.byte()?;
        if flags > 15 || (self.first && flags != 0) {
            return Err(DecodeError::Malformed { what: "an event's flags cannot be" });
        }
        self.first = false;
        let events = self.events;
        if flags & SAME_ACCOUNT == 0 {
            self.account = self.index(events.accounts.len())?;
        }
        if flags & SAME_TYPE == 0 {
            self.event_type = self.index(events.types.len())?;
        }
        if flags & SAME_SOURCE == 0 {
            self.source = self.index(events.sources.len())?;
        }
        if flags & SAME_SHAPE == 0 {
            self.shape = self.index(events.shapes.len())?;
        }
        self.time = self.time.wrapping_add(unzigzag(self.numbers.varint()?));
        let payload = self.numbers.fixed_u64()?;
        let id = self.piece()?;
        let values = self.values()?;
        Ok(Event {
            account: self.account,
            event_type: self.event_type,
            source: self.source,
            shape: self.shape,
            id,
            time: Instant::from_nanos(self.time),
            payload,
            values,
        })
    }

    #[inline]
    fn index(&mut self, count: usize) -> Result<u32, DecodeError> {
        let index = self.numbers.varint()?;
        match u32::try_from(index) {
            Ok(small) if usize::try_from(index).is_ok_and(|index| index < count) => Ok(small),
            _ => Err(DecodeError::Malformed { what: "an event names an entry that the dictionary has not got" }),
        }
    }

    #[inline]
    fn piece(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.numbers.length()?;
        let (piece, rest) = self.text.split_at_checked(length).ok_or(TEXT_ENDS)?;
        self.text = rest;
        Ok(piece)
    }

    #[inline]
    fn values(&mut self) -> Result<Values<'a>, DecodeError> {
        let shape = usize::try_from(self.shape).ok().and_then(|shape| self.events.shapes.get(shape));
        let count = shape.map_or(0, Vec::len);
        let (lengths, text) = (self.numbers.rest(), self.text);
        for _ in 0..count {
            self.piece()?;
        }
        let lengths_used = lengths.len() - self.numbers.rest().len();
        let text_used = text.len() - self.text.len();
        Ok(Values {
            lengths: lengths.get(..lengths_used).unwrap_or_default(),
            text: text.get(..text_used).unwrap_or_default(),
        })
    }
}

const TEXT_ENDS: DecodeError = DecodeError::Malformed { what: "an event's text ends early, or inside a character" };

// === impl Values ===

impl<'a> Values<'a> {
    /// The values, in the shape's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + 'a {
        let mut lengths = Reader::new(self.lengths);
        let mut text = self.text;
        // Both were checked when the event was read.
        std::iter::from_fn(move || {
            let (value, rest) = text.split_at_checked(lengths.length().ok()?)?;
            text = rest;
            Some(value)
        })
    }

    /// The value of the shape's property `at`.
    pub fn get(&self, at: usize) -> Option<&'a str> {
        self.iter().nth(at)
    }
}

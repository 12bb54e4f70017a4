//! Reads an `IngestRequest` where it lies: every text borrows from the message's bytes, and a map is read as what it is
//! on the wire, repeated pairs of name and value.
//!
//! The rules are those of generated code: unknown fields are skipped, of a field that comes twice the last one counts
//! (inside `time` its parts), text is UTF-8, and anything else is malformed, with the whole message.

use std::str;

/// The bytes are no `IngestRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at}")]
pub(crate) struct Malformed {
    /// What does not fit.
    what: &'static str,
    /// Where in the message.
    at: usize,
}

/// An event as sent; its properties go to a list that the caller keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    pub(crate) id: &'a str,
    pub(crate) source: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) customer: &'a str,
    /// Seconds and nanoseconds.
    pub(crate) time: Option<(i64, i32)>,
}

/// Reads a message's events one by one.
pub(crate) struct Request<'a> {
    input: Input<'a>,
    sequence: u64,
}

/// A name and a value.
pub(crate) type Property<'a> = (&'a str, &'a str);

#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    /// The place of `bytes` in the message.
    at: usize,
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// As deep as generated code skips unknown groups.
const GROUPS_MAX: u32 = 100;

// === impl Request ===

impl<'a> Request<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { input: Input { bytes, at: 0 }, sequence: 0 }
    }

    /// The sequence, as far as was read: final once [`Request::next_event`] gave none.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next event; its properties are added to `properties`, as they come.
    pub(crate) fn next_event(&mut self, properties: &mut Vec<Property<'a>>) -> Result<Option<Event<'a>>, Malformed> {
        while !self.input.bytes.is_empty() {
            match self.input.key()? {
                (1, wire) => {
                    let event = self.input.message(wire)?;
                    return read_event(event, properties).map(Some);
                }
                (2, wire) => self.sequence = self.input.number(wire)?,
                (field, wire) => self.input.skip(field, wire, 0)?,
            }
        }
        Ok(None)
    }
}

fn read_event<'a>(mut input: Input<'a>, properties: &mut Vec<Property<'a>>) -> Result<Event<'a>, Malformed> {
    let mut event = Event::default();
    while !input.bytes.is_empty() {
        match input.key()? {
            (1, wire) => event.id = input.text(wire)?,
            (2, wire) => event.source = input.text(wire)?,
            (3, wire) => event.event_type = input.text(wire)?,
            (4, wire) => event.customer = input.text(wire)?,
            (5, wire) => {
                let time = input.message(wire)?;
                event.time = Some(read_time(time, event.time.unwrap_or_default())?);
            }
            (6, wire) => {
                let property = input.message(wire)?;
                properties.push(read_property(property)?);
            }
            (field, wire) => input.skip(field, wire, 0)?,
        }
    }
    Ok(event)
}

fn read_time(mut input: Input<'_>, mut time: (i64, i32)) -> Result<(i64, i32), Malformed> {
    while !input.bytes.is_empty() {
        match input.key()? {
            (1, wire) => time.0 = input.number(wire)?.cast_signed(),
            (2, wire) => {
                // A 32-bit number is its varint's low half, as generated code reads it.
                let low = input.number(wire)? & 0xffff_ffff;
                time.1 = u32::try_from(low).unwrap_or_default().cast_signed();
            }
            (field, wire) => input.skip(field, wire, 0)?,
        }
    }
    Ok(time)
}

fn read_property<'a>(mut input: Input<'a>) -> Result<Property<'a>, Malformed> {
    let (mut name, mut value) = ("", "");
    while !input.bytes.is_empty() {
        match input.key()? {
            (1, wire) => name = input.text(wire)?,
            (2, wire) => value = input.text(wire)?,
            (field, wire) => input.skip(field, wire, 0)?,
        }
    }
    Ok((name, value))
}

// === impl Input ===

impl<'a> Input<'a> {
    fn bad(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    #[inline(always)]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| self.bad("the message ends early"))?;
        self.bytes = rest;
        self.at += count;
        Ok(taken)
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Malformed> {
        if let [first, rest @ ..] = self.bytes
            && *first < 0x80
        {
            self.bytes = rest;
            self.at += 1;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (place, &byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte holds the last bit.
            if place == 9 && byte > 1 {
                return Err(self.bad("a number is too long"));
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.take(place + 1)?;
                return Ok(value);
            }
        }
        Err(self.bad("a number is cut off or too long"))
    }

    /// A field's number and wire type.
    #[inline(always)]
    fn key(&mut self) -> Result<(u32, u8), Malformed> {
        let key = self.varint()?;
        let key = u32::try_from(key).map_err(|_| self.bad("a field's number is too large"))?;
        let wire = u8::try_from(key & 7).unwrap_or_default();
        match key >> 3 {
            0 => Err(self.bad("a field's number is 0")),
            _ if wire > FIXED32 => Err(self.bad("a field has an unknown wire type")),
            field => Ok((field, wire)),
        }
    }

    #[inline(always)]
    fn number(&mut self, wire: u8) -> Result<u64, Malformed> {
        if wire == VARINT { self.varint() } else { Err(self.bad("a number has another wire type")) }
    }

    #[inline(always)]
    fn message(&mut self, wire: u8) -> Result<Self, Malformed> {
        if wire != LENGTH {
            return Err(self.bad("a text or message has another wire type"));
        }
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.bad("the message ends early"))?;
        let at = self.at;
        Ok(Self { bytes: self.take(length)?, at })
    }

    #[inline(always)]
    fn text(&mut self, wire: u8) -> Result<&'a str, Malformed> {
        let text = self.message(wire)?;
        str::from_utf8(text.bytes).map_err(|_| text.bad("a text is not UTF-8"))
    }

    fn skip(&mut self, field: u32, wire: u8, depth: u32) -> Result<(), Malformed> {
        match wire {
            VARINT => self.varint().map(|_| ()),
            FIXED64 => self.take(8).map(|_| ()),
            LENGTH => self.message(LENGTH).map(|_| ()),
            FIXED32 => self.take(4).map(|_| ()),
            GROUP if depth < GROUPS_MAX => loop {
                match self.key()? {
                    (inner, GROUP_END) if inner == field => return Ok(()),
                    (_, GROUP_END) => return Err(self.bad("a group ends that was not begun")),
                    (inner, wire) => self.skip(inner, wire, depth + 1)?,
                }
            },
            GROUP => Err(self.bad("groups are nested too deep")),
            _ => Err(self.bad("a group ends that was not begun")),
        }
    }
}

#[cfg(test)]
mod tests;

//! Encoding: see the format in [`super`].

use super::dictionary::Dictionary;
use super::wire::{
    HEADER_BYTES, KIND_CONTROL, KIND_EVENTS, MAGIC, SAME_ACCOUNT, SAME_SHAPE, SAME_SOURCE, SAME_TYPE, checksum,
    put_length, put_text, put_varint, zigzag,
};
use super::{Control, EventRef};
use bytes::Bytes;

/// Collects events into one encoded record: a dictionary of accounts (tenant and customer), types, sources and shapes
/// (sets of property names), then the events.
#[derive(Debug, Default)]
pub struct EventsBuilder {
    accounts: Dictionary,
    types: Dictionary,
    sources: Dictionary,
    shapes: Dictionary,
    count: u32,
    before: Option<Before>,
    numbers: Vec<u8>,
    text: Vec<u8>,
    /// The key that is being looked up.
    key: Vec<u8>,
}

/// What the next event may share.
#[derive(Clone, Copy, Debug)]
struct Before {
    account: u32,
    event_type: u32,
    source: u32,
    shape: u32,
    time: i64,
}

/// The version of records of events.
const VERSION_EVENTS: u8 = 1;

/// Encodes a record without events.
pub fn encode_control(control: &Control) -> Bytes {
    let mut record = header(control.version(), KIND_CONTROL, 256);
    if let Err(error) = serde_json::to_writer(&mut record, control) {
        // Control records hold text, numbers and lists only; a body that does not decode halts the shard, loudly.
        tracing::error!(%error, "a control record cannot be written as JSON");
    }
    seal(record)
}

fn header(version: u8, kind: u8, body_bytes: usize) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + body_bytes);
    record.extend_from_slice(&MAGIC);
    record.extend_from_slice(&[version, kind, 0, 0, 0, 0]);
    record
}

fn seal(mut record: Vec<u8>) -> Bytes {
    if let Some((head, body)) = record.split_at_mut_checked(HEADER_BYTES) {
        let (checked, sum) = head.split_at_mut(4);
        sum.copy_from_slice(&checksum(checked, body).to_le_bytes());
    }
    Bytes::from(record)
}

// === impl EventsBuilder ===

impl EventsBuilder {
    /// Adds an event. Its properties are sorted by name, each name once.
    pub fn push(&mut self, event: &EventRef<'_>) {
        debug_assert!(event.properties.is_sorted_by(|a, b| a.0 < b.0), "properties must be sorted, each name once");
        let now = self.look_up(event);
        let (flags, time_before) = match self.before {
            None => (0, 0),
            Some(before) => (shared(&before, &now), before.time),
        };
        let out = &mut self.numbers;
        out.push(flags);
        let indices = [
            (SAME_ACCOUNT, now.account),
            (SAME_TYPE, now.event_type),
            (SAME_SOURCE, now.source),
            (SAME_SHAPE, now.shape),
        ];
        for (flag, index) in indices {
            if flags & flag == 0 {
                put_varint(out, u64::from(index));
            }
        }
        put_varint(out, zigzag(now.time.wrapping_sub(time_before)));
        out.extend_from_slice(&event.payload.to_le_bytes());
        put_length(out, event.id.len());
        self.text.extend_from_slice(event.id.as_bytes());
        for (_, value) in event.properties {
            put_length(out, value.len());
            self.text.extend_from_slice(value.as_bytes());
        }
        self.before = Some(now);
        self.count += 1;
    }

    /// How many events it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// About how many bytes the record will have.
    pub fn bytes(&self) -> usize {
        let dictionaries = [&self.accounts, &self.types, &self.sources, &self.shapes];
        let shared: usize = dictionaries.iter().map(|dictionary| dictionary.bytes()).sum();
        HEADER_BYTES + 16 + shared + self.numbers.len() + self.text.len()
    }

    /// The encoded record; the builder is empty again and keeps its memory.
    pub fn finish(&mut self) -> Bytes {
        let mut record = header(VERSION_EVENTS, KIND_EVENTS, self.bytes() + 16);
        for dictionary in [&mut self.accounts, &mut self.types, &mut self.sources, &mut self.shapes] {
            dictionary.drain_into(&mut record);
        }
        put_varint(&mut record, u64::from(self.count));
        put_length(&mut record, self.numbers.len());
        record.extend_from_slice(&self.numbers);
        record.extend_from_slice(&self.text);
        self.numbers.clear();
        self.text.clear();
        self.before = None;
        self.count = 0;
        seal(record)
    }

    #[inline]
    fn look_up(&mut self, event: &EventRef<'_>) -> Before {
        let key = &mut self.key;
        key.clear();
        put_text(key, event.tenant.as_str());
        put_text(key, event.customer);
        let account = self.accounts.number(key);
        key.clear();
        put_text(key, event.event_type);
        let event_type = self.types.number(key);
        key.clear();
        put_text(key, event.source);
        let source = self.sources.number(key);
        key.clear();
        put_length(key, event.properties.len());
        for (name, _) in event.properties {
            put_text(key, name);
        }
        let shape = self.shapes.number(key);
        Before { account, event_type, source, shape, time: event.time.nanos() }
    }
}

fn shared(before: &Before, now: &Before) -> u8 {
    let flag = |same: bool, flag: u8| if same { flag } else { 0 };
    flag(before.account == now.account, SAME_ACCOUNT)
        | flag(before.event_type == now.event_type, SAME_TYPE)
        | flag(before.source == now.source, SAME_SOURCE)
        | flag(before.shape == now.shape, SAME_SHAPE)
}

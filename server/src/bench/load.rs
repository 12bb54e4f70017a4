//! The load: a catalog, and requests that cost the client next to nothing to make.

use bytes::Bytes;
use pricing::time::Instant;
use prost::Message;
use proto::v1;
use std::fmt::Write;

/// Log time at the beginning of every benchmark.
pub(crate) const NOW: &str = "2026-01-20T00:00:00Z";

/// When the events happened.
const HAPPENED: i64 = 1_768_500_000;

/// Events of this type are charged.
pub(crate) const CHARGED: &str = "llm.completion";

/// Those of this one leave their ids, and nothing else.
pub(crate) const KNOWN: &str = "known";

/// Every id has as many digits, so that an encoded request can be made anew by writing over them.
const ID_DIGITS: usize = 16;

/// Customers of different requests.
const TEMPLATES: u32 = 64;

/// A catalog with so many customers on one plan with one graduated price.
pub(crate) fn catalog(customers: u32) -> String {
    let mut text = String::from(
        "apiVersion: farthing/v1\ntenant: bench\nmeters:\n  \
         - {id: tokens, event: llm.completion, aggregate: sum, value: tokens, group_by: [region]}\n  \
         - {id: known, event: known, aggregate: count, where: {never: yes}}\nplans:\n  \
         - id: p\n    currency: USD\n    every: month\n    prices:\n      \
         - {id: t, meter: tokens, graduated: [{up_to: 1000000, each: 0.000015}, {each: 0.00001}]}\n\
         sellers: [{id: main, name: Bench}]\ncustomers:\n",
    );
    for number in 0..customers {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  - {{id: {}}}", customer(number));
    }
    text.push_str("subscriptions:\n");
    for number in 0..customers {
        let _ = writeln!(text, "  - {{id: s-{number}, customer: {}, plan: p, from: 2026-01-01}}", customer(number));
    }
    text
}

/// A customer's id.
pub(crate) fn customer(number: u32) -> String {
    format!("c-{number:06}")
}

/// When the events happened.
pub(crate) fn happened() -> Instant {
    Instant::from_parts(HAPPENED, 0).unwrap_or_default()
}

/// One event of a request, before its id is known.
pub(crate) fn event(number: u32, customers: u32) -> v1::Event {
    let region = ["eu", "us", "ap"].get(usize::try_from(number % 3).unwrap_or_default()).copied().unwrap_or("eu");
    let properties =
        [("tokens", (100 + number % 900).to_string()), ("model", "large".into()), ("region", region.into())];
    v1::Event {
        id: "0".repeat(ID_DIGITS),
        source: "bench".to_owned(),
        r#type: CHARGED.to_owned(),
        customer: customer(number % customers.max(1)),
        time: Some(prost_types::Timestamp { seconds: HAPPENED, nanos: 0 }),
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// Encoded requests, again and again with new ids.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    templates: Vec<Template>,
    batch: u32,
    next: u64,
    made: usize,
}

/// A request without its sequence, which is written behind it.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the ids' digits begin.
    ids: Vec<usize>,
}

impl Requests {
    /// Requests of `batch` events over `customers`, with ids from `first_id` on.
    pub(crate) fn new(event_type: &str, batch: u32, customers: u32, first_id: u64) -> Self {
        let templates = (0..TEMPLATES).map(|template| Template::new(template, event_type, batch, customers)).collect();
        Self { templates, batch, next: first_id, made: 0 }
    }

    /// The next one.
    pub(crate) fn next(&mut self, sequence: u64) -> Bytes {
        let at = self.made % self.templates.len().max(1);
        self.made += 1;
        let Some(template) = self.templates.get(at) else { return Bytes::new() };
        let mut bytes = Vec::with_capacity(template.bytes.len() + 11);
        bytes.extend_from_slice(&template.bytes);
        for (id, place) in (self.next..).zip(&template.ids) {
            if let Some(digits) = bytes.get_mut(*place..place + ID_DIGITS) {
                write_digits(id, digits);
            }
        }
        self.next += u64::from(self.batch);
        let tail = v1::IngestRequest { events: Vec::new(), sequence };
        // Concatenated messages are one message: the sequence joins the events.
        bytes.extend_from_slice(&tail.encode_to_vec());
        Bytes::from(bytes)
    }
}

impl Template {
    fn new(template: u32, event_type: &str, batch: u32, customers: u32) -> Self {
        let first = template.wrapping_mul(batch);
        let event = |at| v1::Event { r#type: event_type.to_owned(), ..event(first.wrapping_add(at), customers) };
        let events = (0..batch).map(event).collect();
        let bytes = v1::IngestRequest { events, sequence: 0 }.encode_to_vec();
        let zeros = [b'0'; ID_DIGITS];
        let mut ids = Vec::new();
        let mut at = 0;
        while let Some(found) =
            bytes.get(at..).and_then(|rest| rest.windows(ID_DIGITS).position(|window| window == zeros))
        {
            ids.push(at + found);
            at += found + ID_DIGITS;
        }
        Self { bytes, ids }
    }
}

fn write_digits(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_requests_are_what_prost_reads_with_new_ids_each() {
        let mut requests = Requests::new(CHARGED, 3, 5, 7);
        let read = |bytes: Bytes| v1::IngestRequest::decode(bytes).unwrap();
        let (first, second) = (read(requests.next(41)), read(requests.next(42)));
        assert_eq!((first.sequence, second.sequence), (41, 42));
        let ids: Vec<u64> = first.events.iter().chain(&second.events).map(|event| event.id.parse().unwrap()).collect();
        assert_eq!(ids, [7, 8, 9, 10, 11, 12]);
        assert_eq!(second.events[0].customer, "c-000003");
        assert_eq!(first.events[0].properties["tokens"], "100");
    }
}

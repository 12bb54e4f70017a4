//! The borrowed parser against the generated one.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message;
use proto::v1;
use std::collections::BTreeMap;

/// The message as the parser reads it, in generated types, or none where it is malformed.
fn read(bytes: &[u8]) -> Option<v1::IngestRequest> {
    let mut request = Request::new(bytes);
    let mut events = Vec::new();
    let mut properties = Vec::new();
    while let Some(event) = request.next_event(&mut properties).ok()? {
        events.push(v1::Event {
            id: event.id.to_owned(),
            source: event.source.to_owned(),
            r#type: event.event_type.to_owned(),
            customer: event.customer.to_owned(),
            time: event.time.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
            properties: properties.drain(..).map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        });
    }
    Some(v1::IngestRequest { events, sequence: request.sequence() })
}

fn event() -> impl Strategy<Value = v1::Event> {
    let time = proptest::option::of((any::<i64>(), any::<i32>()));
    let properties = btree_map(".{0,8}", ".{0,12}", 0..5);
    (".{0,12}", ".{0,12}", ".{0,12}", ".{0,12}", time, properties).prop_map(
        |(id, source, r#type, customer, time, properties): (_, _, _, _, _, BTreeMap<_, _>)| v1::Event {
            id,
            source,
            r#type,
            customer,
            time: time.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
            properties: properties.into_iter().collect(),
        },
    )
}

fn request() -> impl Strategy<Value = v1::IngestRequest> {
    (vec(event(), 0..4), any::<u64>()).prop_map(|(events, sequence)| v1::IngestRequest { events, sequence })
}

proptest! {
    #[test]
    fn what_generated_code_writes_is_read_the_same(request in request()) {
        prop_assert_eq!(read(&request.encode_to_vec()), Some(request));
    }

    /// Damaged bytes never panic, and are refused exactly where generated code refuses them.
    #[test]
    fn damaged_bytes_are_read_as_generated_code_reads_them(
        request in request(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        for (place, byte) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        prop_assert_eq!(read(&bytes), v1::IngestRequest::decode(&bytes[..]).ok());
        bytes.truncate(cut.index(bytes.len()));
        prop_assert_eq!(read(&bytes), v1::IngestRequest::decode(&bytes[..]).ok());
    }

    #[test]
    fn any_bytes_are_read_as_generated_code_reads_them(bytes in vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(read(&bytes), v1::IngestRequest::decode(&bytes[..]).ok());
    }
}

#[test]
fn unknown_fields_are_skipped_and_the_last_of_two_counts() {
    // Two ids, an unknown group with a number in it, an unknown fixed32, and a time in two parts.
    let event = [
        &[0x0a, 1, b'a', 0x0a, 1, b'b'][..],
        &[0x3b, 0x08, 0x96, 0x01, 0x3c],
        &[0x45, 1, 2, 3, 4],
        &[0x2a, 2, 0x08, 7, 0x2a, 2, 0x10, 9],
    ]
    .concat();
    let mut message = vec![0x10, 5, 0x0a, u8::try_from(event.len()).unwrap()];
    message.extend_from_slice(&event);
    let read = read(&message).unwrap();
    assert_eq!(read.sequence, 5);
    assert_eq!(read.events[0].id, "b");
    assert_eq!(read.events[0].time, Some(prost_types::Timestamp { seconds: 7, nanos: 9 }));
    assert_eq!(read, v1::IngestRequest::decode(&message[..]).unwrap());
}

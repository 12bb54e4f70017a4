//! Records: round trips, golden bytes, and bytes that are no record.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    tenant: TenantId,
    customer: String,
    event_type: String,
    source: String,
    id: String,
    time: Instant,
    payload: u64,
    properties: Vec<(String, String)>,
}

fn encode(events: &[Owned]) -> bytes::Bytes {
    let mut builder = EventsBuilder::default();
    push_all(&mut builder, events);
    builder.finish()
}

fn push_all(builder: &mut EventsBuilder, events: &[Owned]) {
    for event in events {
        let properties: Vec<(&str, &str)> = event.properties.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        builder.push(&EventRef {
            tenant: &event.tenant,
            customer: &event.customer,
            event_type: &event.event_type,
            source: &event.source,
            id: &event.id,
            time: event.time,
            payload: event.payload,
            properties: &properties,
        });
    }
}

fn read(record: &[u8]) -> Result<Vec<Owned>, DecodeError> {
    let Record::Events(events) = decode(record)? else {
        return Err(DecodeError::Malformed { what: "control" });
    };
    events
        .iter()
        .map(|event| {
            let event = event?;
            let (tenant, customer) = events.accounts[event.account as usize];
            let shape = &events.shapes[event.shape as usize];
            assert_eq!(shape.len(), event.values.iter().count());
            Ok(Owned {
                tenant: TenantId::new(tenant).map_err(|_| DecodeError::Malformed { what: "tenant" })?,
                customer: customer.to_owned(),
                event_type: events.types[event.event_type as usize].to_owned(),
                source: events.sources[event.source as usize].to_owned(),
                id: event.id.to_owned(),
                time: event.time,
                payload: event.payload,
                properties: shape
                    .iter()
                    .zip(event.values.iter())
                    .map(|(a, b)| ((*a).to_owned(), b.to_owned()))
                    .collect(),
            })
        })
        .collect()
}

prop_compose! {
    fn event()(
        tenant in "[a-b]", customer in "[a-cä]{0,2}", event_type in "[x-z]{1,2}", source in "[s-t]?", id in "\\PC{0,20}",
        time in prop_oneof![any::<i64>(), 0i64..1000], payload: u64,
        properties in proptest::collection::btree_map("[a-dé]{1,2}", "\\PC{0,200}", 0..5),
    ) -> Owned {
        let tenant = TenantId::new(&tenant).unwrap();
        let time = Instant::from_nanos(time);
        Owned { tenant, customer, event_type, source, id, time, payload, properties: properties.into_iter().collect() }
    }
}

/// Gives damaged bytes a checksum that fits, so that what lies behind it is reached.
fn reseal(record: &mut [u8]) {
    if record.len() >= 8 {
        let sum = wire::checksum(&record[..4], &record[8..]).to_le_bytes();
        record[4..8].copy_from_slice(&sum);
    }
}

proptest! {
    #[test]
    fn events_come_back_as_written(first in proptest::collection::vec(event(), 0..40), second in proptest::collection::vec(event(), 0..40)) {
        prop_assert_eq!(read(&encode(&first)).unwrap(), first.clone());
        // A builder that was used before writes the same bytes as a fresh one.
        let mut builder = EventsBuilder::default();
        push_all(&mut builder, &first);
        builder.finish();
        push_all(&mut builder, &second);
        prop_assert_eq!(builder.count() as usize, second.len());
        let size = builder.bytes();
        let record = builder.finish();
        prop_assert!(record.len() <= size + 24 && size <= record.len() + 24);
        prop_assert_eq!(record, encode(&second));
    }

    #[test]
    fn damaged_bytes_never_panic(
        events in proptest::collection::vec(event(), 1..10),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(), cuts: bool, reseals: bool,
    ) {
        let whole = encode(&events);
        let mut record = whole.to_vec();
        for (at, byte) in damage {
            let at = at.index(record.len());
            record[at] = byte;
        }
        if cuts {
            record.truncate(cut.index(record.len()));
        }
        if reseals {
            reseal(&mut record);
            let _ = read(&record);
        } else if record != whole {
            prop_assert!(read(&record).is_err());
        }
    }

    #[test]
    fn any_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..400), kind in 0u8..3) {
        let mut record = vec![b'F', b'R', 1, kind, 0, 0, 0, 0];
        record.extend(body);
        let _ = read(&record);
        reseal(&mut record);
        let _ = read(&record);
    }

    #[test]
    fn varints_come_back(value: u64, signed: i64) {
        let mut bytes = Vec::new();
        wire::put_varint(&mut bytes, value);
        let mut reader = wire::Reader::new(&bytes);
        prop_assert_eq!(reader.varint(), Ok(value));
        prop_assert!(reader.rest().is_empty());
        prop_assert_eq!(wire::unzigzag(wire::zigzag(signed)), signed);
    }
}

#[test]
fn a_newer_version_is_named() {
    let mut record = encode_control(&Control::Tick { time: Instant::from_nanos(1) }).to_vec();
    record[2] = VERSION_NEWEST + 1;
    assert!(matches!(decode(&record), Err(DecodeError::Checksum { .. })));
    reseal(&mut record);
    assert_eq!(
        decode(&record).unwrap_err(),
        DecodeError::Version { found: VERSION_NEWEST + 1, newest: VERSION_NEWEST }
    );
}

#[test]
fn the_payload_hash_is_that_of_the_bytes_in_a_row() {
    use std::hash::Hasher;
    let long = "v".repeat(700);
    let time = Instant::from_nanos(-5);
    let mut row = Vec::new();
    let text = |text: &str, row: &mut Vec<u8>| {
        row.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        row.extend(text.as_bytes());
    };
    text("type", &mut row);
    row.push(1);
    row.extend((-5i64).to_le_bytes());
    for piece in ["a", "1", "b", &long, "c", ""] {
        text(piece, &mut row);
    }
    let mut hasher = siphasher::sip::SipHasher24::new();
    hasher.write(&row);
    let properties = [("a", "1"), ("b", long.as_str()), ("c", "")];
    assert_eq!(payload_hash("type", Some(time), &properties), hasher.finish());
    assert_ne!(payload_hash("type", None, &properties), hasher.finish());
}

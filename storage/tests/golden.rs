//! The stored form of records never changes: what an earlier Farthing wrote is read, and written again, byte for byte.
//! `GOLDEN_WRITE=1 cargo test -p storage --test golden` writes the files of a new version; those of old ones stay.

#![allow(missing_docs, clippy::unwrap_used)]

use pricing::id::{CustomerId, TenantId};
use pricing::time::Instant;
use std::fmt::Write;
use std::path::PathBuf;
use storage::record::{Control, EventRef, EventsBuilder, Record, decode, encode_control, payload_hash};
use storage::shard::{Offset, Shard, ShardCount};

fn check(name: &str, record: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let hex = record.chunks(32).fold(String::new(), |mut text, line| {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text + "\n"
    });
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(&path, &hex).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), hex, "{name}");
    decode(record).unwrap();
}

#[test]
fn control_records_keep_their_form() {
    let (time, tenant) = (Instant::from_parts(1_767_225_600, 5).unwrap(), TenantId::new("acme").unwrap());
    let shards = ShardCount::new(4).unwrap();
    let open = |version| Control::Open { shard: Shard(1), shards, key: "0f".repeat(16), version };
    let customer = CustomerId::new("c-1").unwrap();
    let waive = |seen| {
        let (tenant, customer, reason) = (tenant.clone(), customer.clone(), "a person's word".into());
        Control::Waive { tenant, customer, from: Instant::MIN, until: time, reason, seen }
    };
    let skip = Control::Skip { offset: Offset(7), reason: "damaged".into() };
    let tick = Control::Tick { time };
    let all = [(1, "open", open(None)), (1, "tick", tick), (1, "waive", waive(None)), (1, "skip", skip)];
    let newer = [(2, "open", open(Some(2))), (2, "waive", waive(Some(Offset(7))))];
    for (version, name, control) in all.into_iter().chain(newer) {
        let record = encode_control(&control);
        assert_eq!((record[2], control.version()), (version, version));
        check(&format!("{version}-{name}"), &record);
        assert!(matches!(decode(&record).unwrap(), Record::Control(read) if *read == control));
    }
    check("1-barrier", &encode_control(&Control::Barrier { version: 1 }));
}

#[test]
fn events_keep_their_form() {
    let tenants = [TenantId::new("acme").unwrap(), TenantId::new("other").unwrap()];
    let properties: [&[(&str, &str)]; 3] =
        [&[("model", "large"), ("output_tokens", "1000000000000.5")], &[], &[("größe", "ü"), ("x", "")]];
    let mut builder = EventsBuilder::default();
    for number in [0usize, 1, 2, 0, 0, 1] {
        let properties = properties[number % 3];
        let time = Instant::from_nanos(i64::try_from(number).unwrap() * -1_000_000_007);
        builder.push(&EventRef {
            tenant: &tenants[number % 2],
            customer: ["c-1", "", "c-2"][number],
            event_type: "llm.completion",
            source: ["api", "batch", "api"][number],
            id: ["first", "", "dritté"][number],
            time,
            payload: payload_hash("llm.completion", (number > 0).then_some(time), properties),
            properties,
        });
    }
    check("1-events", &builder.finish());
    check("1-no-events", &builder.finish());
}

//! How fast storage is on this machine: `cargo test --release -p storage --test measure -- --ignored --nocapture`.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_wrap)] // a measurement prints

use bytes::Bytes;
use pricing::group::Group;
use pricing::id::{CustomerId, MeterId, PlanId, PriceId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::plan::PlanRef;
use pricing::time::Instant;
use std::sync::Arc;
use std::time::Instant as Clock;
use storage::charges::{Charges, PeriodKey};
use storage::embedded;
use storage::log::Log;
use storage::output::{ChargeRow, ChargeRows, Counters, EventPlace, Output, Series};
use storage::record::{EventRef, EventsBuilder, Record, decode};
use storage::shard::{Offset, Shard, ShardCount};

fn report(what: &str, count: u64, unit: &str, since: Clock) {
    let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap();
    println!("{what}: {} {unit}/s, {} ns each", count * 1_000_000_000 / nanos.max(1), nanos / count);
}

#[test]
#[ignore = "a measurement"]
fn codec() {
    let tenant = TenantId::new("acme").unwrap();
    let customers: Vec<String> = (0..1000).map(|number| format!("customer-{number}")).collect();
    let ids: Vec<String> = (0..1000).map(|number| format!("0190b4a2-7c3d-7e2f-9a1b-{number:012}")).collect();
    let properties = [("model", "large"), ("output_tokens", "1234"), ("region", "eu-west-1")];
    let (mut builder, mut record) = (EventsBuilder::default(), Bytes::new());
    let start = Clock::now();
    for round in 0..1000usize {
        for (number, id) in ids.iter().enumerate() {
            let customer = &customers[(number * 7919 + round) % 1000];
            let time = Instant::from_nanos(1_767_225_600_000_000_000 + (number as i64) * 1_000_000);
            let (event_type, source) = ("llm.completion", "api");
            let properties = &properties;
            builder.push(&EventRef { tenant: &tenant, customer, event_type, source, id, time, payload: 7, properties });
        }
        record = builder.finish();
    }
    report("encode", 1_000_000, "events", start);
    println!("{} bytes an event", record.len() / 1000);
    let (start, mut length) = (Clock::now(), 0);
    for _ in 0..1000 {
        let Ok(Record::Events(events)) = decode(&record) else { panic!("no events") };
        for event in events.iter() {
            length += event.unwrap().values.iter().map(str::len).sum::<usize>();
        }
    }
    report("decode, values read", 1_000_000, "events", start);
    assert_eq!(length, 1_000_000 * 18);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn log() {
    let dir = tempfile::tempdir().unwrap();
    let options = embedded::log::Options::new(ShardCount::new(4).unwrap());
    let log = Arc::new(embedded::log::Log::open(dir.path(), options).unwrap());
    let record = Bytes::from(vec![7; 50_000]);
    let start = Clock::now();
    let writers: Vec<_> = (0..32u16)
        .map(|number| {
            let (log, record) = (Arc::clone(&log), record.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    log.append(Shard(number % 4), vec![record.clone()]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    report("append, 32 in flight, 50 kB", 1600, "records", start);
    let (start, mut from) = (Clock::now(), Offset(0));
    while from < Offset(400) {
        from = log.read(Shard(0), from, 4 << 20).await.unwrap().last().unwrap().offset.next();
    }
    report("read, 50 kB", 400, "records", start);
    let start = Clock::now();
    for _ in 0..100 {
        log.append(Shard(0), vec![Bytes::from_static(b"small")]).await.unwrap();
    }
    report("append, one in flight", 100, "records", start);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn charges() {
    let dir = tempfile::tempdir().unwrap();
    let charges = embedded::charges::Charges::open(&dir.path().join("charges.db")).unwrap();
    let outputs: Vec<Output> = (0..4).map(output).collect();
    let start = Clock::now();
    for output in outputs {
        charges.insert(vec![output]).await.unwrap();
    }
    report("insert, 10,000 customers, 4 × 250,000", 1_000_000, "rows", start);
    let tenant = TenantId::new("acme").unwrap();
    let periods: Vec<PeriodKey> = (0..10_000).map(|number| key(&series(number))).collect();
    let start = Clock::now();
    let sums = charges.sums(&tenant, &periods).await.unwrap();
    report("sums", 1_000_000, "rows", start);
    assert_eq!(sums.iter().flatten().map(|sum| sum.count).sum::<u64>(), 1_000_000);
}

fn key(series: &Series) -> PeriodKey {
    let (customer, subscription) = (series.customer.clone(), series.subscription.clone());
    PeriodKey { customer, subscription, start: series.start }
}

fn series(number: u32) -> Series {
    Series {
        tenant: TenantId::new("acme").unwrap(),
        customer: CustomerId::new(&format!("customer-{number}")).unwrap(),
        subscription: SubscriptionId::new(&format!("subscription-{number}")).unwrap(),
        start: Instant::from_nanos(0),
        plan: PlanRef { id: PlanId::new("payg").unwrap(), version: 1 },
        price: PriceId::new("out").unwrap(),
        meter: MeterId::new("output_tokens").unwrap(),
        group: Group::default(),
    }
}

fn output(number: u64) -> Output {
    let mut rows = ChargeRows { sources: vec!["api".into()], ..ChargeRows::default() };
    rows.series = (0..10_000).map(series).collect();
    for index in 0..250_000u32 {
        rows.ids.push_str(&format!("0190b4a2-7c3d-7e2f-9a1b-{index:012}"));
        rows.rows.push(ChargeRow {
            series: index.wrapping_mul(7919) % 10_000,
            offset: Offset(number),
            index,
            event: EventPlace { offset: Offset(number), index },
            id_end: u32::try_from(rows.ids.len()).unwrap(),
            source: 0,
            time: Instant::from_nanos(1_767_225_600_000_000_000 + i64::from(index) * 1_000_003),
            quantity: Quantity::from_raw(i128::from(index) * 1_000_000_000).unwrap(),
            amount: Amount::from_raw(i128::from(index) * 10i128.pow(19)).unwrap(),
            tier: 1 + index % 2,
        });
    }
    let (from, to, log_time) = (Offset(number), Offset(number + 1), Instant::from_nanos(0));
    let (manifests, outcomes, counters) = (Vec::new(), Vec::new(), Counters::default());
    Output { shard: Shard(0), from, to, log_time, charges: rows, manifests, outcomes, counters }
}

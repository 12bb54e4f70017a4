//! Two invoicers on one installation: one leads, the other stands by and takes over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use invoicer::ledger::{Clock, Draft, Ledger, LogIdentity, Tenant};
use invoicer::publisher::{self, Announcement, Target};
use invoicer::{Invoicer, Parts};
use pricing::time::Span;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use storage::log::{Entry, Error, Log};
use storage::record::{Control, Record, decode};
use storage::shard::{Offset, Shard, ShardCount};
use storage::sim::World;
use support::{CATALOG, Halts, System, apply, at, parts};
use tonic::Code;

const MORE: &str = "apiVersion: farthing/v1\ntenant: acme\ncustomers: [{id: c-3}]\n";

/// A clock whose wall goes on with tokio's time, which the lease runs by.
fn options(holder: &str, begun: tokio::time::Instant) -> publisher::Options {
    let wall = move || {
        let passed = i64::try_from(begun.elapsed().as_nanos()).unwrap();
        at("2026-01-01T00:00:00Z").plus(Span::from_nanos(passed))
    };
    let mut options = publisher::Options::new(holder, Arc::new(wall), [7; 16]);
    options.test_clock = Some(at("2026-01-01T00:00:00Z"));
    options.standby = true;
    options
}

#[tokio::test(start_paused = true)]
async fn the_second_takes_over_and_the_first_writes_nothing_more() {
    let world = World::new(ShardCount::new(2).unwrap());
    let shards = Arc::new(Halts::default());
    let begun = tokio::time::Instant::now();
    let start = |holder: &str| {
        let parts: Parts = parts(&world, &shards);
        Invoicer::start(parts, options(holder, begun))
    };
    let first = start("first").await.unwrap();
    let mut system = System::around(world.clone(), first.clone());
    system.apply(CATALOG).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    let keeping = tokio::spawn({
        let first = first.clone();
        async move { first.run().await }
    });
    let second = tokio::spawn(start("second"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!second.is_finished(), "as long as the first renews its lease, the second stands by");

    // The first stops renewing in the middle of a turn: everything it does from here on comes too late.
    keeping.abort();
    let _ = keeping.await;
    let stale = first.publisher().clone();
    let mut turn = stale.turn().await.unwrap();
    let second = second.await.unwrap().unwrap();
    let ledger = Ledger::new(world.books.clone());
    let clock = || async { ledger.get::<Clock>(None, Clock::ID).await.unwrap().unwrap() };
    let taken = clock().await;
    let mut draft = Draft::new("first", "apply", turn.log_time());
    draft.put(None, "late", None, &Tenant::default()).unwrap();
    let record = Announcement { shards: Target::All, record: Control::Barrier { version: 1 } };
    assert!(turn.publish(draft, std::slice::from_ref(&record)).await.is_err());
    assert!(turn.tick(at("2026-05-01T00:00:00Z")).await.is_err());
    drop(turn);
    assert_eq!(apply(&first, MORE).await.unwrap_err().code(), Code::Unavailable);
    assert!(first.closer().pass().await.is_err(), "nor does it close");
    assert!(matches!(first.run().await, Err(publisher::Error::LeaseLost)));
    assert_eq!(clock().await, taken, "the first committed nothing");
    assert!(ledger.get::<Tenant>(None, "late").await.unwrap().is_none());

    // The second goes on where the first stood.
    system.invoicer = second.clone();
    system.apply(MORE).await.unwrap();
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let expected = ["c-1/USD/2026-02-01T00:00:00Z issued 2.50", "c-2/USD/2026-02-01T00:00:00Z skipped 0.00"];
    assert_eq!(system.summary().await, expected);
    assert_eq!(system.check().await.findings, Vec::<String>::new());
    assert_eq!(system.invoices().await.len(), 1);
    once_and_in_order(&world).await;

    // Who gives its lease up is followed at once.
    let third = tokio::spawn(start("third"));
    let before = tokio::time::Instant::now();
    second.resign().await;
    third.await.unwrap().unwrap();
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert!(second.publisher().turn().await.is_err());
}

/// A log that takes its time.
struct Slow(Arc<dyn Log>);

#[async_trait]
impl Log for Slow {
    fn shards(&self) -> ShardCount {
        self.0.shards()
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error> {
        self.0.append(shard, records).await
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        self.0.read(shard, from, bytes_max).await
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.0.bounds(shard).await
    }
}

#[tokio::test(start_paused = true)]
async fn opening_a_slow_log_keeps_the_lease() {
    let world = World::new(ShardCount::new(2).unwrap());
    let begun = tokio::time::Instant::now();
    let slow = Parts { log: Arc::new(Slow(world.log.clone())), ..parts(&world, &Arc::default()) };
    let first = tokio::spawn(Invoicer::start(slow, options("first", begun)));
    // It leads once the books name its log.
    let ledger = Ledger::new(world.books.clone());
    while ledger.get::<LogIdentity>(None, LogIdentity::ID).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = tokio::spawn(Invoicer::start(parts(&world, &Arc::default()), options("second", begun)));
    let first = first.await.unwrap().unwrap();
    assert!(begun.elapsed() > Duration::from_secs(40), "longer than a lease");
    assert!(!second.is_finished(), "the second stands by all the while");
    apply(&first, CATALOG).await.unwrap();
    second.abort();
}

/// No record stands twice, and log time never goes back.
async fn once_and_in_order(world: &World) {
    for shard in world.log.shards().all() {
        let mut log_time = pricing::time::Instant::MIN;
        let mut seen = std::collections::BTreeSet::new();
        for entry in world.log.read(shard, Offset(0), 1 << 20).await.unwrap() {
            let Record::Control(control) = decode(&entry.record).unwrap() else { continue };
            let version = match *control {
                Control::Tick { time } => {
                    assert!(time >= log_time, "log time goes back at {}", entry.offset);
                    log_time = time;
                    continue;
                }
                Control::Catalog(record) => ("catalog".to_owned(), record.version),
                Control::Customer(record) => (record.customer.to_string(), record.version),
                Control::Open { .. } => continue,
                other => panic!("{other:?}"),
            };
            assert!(seen.insert(version.clone()), "{version:?} stands twice");
        }
    }
}

//! The driver over storage in memory: restarts, faults, damage.

use super::{Driver, Options, ShardStatus, open};
use crate::ids::Key;
use crate::offline::fold_all;
use crate::sample::{self, call};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::charges::{Boundary, Charges, PeriodKey};
use storage::log::Log;
use storage::output::{Counters, Sum};
use storage::record::{Control, encode_control};
use storage::shard::{Offset, Shard};
use storage::sim::World;
use storage::sim::faults::Chances;
use storage::snapshots::{self, Snapshots};

const NOW: &str = "2026-01-15T12:00:00Z";
const EARLIER: &str = "2026-01-15T11:00:00Z";

async fn opened(shards: u16, seed: u64) -> World {
    opened_with(shards, seed, sample::KEY).await
}

async fn opened_with(shards: u16, seed: u64, key: &str) -> World {
    let world = World::with_faults(sample::count(shards), seed, Chances::default());
    let key = Key::parse(key).expect("a key");
    open(&*world.log, key).await.expect("an empty log");
    open(&*world.log, key).await.expect("harmless");
    for shard in sample::count(shards).all() {
        append(&world, shard, [sample::catalog_record(1), sample::simple("c"), sample::tick(NOW)]).await;
    }
    world
}

async fn append(world: &World, shard: Shard, records: impl IntoIterator<Item = Bytes>) {
    world.log.append(shard, records.into_iter().collect()).await.expect("a log that takes records");
}

fn start(world: &World, options: Options) -> Driver {
    let shards: Vec<Shard> = world.log.shards().all().collect();
    Driver::start(world.log.clone(), world.snapshots.clone(), world.charges.clone(), shards, options)
}

fn options() -> Options {
    Options { snapshot_records: 3, insert_wait: Duration::from_millis(1), ..Options::default() }
}

async fn end(world: &World, shard: Shard) -> Offset {
    world.log.bounds(shard).await.expect("bounds").end
}

async fn stored(driver: &Driver, at: usize, end: Offset) {
    driver.status().until(|shards| shards.get(at).is_some_and(|shard| shard.stored >= end)).await;
}

async fn january(world: &World) -> Vec<Sum> {
    let start = sample::time("2026-01-01T00:00:00Z");
    let subscription = pricing::id::SubscriptionId::new("s-c").expect("an id");
    let period = PeriodKey { customer: sample::customer_id("c"), subscription, start };
    world.charges.sums(&sample::tenant(), &[period]).await.expect("sums").concat()
}

async fn counters(world: &World, shard: Shard) -> Counters {
    world.charges.boundary(shard).await.expect("an answer").expect("a boundary").counters
}

async fn boundary(world: &World) -> Boundary {
    world.charges.boundary(Shard(0)).await.expect("an answer").expect("a boundary")
}

fn batch(number: u64) -> Bytes {
    let events: Vec<_> = (0..5).map(|at| call("c", &format!("{number}-{at}"), EARLIER, &at.to_string())).collect();
    sample::record(&events)
}

#[tokio::test]
async fn it_goes_on_where_it_stopped() {
    let world = opened(1, 0).await;
    let shard = Shard(0);
    for round in 0..3u64 {
        let driver = start(&world, options());
        append(&world, shard, [batch(round), batch(round), batch(0)]).await;
        stored(&driver, 0, end(&world, shard).await).await;
        driver.stop().await;
        let good = world.snapshots.good(shard).await.expect("a list");
        assert_eq!(good.first(), Some(&end(&world, shard).await), "a last snapshot, made good");
    }
    let counters = counters(&world, shard).await;
    assert_eq!((counters.charged, counters.duplicate), (15, 30));
    let calls = january(&world).await.into_iter().filter(|sum| sum.price.as_str() == "p-calls");
    assert_eq!(calls.map(|sum| sum.count).sum::<u64>(), 15);
    // Without the log's beginning the snapshot is the truth; without both the shard stands.
    world.log.trim(shard, Offset(10));
    let driver = start(&world, options());
    append(&world, shard, [batch(9)]).await;
    stored(&driver, 0, end(&world, shard).await).await;
    driver.stop().await;
    for place in world.snapshots.good(shard).await.expect("a list") {
        world.snapshots.damage(shard, place);
    }
    let driver = start(&world, options());
    driver.status().until(|shards| shards.iter().any(|shard| shard.halted.is_some())).await;
    driver.stop().await;
}

/// Snapshots that refuse to be read a few times.
struct Reluctant {
    inner: Arc<dyn Snapshots>,
    refusals: AtomicUsize,
}

#[async_trait::async_trait]
impl Snapshots for Reluctant {
    async fn write(&self, shard: Shard, next: Offset, chunks: snapshots::Chunks) -> Result<(), snapshots::Error> {
        self.inner.write(shard, next, chunks).await
    }

    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), snapshots::Error> {
        self.inner.promote(shard, next).await
    }

    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, snapshots::Error> {
        self.inner.good(shard).await
    }

    async fn read(&self, shard: Shard, next: Offset) -> Result<snapshots::CheckedChunks, snapshots::Error> {
        let left = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(snapshots::Error::Unavailable { reason: "not now".to_owned() });
        }
        self.inner.read(shard, next).await
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_now_is_read_later() {
    let world = opened(1, 0).await;
    let driver = start(&world, options());
    append(&world, Shard(0), [batch(0), batch(1)]).await;
    stored(&driver, 0, end(&world, Shard(0)).await).await;
    driver.stop().await;
    // Nothing else could stand in for it.
    world.log.trim(Shard(0), Offset(5));
    let snapshots = Reluctant { inner: world.snapshots.clone(), refusals: AtomicUsize::new(3) };
    let driver = Driver::start(world.log.clone(), Arc::new(snapshots), world.charges.clone(), [Shard(0)], options());
    append(&world, Shard(0), [batch(2)]).await;
    driver.status().until(|shards| shards.iter().all(|one| one.stored == Offset(7) || one.halted.is_some())).await;
    assert_eq!(driver.status().shards()[0].halted, None);
    driver.stop().await;
    assert_eq!(counters(&world, Shard(0)).await.charged, 15);
}

#[tokio::test]
async fn faults_change_nothing_in_the_end() {
    for seed in 0..6 {
        let world = opened(2, seed).await;
        let chances = Chances { refused: 150, answer_lost: 100, partial: 50, repeated: 100, ..Chances::default() };
        world.faults.set(chances);
        let mut driver = start(&world, options());
        let mut records = vec![sample::open(0, 2), sample::catalog_record(1), sample::simple("c"), sample::tick(NOW)];
        for round in 0..12 {
            world.faults.heal();
            append(&world, Shard(0), [batch(round)]).await;
            world.faults.set(chances);
            records.push(batch(round));
            if round % 5 == 4 {
                driver.stop().await;
                driver = start(&world, options());
            }
            tokio::task::yield_now().await;
        }
        world.faults.heal();
        stored(&driver, 0, end(&world, Shard(0)).await).await;
        driver.stop().await;
        let (fold, _) = fold_all(Shard(0), sample::count(2), crate::fold::Options::default(), &records).expect("fits");
        assert_eq!(counters(&world, Shard(0)).await, fold.counters());
        let calls = january(&world).await.into_iter().filter(|sum| sum.price.as_str() == "p-calls");
        assert_eq!(calls.map(|sum| sum.count).sum::<u64>(), 60);
    }
}

#[tokio::test]
async fn a_damaged_record_halts_its_shard_until_it_is_skipped() {
    let world = opened(2, 0).await;
    append(&world, Shard(0), [batch(0), batch(1)]).await;
    world.log.damage(Shard(0), Offset(4));
    let driver = start(&world, options());
    let status = driver.status();
    status.until(|shards| shards.first().is_some_and(|shard| shard.halted.is_some())).await;
    append(&world, Shard(1), [batch(7)]).await;
    stored(&driver, 1, end(&world, Shard(1)).await).await;
    let halted: Vec<ShardStatus> = status.shards();
    assert_eq!((halted[0].next, halted[1].halted.as_ref()), (Offset(4), None), "the others go on");
    let skip = Control::Skip { offset: Offset(4), reason: "bit rot".to_owned() };
    append(&world, Shard(0), [encode_control(&skip)]).await;
    stored(&driver, 0, end(&world, Shard(0)).await).await;
    assert_eq!(status.shards()[0].halted, None);
    assert_eq!(counters(&world, Shard(0)).await.charged, 5);
    driver.stop().await;
    // Whoever folds the shard again steps over it too, although the record can be read again.
    let repaired = opened(2, 0).await;
    append(&repaired, Shard(0), [batch(0), batch(1), encode_control(&skip)]).await;
    let driver = start(&repaired, options());
    stored(&driver, 0, end(&repaired, Shard(0)).await).await;
    driver.stop().await;
    assert_eq!(boundary(&repaired).await, boundary(&world).await);
    // From its snapshot, too. A record that was folded is not taken back.
    let late = Control::Skip { offset: Offset(5), reason: "late".to_owned() };
    let driver = start(&repaired, options());
    append(&repaired, Shard(0), [encode_control(&skip), encode_control(&late)]).await;
    let status = driver.status();
    status.until(|shards| shards.first().is_some_and(|shard| shard.halted.is_some())).await;
    let reason = status.shards()[0].halted.clone().expect("a halt");
    assert!(reason.contains("it steps over the record at 5, which was folded here"), "{reason}");
    assert_eq!(status.shards()[0].next, Offset(8), "a second order for what was stepped over is fine");
    let leave = Control::Skip { offset: Offset(8), reason: "5 is as it should be".to_owned() };
    append(&repaired, Shard(0), [encode_control(&leave)]).await;
    stored(&driver, 0, end(&repaired, Shard(0)).await).await;
    driver.stop().await;
    // And whoever folds it again leaves it in as well.
    for place in repaired.snapshots.good(Shard(0)).await.expect("a list") {
        repaired.snapshots.damage(Shard(0), place);
    }
    let driver = start(&repaired, options());
    let status = driver.status();
    let whole = end(&repaired, Shard(0)).await;
    status.until(|shards| shards.first().is_some_and(|shard| shard.halted.is_some() || shard.next >= whole)).await;
    assert_eq!((status.shards()[0].counters.charged, status.shards()[0].halted.clone()), (5, None));
    driver.stop().await;
}

#[tokio::test]
async fn a_shard_whose_rows_are_refused_for_good_halts_alone() {
    let world = opened(3, 0).await;
    world.charges.damage(Shard(1));
    let driver = start(&world, options());
    let status = driver.status();
    for round in 0..3 {
        for shard in [Shard(0), Shard(1), Shard(2)] {
            append(&world, shard, [batch(round)]).await;
        }
        stored(&driver, 0, end(&world, Shard(0)).await).await;
        stored(&driver, 2, end(&world, Shard(2)).await).await;
    }
    status.until(|shards| shards.get(1).is_some_and(|shard| shard.halted.is_some())).await;
    let shards: Vec<ShardStatus> = status.shards();
    assert_eq!((&shards[0].halted, &shards[2].halted), (&None, &None));
    assert!(shards[1].halted.as_ref().expect("halted").contains("damaged"), "{:?}", shards[1]);
    driver.stop().await;
}

#[tokio::test]
async fn unsent_rows_have_one_limit_for_all_shards() {
    let world = opened(8, 0).await;
    for shard in sample::count(8).all() {
        append(&world, shard, (0..50).map(batch)).await;
    }
    let driver = start(&world, Options { unsent_bytes_max: 10_000, read_bytes_max: 1, ..options() });
    let status = driver.status();
    status.until(|shards| shards.first().is_some_and(|shard| shard.next > Offset(5))).await;
    world.faults.set(Chances { refused: 1_000, ..Chances::default() });
    let unsent = |shards: &[super::ShardStatus]| shards.iter().map(|shard| shard.unsent_bytes).sum::<u64>();
    let is_read = |shards: &[super::ShardStatus]| shards.iter().all(|shard| shard.next >= Offset(54));
    status.until(|shards| unsent(shards) > 10_000 || is_read(shards)).await;
    // The limit, and what each shard reads at a time; a limit for each shard would let 80,000 wait.
    assert!(unsent(&status.shards()) < 60_000, "{:?}", status.shards());
    world.faults.heal();
    for shard in sample::count(8).all() {
        stored(&driver, usize::from(shard.0), end(&world, shard).await).await;
        assert_eq!(counters(&world, shard).await.charged, 250);
    }
    driver.stop().await;
}

#[tokio::test]
async fn ids_beyond_the_memory_limit_go_to_disk_and_are_known_after_a_restart() {
    let world = opened(1, 0).await;
    let folder = tempfile::tempdir().expect("a folder");
    // A table in memory takes some hundred bytes for its first id.
    let options = Options { ids_bytes_max: 700_000, ids_folder: Some(folder.path().join("ids")), ..options() };
    let batch = |number: u64| {
        let events: Vec<_> = (0..2_000).map(|at| call("c", &format!("{number}-{at}"), EARLIER, "1")).collect();
        sample::record(&events)
    };
    for round in 0..3u64 {
        let driver = start(&world, Options { read_bytes_max: 1, ..options.clone() });
        for number in [2 * round, 2 * round + 1, 0, round] {
            append(&world, Shard(0), [batch(number)]).await;
        }
        stored(&driver, 0, end(&world, Shard(0)).await).await;
        let status = driver.status().shards();
        assert!(status[0].ids_disk_bytes > 0 && status[0].ids_bytes <= 700_000, "{status:?}");
        driver.stop().await;
    }
    let counters = counters(&world, Shard(0)).await;
    assert_eq!((counters.charged, counters.duplicate), (12_000, 12_000));
    // Without a folder the shard halts, and says why.
    let driver = start(&world, Options { ids_folder: None, ..options });
    driver.status().until(|shards| shards[0].halted.is_some()).await;
    let reason = driver.status().shards()[0].halted.clone();
    assert!(reason.is_some_and(|reason| reason.contains("allow more memory")));
    driver.stop().await;
}

/// A shard whose six records are folded and stored; its driver has stopped.
async fn stored_up_to_six() -> World {
    let world = opened(1, 0).await;
    append(&world, Shard(0), [batch(0), batch(1)]).await;
    let driver = start(&world, options());
    stored(&driver, 0, Offset(6)).await;
    driver.stop().await;
    world
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_made_of_it_halts_its_shard() {
    let world = stored_up_to_six().await;
    // The log of an older backup. Its next records have the offsets of others, whose rows the store has.
    let older = opened(1, 0).await;
    append(&older, Shard(0), [batch(7)]).await;
    let parts = [(&older.snapshots, &world.charges, "charges"), (&world.snapshots, &older.charges, "snapshots")];
    for (snapshots, charges, what) in parts {
        let driver = Driver::start(older.log.clone(), snapshots.clone(), charges.clone(), [Shard(0)], options());
        let status = driver.status();
        let is_decided = |shards: &[ShardStatus]| shards[0].halted.is_some() || shards[0].next > Offset(0);
        status.until(is_decided).await;
        let reason = status.shards()[0].halted.clone().expect("a halt");
        assert!(reason.starts_with(&format!("the {what} hold shard 0 up to 6, but the log ends at 5")), "{reason}");
        driver.stop().await;
    }
}

#[tokio::test]
async fn a_log_that_the_charges_were_not_made_from_halts_its_shard() {
    let world = stored_up_to_six().await;
    // One from an older backup that went on past the charges, and one with the same records but another key.
    let older = opened(1, 0).await;
    append(&older, Shard(0), [batch(0), batch(8), batch(9)]).await;
    let other = opened_with(1, 0, "ff0102030405060708090a0b0c0d0e0f").await;
    append(&other, Shard(0), [batch(0), batch(1), batch(2)]).await;
    let at_charges = "the log's record at 5 is not the one that the charges of shard 0 end with";
    let at_snapshot = "the log of shard 0 was begun with another key";
    let parts = [
        (&older, &older.snapshots, Some(at_charges)),
        (&other, &other.snapshots, Some(at_charges)),
        (&other, &world.snapshots, Some(at_snapshot)),
        (&world, &older.snapshots, None),
    ];
    for (log, snapshots, expected) in parts {
        let driver = Driver::start(log.log.clone(), snapshots.clone(), world.charges.clone(), [Shard(0)], options());
        let status = driver.status();
        status.until(|shards| shards[0].halted.is_some() || shards[0].next > Offset(0)).await;
        let reason = status.shards()[0].halted.clone();
        assert_eq!(reason.is_some(), expected.is_some(), "{reason:?}");
        assert!(reason.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{expected:?}");
        driver.stop().await;
    }
}

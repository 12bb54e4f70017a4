//! The faults in memory happen, and only when they should.

use super::*;
use crate::log::{Error, Log};
use crate::shard::{Offset, Shard};
use bytes::Bytes;
use std::time::Duration;

fn faulty() -> Chances {
    let delay_max = Duration::from_millis(50);
    Chances { refused: 100, answer_lost: 100, partial: 100, repeated: 100, delayed: 500, delay_max }
}

/// Appends by name, with crashes in between, and what stands in the log at the end.
async fn history(seed: u64) -> (Vec<String>, Vec<u8>) {
    let world = World::with_faults(ShardCount::new(1).unwrap(), seed, faulty());
    let mut answers = Vec::new();
    let mut acknowledged = Vec::new();
    for number in 0..200u8 {
        let pair = vec![Bytes::from(vec![number, 0]), Bytes::from(vec![number, 1])];
        let append = world.log.append(Shard(0), pair);
        // Some calls are given up half-way, some machines go down half-way.
        match tokio::time::timeout(Duration::from_millis(40), append).await {
            Ok(answer) => {
                if answer.is_ok() {
                    acknowledged.push(number);
                }
                answers.push(format!("{answer:?}"));
            }
            Err(_) => world.crash(),
        }
    }
    let seen = world.faults.seen();
    assert!(seen.crashes > 0 && seen.records_lost > 0 && seen.answer_lost > 0 && seen.partial > 0, "{seen:?}");
    world.faults.heal();
    let mut standing = Vec::new();
    let bounds = world.log.bounds(Shard(0)).await.unwrap();
    while standing.len() / 2 < usize::try_from(bounds.end.0).unwrap() {
        let from = Offset(u64::try_from(standing.len() / 2).unwrap());
        let entries = world.log.read(Shard(0), from, 100).await.unwrap();
        entries.iter().for_each(|entry| standing.extend_from_slice(&entry.record));
    }
    for number in acknowledged {
        assert!(
            standing.windows(4).any(|pair| pair == [number, 0, number, 1]),
            "{number} was acknowledged and is lost"
        );
    }
    (answers, standing)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history_and_keeps_what_was_acknowledged() {
    let first = history(7).await;
    assert_eq!(first, history(7).await);
    assert_ne!(first, history(8).await);
}

#[tokio::test(start_paused = true)]
async fn damage_stops_a_reader_and_the_next_record_can_be_read() {
    let world = World::new(ShardCount::new(2).unwrap());
    let records = (0..3u8).map(|number| Bytes::from(vec![number])).collect();
    assert_eq!(world.log.append(Shard(1), records).await.unwrap(), Offset(0));
    world.log.damage(Shard(1), Offset(1));
    assert_eq!(world.log.read(Shard(1), Offset(0), 100).await.unwrap().len(), 1);
    assert!(matches!(world.log.read(Shard(1), Offset(1), 100).await, Err(Error::Damaged { offset: Offset(1), .. })));
    assert_eq!(world.log.read(Shard(1), Offset(2), 100).await.unwrap()[0].record, vec![2u8]);
    assert!(matches!(world.log.read(Shard(1), Offset(4), 100).await, Err(Error::OutOfRange { .. })));
}

#[tokio::test]
async fn the_log_passes_the_suite() {
    let fresh = async || World::new(ShardCount::new(2).unwrap()).log as Arc<dyn Log>;
    crate::conformance::log::suite(fresh, async |log| log).await;
}

#[tokio::test]
async fn the_others_pass_their_suites() {
    let world = World::new(ShardCount::new(2).unwrap());
    let books = async || Arc::clone(&world.books) as Arc<dyn crate::books::Books>;
    crate::conformance::books::suite(books).await;
    crate::conformance::books::leases_end_by_the_callers_clock(&*world.books).await;
    let snapshots = async || Arc::clone(&world.snapshots) as Arc<dyn crate::snapshots::Snapshots>;
    crate::conformance::snapshots::suite(snapshots).await;
}

#[tokio::test]
async fn the_charges_pass_their_suite() {
    let world = World::new(ShardCount::new(2).unwrap());
    crate::conformance::charges::suite(async || Arc::clone(&world.charges) as Arc<dyn crate::charges::Charges>).await;
}

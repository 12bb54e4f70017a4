//! The suite for [`Log`].

use crate::log::{Entry, Error, Log};
use crate::shard::{Offset, Shard};
use bytes::Bytes;
use std::sync::Arc;

const FIRST: Shard = Shard(0);
const SECOND: Shard = Shard(1);

/// Runs all of it. `open` opens a log with two shards; `fresh` an empty one each time.
pub async fn suite(mut fresh: impl AsyncFnMut() -> Arc<dyn Log>, reopen: impl AsyncFn(Arc<dyn Log>) -> Arc<dyn Log>) {
    appends_are_numbered(&*fresh().await).await;
    reads_keep_to_their_limit(&*fresh().await).await;
    reads_wait_for_records(fresh().await).await;
    bounds_are_kept(&*fresh().await).await;
    concurrent_appends_stay_whole(fresh().await).await;
    stays_after_opening_again(fresh().await, reopen).await;
}

/// A record that tells itself from others.
pub fn record(number: u32, length: usize) -> Bytes {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length.max(4), u8::try_from(number % 251).unwrap());
    Bytes::from(bytes)
}

/// Everything that stands in a shard.
pub async fn read_all(log: &dyn Log, shard: Shard) -> Vec<Entry> {
    let bounds = log.bounds(shard).await.unwrap();
    let (mut from, mut entries) = (bounds.start, Vec::new());
    while from < bounds.end {
        let some = log.read(shard, from, 1000).await.unwrap();
        from = some.last().unwrap().offset.next();
        entries.extend(some);
    }
    entries
}

async fn appends_are_numbered(log: &dyn Log) {
    assert_eq!(log.append(FIRST, vec![record(0, 10), record(1, 0), record(2, 9000)]).await.unwrap(), Offset(0));
    assert_eq!(log.append(SECOND, vec![record(9, 10)]).await.unwrap(), Offset(0));
    assert_eq!(log.append(FIRST, vec![Bytes::new()]).await.unwrap(), Offset(3));
    let expected = [record(0, 10), record(1, 0), record(2, 9000), Bytes::new()];
    let expected: Vec<Entry> =
        (0..).map(Offset).zip(expected).map(|(offset, record)| Entry { offset, record }).collect();
    assert_eq!(read_all(log, FIRST).await, expected);
    assert_eq!(read_all(log, SECOND).await, [Entry { offset: Offset(0), record: record(9, 10) }]);
}

async fn reads_keep_to_their_limit(log: &dyn Log) {
    let records: Vec<Bytes> = (0..50).map(|number| record(number, 100)).collect();
    log.append(FIRST, records.clone()).await.unwrap();
    let few = log.read(FIRST, Offset(7), 350).await.unwrap();
    assert!((1..=4).contains(&few.len()), "{} records for 350 bytes", few.len());
    assert_eq!(few[0], Entry { offset: Offset(7), record: records[7].clone() });
    assert_eq!(log.read(FIRST, Offset(49), 1).await.unwrap().len(), 1, "at least one, however small the limit");
    assert_eq!(log.read(FIRST, Offset(0), usize::MAX).await.unwrap().len(), 50);
}

async fn reads_wait_for_records(log: Arc<dyn Log>) {
    log.append(FIRST, vec![record(0, 10)]).await.unwrap();
    // One that is given up does no harm.
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), log.read(FIRST, Offset(1), 100)).await;
    assert!(given_up.is_err(), "nothing was there to be read");
    let reader = Arc::clone(&log);
    let waiting = tokio::spawn(async move { reader.read(FIRST, Offset(1), 100).await });
    log.append(SECOND, vec![record(5, 10)]).await.unwrap();
    log.append(FIRST, vec![record(1, 10)]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap()[0], Entry { offset: Offset(1), record: record(1, 10) });
}

async fn bounds_are_kept(log: &dyn Log) {
    assert_eq!(log.bounds(FIRST).await.unwrap(), Offset(0)..Offset(0));
    log.append(FIRST, vec![record(0, 10), record(1, 10)]).await.unwrap();
    assert_eq!(log.bounds(FIRST).await.unwrap(), Offset(0)..Offset(2));
    let beyond = log.read(FIRST, Offset(3), 100).await;
    assert!(matches!(beyond, Err(Error::OutOfRange { offset: Offset(3), next: Offset(2), .. })), "{beyond:?}");
    assert!(log.append(Shard(2), vec![record(0, 10)]).await.is_err(), "there are two shards only");
}

async fn concurrent_appends_stay_whole(log: Arc<dyn Log>) {
    let one = |number: u32| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let records = (0..3).map(|part| record(number * 3 + part, 40)).collect();
            (number, log.append(FIRST, records).await.unwrap())
        })
    };
    let appends: Vec<_> = (0..100).map(one).collect();
    let mut firsts = Vec::new();
    for append in appends {
        firsts.push(append.await.unwrap());
    }
    let entries = read_all(&*log, FIRST).await;
    assert_eq!(entries.len(), 300);
    for (number, first) in firsts {
        let at = usize::try_from(first.0).unwrap();
        let stands: Vec<Bytes> = entries[at..at + 3].iter().map(|entry| entry.record.clone()).collect();
        assert_eq!(stands, (0..3).map(|part| record(number * 3 + part, 40)).collect::<Vec<_>>());
    }
}

async fn stays_after_opening_again(log: Arc<dyn Log>, reopen: impl AsyncFn(Arc<dyn Log>) -> Arc<dyn Log>) {
    let mut log = log;
    for round in 0..4u32 {
        let first = log.append(FIRST, (0..5).map(|part| record(round * 5 + part, 300)).collect()).await.unwrap();
        assert_eq!(first, Offset(u64::from(round) * 5));
        log = reopen(log).await;
        assert_eq!(log.shards().get(), 2);
        let stands: Vec<Bytes> = read_all(&*log, FIRST).await.into_iter().map(|entry| entry.record).collect();
        assert_eq!(stands, (0..(round + 1) * 5).map(|number| record(number, 300)).collect::<Vec<_>>());
    }
}

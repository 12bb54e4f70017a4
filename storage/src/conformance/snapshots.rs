//! The suite for [`Snapshots`].

use crate::shard::{Offset, Shard};
use crate::snapshots::{Chunks, Error, Snapshots};
use bytes::Bytes;
use std::sync::Arc;

const SHARD: Shard = Shard(3);

/// Runs all of it: `open` opens an empty place the first time, and the same one again after that.
pub async fn suite(open: impl AsyncFn() -> Arc<dyn Snapshots>) {
    let snapshots = open().await;
    assert_eq!(snapshots.good(SHARD).await.unwrap(), []);
    assert!(snapshots.promote(SHARD, Offset(1)).await.is_err(), "there is none to promote");
    snapshots.write(SHARD, Offset(10), chunks(0)).await.unwrap();
    snapshots.write(SHARD, Offset(10), chunks(10)).await.unwrap();
    assert_eq!(snapshots.good(SHARD).await.unwrap(), [], "a pending one is not good");
    assert!(matches!(snapshots.read(SHARD, Offset(10)).await, Err(Error::Unavailable { .. })));
    for _ in 0..2 {
        // Promoting again is harmless.
        snapshots.promote(SHARD, Offset(10)).await.unwrap();
    }
    for place in [200, 30] {
        snapshots.write(SHARD, Offset(place), chunks(place)).await.unwrap();
    }
    snapshots.write(Shard(1), Offset(5), chunks(5)).await.unwrap();
    snapshots.promote(Shard(1), Offset(5)).await.unwrap();
    snapshots.promote(SHARD, Offset(30)).await.unwrap();
    drop(snapshots);
    let snapshots = open().await;
    assert_eq!(snapshots.good(SHARD).await.unwrap(), [Offset(30), Offset(10)]);
    assert_eq!(content(&*snapshots, Offset(10)).await, flat(chunks(10)));
    snapshots.write(SHARD, Offset(200), chunks(200)).await.unwrap();
    snapshots.promote(SHARD, Offset(200)).await.unwrap();
    assert_eq!(snapshots.good(SHARD).await.unwrap(), [Offset(200), Offset(30)], "two good ones are kept");
    assert_eq!(content(&*snapshots, Offset(200)).await, flat(chunks(200)));
    assert_eq!(snapshots.good(Shard(1)).await.unwrap(), [Offset(5)]);
    snapshots.write(SHARD, Offset(300), Box::new(std::iter::empty())).await.unwrap();
    snapshots.promote(SHARD, Offset(300)).await.unwrap();
    assert!(content(&*snapshots, Offset(300)).await.is_empty());
}

/// Some pieces, more than a buffer holds.
pub fn chunks(seed: u64) -> Chunks {
    let piece = move |number: u64| {
        let byte = u8::try_from((seed + number) % 256).unwrap();
        Bytes::from(vec![byte; usize::try_from(number * 9000).unwrap()])
    };
    Box::new((0..20).map(piece))
}

fn flat(chunks: Chunks) -> Vec<u8> {
    chunks.flatten().collect()
}

async fn content(snapshots: &dyn Snapshots, next: Offset) -> Vec<u8> {
    let pieces = snapshots.read(SHARD, next).await.unwrap();
    pieces.flat_map(|piece| piece.unwrap()).collect()
}

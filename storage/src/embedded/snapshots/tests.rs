//! Snapshot files beyond what the conformance suite asks.

use super::*;
use crate::conformance::snapshots::{chunks, suite};
use crate::snapshots::Snapshots as _;
use std::sync::Arc;

#[tokio::test]
async fn passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    suite(async || Arc::new(Snapshots::open(dir.path()).unwrap()) as Arc<dyn crate::snapshots::Snapshots>).await;
}

#[tokio::test]
async fn damage_is_found_before_the_last_piece_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(dir.path()).unwrap();
    let (shard, next) = (Shard(0), Offset(1));
    snapshots.write(shard, next, chunks(1)).await.unwrap();
    snapshots.promote(shard, next).await.unwrap();
    let path = snapshots.path(shard, next, "good");
    let whole = std::fs::read(&path).unwrap();
    let places = (0..whole.len()).step_by(100_003).chain(whole.len() - 20..whole.len());
    for at in places {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, &damaged).unwrap();
        let read: Result<usize, Error> = match snapshots.read(shard, next).await {
            Ok(pieces) => pieces.map(|piece| piece.map(|piece| piece.len())).sum(),
            Err(error) => Err(error),
        };
        assert!(matches!(read, Err(Error::Damaged { .. })), "byte {at}: {read:?}");
    }
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(snapshots.read(shard, next).await, Err(Error::Damaged { .. })), "{length} bytes");
    }
}

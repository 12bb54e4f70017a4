//! Snapshots with copies off the volume: at another path, and in something that speaks S3.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use bytes::Bytes;
use servers::S3;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::conformance::snapshots::{chunks, suite};
use storage::objects::Snapshots;
use storage::shard::{Offset, Shard};
use storage::snapshots::{Error, Snapshots as _};
use tempfile::TempDir;

const SHARD: Shard = Shard(3);

/// A volume and where its copies go.
struct Place {
    volume: TempDir,
    copies: String,
    settings: Vec<(&'static str, String)>,
}

impl Place {
    fn new(copies: &str, settings: Vec<(&'static str, String)>) -> Self {
        Self { volume: tempfile::tempdir().unwrap(), copies: copies.to_owned(), settings }
    }

    fn open(&self) -> Snapshots {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        Snapshots::open_with(self.volume.path(), &self.copies, &settings).unwrap()
    }

    fn lose_volume(&self) {
        std::fs::remove_dir_all(self.volume.path()).unwrap();
    }
}

fn file(folder: &Path, place: u64) -> PathBuf {
    folder.join(format!("shard-3/{place:020}.good"))
}

async fn promote(snapshots: &Snapshots, place: u64) {
    snapshots.write(SHARD, Offset(place), chunks(place)).await.unwrap();
    snapshots.promote(SHARD, Offset(place)).await.unwrap();
    snapshots.settled().await;
}

async fn is_as_written(snapshots: &Snapshots, place: u64) -> Result<bool, Error> {
    let pieces: Result<Vec<Bytes>, Error> = snapshots.read(SHARD, Offset(place)).await?.collect();
    Ok(pieces?.concat() == chunks(place).collect::<Vec<Bytes>>().concat())
}

/// The suite, with the volume lost wherever the suite opens again.
async fn passes_the_suite(place: &Place, is_lost: bool) {
    let last = std::cell::RefCell::new(None::<Snapshots>);
    suite(async || {
        let before = last.take();
        if let Some(before) = before {
            before.settled().await;
            if is_lost {
                place.lose_volume();
            }
        }
        let snapshots = place.open();
        last.replace(Some(snapshots.clone()));
        Arc::new(snapshots) as Arc<dyn storage::snapshots::Snapshots>
    })
    .await;
    let last = last.take().unwrap();
    last.settled().await;
}

#[tokio::test]
async fn passes_the_suite_also_when_the_volume_is_lost() {
    for is_lost in [false, true] {
        let copies = tempfile::tempdir().unwrap();
        passes_the_suite(&Place::new(copies.path().to_str().unwrap(), Vec::new()), is_lost).await;
    }
}

#[tokio::test]
async fn copies_in_s3_serve_when_the_volume_is_lost() {
    let server = S3::start();
    let at = |prefix: &str| format!("s3://{}{prefix}", S3::BUCKET);
    passes_the_suite(&Place::new(&at("/pod-0/snapshots/"), server.settings()), true).await;
    // More than one part, in a bucket's root.
    let place = Place::new(&at(""), server.settings());
    let large = || (0..30).map(|number: u8| Bytes::from(vec![number; 1 << 20]));
    let snapshots = place.open();
    snapshots.write(SHARD, Offset(7), Box::new(large())).await.unwrap();
    snapshots.promote(SHARD, Offset(7)).await.unwrap();
    snapshots.settled().await;
    place.lose_volume();
    let snapshots = place.open();
    assert_eq!(snapshots.good(SHARD).await.unwrap(), [Offset(7)]);
    let read: Result<Vec<Bytes>, Error> = snapshots.read(SHARD, Offset(7)).await.unwrap().collect();
    assert!(read.unwrap().concat() == large().collect::<Vec<Bytes>>().concat());
}

#[tokio::test]
async fn a_damaged_snapshot_is_replaced_by_its_copy_and_a_damaged_copy_is_not_used() {
    let copies = tempfile::tempdir().unwrap();
    let place = Place::new(copies.path().to_str().unwrap(), Vec::new());
    let snapshots = place.open();
    for number in [1, 2, 3] {
        promote(&snapshots, number).await;
    }
    assert!(!file(copies.path(), 1).exists(), "two copies are kept");
    let spoil = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[100_000] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    spoil(&file(place.volume.path(), 3));
    assert!(is_as_written(&snapshots, 3).await.unwrap());
    let (mended, copy) = (std::fs::read(file(place.volume.path(), 3)), std::fs::read(file(copies.path(), 3)));
    assert!(mended.unwrap() == copy.unwrap(), "it lies on the volume again");
    spoil(&file(place.volume.path(), 2));
    spoil(&file(copies.path(), 2));
    let damaged = is_as_written(&snapshots, 2).await;
    assert!(matches!(damaged, Err(Error::Damaged { .. })), "{damaged:?}");
    // Nothing stands in for it: it stays damaged, and is not waited for.
    std::fs::remove_file(file(copies.path(), 3)).unwrap();
    spoil(&file(place.volume.path(), 3));
    let damaged = is_as_written(&snapshots, 3).await;
    assert!(matches!(damaged, Err(Error::Damaged { .. })), "{damaged:?}");
}

/// The volume alone decides whether a snapshot is good: a store that is away costs the copy, and nothing else.
#[tokio::test]
async fn a_store_that_is_away_stops_nothing() {
    let copies = tempfile::tempdir().unwrap();
    let place = Place::new(copies.path().to_str().unwrap(), Vec::new());
    let snapshots = place.open();
    // A file where the folder should be.
    let folder = copies.path().join("shard-3");
    std::fs::write(&folder, "").unwrap();
    promote(&snapshots, 1).await;
    assert!(is_as_written(&snapshots, 1).await.unwrap());
    std::fs::remove_file(&folder).unwrap();
    promote(&snapshots, 2).await;
    assert!(file(copies.path(), 2).exists());
    for wrong in ["gs://bucket/prefix", "s3://", "s3:///prefix"] {
        assert!(Snapshots::open(place.volume.path(), wrong).is_err(), "{wrong}");
    }
}

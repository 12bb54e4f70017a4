//! Segments: torn tails, flipped bytes, full disks.

use super::disk::Disk;
use super::*;
use crate::conformance::log::{read_all, record, suite};
use crate::log::Log as _;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARD: Shard = Shard(0);

fn options(shards: u16) -> Options {
    Options { segment_bytes: 2000, cache_bytes: 0, ..Options::new(ShardCount::new(shards).unwrap()) }
}

fn open(dir: &Path) -> Log {
    Log::open(dir, options(2)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    for cache_bytes in [0, 1000, 1 << 20] {
        for segment_bytes in [1, 2000, 1 << 20] {
            let options = Options { segment_bytes, cache_bytes, ..options(2) };
            let dir = tempfile::tempdir().unwrap();
            let mut count = 0;
            let path = |count: u32| dir.path().join(count.to_string());
            let fresh = async || {
                count += 1;
                Arc::new(Log::open(&path(count), options).unwrap()) as Arc<dyn crate::log::Log>
            };
            let last = std::cell::Cell::new(6);
            let reopen = async |log: Arc<dyn crate::log::Log>| {
                drop(log);
                Arc::new(Log::open(&path(last.get()), options).unwrap()) as Arc<dyn crate::log::Log>
            };
            suite(fresh, reopen).await;
        }
    }
}

/// A folder whose shard 0 holds records in one segment, and that segment.
async fn written(records: &[Bytes]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options { segment_bytes: 1 << 20, ..options(2) }).unwrap();
    for record in records {
        log.append(SHARD, vec![record.clone()]).await.unwrap();
    }
    (dir, PathBuf::from("shard-0").join(open::segment_name(0)))
}

async fn stands(log: &Log) -> Vec<Bytes> {
    read_all(log, SHARD).await.into_iter().map(|entry| entry.record).collect()
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let records: Vec<Bytes> = (1..4).map(|number| record(number, 30)).collect();
    let (dir, segment) = written(&records).await;
    let path = dir.path().join(segment);
    let whole = std::fs::read(&path).unwrap();
    let last = whole.len() / 3 * 2;
    for end in last..whole.len() {
        for zeros in [0, whole.len() - end, whole.len() - end + 700] {
            let torn = [&whole[..end], &vec![0; zeros]].concat();
            std::fs::write(&path, &torn).unwrap();
            let log = open(dir.path());
            assert_eq!(stands(&log).await, records[..2], "cut at {end} with {zeros} zeros");
            assert_eq!(log.append(SHARD, vec![records[2].clone()]).await.unwrap(), Offset(2));
            drop(log);
            assert_eq!(stands(&open(dir.path())).await, records);
            std::fs::remove_dir_all(dir.path().join("shard-0")).unwrap();
            std::fs::create_dir(dir.path().join("shard-0")).unwrap();
        }
    }
}

#[tokio::test]
async fn a_batch_torn_in_its_middle_is_cut_off_but_not_one_that_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    let big = Options { segment_bytes: 1 << 20, ..options(2) };
    let log = Log::open(dir.path(), big).unwrap();
    log.append(SHARD, vec![record(1, 100)]).await.unwrap();
    log.append(SHARD, (2..6).map(|number| record(number, 1500)).collect()).await.unwrap();
    drop(log);
    let path = dir.path().join("shard-0").join(open::segment_name(0));
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[1024..1536].fill(0);
    std::fs::write(&path, &torn).unwrap();
    assert_eq!(stands(&open(dir.path())).await, [record(1, 100)], "of the batch nothing was acknowledged");
    // With a batch behind it, the same bytes were durable once.
    std::fs::write(&path, &whole).unwrap();
    Log::open(dir.path(), big).unwrap().append(SHARD, vec![record(9, 10)]).await.unwrap();
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[1024..1536].fill(0);
    std::fs::write(&path, &damaged).unwrap();
    let log = open(dir.path());
    assert!(matches!(log.read(SHARD, Offset(1), 100).await, Err(Error::Damaged { offset: Offset(1), .. })));
    assert_eq!(log.read(SHARD, Offset(5), 100).await.unwrap()[0].record, record(9, 10));
}

#[tokio::test]
async fn any_changed_byte_is_damage_of_its_record_alone() {
    let records: Vec<Bytes> = (1..5).map(|number| record(number, 30)).collect();
    let (dir, segment) = written(&records).await;
    let path = dir.path().join(segment);
    let whole = std::fs::read(&path).unwrap();
    let frame = whole.len() / 4;
    for at in 0..whole.len() {
        let (number, damaged) = (at / frame, Offset(u64::try_from(at / frame).unwrap()));
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        let log = open(dir.path());
        assert_eq!(log.bounds(SHARD).await.unwrap().end, Offset(4), "byte {at}");
        match log.read(SHARD, damaged, 1000).await {
            Err(Error::Damaged { offset, place, .. }) => {
                assert_eq!(offset, damaged);
                assert!(place.ends_with(&format!("{:020}.log byte {}", 0, number * frame)), "{place}");
            }
            other => panic!("byte {at}: {other:?}"),
        }
        for (offset, expected) in (0..).map(Offset).zip(&records).filter(|(offset, _)| *offset != damaged) {
            let entries = log.read(SHARD, offset, 1000).await.unwrap();
            assert_eq!(entries[0], Entry { offset, record: expected.clone() }, "byte {at}");
            assert!(entries.iter().all(|entry| entry.offset != damaged));
        }
        assert_eq!(log.append(SHARD, vec![record(9, 9)]).await.unwrap(), Offset(4));
        assert_eq!(log.read(SHARD, Offset(4), 9).await.unwrap()[0].record, record(9, 9));
        drop(log);
        let after = path.with_file_name(open::segment_name(4));
        let _ = std::fs::remove_file(after);
    }
}

#[tokio::test]
async fn an_event_cannot_pass_for_a_frame() {
    // A frame of record 1 inside record 0, made with another log's key.
    let mut forged = Vec::new();
    let key = frame::Key::new([7; 16], SHARD);
    frame::put(&mut forged, b"forged", 1, 0, key).unwrap();
    let (dir, segment) = written(&[Bytes::from(forged), record(1, 30), record(2, 30)]).await;
    let path = dir.path().join(segment);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let log = open(dir.path());
    assert!(matches!(log.read(SHARD, Offset(0), 100).await, Err(Error::Damaged { offset: Offset(0), .. })));
    assert_eq!(log.read(SHARD, Offset(1), 10).await.unwrap()[0].record, record(1, 30));
}

#[tokio::test]
async fn a_sealed_segment_is_never_torn() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 100, ..options(2) };
    let log = Log::open(dir.path(), small).unwrap();
    for number in 0..4 {
        log.append(SHARD, vec![record(number, 50)]).await.unwrap();
    }
    drop(log);
    let path = dir.path().join("shard-0").join(open::segment_name(1));
    File::options().write(true).open(&path).unwrap().set_len(40).unwrap();
    let log = Log::open(dir.path(), small).unwrap();
    assert!(matches!(log.read(SHARD, Offset(1), 100).await, Err(Error::Damaged { offset: Offset(1), .. })));
    assert_eq!(log.read(SHARD, Offset(2), 1).await.unwrap()[0].record, record(2, 50));
    assert_eq!(log.read(SHARD, Offset(0), 1).await.unwrap()[0].record, record(0, 50));
}

#[tokio::test]
async fn one_folder_has_one_log_with_a_fixed_count_of_shards() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert!(matches!(Log::open(dir.path(), options(2)), Err(OpenError::InUse { .. })));
    drop(log);
    assert!(matches!(Log::open(dir.path(), options(3)), Err(OpenError::Shards { found: 2, asked: 3, .. })));
    drop(open(dir.path()));
    std::fs::remove_file(dir.path().join("format.json")).unwrap();
    assert!(matches!(Log::open(dir.path(), options(2)), Err(OpenError::Format { .. })));
}

/// A disk with so many bytes left, and one that cannot sync when it is told so.
#[derive(Debug)]
struct Faulty {
    left: AtomicU64,
    syncs_left: AtomicU64,
}

impl Disk for Faulty {
    fn write_all_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let left = usize::try_from(self.left.load(Ordering::SeqCst)).unwrap();
        let fitting = left.min(bytes.len());
        file.write_all_at(&bytes[..fitting], at)?;
        if fitting < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.left.fetch_sub(u64::try_from(fitting).unwrap(), Ordering::SeqCst);
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.syncs_left.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("the disk is gone")),
            _ => file.sync_data(),
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(Faulty { left: AtomicU64::new(100), syncs_left: AtomicU64::new(u64::MAX) });
    let log = Log::open_on(dir.path(), options(2), &(Arc::clone(&faulty) as Arc<dyn Disk>)).unwrap();
    log.append(SHARD, vec![record(1, 10)]).await.unwrap();
    for _ in 0..2 {
        let refused = log.append(SHARD, vec![record(2, 500)]).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    }
    assert_eq!(stands(&log).await, [record(1, 10)]);
    faulty.left.store(10_000, Ordering::SeqCst);
    assert_eq!(log.append(SHARD, vec![record(3, 10)]).await.unwrap(), Offset(1));
    drop(log);
    assert_eq!(stands(&open(dir.path())).await, [record(1, 10), record(3, 10)]);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_appended_until_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(Faulty { left: AtomicU64::new(10_000), syncs_left: AtomicU64::new(1) });
    let log = Log::open_on(dir.path(), options(2), &(faulty as Arc<dyn Disk>)).unwrap();
    log.append(SHARD, vec![record(1, 10)]).await.unwrap();
    assert!(matches!(log.append(SHARD, vec![record(2, 10)]).await, Err(Error::Unknown { .. })));
    assert!(matches!(log.append(SHARD, vec![record(3, 10)]).await, Err(Error::Unavailable { .. })));
    assert_eq!(log.bounds(SHARD).await.unwrap().end, Offset(1), "readers see durable records only");
    drop(log);
    let log = open(dir.path());
    assert_eq!(stands(&log).await, [record(1, 10), record(2, 10)]);
    assert_eq!(log.append(SHARD, vec![record(3, 10)]).await.unwrap(), Offset(2));
}

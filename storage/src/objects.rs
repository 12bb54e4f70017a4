//! Snapshots on a volume, and copied off it: to object storage, or to another path.
//!
//! A snapshot is written and promoted on the volume. Once it is good there, the same file goes to
//! `PREFIX/shard-N/OFFSET.good`, where it appears whole or not at all; the shard does not wait for that. Two are kept. A
//! read takes the volume's own, checked to its end first, and where that is gone or damaged fetches the copy back onto the
//! volume. So a lost volume costs the log since the last copy, read again.
//!
//! A copy that cannot be made is logged; the next snapshot's copy stands in for it. One copy is made at a time, and of each
//! shard only the newest snapshot waits for its turn.

use crate::embedded::snapshots::Snapshots as Files;
use crate::shard::{Offset, Shard};
use crate::snapshots::{CheckedChunks, Chunks, Error, Snapshots as _};
use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, watch};

/// Snapshots on a volume and off it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshots {
    local: Files,
    copies: Copies,
    /// One copy at a time, so that copies take no more of the network than one stream does.
    turn: Arc<Mutex<()>>,
    /// The newest snapshot of each shard that waits for its turn.
    waiting: Arc<StdMutex<BTreeMap<Shard, (Offset, File)>>>,
    /// How many copies are not yet made.
    under_way: Arc<watch::Sender<usize>>,
}

/// The copies off the volume.
#[derive(Clone, Debug)]
struct Copies {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
}

/// What is sent or fetched at once.
const PIECE_BYTES: usize = 8 << 20;
/// How many pieces of one copy are on their way at once.
const PIECES_MAX: usize = 4;
/// Snapshots that are kept for each shard.
const KEPT: usize = 2;
/// How long the list of copies is waited for, at a start.
const LIST_MAX: Duration = Duration::from_secs(10);

// === impl Snapshots ===

impl Snapshots {
    /// Snapshots in the folder `local`, with copies at `copies`: `s3://BUCKET/PREFIX` or a path. For S3, credentials,
    /// region and endpoint come from the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …) or
    /// from the machine's role.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also for an address that cannot be used. The store is not asked yet.
    pub fn open(local: &Path, copies: &str) -> Result<Self, Error> {
        Self::open_with(local, copies, &[])
    }

    /// The same, with settings that go before those of the environment, such as `("aws_region", "eu-central-1")`.
    ///
    /// # Errors
    /// As for [`Snapshots::open`].
    pub fn open_with(local: &Path, copies: &str, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let local = Files::open(local)?;
        let copies = Copies::open(copies, settings)?;
        Ok(Self { local, copies, turn: Arc::default(), waiting: Arc::default(), under_way: Arc::default() })
    }

    /// Waits until the copies that are under way are made, or have failed.
    pub async fn settled(&self) {
        // It ends only with its sender, which is here.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Reads the volume's own snapshot to its end.
    async fn check(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        let pieces = self.local.read(shard, next).await?;
        let checked = tokio::task::spawn_blocking(move || drain(pieces));
        checked.await.map_err(|error| unavailable(&error)).flatten()
    }

    /// Copies what waits for a shard, when its turn has come.
    async fn copy(&self, shard: Shard) {
        let turn = self.turn.lock().await;
        let newest = self.waiting().remove(&shard);
        if let Some((next, file)) = newest
            && let Err(error) = self.copies.put(shard, next, file).await
        {
            tracing::warn!(%shard, %next, %error, "a snapshot was not copied off the volume; the next one will be");
        }
        drop(turn);
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Shard, (Offset, File)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl crate::snapshots::Snapshots for Snapshots {
    async fn write(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), Error> {
        self.local.write(shard, next, chunks).await
    }

    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        self.local.promote(shard, next).await?;
        // Opened now: later promotions may remove the name, but not what it stood for.
        let file = File::open(self.local.path(shard, next, "good")).await.map_err(|error| unavailable(&error))?;
        if self.waiting().insert(shard, (next, file)).is_some() {
            // Its turn comes with the one that it stands in for.
            return Ok(());
        }
        self.under_way.send_modify(|count| *count += 1);
        let this = self.clone();
        tokio::spawn(async move {
            this.copy(shard).await;
            this.under_way.send_modify(|count| *count -= 1);
        });
        Ok(())
    }

    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, Error> {
        let mut places = self.local.good(shard).await?;
        let late = |_| Err(Error::Unavailable { reason: "the copies' store does not answer in time".to_owned() });
        match tokio::time::timeout(LIST_MAX, self.copies.places(shard)).await.unwrap_or_else(late) {
            Ok(copied) => places.extend(copied),
            Err(error) if places.is_empty() => return Err(error),
            Err(error) => tracing::warn!(%shard, %error, "the volume's own snapshots alone are used"),
        }
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.dedup();
        places.truncate(KEPT);
        Ok(places)
    }

    async fn read(&self, shard: Shard, next: Offset) -> Result<CheckedChunks, Error> {
        if let Err(found) = self.check(shard, next).await {
            if matches!(found, Error::Damaged { .. }) {
                tracing::error!(%shard, %next, error = %found, "a snapshot on the volume is damaged; its copy is fetched");
            }
            let draft = self.local.path(shard, next, "draft");
            if !self.copies.get(shard, next, &draft).await? {
                return Err(found);
            }
            self.local.adopt(shard, next).await?;
            tracing::info!(%shard, %next, "a snapshot was fetched back onto the volume");
        }
        self.local.read(shard, next).await
    }
}

fn drain(pieces: CheckedChunks) -> Result<(), Error> {
    pieces.into_iter().try_for_each(|piece: Result<Bytes, Error>| piece.map(drop))
}

// === impl Copies ===

impl Copies {
    fn open(address: &str, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let (store, prefix): (Arc<dyn ObjectStore>, &str) = match address.strip_prefix("s3://") {
            Some(place) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                if bucket.is_empty() {
                    let reason = format!("'{address}' names no bucket; expected s3://BUCKET/PREFIX");
                    return Err(Error::Unavailable { reason });
                }
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                for (key, value) in settings {
                    let key: AmazonS3ConfigKey = key.parse().map_err(|error| at(key, &error))?;
                    builder = builder.with_config(key, *value);
                }
                (Arc::new(builder.build().map_err(|error| at(address, &error))?), prefix)
            }
            None if address.contains("://") => {
                let reason = format!("'{address}' is no place for snapshots; expected s3://BUCKET/PREFIX or a path");
                return Err(Error::Unavailable { reason });
            }
            None => {
                std::fs::create_dir_all(address).map_err(|error| at(address, &error))?;
                let store = LocalFileSystem::new_with_prefix(address).map_err(|error| at(address, &error))?;
                (Arc::new(store.with_fsync(true)), "")
            }
        };
        let prefix = ObjectPath::parse(prefix.trim_end_matches('/')).map_err(|error| at(address, &error))?;
        Ok(Self { store, prefix })
    }

    fn path(&self, shard: Shard, next: Offset) -> ObjectPath {
        self.folder(shard).join(format!("{:020}.good", next.0))
    }

    fn folder(&self, shard: Shard) -> ObjectPath {
        self.prefix.clone().join(format!("shard-{shard}"))
    }

    /// Newest first.
    async fn places(&self, shard: Shard) -> Result<Vec<Offset>, Error> {
        let listed =
            self.store.list_with_delimiter(Some(&self.folder(shard))).await.map_err(|error| unavailable(&error))?;
        let place = |name: &str| name.strip_suffix(".good")?.parse().ok().map(Offset);
        let mut places: Vec<Offset> =
            listed.objects.iter().filter_map(|object| place(object.location.filename()?)).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(places)
    }

    /// Sends a file; then removes what is no longer kept.
    async fn put(&self, shard: Shard, next: Offset, mut file: File) -> Result<(), Error> {
        let failed = |error: object_store::Error| unavailable(&error);
        let path = self.path(shard, next);
        let upload = self.store.put_multipart(&path).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        let sent: Result<(), Error> = async {
            loop {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                let count = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await;
                if count.map_err(|error| unavailable(&error))? == 0 {
                    return Ok(());
                }
                upload.wait_for_capacity(PIECES_MAX).await.map_err(failed)?;
                upload.put(Bytes::from(piece));
            }
        }
        .await;
        match sent {
            Ok(()) => drop(upload.finish().await.map_err(failed)?),
            Err(error) => {
                // What was sent of it must not be kept, and paid for.
                let _ = upload.abort().await;
                return Err(error);
            }
        }
        for old in self.places(shard).await?.into_iter().skip(KEPT) {
            self.store.delete(&self.path(shard, old)).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Fetches a copy into a file; false where there is none.
    async fn get(&self, shard: Shard, next: Offset, to: &Path) -> Result<bool, Error> {
        let path = self.path(shard, next);
        let length = match self.store.head(&path).await {
            Ok(found) => found.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(unavailable(&error)),
        };
        if let Some(folder) = to.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(|error| unavailable(&error))?;
        }
        let mut file = File::create(to).await.map_err(|error| unavailable(&error))?;
        let mut from = 0;
        while from < length {
            let until = length.min(from + PIECE_BYTES as u64);
            let piece = self.store.get_range(&path, from..until).await.map_err(|error| unavailable(&error))?;
            file.write_all(&piece).await.map_err(|error| unavailable(&error))?;
            from = until;
        }
        file.sync_all().await.map_err(|error| unavailable(&error))?;
        Ok(true)
    }
}

fn unavailable(error: &dyn std::error::Error) -> Error {
    Error::Unavailable { reason: error.to_string() }
}

fn at(address: &str, error: &dyn std::error::Error) -> Error {
    Error::Unavailable { reason: format!("{address}: {error}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on fails

    use super::*;
    use crate::conformance::snapshots::chunks;

    #[tokio::test]
    async fn of_each_shard_only_the_newest_waits_to_be_copied() {
        let (volume, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let snapshots = Snapshots::open(volume.path(), copies.path().to_str().unwrap()).unwrap();
        let turn = snapshots.turn.lock().await;
        for place in [1, 2, 3, 4] {
            for shard in [Shard(0), Shard(1)] {
                snapshots.write(shard, Offset(place), chunks(place)).await.unwrap();
                snapshots.promote(shard, Offset(place)).await.unwrap();
            }
        }
        assert_eq!((snapshots.waiting().len(), *snapshots.under_way.borrow()), (2, 2));
        drop(turn);
        snapshots.settled().await;
        for shard in [Shard(0), Shard(1)] {
            assert_eq!(snapshots.copies.places(shard).await.unwrap(), [Offset(4)]);
        }
    }
}

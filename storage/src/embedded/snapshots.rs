//! Snapshots in files: `shard-N/OFFSET.draft` while one is written, `.pending` when it is durable, `.good` when promoted
//! (OFFSET has 20 digits).
//!
//! | bytes | |
//! |---|---|
//! | … | what was written |
//! | 8 | `FARTHSN1` |
//! | 8 | length of what was written, little-endian |
//! | 4 | crc32c of all before it |

use crate::shard::{Offset, Shard};
use crate::snapshots::{CheckedChunks, Chunks, Error};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The snapshots in a folder.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
}

/// Reads a snapshot piece by piece, and holds the last piece back until all fits.
#[derive(Debug)]
struct Pieces {
    file: File,
    shard: Shard,
    next: Offset,
    left: u64,
    sum: u32,
    done: bool,
}

#[cfg(test)]
mod tests;

const MAGIC: [u8; 8] = *b"FARTHSN1";
const TRAILER_BYTES: u64 = 20;
const PIECE_BYTES: usize = 1 << 20;
/// Good snapshots that are kept for each shard.
const GOOD_KEPT: usize = 2;

// === impl Snapshots ===

impl Snapshots {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|error| unavailable(dir, &error))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where a snapshot of this kind (`draft`, `pending`, `good`) lies.
    pub(crate) fn path(&self, shard: Shard, next: Offset, kind: &str) -> PathBuf {
        self.shard_dir(shard).join(format!("{:020}.{kind}", next.0))
    }

    fn shard_dir(&self, shard: Shard) -> PathBuf {
        self.dir.join(format!("shard-{shard}"))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.map_err(|error| Error::Unavailable { reason: format!("the task ended: {error}") })?
    }

    fn write_file(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), Error> {
        let dir = self.shard_dir(shard);
        let draft = self.path(shard, next, "draft");
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(&dir)?;
            let mut file = BufWriter::with_capacity(PIECE_BYTES, File::create(&draft)?);
            let (mut sum, mut length) = (0, 0u64);
            for chunk in chunks {
                sum = crc32c::crc32c_append(sum, &chunk);
                length += u64::try_from(chunk.len()).unwrap_or(0);
                file.write_all(&chunk)?;
            }
            let end = [MAGIC, length.to_le_bytes()].concat();
            file.write_all(&end)?;
            file.write_all(&crc32c::crc32c_append(sum, &end).to_le_bytes())?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&draft, self.path(shard, next, "pending"))?;
            sync_dir(&dir)?;
            sync_dir(&self.dir)
        };
        write().map_err(|error| {
            // What could not be written must not fill the disk.
            let _ = std::fs::remove_file(&draft);
            unavailable(&draft, &error)
        })
    }

    fn promote_file(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        let (pending, good) = (self.path(shard, next, "pending"), self.path(shard, next, "good"));
        match std::fs::rename(&pending, &good) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && good.exists() => {}
            renamed => renamed.map_err(|error| unavailable(&pending, &error))?,
        }
        let clean = || -> io::Result<()> {
            sync_dir(&self.shard_dir(shard))?;
            let old_good = self.places(shard, "good")?.into_iter().skip(GOOD_KEPT).map(|place| (place, "good"));
            let left_over = |kind| -> io::Result<Vec<(Offset, &str)>> {
                let places = self.places(shard, kind)?.into_iter();
                Ok(places.filter(|place| *place < next).map(|place| (place, kind)).collect())
            };
            for (place, kind) in old_good.chain(left_over("pending")?).chain(left_over("draft")?) {
                std::fs::remove_file(self.path(shard, place, kind))?;
            }
            Ok(())
        };
        clean().map_err(|error| unavailable(&good, &error))
    }

    /// Newest first.
    fn places(&self, shard: Shard, kind: &str) -> io::Result<Vec<Offset>> {
        let entries = match std::fs::read_dir(self.shard_dir(shard)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut places = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let place = path.extension().filter(|extension| *extension == kind).and(path.file_stem());
            places.extend(place.and_then(|place| place.to_str()).and_then(|place| place.parse().ok()).map(Offset));
        }
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(places)
    }

    /// Makes a draft that came from elsewhere good, when it is whole; removes it otherwise.
    pub(crate) async fn adopt(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        let adopt = move |this: &Self| {
            let draft = this.path(shard, next, "draft");
            let whole = this
                .open_pieces(shard, next, "draft")
                .and_then(|mut pieces| pieces.try_for_each(|piece| piece.map(drop)));
            if let Err(error) = whole {
                let _ = std::fs::remove_file(&draft);
                return Err(error);
            }
            let renamed = std::fs::rename(&draft, this.path(shard, next, "good"));
            let synced = renamed.and_then(|()| sync_dir(&this.shard_dir(shard))).and_then(|()| sync_dir(&this.dir));
            synced.map_err(|error| unavailable(&draft, &error))
        };
        self.blocking(adopt).await
    }

    fn open_pieces(&self, shard: Shard, next: Offset, kind: &str) -> Result<Pieces, Error> {
        let path = self.path(shard, next, kind);
        let failed = |error: io::Error| unavailable(&path, &error);
        let mut file = File::open(&path).map_err(failed)?;
        let whole = file.metadata().map_err(failed)?.len();
        let damaged = |reason: &str| Error::Damaged { shard, next, reason: reason.to_owned() };
        let length =
            whole.checked_sub(TRAILER_BYTES).ok_or_else(|| damaged("the file is shorter than its end mark"))?;
        let mut mark = [0; 16];
        file.seek(SeekFrom::Start(length)).and_then(|_| file.read_exact(&mut mark)).map_err(failed)?;
        if mark[..] != [MAGIC, length.to_le_bytes()].concat() {
            return Err(damaged("the file does not end as it should"));
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(Pieces { file, shard, next, left: length, sum: 0, done: false })
    }
}

#[async_trait]
impl crate::snapshots::Snapshots for Snapshots {
    async fn write(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), Error> {
        self.blocking(move |this| this.write_file(shard, next, chunks)).await
    }

    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        self.blocking(move |this| this.promote_file(shard, next)).await
    }

    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, Error> {
        let places = move |this: &Self| this.places(shard, "good").map_err(|error| unavailable(&this.dir, &error));
        self.blocking(places).await
    }

    async fn read(&self, shard: Shard, next: Offset) -> Result<CheckedChunks, Error> {
        let pieces = self.blocking(move |this| this.open_pieces(shard, next, "good")).await?;
        Ok(Box::new(pieces))
    }
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable { reason: format!("{}: {error}", path.display()) }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

// === impl Pieces ===

impl Iterator for Pieces {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let piece = self.piece();
        self.done |= piece.is_err();
        // Only an empty snapshot has an empty piece.
        Some(piece).filter(|piece| piece.as_ref().map_or(true, |piece| !piece.is_empty()))
    }
}

impl Pieces {
    /// The next piece; with the last one all has to fit.
    fn piece(&mut self) -> Result<Bytes, Error> {
        let reason = |error: io::Error| Error::Unavailable { reason: format!("reading a snapshot: {error}") };
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut bytes = vec![0; count];
        self.file.read_exact(&mut bytes).map_err(reason)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        self.left -= u64::try_from(count).unwrap_or(0);
        if self.left == 0 {
            let mut mark = [0; 20];
            self.file.read_exact(&mut mark).map_err(reason)?;
            let (end, sum) = mark.split_at(16);
            if crc32c::crc32c_append(self.sum, end).to_le_bytes() != *sum {
                let reason = "the checksum does not fit the bytes".to_owned();
                return Err(Error::Damaged { shard: self.shard, next: self.next, reason });
            }
            self.done = true;
        }
        Ok(Bytes::from(bytes))
    }
}

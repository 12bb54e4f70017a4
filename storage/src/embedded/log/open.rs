//! Opening: the lock, the format, and what stands at the end of each shard.

use super::Options;
use super::frame::Key;
use super::shard::{Segment, State};
use super::window::{Bad, Found, Window};
use super::writer::End;
use crate::shard::{Offset, Shard, ShardCount};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one first", dir.display())]
    InUse {
        /// The log's folder.
        dir: PathBuf,
    },
    /// It was made with another count of shards.
    #[error("{} was made with {found} shards, which is fixed for its life, but {asked} are asked for; use --shards {found}", dir.display())]
    Shards {
        /// The log's folder.
        dir: PathBuf,
        /// As made.
        found: u16,
        /// As asked for.
        asked: u16,
    },
    /// It was written by a newer Farthing, or `format.json` is damaged.
    #[error("{} cannot be read: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What `format.json` holds.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    version: u32,
    shards: ShardCount,
    /// 32 hexadecimal digits.
    key: String,
}

const VERSION: u32 = 1;

pub(super) fn io(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

/// The name of the segment that begins with `first`.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// Locks the folder and reads its format, or makes both; gives the lock and the frames' key.
pub(super) fn prepare(dir: &Path, shards: ShardCount) -> Result<(File, [u8; 16]), OpenError> {
    std::fs::create_dir_all(dir).map_err(|error| io(dir, error))?;
    let lock_path = dir.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
    let lock = lock.map_err(|error| io(&lock_path, error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(io(&lock_path, error)),
    }
    let path = dir.join("format.json");
    let format = match std::fs::read(&path) {
        Ok(bytes) => read_format(&path, &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_format(dir, &path, shards)?,
        Err(error) => return Err(io(&path, error)),
    };
    if format.shards != shards {
        let (found, asked) = (format.shards.get(), shards.get());
        return Err(OpenError::Shards { dir: dir.to_owned(), found, asked });
    }
    let no_key = || OpenError::Format { path: path.clone(), reason: "the key is not 32 hexadecimal digits".to_owned() };
    let key = u128::from_str_radix(&format.key, 16).ok().filter(|_| format.key.len() == 32).ok_or_else(no_key)?;
    Ok((lock, key.to_be_bytes()))
}

fn read_format(path: &Path, bytes: &[u8]) -> Result<Format, OpenError> {
    let unreadable = |reason: String| OpenError::Format { path: path.to_owned(), reason };
    let format: Format = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    if format.version != VERSION {
        return Err(unreadable(format!("it has version {}; this Farthing knows {VERSION}", format.version)));
    }
    Ok(format)
}

fn make_format(dir: &Path, path: &Path, shards: ShardCount) -> Result<Format, OpenError> {
    // A log without its format is not made anew: that would give up what stands in it.
    if dir.join("shard-0").join(segment_name(0)).exists() {
        let reason = "it is missing, but the folder holds a log; restore it from a backup".to_owned();
        return Err(OpenError::Format { path: path.to_owned(), reason });
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| io(path, io::Error::other(error.to_string())))?;
    let format = Format { version: VERSION, shards, key: format!("{:032x}", u128::from_be_bytes(key)) };
    let text = serde_json::to_string_pretty(&format).map_err(|error| io(path, error.into()))?;
    let draft = path.with_extension("draft");
    let write = || -> io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| io(path, error))?;
    Ok(format)
}

/// Opens one shard: finds its segments and its end, cuts off what is torn.
pub(super) fn shard(dir: &Path, shard: Shard, secret: [u8; 16], options: Options) -> Result<(State, End), OpenError> {
    let dir = dir.join(format!("shard-{shard}"));
    let key = Key::new(secret, shard);
    let opened = || -> io::Result<(Vec<Segment>, u64, End)> {
        let mut segments = segments(&dir)?;
        if segments.is_empty() {
            segments.push(make_segment(&dir, 0)?);
        }
        let (next, end) = match segments.last_mut() {
            Some(newest) => find_end(newest, key)?,
            None => (0, End { at: 0, damaged: false }),
        };
        Ok((segments, next, end))
    };
    let (segments, next, end) = opened().map_err(|error| io(&dir, error))?;
    Ok((State::new(shard, key, dir, segments, Offset(next), options.cache_bytes), end))
}

fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    std::fs::create_dir_all(dir)?;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let first = path.extension().filter(|extension| *extension == "log").and(path.file_stem());
        if let Some(first) = first.and_then(|first| first.to_str()).and_then(|first| first.parse().ok()) {
            let file = File::options().read(true).write(true).open(&path)?;
            found.push(Segment::new(first, path, file));
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

fn make_segment(dir: &Path, first: u64) -> io::Result<Segment> {
    let path = dir.join(segment_name(first));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    if let Some(parent) = dir.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(Segment::new(first, path, file))
}

/// The next offset of the newest segment, and where it goes. What was written but perhaps not durable becomes so.
fn find_end(segment: &mut Segment, key: Key) -> io::Result<(u64, End)> {
    let file = std::sync::Arc::clone(&segment.file);
    let length = file.metadata()?.len();
    let mut window = Window::new(&file, key, length);
    let (mut offset, mut at) = (segment.first, 0);
    let bad = loop {
        match window.frame(at, offset)? {
            Found::Frame(frame) => {
                segment.note(offset, at);
                (offset, at) = (offset + 1, frame.next());
            }
            Found::End => break None,
            Found::Bad(bad) => break Some(bad),
        }
    };
    let Some(bad) = bad else {
        file.sync_all()?;
        return Ok((offset, End { at, damaged: false }));
    };
    match past_damage(&mut window, &bad, offset)? {
        Some(next) => {
            let place = segment.path.display();
            tracing::error!(%place, byte = bad.at, offset, reason = bad.what, "a record of the log is damaged");
            Ok((next, End { at: length, damaged: true }))
        }
        None => {
            tracing::warn!(file = %segment.path.display(), byte = at, offset, "a torn tail was cut off; nobody was told it stood");
            file.set_len(at)?;
            file.sync_all()?;
            Ok((offset, End { at, damaged: false }))
        }
    }
}

/// The next offset after damage at `offset`; none when it is a torn tail.
fn past_damage(window: &mut Window<'_>, bad: &Bad, offset: u64) -> io::Result<Option<u64>> {
    let (mut from, mut next, mut batch) = (bad.next.unwrap_or(bad.at + 1), offset + 1, 0);
    while let Some(frame) = window.search(from, next..u64::MAX)? {
        next = frame.header.offset + 1;
        batch = batch.max(frame.header.batch);
        from = frame.next();
    }
    let was_durable = batch > offset;
    Ok((was_durable || !bad.torn).then_some(next))
}

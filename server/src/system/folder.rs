//! The folder of an embedded system, opened and locked.

use crate::failure::{Context, Failure, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::books::Books;
use storage::charges::Charges;
use storage::embedded;
use storage::log::Log;
use storage::shard::ShardCount;
use storage::snapshots::Snapshots;

/// A process that was just killed needs a moment to let go of its lock.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// An open folder; nobody else can open it until this is dropped.
pub(super) struct Folder {
    pub(super) log: Arc<dyn Log>,
    pub(super) snapshots: Arc<dyn Snapshots>,
    pub(super) charges: Arc<dyn Charges>,
    pub(super) books: Arc<dyn Books>,
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes it where it is not there yet.
    ///
    /// # Errors
    /// Another process uses it, or something in it cannot be opened.
    pub(super) fn open(path: &Path, shards: ShardCount) -> Result<Self> {
        let name = path.display();
        std::fs::create_dir_all(path).context(format_args!("cannot make the data folder {name}"))?;
        let lock = lock(path)?;
        let within = |what: &str| format!("{name}: the {what} cannot be opened");
        let log =
            embedded::log::Log::open(&path.join("log"), embedded::log::Options::new(shards)).context(within("log"))?;
        let snapshots = embedded::snapshots::Snapshots::open(&path.join("snapshots")).context(within("snapshots"))?;
        let charges = embedded::charges::Charges::open(&path.join("charges.db")).context(within("charges"))?;
        let books = embedded::books::Books::open(&path.join("books.db")).context(within("books"))?;
        Ok(Self {
            log: Arc::new(log),
            snapshots: Arc::new(snapshots),
            charges: Arc::new(charges),
            books: Arc::new(books),
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where the first admin key stands.
    pub(super) fn key_file(&self) -> PathBuf {
        self.path.join("admin.key")
    }
}

fn lock(path: &Path) -> Result<File> {
    let name = path.display();
    let reason = || format!("cannot lock the data folder {name}");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock")).context(reason())?;
    let began = std::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => std::thread::sleep(LOCK_LOOK),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::refused(format_args!(
                    "{name} is in use by another farthing process; stop that one, or name another folder with --data"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error).context(reason()),
        }
    }
}

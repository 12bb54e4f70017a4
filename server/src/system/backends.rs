//! The storage behind the stages, opened as the configuration says.
//!
//! ```text
//! [log] embedded       DIR/lock, DIR/shard-N    segments of the log
//! [charges] embedded   DIR/charges.db           what the rater put out
//! [books] embedded     DIR/books.db             what people edit and auditors read, keys too
//! [rater] data         DIR/snapshots            the rater's; copied to `[rater] snapshots`
//! ```
//!
//! A folder belongs to one process: it holds `DIR/lock` as long as it runs.

use crate::config::{self, Config};
use crate::failure::{Context, Failure, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::books::{Archive, Books};
use storage::charges::Charges;
use storage::embedded;
use storage::log::Log;
use storage::snapshots::Snapshots;

/// Opens what is asked for, each once, and holds the folders' locks.
pub(crate) struct Backends {
    config: Config,
    /// How long the log has to keep records, by what the books say.
    kept: Duration,
    charges: Option<Arc<dyn Charges>>,
    books: Option<Arc<dyn Books>>,
    locks: BTreeMap<PathBuf, File>,
}

/// A process that was just killed needs a moment to let go of its lock.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_LOOK: Duration = Duration::from_millis(20);

// === impl Backends ===

impl Backends {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), kept: Duration::ZERO, charges: None, books: None, locks: BTreeMap::new() }
    }

    /// From now on a log is refused that keeps records for less.
    pub(crate) fn keep(&mut self, kept: Duration) {
        self.kept = kept;
    }

    /// The log.
    pub(crate) async fn log(&mut self) -> Result<Arc<dyn Log>> {
        match self.config.log.as_ref().ok_or_else(|| missing("[log]"))? {
            config::Log::Embedded { dir, shards } => {
                let options = embedded::log::Options::new(*shards);
                let log = embedded::log::Log::open(dir, options).context("the log cannot be opened")?;
                Ok(Arc::new(log))
            }
            config::Log::Kafka { options, .. } => {
                let mut options = options.as_ref().clone();
                options.retention_min = options.retention_min.max(self.kept);
                let log = storage::kafka::Log::open(options).await;
                Ok(Arc::new(log.map_err(Failure::refused)?))
            }
        }
    }

    /// The charges.
    pub(crate) async fn charges(&mut self) -> Result<Arc<dyn Charges>> {
        if let Some(charges) = &self.charges {
            return Ok(charges.clone());
        }
        let charges: Arc<dyn Charges> = match self.config.charges.clone().ok_or_else(|| missing("[charges]"))? {
            config::Charges::Embedded { dir } => {
                self.hold(&dir)?;
                let charges = embedded::charges::Charges::open(&dir.join("charges.db"));
                Arc::new(charges.context(cannot_open(&dir, "charges"))?)
            }
            config::Charges::ClickHouse(options) => {
                let charges = storage::clickhouse::Charges::open(options).await;
                Arc::new(charges.context("[charges] clickhouse")?)
            }
        };
        self.charges = Some(charges.clone());
        Ok(charges)
    }

    /// The books.
    pub(crate) async fn books(&mut self) -> Result<Arc<dyn Books>> {
        if let Some(books) = &self.books {
            return Ok(books.clone());
        }
        let books: Arc<dyn Books> = match self.config.books.clone().ok_or_else(|| missing("[books]"))? {
            config::Books::Embedded { dir } => {
                self.hold(&dir)?;
                let books = embedded::books::Books::open(&dir.join("books.db"));
                Arc::new(books.context(cannot_open(&dir, "books"))?)
            }
            config::Books::Postgres(database) => {
                let books = storage::postgres::Books::open(postgres(&database)).await;
                Arc::new(books.context("[books] postgres")?)
            }
        };
        self.books = Some(books.clone());
        Ok(books)
    }

    /// The books, to be copied as a whole.
    pub(crate) async fn archive(&mut self) -> Result<Arc<dyn Archive>> {
        match self.config.books.clone().ok_or_else(|| missing("[books]"))? {
            config::Books::Embedded { dir } => {
                self.hold(&dir)?;
                let books = embedded::books::Books::open(&dir.join("books.db"));
                Ok(Arc::new(books.context(cannot_open(&dir, "books"))?))
            }
            config::Books::Postgres(database) => {
                let books = storage::postgres::Books::open(postgres(&database)).await;
                Ok(Arc::new(books.context("[books] postgres")?))
            }
        }
    }

    /// The rater's snapshots.
    pub(crate) async fn snapshots(&mut self) -> Result<Arc<dyn Snapshots>> {
        let dir = self.config.rater.data.clone().ok_or_else(|| missing("[rater] data"))?;
        self.hold(&dir)?;
        let files = dir.join("snapshots");
        match &self.config.rater.snapshots {
            None => {
                let snapshots = embedded::snapshots::Snapshots::open(&files);
                Ok(Arc::new(snapshots.context(cannot_open(&dir, "snapshots"))?))
            }
            Some(copies) => {
                let snapshots = storage::objects::Snapshots::open(&files, copies);
                Ok(Arc::new(snapshots.context("[rater] snapshots")?))
            }
        }
    }

    /// Makes what the configuration names, or brings it to this version; says what was made, line by line.
    pub(crate) async fn migrate(&mut self) -> Result<Vec<String>> {
        if let Some(config::Log::Kafka { options, retention }) = &self.config.log {
            let retention = retention.unwrap_or(storage::kafka::RETENTION);
            storage::kafka::migrate(options, retention).await.map_err(Failure::refused)?;
        }
        if let Some(config::Charges::ClickHouse(options)) = &self.config.charges {
            storage::clickhouse::migrate(options).await.context("[charges] clickhouse")?;
        }
        if let Some(config::Books::Postgres(database)) = &self.config.books {
            storage::postgres::migrate(&postgres(database)).await.context("[books] postgres")?;
        }
        // Opening checks that all of it fits.
        let shards = self.log().await?.shards().get();
        self.charges().await?;
        self.books().await?;
        Ok(vec![
            format!("log: {shards} shards, ready"),
            "charges: tables of this version, ready".to_owned(),
            "books: schema of this version, ready".to_owned(),
        ])
    }

    /// Makes a folder where it is not there yet, and keeps other processes out of it.
    fn hold(&mut self, dir: &Path) -> Result {
        let name = dir.display();
        std::fs::create_dir_all(dir).context(format_args!("cannot make the data folder {name}"))?;
        let dir = dir.canonicalize().context(format_args!("cannot open the data folder {name}"))?;
        if let Entry::Vacant(free) = self.locks.entry(dir) {
            let lock = lock(free.key())?;
            free.insert(lock);
        }
        Ok(())
    }
}

fn postgres(database: &config::Postgres) -> storage::postgres::Options {
    let mut options = storage::postgres::Options::new(database.url.reveal());
    options.password = database.password.as_ref().map(|password| password.reveal().to_owned());
    options.ca_file.clone_from(&database.ca_file);
    options.connections_max = database.connections_max.unwrap_or(options.connections_max);
    options
}

fn missing(section: &str) -> Failure {
    Failure::refused(format_args!("{section} is missing"))
}

fn cannot_open(dir: &Path, what: &str) -> String {
    format!("{}: the {what} cannot be opened", dir.display())
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

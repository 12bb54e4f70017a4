//! The embedded system: every stage in one process, on one folder, behind one port.
//!
//! ```text
//! DIR/lock         held while a process uses the folder
//! DIR/log          segments of the log
//! DIR/snapshots    the rater's
//! DIR/charges.db   what the rater put out
//! DIR/books.db     what people edit and auditors read, keys too
//! DIR/admin.key    the first admin key, readable by its owner only
//! ```
//!
//! It starts from the storage outwards, so that nothing is taken before it can be kept, and stops the other way round:
//! ingest answers what it took, the invoicer stops ticking, the rater writes its snapshots.

// What the stages need of each other, then the port.
mod catalogs;
mod folder;
mod keys;
mod shards;
mod web;

use crate::failure::{Context, Failure, Result};
use folder::Folder;
use ingest::Ingest;
use invoicer::Invoicer;
use pricing::time::Instant;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::charges::Charges;
use storage::shard::ShardCount;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a system is started.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Its folder.
    pub(crate) data: PathBuf,
    /// Its port; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Of a new log; an old one must have as many.
    pub(crate) shards: ShardCount,
    /// Log time of a new test system.
    pub(crate) test_clock: Option<Instant>,
    /// A person's word that the wall clock is right.
    pub(crate) allow_clock_jump: bool,
    /// How ingest works.
    pub(crate) ingest: ingest::Options,
    /// How the rater works.
    pub(crate) rater: rater::driver::Options,
}

/// A running system.
pub(crate) struct System {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its first admin key stands.
    pub(crate) key_file: PathBuf,
    /// What the rater put out.
    pub(crate) charges: Arc<dyn Charges>,
    ingest: Ingest,
    rater: rater::driver::Driver,
    invoicing: JoinHandle<std::result::Result<(), invoicer::publisher::Error>>,
    following: JoinHandle<()>,
    serving: JoinHandle<std::result::Result<(), tonic::transport::Error>>,
    stopping: watch::Sender<bool>,
    // Last, so that the folder is given up when all else is gone.
    folder: Folder,
}

/// How long connections may take to end by themselves at a stop.
const GRACE: Duration = Duration::from_secs(10);

/// How often ingest looks whether a catalog changed otherwise than through its own port.
const CATALOGS_EVERY: Duration = Duration::from_secs(1);

impl Config {
    /// The defaults, on a folder.
    pub(crate) fn new(data: PathBuf, listen: SocketAddr, shards: ShardCount) -> Self {
        let (ingest, rater) = (ingest::Options::default(), rater::driver::Options::default());
        Self { data, listen, shards, test_clock: None, allow_clock_jump: false, ingest, rater }
    }
}

impl System {
    /// Starts all of it; answers when the port is open.
    ///
    /// # Errors
    /// One line that says what is in the way.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let Config { data, listen, shards, test_clock, allow_clock_jump, ingest, rater } = config;
        let folder = Folder::open(&data, shards)?;
        let listener =
            tokio::net::TcpListener::bind(listen).await.context(format_args!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("cannot listen")?;
        let keys = keys::Keys::open(&folder).await?;
        let rater = rater::driver::Driver::start(
            folder.log.clone(),
            folder.snapshots.clone(),
            folder.charges.clone(),
            shards.all(),
            rater,
        );
        let parts = invoicer::Parts {
            books: folder.books.clone(),
            log: folder.log.clone(),
            charges: folder.charges.clone(),
            shards: Arc::new(shards::Shards::new(rater.status())),
            keys: Arc::new(keys.clone()),
        };
        let mut clock = invoicer::publisher::Options::new("embedded", Arc::new(wall), keys::random()?);
        clock.test_clock = test_clock;
        clock.allow_jump = allow_clock_jump;
        let invoicer = match Invoicer::start(parts, clock).await {
            Ok(invoicer) => invoicer,
            Err(error) => {
                rater.stop().await;
                return Err(Failure::refused(error));
            }
        };
        let ingest_keys = keys.clone();
        let catalogs = Arc::new(ingest::Catalogs::new());
        let source = Arc::new(catalogs::Source::new(folder.books.clone(), &invoicer));
        source.refresh(&catalogs).await.map_err(Failure::refused)?;
        let ingest = Ingest::start(
            ingest,
            ingest::Parts {
                log: folder.log.clone(),
                keys: Arc::new(move |key: &str| ingest_keys.caller(key)),
                catalogs: catalogs.clone(),
                clock: receipt_clock(test_clock.is_some(), &invoicer),
            },
        );
        let following = tokio::spawn(ingest::catalogs::follow(catalogs.clone(), source.clone(), CATALOGS_EVERY));
        let (stopping, stop) = watch::channel(false);
        let routes = web::routes(&ingest, &invoicer, web::Refresh { source, catalogs }).await?;
        let serving = tokio::spawn(web::serve(listener, routes, stop));
        let running = invoicer.clone();
        let invoicing = tokio::spawn(async move { running.run().await });
        let (charges, key_file) = (folder.charges.clone(), folder.key_file());
        Ok(Self { address, key_file, charges, ingest, rater, invoicing, following, serving, stopping, folder })
    }

    /// Waits until something ends that should not: the clock lost its lease, the port closed.
    pub(crate) async fn failed(&mut self) -> Failure {
        tokio::select! {
            ended = &mut self.invoicing => match ended {
                Ok(Ok(())) => Failure::refused("the invoicer ended by itself"),
                Ok(Err(error)) => Failure::refused(error),
                Err(error) => Failure::refused(format_args!("the invoicer broke: {error}")),
            },
            ended = &mut self.serving => match ended {
                Ok(Ok(())) => Failure::refused("the port was closed"),
                Ok(Err(error)) => Failure::refused(error),
                Err(error) => Failure::refused(format_args!("the port broke: {error}")),
            },
        }
    }

    /// Ends in order: answers what was taken, stops the clock, writes snapshots.
    pub(crate) async fn stop(self) {
        self.ingest.close();
        self.stopping.send_replace(true);
        if tokio::time::timeout(GRACE, self.ingest.shutdown()).await.is_err() {
            tracing::warn!("some senders did not end in time; what was acknowledged is safe");
        }
        self.serving.abort();
        self.following.abort();
        self.invoicing.abort();
        let _ = self.invoicing.await;
        self.rater.stop().await;
        drop(self.folder);
    }
}

/// The wall clock, for log time.
fn wall() -> Instant {
    ingest::Clock::now(&ingest::WallClock)
}

/// What stamps events without a time: log time in a test system, so that runs repeat.
fn receipt_clock(is_test: bool, invoicer: &Invoicer) -> Arc<dyn ingest::Clock> {
    if !is_test {
        return Arc::new(ingest::WallClock);
    }
    let publisher = invoicer.publisher().clone();
    Arc::new(move || publisher.log_time())
}

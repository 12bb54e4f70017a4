//! How the stages of one process start, one after another, and what keeps them going.
//!
//! The invoicer waits for the lease; ingest waits until the log has its first records, which the leading invoicer writes.
//! Until all of it is there the port answers health checks only; an invoicer that stands by passes calls on to the one that
//! leads.

use super::catalogs;
use super::keys::{self, Keys};
use super::leader;
use super::post::Post;
use super::shards;
use super::state::State;
use super::web;
use crate::config::{self, Config, Stage};
use crate::failure::{Failure, Result};
use crate::local::wall;
use async_trait::async_trait;
use ingest::Ingest;
use invoicer::Invoicer;
use invoicer::ledger::{Clock, Ledger};
use invoicer::publisher;
use invoicer::webhooks::Outside;
use pricing::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use storage::again::{Again, Look};
use storage::books::Books;
use storage::charges::Charges;
use storage::log::Log;
use storage::shard::Offset;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the stages of a process work with.
pub(super) struct Stages {
    pub(super) config: Config,
    pub(super) state: Arc<State>,
    pub(super) log: Arc<dyn Log>,
    pub(super) charges: Option<Arc<dyn Charges>>,
    pub(super) books: Option<Arc<dyn Books>>,
    /// Under which name the lease is held.
    pub(super) holder: String,
    /// Where others reach this process; none where it shares its books with nobody.
    pub(super) address: Option<String>,
}

/// What ingest knows of the books.
struct Pictures {
    keys: Keys,
    catalogs: web::Refresh,
}

/// Says how far log time is; none where nobody knows.
type LogTime = Box<dyn Fn() -> Option<Instant> + Send + Sync>;

/// The wall clock, beside log time.
struct ReceiptClock(LogTime);

/// How often ingest looks whether a catalog changed, or log time moved.
const CATALOGS_EVERY: Duration = Duration::from_secs(1);
/// How often a test system's ingest looks at log time.
const CLOCK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked whether what a start waits for has come.
const WAIT: Duration = Duration::from_millis(500);

impl Stages {
    /// Starts them, and works until something needs a person.
    pub(super) async fn run(self) -> Failure {
        let mut tasks = JoinSet::new();
        let outside: Arc<dyn Outside> = match Post::new(&self.config.webhooks) {
            Ok(post) => Arc::new(post),
            Err(failure) => return failure,
        };
        if let Err(failure) = self.start(&outside, &mut tasks).await {
            return failure;
        }
        let Some(invoicer) = self.state.invoicer.get() else { return std::future::pending().await };
        let deliverer = invoicer.deliverer(outside);
        tokio::select! {
            ended = invoicer.run() => match ended {
                Ok(()) => Failure::refused("the invoicer ended by itself"),
                Err(error) => Failure::refused(error),
            },
            () = deliverer.run() => Failure::refused("webhooks ended by themselves"),
        }
    }

    async fn start(&self, outside: &Arc<dyn Outside>, tasks: &mut JoinSet<()>) -> Result {
        let state = &self.state;
        let looking = (state.clone(), self.log.clone());
        state.look(self.log.as_ref()).await;
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(super::state::LOOK).await;
                looking.0.look(looking.1.as_ref()).await;
            }
        });
        let refresh = match &self.books {
            None => None,
            Some(books) => {
                let keys = Keys::open(books, self.config.key_file.as_deref()).await?;
                if self.config.stage.invoices() {
                    let invoicer = self.lead(books, &keys).await?;
                    let publisher = invoicer.publisher().clone();
                    keys.set_log_time(move || publisher.log_time());
                    if let Some(address) = &self.address {
                        let log_time = invoicer.publisher().log_time();
                        leader::announce(&Ledger::new(books.clone()), address, log_time).await?;
                    }
                    // It is set here only, once.
                    let _ = state.invoicer.set(invoicer);
                }
                if self.config.stage.ingests() { Some(self.ingest(books, &keys, tasks).await?) } else { None }
            }
        };
        let console = self.config.console.options(self.config.port.tls.is_some());
        let services = web::services(state.ingest.get(), state.invoicer.get(), outside, refresh, console)?;
        let _ = state.services.set(services);
        Ok(())
    }

    /// Starts the invoicer; where another process holds the lease, waits until that ends.
    async fn lead(&self, books: &Arc<dyn Books>, keys: &Keys) -> Result<Invoicer> {
        let charges = self.charges.clone().ok_or_else(|| Failure::refused("[charges] is missing"))?;
        let shards: Arc<dyn invoicer::advance::Shards> = match &self.state.rater {
            Some(status) => Arc::new(shards::Here::new(status.clone())),
            None => Arc::new(shards::Elsewhere),
        };
        let mut clock = publisher::Options::new(&self.holder, Arc::new(wall), keys::random()?);
        clock.test_clock = self.config.test_clock;
        clock.allow_jump = self.config.invoicer.allow_clock_jump;
        clock.rates_all =
            self.config.stage == Stage::All && matches!(self.config.log, Some(config::Log::Embedded { .. }));
        let mut stands_by = false;
        loop {
            let parts = invoicer::Parts {
                books: books.clone(),
                log: self.log.clone(),
                charges: charges.clone(),
                shards: shards.clone(),
                keys: Arc::new(keys.clone()),
                logos: self.config.invoicer.logos.clone(),
            };
            match Invoicer::start(parts, clock.clone()).await {
                Ok(invoicer) => return Ok(invoicer),
                Err(publisher::Error::LeaseLost) if !stands_by => {
                    stands_by = true;
                    self.state.awaits("standing by: another process holds the lease");
                }
                Err(publisher::Error::LeaseLost) => {}
                Err(error @ publisher::Error::Ledger(_)) if stands_by => {
                    tracing::warn!(%error, "the lease cannot be asked for");
                }
                Err(error) => return Err(Failure::refused(error)),
            }
            self.look_for_leader(books).await;
            tokio::time::sleep(WAIT).await;
        }
    }

    /// Finds out where calls are passed on to, as long as another process leads.
    async fn look_for_leader(&self, books: &Arc<dyn Books>) {
        let Some(own) = self.address.as_deref().filter(|_| self.config.stage == Stage::Invoicer) else { return };
        let (ledger, known) = (Ledger::new(books.clone()), self.state.way());
        let way = leader::way(&ledger, &self.config.invoicer, &self.config.port, known).await;
        let way = way.unwrap_or_else(|failure| {
            tracing::warn!(?failure, "calls cannot be passed on");
            None
        });
        // It led itself before it ended without a word, and nobody has led since.
        self.state.set_way(way.filter(|way| way.address != own));
    }

    /// Starts ingest, once the log has its first records.
    async fn ingest(&self, books: &Arc<dyn Books>, keys: &Keys, tasks: &mut JoinSet<()>) -> Result<web::Refresh> {
        self.log_is_open().await;
        let catalogs = Arc::new(ingest::Catalogs::new());
        let source = Arc::new(catalogs::Source::new(books.clone()));
        catalogs.refresh(&*source).await.map_err(Failure::refused)?;
        let known = keys.clone();
        let refresh = web::Refresh { source: source.clone(), catalogs: catalogs.clone() };
        let pictures = Pictures { keys: keys.clone(), catalogs: refresh.clone() };
        let parts = ingest::Parts {
            log: self.log.clone(),
            keys: Arc::new(move |key: &str| known.caller(key)),
            catalogs: catalogs.clone(),
            again: Arc::new(Again::new(pictures)),
            clock: self.receipt_clock(books, tasks).await?,
        };
        let _ = self.state.ingest.set(Ingest::start(self.config.ingest.clone(), parts));
        tasks.spawn(ingest::catalogs::follow(catalogs, source, CATALOGS_EVERY));
        Ok(refresh)
    }

    /// Waits until every shard has its first record: nothing may stand before it.
    async fn log_is_open(&self) {
        let mut shards: Vec<_> = self.log.shards().all().collect();
        let mut is_told = false;
        while let Some(shard) = shards.last() {
            match self.log.bounds(*shard).await {
                Ok(bounds) if bounds.end > Offset(0) => {
                    shards.pop();
                    continue;
                }
                Ok(_) if !is_told => self.state.awaits("waiting for an invoicer, which opens a new log"),
                Ok(_) => {}
                Err(error) if !is_told => {
                    self.state.awaits("waiting for the log");
                    tracing::warn!(%error, "the log cannot be read");
                }
                Err(_) => {}
            }
            is_told = true;
            tokio::time::sleep(WAIT).await;
        }
    }

    /// What stamps events without a time, and tells how far log time is: in a test system both are log time, so that runs
    /// repeat.
    async fn receipt_clock(&self, books: &Arc<dyn Books>, tasks: &mut JoinSet<()>) -> Result<Arc<dyn ingest::Clock>> {
        let is_test = self.config.test_clock.is_some();
        let log_time: LogTime = match self.state.invoicer.get() {
            Some(invoicer) => {
                let publisher = invoicer.publisher().clone();
                Box::new(move || Some(publisher.log_time()))
            }
            None => {
                follow_clock(Ledger::new(books.clone()), if is_test { CLOCK_EVERY } else { CATALOGS_EVERY }, tasks)
                    .await?
            }
        };
        if is_test {
            return Ok(Arc::new(move || log_time().unwrap_or_default()));
        }
        Ok(Arc::new(ReceiptClock(log_time)))
    }
}

/// Log time as the books tell it, read again and again; none where nobody wrote it yet.
async fn follow_clock(ledger: Ledger, every: Duration, tasks: &mut JoinSet<()>) -> Result<LogTime> {
    let read = ledger.get::<Clock>(None, Clock::ID).await.map_err(Failure::refused)?;
    let (sender, shown) = watch::channel(read.map(|clock| clock.value.log_time));
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            if let Ok(Some(clock)) = ledger.get::<Clock>(None, Clock::ID).await {
                sender.send_replace(Some(clock.value.log_time));
            }
        }
    });
    Ok(Box::new(move || *shown.borrow()))
}

impl ingest::Clock for ReceiptClock {
    fn now(&self) -> Instant {
        wall()
    }

    fn log_time(&self) -> Option<Instant> {
        (self.0)()
    }
}

#[async_trait]
impl Look for Pictures {
    async fn look(&self) -> std::result::Result<(), String> {
        let web::Refresh { source, catalogs } = &self.catalogs;
        let (keys, catalogs) = tokio::join!(self.keys.look(), catalogs.refresh(&**source));
        keys.and(catalogs)
    }
}

/// Under which name a process holds the lease. Where its folder has one process at a time, a restart leads at once. Books
/// that are shared get a name that no other process has, whatever it is called: two with one name would each unseat the
/// other. There a process that ended without a word is waited for until its lease is over.
pub(super) fn holder(config: &Config, port: u16) -> Result<String> {
    if matches!(config.books, Some(config::Books::Embedded { .. })) {
        return Ok("embedded".to_owned());
    }
    let host = || format!("{}:{port}", machine());
    let [one, two, three, four, ..] = keys::random()?;
    let start = u32::from_le_bytes([one, two, three, four]);
    Ok(format!("{}/{start:08x}", config.invoicer.name.clone().unwrap_or_else(host)))
}

/// This machine's name.
pub(super) fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "farthing".to_owned());
    name.trim().to_owned()
}

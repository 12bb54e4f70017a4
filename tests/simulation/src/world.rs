//! The stages as they run in earnest, on storage in memory, each behind a gate of its own so that it can crash alone.

use crate::gate::{Gate, Loads};
use crate::workload::BEGIN_SECONDS;
use async_trait::async_trait;
use ingest::Ingest;
use ingest::catalogs::{self, Catalogs};
use invoicer::Invoicer;
use invoicer::advance::Shards;
use invoicer::services::{Key, Keys, Unavailable};
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use proto::v1;
use proto::v1::catalog_service_server::CatalogService as _;
use proto::v1::ingest_service_client::IngestServiceClient;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rater::driver::{Driver, Options, Status};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::again::Again;
use storage::keyring::{Caller, Scope};
use storage::shard::{Shard, ShardCount};
use tokio::task::AbortHandle;
use tonic::metadata::MetadataMap;

/// The one tenant.
pub const TENANT: &str = "acme";

/// A stage that can crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Takes events.
    Ingest,
    /// Folds.
    Rater,
    /// Ticks and bills.
    Invoicer,
}

/// The running system.
pub struct World {
    /// What the stages stand on.
    pub storage: storage::sim::World,
    /// What ingest knows of the catalog, once it knows any.
    pub limits: BTreeMap<TenantId, catalogs::Tenant>,
    pub(crate) loads: Arc<Loads>,
    /// How much of waiting and parked events a shard keeps.
    fold: rater::fold::Options,
    /// Beyond so many bytes of rows that are not stored a shard is not read.
    pub(crate) unsent_bytes_max: usize,
    shards: ShardCount,
    random: StdRng,
    begun: tokio::time::Instant,
    ingest: Arc<Mutex<Option<(Gate, Ingest)>>>,
    rater: Arc<Mutex<Option<(Gate, Driver)>>>,
    /// A rater that was given up, and goes on all the same.
    zombie: Option<(Gate, Driver)>,
    invoicer: Option<(Gate, Invoicer, Vec<AbortHandle>)>,
    /// Log time as the invoicer last told it, in nanoseconds.
    log_time: Arc<AtomicI64>,
}

/// Sends requests to whatever ingest runs. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Mutex<Option<(Gate, Ingest)>>>);

/// How the rater's shards are, whichever rater runs.
struct Shown(Arc<Mutex<Option<(Gate, Driver)>>>);

/// Every key is the installation's.
struct AnyKey;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The caller that every call comes from.
fn caller() -> Caller {
    Caller { key: "simulation".to_owned(), tenant: None, scope: Scope::Admin }
}

// === impl World ===

/// What a rater reads at once, so that it stops soon when rows are not stored.
const READ_BYTES_MAX: usize = 4_000;

impl World {
    /// Nothing runs yet.
    pub fn new(
        storage: storage::sim::World,
        shards: ShardCount,
        fold: rater::fold::Options,
        mut random: StdRng,
    ) -> Self {
        Self {
            storage,
            fold,
            // Often so few that one refused insert stops the shard.
            unsent_bytes_max: random.random_range(1..20_000),
            limits: BTreeMap::new(),
            loads: Arc::default(),
            shards,
            random,
            begun: tokio::time::Instant::now(),
            ingest: Arc::default(),
            rater: Arc::default(),
            zombie: None,
            invoicer: None,
            log_time: Arc::new(AtomicI64::new(BEGIN_SECONDS * 1_000_000_000)),
        }
    }

    /// Starts what does not run.
    pub async fn start(&mut self) {
        if self.invoicer.is_none() {
            self.start_invoicer().await;
        }
        if lock(&self.rater).is_none() {
            self.start_rater();
        }
        if lock(&self.ingest).is_none() {
            self.start_ingest();
        }
    }

    /// Ends a stage at whatever await it stands.
    pub fn crash(&mut self, stage: Stage) {
        match stage {
            Stage::Ingest => {
                if let Some((gate, _)) = lock(&self.ingest).take() {
                    gate.fall();
                }
            }
            Stage::Rater => {
                if let Some((gate, _)) = lock(&self.rater).take() {
                    gate.fall();
                }
            }
            Stage::Invoicer => {
                if let Some((gate, _, tasks)) = self.invoicer.take() {
                    gate.fall();
                    tasks.iter().for_each(AbortHandle::abort);
                }
            }
        }
    }

    /// Another rater starts while the old one goes on: both put out the same rows. An older one still ends.
    pub fn double_rater(&mut self) {
        self.end_zombie();
        self.zombie = lock(&self.rater).take();
    }

    /// Ends a rater that goes on although another has its place.
    pub fn end_zombie(&mut self) {
        if let Some((gate, _)) = self.zombie.take() {
            gate.fall();
        }
    }

    /// The machine goes down with all stages: what was not durable is lost.
    pub fn crash_all(&mut self) {
        for stage in [Stage::Ingest, Stage::Rater, Stage::Invoicer] {
            self.crash(stage);
        }
        self.end_zombie();
        self.storage.crash();
    }

    /// Whether a stage runs.
    pub fn runs(&self, stage: Stage) -> bool {
        match stage {
            Stage::Ingest => lock(&self.ingest).is_some(),
            Stage::Rater => lock(&self.rater).is_some(),
            Stage::Invoicer => self.invoicer.is_some(),
        }
    }

    /// Where clients send to.
    pub fn door(&self) -> Door {
        Door(self.ingest.clone())
    }

    /// The running invoicer.
    pub fn invoicer(&self) -> Option<&Invoicer> {
        self.invoicer.as_ref().map(|(_, invoicer, _)| invoicer)
    }

    /// The running rater's own account of itself.
    pub fn status(&self) -> Option<Status> {
        lock(&self.rater).as_ref().map(|(_, driver)| driver.status())
    }

    /// Log time, as last told.
    pub fn log_time(&self) -> i64 {
        if let Some(invoicer) = self.invoicer() {
            self.log_time.fetch_max(invoicer.publisher().log_time().nanos(), Ordering::Relaxed);
        }
        self.log_time.load(Ordering::Relaxed)
    }

    /// Puts a catalog file in force.
    pub async fn apply(&self, file: &str, migrate: &[&str]) -> Result<(), String> {
        let Some((gate, invoicer, _)) = &self.invoicer else { return Err("no invoicer runs".to_owned()) };
        let request = v1::ApplyRequest {
            file: file.to_owned(),
            prune: false,
            migrate: migrate.iter().map(|plan| (*plan).to_owned()).collect(),
        };
        let call = gate.pass(invoicer.services().apply(granted(request)));
        match tokio::time::timeout(Duration::from_secs(120), call).await {
            Ok(answer) => answer.map(|_| ()).map_err(|status| format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("apply does not answer".to_owned()),
        }
    }

    fn start_rater(&mut self) {
        let mut gate = Gate::new(&self.storage);
        gate.loads = self.loads.clone();
        let at: Arc<Gate> = Arc::new(gate.clone());
        let options = Options {
            snapshot_records: self.random.random_range(2..40),
            insert_rows_max: self.random.random_range(1..400),
            read_bytes_max: READ_BYTES_MAX,
            unsent_bytes_max: self.unsent_bytes_max,
            fold: self.fold,
            ..Options::default()
        };
        let driver = Driver::start(at.clone(), at.clone(), at, self.shards.all(), options);
        *lock(&self.rater) = Some((gate, driver));
    }

    fn start_ingest(&mut self) {
        let gate = Gate::new(&self.storage);
        let known = Arc::new(Catalogs::new());
        // Sometimes it has not heard of the catalog yet, and sometimes its clock is ahead: the fold must cope.
        if self.random.random_ratio(3, 5) {
            known.replace(self.limits.clone());
        }
        let ahead = if self.random.random_ratio(1, 2) { self.random.random_range(0..900) } else { 0 };
        let log_time = self.log_time.clone();
        let clock = move || Instant::from_nanos(log_time.load(Ordering::Relaxed) + ahead * 1_000_000_000);
        // A key of the tenant's own: it sends before anything is declared, too.
        let keys = |_: &str| {
            let tenant = crate::auditor::tenant().ok()?;
            Some(Caller { tenant: Some(tenant), scope: Scope::Ingest, ..caller() })
        };
        let parts = ingest::Parts {
            log: Arc::new(gate.clone()),
            keys: Arc::new(keys),
            catalogs: known,
            again: Arc::new(Again::new(())),
            clock: Arc::new(clock),
        };
        let options = ingest::Options {
            record_bytes_max: self.random.random_range(200..4_000),
            appends_max: self.random.random_range(1..5),
            ..ingest::Options::default()
        };
        *lock(&self.ingest) = Some((gate, Ingest::start(options, parts)));
    }

    /// Tries until it starts: what it needs may be away for a moment.
    async fn start_invoicer(&mut self) {
        let begun = self.begun;
        let wall = move || {
            let passed = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
            Instant::from_nanos(BEGIN_SECONDS * 1_000_000_000).plus(Span::from_nanos(passed))
        };
        loop {
            let gate = Gate::new(&self.storage);
            let at: Arc<Gate> = Arc::new(gate.clone());
            let mut clock = invoicer::publisher::Options::new("simulation", Arc::new(wall), [7; 16]);
            clock.test_clock = Some(Instant::from_nanos(BEGIN_SECONDS * 1_000_000_000));
            let parts = invoicer::Parts {
                books: at.clone(),
                log: at.clone(),
                charges: at,
                shards: Arc::new(Shown(self.rater.clone())),
                keys: Arc::new(AnyKey),
                logos: None,
            };
            match Invoicer::start(parts, clock).await {
                Ok(invoicer) => {
                    let (publisher, closer) = (invoicer.publisher().clone(), invoicer.closer().clone());
                    let tasks = vec![
                        tokio::spawn(async move { publisher.run().await.is_ok() }).abort_handle(),
                        tokio::spawn(async move { closer.run().await }).abort_handle(),
                    ];
                    self.invoicer = Some((gate, invoicer, tasks));
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// A request with the key that opens everything.
fn granted<T>(request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    *request.metadata_mut() = metadata();
    request
}

fn metadata() -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", tonic::metadata::MetadataValue::from_static("Bearer fk_simulation"));
    metadata.insert(proto::status::TENANT_KEY, tonic::metadata::MetadataValue::from_static(TENANT));
    metadata
}

// === impl Door ===

impl Door {
    /// Sends a request; an answer may be lost, and then it is not known what was done.
    pub async fn send(&self, request: v1::IngestRequest) -> Result<v1::IngestResponse, String> {
        let running = lock(&self.0).clone();
        let Some((gate, ingest)) = running else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Err("no ingest runs".to_owned());
        };
        let mut client = IngestServiceClient::new(ingest.grpc());
        let call = gate.pass(client.ingest(granted(request)));
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

// === impl Shown ===

impl Shards for Shown {
    fn halted(&self, shard: Shard) -> Option<String> {
        let running = lock(&self.0);
        let (_, driver) = running.as_ref()?;
        driver.status().shards().into_iter().find(|one| one.shard == shard).and_then(|one| one.halted)
    }
}

#[async_trait]
impl Keys for AnyKey {
    async fn authenticate(&self, _: &str) -> Result<Option<Caller>, Unavailable> {
        Ok(Some(caller()))
    }

    async fn create(&self, _: Option<&TenantId>, _: Scope, _: &str) -> Result<(String, String), Unavailable> {
        Err(Unavailable { reason: "the simulation makes no keys".to_owned() })
    }

    async fn list(&self, _: Option<&TenantId>) -> Result<Vec<Key>, Unavailable> {
        Ok(Vec::new())
    }

    async fn revoke(&self, _: Option<&TenantId>, _: &str, _: &str) -> Result<bool, Unavailable> {
        Ok(false)
    }
}

/// Randomness of its own for each purpose, all from one seed.
pub fn random(seed: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(purpose))
}

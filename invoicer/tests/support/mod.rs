//! A small system around the invoicer: everything in memory, a rater that is simple enough to be believed, keys by name.

#![allow(dead_code)] // Each test file uses its part.

pub(crate) mod broken;
mod finance;
mod fold;
pub(crate) mod watched;

use async_trait::async_trait;
use fold::Fold;
use invoicer::advance::Shards;
use invoicer::ledger::{Filter, Invoice, Ledger, Stored, StoredBill};
use invoicer::services::{Key, Keys, Unavailable};
use invoicer::{Invoicer, Parts, publisher};
use pricing::id::TenantId;
use pricing::time::Instant;
use proto::v1;
use proto::v1::admin_service_server::AdminService as _;
use proto::v1::catalog_service_server::CatalogService as _;
use proto::v1::invoice_service_server::InvoiceService;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::charges::Charges;
use storage::keyring::{Caller, Scope};
use storage::log::Log as _;
use storage::record::{EventRef, EventsBuilder};
use storage::shard::{Shard, ShardCount};
use storage::sim::World;
use tonic::{Request, Status};

/// Two customers on one plan: 0.01 a call.
pub(crate) const CATALOG: &str = r"
apiVersion: farthing/v1
tenant: acme
meters: [{id: calls, event: call, aggregate: sum, value: n}]
plans:
  - {id: payg, currency: USD, every: month, prices: [{id: out, meter: calls, per_unit: {each: 0.01}}]}
customers: [{id: c-1}, {id: c-2}]
subscriptions:
  - {id: s-1, customer: c-1, plan: payg, from: 2026-01-01}
  - {id: s-2, customer: c-2, plan: payg, from: 2026-01-01}
";

/// The system under test.
pub(crate) struct System {
    pub(crate) world: World,
    pub(crate) invoicer: Invoicer,
    pub(crate) shards: Arc<Halts>,
    /// The simple rater, where there is no real one.
    rater: Option<tokio::task::JoinHandle<()>>,
    _driver: Option<rater::driver::Driver>,
    sent: u64,
}

/// What tests say of the shards.
#[derive(Default)]
pub(crate) struct Halts(pub(crate) Mutex<Option<String>>);

/// The real rater's status.
struct Rated(rater::driver::Status);

impl Shards for Rated {
    fn halted(&self, shard: Shard) -> Option<String> {
        self.0.shards().into_iter().find(|status| status.shard == shard)?.halted
    }
}

/// Keys that are their own names.
struct Names;

impl Shards for Halts {
    fn halted(&self, shard: Shard) -> Option<String> {
        self.0.lock().unwrap().clone().filter(|_| shard == Shard(0))
    }
}

#[async_trait]
impl Keys for Names {
    async fn authenticate(&self, key: &str) -> Result<Option<Caller>, Unavailable> {
        let caller = |tenant: Option<&str>, scope| Caller {
            key: key.to_owned(),
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            scope,
        };
        Ok(match key {
            "root" => Some(caller(None, Scope::Admin)),
            "acme-read" => Some(caller(Some("acme"), Scope::Read)),
            "acme-finance" => Some(caller(Some("acme"), Scope::Finance)),
            "other-admin" => Some(caller(Some("other"), Scope::Admin)),
            _ => None,
        })
    }

    async fn create(&self, _: Option<&TenantId>, _: Scope, _: &str) -> Result<(String, String), Unavailable> {
        Err(Unavailable { reason: "not here".to_owned() })
    }

    async fn list(&self, _: Option<&TenantId>) -> Result<Vec<Key>, Unavailable> {
        Ok(Vec::new())
    }

    async fn revoke(&self, _: Option<&TenantId>, _: &str, _: &str) -> Result<bool, Unavailable> {
        Ok(false)
    }
}

pub(crate) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn call<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

/// Puts a file in force.
pub(crate) async fn apply(invoicer: &Invoicer, file: &str) -> Result<v1::ApplyResponse, Status> {
    let request = v1::ApplyRequest { file: file.to_owned(), prune: false, migrate: Vec::new() };
    invoicer.services().apply(call("root", request)).await.map(tonic::Response::into_inner)
}

pub(crate) fn options(test_clock: &str) -> publisher::Options {
    let mut options = publisher::Options::new("test", Arc::new(|| at("2030-01-01T00:00:00Z")), [7; 16]);
    options.test_clock = Some(at(test_clock));
    options
}

impl System {
    /// A test system whose log time begins here.
    pub(crate) async fn new(test_clock: &str) -> Self {
        Self::over(World::new(ShardCount::new(2).unwrap()), test_clock).await
    }

    /// The same over a world that is there already.
    pub(crate) async fn over(world: World, test_clock: &str) -> Self {
        let shards = Arc::new(Halts::default());
        let invoicer = Invoicer::start(parts(&world, &shards), options(test_clock)).await.unwrap();
        let mut system = Self::around(world, invoicer);
        system.shards = shards;
        system
    }

    /// The same around an invoicer that runs.
    pub(crate) fn around(world: World, invoicer: Invoicer) -> Self {
        let rater = tokio::spawn(Fold::new(world.clone()).run());
        Self { world, invoicer, shards: Arc::default(), rater: Some(rater), _driver: None, sent: 0 }
    }

    /// The same with the real rater.
    pub(crate) async fn rated(world: World, test_clock: &str) -> Self {
        let charges = world.charges.clone();
        Self::rated_into(world, charges, test_clock).await
    }

    /// The same with an invoicer that reads the charges in another way.
    pub(crate) async fn rated_into(world: World, charges: Arc<dyn Charges>, test_clock: &str) -> Self {
        let shards = Arc::new(Halts::default());
        let rated = rater::driver::Options { insert_wait: Duration::from_millis(1), ..Default::default() };
        let driver = rater::driver::Driver::start(
            world.log.clone(),
            world.snapshots.clone(),
            world.charges.clone(),
            world.log.shards().all(),
            rated,
        );
        let parts = Parts { charges, shards: Arc::new(Rated(driver.status())), ..parts(&world, &shards) };
        let invoicer = Invoicer::start(parts, options(test_clock)).await.unwrap();
        Self { world, invoicer, shards, rater: None, _driver: Some(driver), sent: 0 }
    }

    /// A system with [`CATALOG`] in force since the first of January.
    pub(crate) async fn running() -> Self {
        let system = Self::new("2026-01-01T00:00:00Z").await;
        system.apply(CATALOG).await.unwrap();
        system
    }

    /// Puts a file in force.
    pub(crate) async fn apply(&self, file: &str) -> Result<v1::ApplyResponse, Status> {
        apply(&self.invoicer, file).await
    }

    /// Sends one event of type `call` with the property `n`.
    pub(crate) async fn send(&mut self, customer: &str, time: &str, n: &str) {
        self.send_as("call", customer, time, n).await;
    }

    /// Sends one event.
    pub(crate) async fn send_as(&mut self, event_type: &str, customer: &str, time: &str, n: &str) {
        self.sent += 1;
        let id = format!("e-{}", self.sent);
        let tenant = acme();
        let mut builder = EventsBuilder::default();
        builder.push(&EventRef {
            tenant: &tenant,
            customer,
            event_type,
            source: "test",
            id: &id,
            time: at(time),
            payload: self.sent,
            properties: &[("n", n)],
        });
        let shard = self.world.log.shards().of(&tenant, customer.as_bytes());
        self.world.log.append(shard, vec![builder.finish()]).await.unwrap();
    }

    /// Waits until the store has come to this log time on every shard.
    pub(crate) async fn caught_up(&self, log_time: Instant) {
        for shard in self.world.log.shards().all() {
            while self.world.charges.boundary(shard).await.unwrap().is_none_or(|stored| stored.log_time < log_time) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Moves the clock.
    pub(crate) async fn advance(&self, to: &str) -> Result<(), Status> {
        let nanos = at(to).nanos();
        let to = prost_types::Timestamp { seconds: nanos.div_euclid(1_000_000_000), nanos: 0 };
        let request = v1::AdvanceClockRequest { to: Some(to) };
        self.invoicer.services().advance_clock(call("root", request)).await.map(drop)
    }

    pub(crate) async fn issue(&self, id: &str) -> Result<v1::GetInvoiceResponse, Status> {
        self.issue_seen(id, "").await
    }

    pub(crate) async fn issue_seen(&self, id: &str, digest: &str) -> Result<v1::GetInvoiceResponse, Status> {
        let request = v1::IssueRequest { id: id.to_owned(), digest: digest.to_owned() };
        self.invoicer.services().issue(call("acme-finance", request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&self, id: &str) -> Result<v1::GetInvoiceResponse, Status> {
        let request = v1::GetInvoiceRequest { id: id.to_owned() };
        let services = self.invoicer.services();
        InvoiceService::get(services, call("acme-read", request)).await.map(tonic::Response::into_inner)
    }

    /// The rater stops, as a machine does.
    pub(crate) fn stop_rater(&mut self) {
        self.rater.take().unwrap().abort();
    }

    /// It begins again with the log's first record.
    pub(crate) fn start_rater(&mut self) {
        self.rater = Some(tokio::spawn(Fold::new(self.world.clone()).run()));
    }

    pub(crate) async fn waive(&self, id: &str) -> Result<v1::GetInvoiceResponse, Status> {
        let request = v1::WaiveRequest { id: id.to_owned(), reason: "agreed with Ann".to_owned() };
        self.invoicer.services().waive(call("acme-finance", request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn check(&self) -> v1::CheckResponse {
        let request = v1::CheckRequest { id: String::new() };
        self.invoicer.services().check(call("root", request)).await.unwrap().into_inner()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(self.world.books.clone())
    }

    /// All bills by id.
    pub(crate) async fn bills(&self) -> Vec<Stored<StoredBill>> {
        self.ledger().all(Some(&acme()), &Filter::default()).await.unwrap()
    }

    /// All invoices in the order of their numbers.
    pub(crate) async fn invoices(&self) -> Vec<Stored<Invoice>> {
        let mut all = self.ledger().all::<Invoice>(Some(&acme()), &Filter::default()).await.unwrap();
        all.sort_by_key(|invoice| (invoice.value.series.clone(), invoice.value.sequence));
        all
    }

    /// Bills as `id status total`.
    pub(crate) async fn summary(&self) -> Vec<String> {
        let bills = self.bills().await;
        bills.iter().map(|bill| format!("{} {} {}", bill.id, bill.value.status.word(), bill.value.total)).collect()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(rater) = &self.rater {
            rater.abort();
        }
    }
}

pub(crate) fn parts(world: &World, shards: &Arc<Halts>) -> Parts {
    Parts {
        books: world.books.clone(),
        log: world.log.clone(),
        charges: world.charges.clone(),
        shards: Arc::clone(shards) as Arc<dyn Shards>,
        keys: Arc::new(Names),
        logos: None,
    }
}

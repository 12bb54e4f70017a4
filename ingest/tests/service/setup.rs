//! A service on a log that a test can hold back.

use async_trait::async_trait;
use bytes::Bytes;
use ingest::catalogs::Tenant;
use ingest::{Catalogs, Ingest, Options, Parts};
use pricing::id::TenantId;
use pricing::meter::{Aggregate, Meter};
use pricing::time::Instant;
use proto::status::Problem;
use proto::v1;
use proto::v1::ingest_service_client::IngestServiceClient;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use storage::again::{Again, Look};
use storage::keyring::{Caller, Scope};
use storage::log::{Entry, Error, Log};
use storage::record::{Record, decode};
use storage::shard::{Offset, Shard, ShardCount};
use tokio::sync::{Semaphore, watch};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// 2026-01-15T12:00:00Z.
pub(crate) const NOW_SECONDS: i64 = 1_768_478_400;

/// A log whose appends wait until they are let through.
pub(crate) struct HeldLog {
    shards: ShardCount,
    gate: Semaphore,
    pub(crate) refusal: Mutex<Option<Error>>,
    /// What was appended, one entry for each record.
    pub(crate) records: Mutex<Vec<Vec<Seen>>>,
    /// Events that wait in appends now, and the most that ever did.
    pub(crate) waiting: watch::Sender<(usize, usize)>,
}

/// An event as it stands in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) shard: Shard,
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) event_type: String,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) time: Instant,
    pub(crate) properties: Vec<(String, String)>,
}

pub(crate) struct System {
    pub(crate) ingest: Ingest,
    pub(crate) log: Arc<HeldLog>,
    pub(crate) books: Arc<Books>,
    pub(crate) client: IngestServiceClient<Channel>,
}

impl HeldLog {
    pub(crate) fn new(shards: u16) -> Arc<Self> {
        let (gate, waiting) = (Semaphore::new(0), watch::Sender::new((0, 0)));
        let shards = ShardCount::new(shards).unwrap();
        Arc::new(Self { shards, gate, refusal: Mutex::default(), records: Mutex::default(), waiting })
    }

    /// Lets `appends` more appends through.
    pub(crate) fn let_through(&self, appends: usize) {
        self.gate.add_permits(appends);
    }

    /// Lets all appends through.
    pub(crate) fn open(&self) {
        self.gate.close();
    }

    /// Resolves when `events` events wait in appends.
    pub(crate) async fn holds(&self, events: usize) {
        self.waiting.subscribe().wait_for(|(now, _)| *now >= events).await.unwrap();
    }

    pub(crate) fn events(&self) -> Vec<Seen> {
        self.records.lock().unwrap().concat()
    }
}

fn read(shard: Shard, record: &[u8]) -> Vec<Seen> {
    let Record::Events(events) = decode(record).unwrap() else { panic!("not a record of events") };
    let at = |index: u32| usize::try_from(index).unwrap();
    let seen = events.iter().map(|event| {
        let event = event.unwrap();
        let (tenant, customer) = events.accounts[at(event.account)];
        let names = events.shapes[at(event.shape)].iter();
        let properties = names.zip(event.values.iter()).map(|(name, value)| (name.to_string(), value.to_owned()));
        Seen {
            shard,
            tenant: tenant.to_owned(),
            customer: customer.to_owned(),
            event_type: events.types[at(event.event_type)].to_owned(),
            source: events.sources[at(event.source)].to_owned(),
            id: event.id.to_owned(),
            time: event.time,
            properties: properties.collect(),
        }
    });
    seen.collect()
}

#[async_trait]
impl Log for HeldLog {
    fn shards(&self) -> ShardCount {
        self.shards
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error> {
        let records: Vec<Vec<Seen>> = records.iter().map(|record| read(shard, record)).collect();
        let events = records.iter().map(Vec::len).sum::<usize>();
        self.waiting.send_modify(|(now, most)| {
            *now += events;
            *most = (*most).max(*now);
        });
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        self.waiting.send_modify(|(now, _)| *now -= events);
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        self.records.lock().unwrap().extend(records);
        Ok(Offset(0))
    }

    async fn read(&self, _: Shard, _: Offset, _: usize) -> Result<Vec<Entry>, Error> {
        Ok(Vec::new())
    }

    async fn bounds(&self, _: Shard) -> Result<Range<Offset>, Error> {
        Ok(Offset(0)..Offset(0))
    }
}

/// What the books hold, and whether they can be read.
pub(crate) struct Books {
    catalogs: Arc<Catalogs>,
    /// Keys that were made elsewhere and are not known here yet.
    pub(crate) made: Mutex<Vec<String>>,
    /// Tenants that were declared elsewhere.
    pub(crate) declared: Mutex<Vec<TenantId>>,
    known: Mutex<Vec<String>>,
    pub(crate) looks: AtomicUsize,
    pub(crate) is_away: AtomicBool,
    /// How far log time is behind, in seconds.
    pub(crate) behind: AtomicI64,
}

impl ingest::Clock for Looked {
    fn now(&self) -> Instant {
        Instant::from_parts(NOW_SECONDS, 0).unwrap()
    }

    fn log_time(&self) -> Option<Instant> {
        Instant::from_parts(NOW_SECONDS - self.0.behind.load(Ordering::SeqCst), 0)
    }
}

/// Shares them with the service.
struct Looked(Arc<Books>);

impl Books {
    fn new(catalogs: &Arc<Catalogs>) -> Self {
        let (made, known, declared) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (looks, is_away) = (AtomicUsize::new(0), AtomicBool::new(false));
        let behind = AtomicI64::new(0);
        Self { catalogs: catalogs.clone(), made, declared, known, looks, is_away, behind }
    }
}

#[async_trait]
impl Look for Looked {
    async fn look(&self) -> Result<(), String> {
        let Looked(books) = self;
        books.looks.fetch_add(1, Ordering::SeqCst);
        if books.is_away.load(Ordering::SeqCst) {
            return Err("away".to_owned());
        }
        books.known.lock().unwrap().clone_from(&books.made.lock().unwrap());
        for tenant in books.declared.lock().unwrap().iter() {
            books.catalogs.put(tenant.clone(), catalog());
        }
        Ok(())
    }
}

fn caller(books: &Books, key: &str) -> Option<Caller> {
    let (tenant, scope) = match key {
        made if books.known.lock().unwrap().iter().any(|known| known == made) => (Some("acme"), Scope::Ingest),
        "acme-ingest" => (Some("acme"), Scope::Ingest),
        "acme-read" => (Some("acme"), Scope::Read),
        "slow-ingest" => (Some("slow"), Scope::Ingest),
        "installation" => (None, Scope::Admin),
        _ => return None,
    };
    Some(Caller { key: key.to_owned(), tenant: tenant.map(|id| TenantId::new(id).unwrap()), scope })
}

pub(crate) fn catalog() -> Tenant {
    let meter = Meter {
        id: "tokens".parse().unwrap(),
        event: "llm.completion".into(),
        aggregate: Aggregate::Sum,
        value: Some("tokens".into()),
        filter: pricing::group::Filter::default(),
        group_by: Vec::new(),
    };
    Tenant { meters: vec![meter], ..Tenant::default() }
}

/// Ingest on a held log of four shards, served on a port.
pub(crate) async fn start(options: Options) -> System {
    let system = start_empty(options).await;
    system.books.catalogs.put(TenantId::new("acme").unwrap(), catalog());
    system.books.catalogs.put(TenantId::new("slow").unwrap(), Tenant { events_per_second: 1, ..catalog() });
    system
}

/// The same before it knows of any tenant.
pub(crate) async fn start_empty(options: Options) -> System {
    let (log, catalogs) = (HeldLog::new(4), Arc::new(Catalogs::new()));
    let books = Arc::new(Books::new(&catalogs));
    let asked = books.clone();
    let parts = Parts {
        log: log.clone(),
        keys: Arc::new(move |key: &str| caller(&asked, key)),
        catalogs,
        again: Arc::new(Again::new(Looked(books.clone()))),
        clock: Arc::new(Looked(books.clone())),
    };
    let ingest = Ingest::start(options, parts);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(ingest.grpc()).serve_with_incoming(incoming));
    let client = IngestServiceClient::connect(format!("http://{address}")).await.unwrap();
    System { ingest, log, books, client }
}

pub(crate) fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

pub(crate) fn event(id: &str, customer: &str, tokens: &str) -> v1::Event {
    v1::Event {
        id: id.to_owned(),
        source: "api".to_owned(),
        r#type: "llm.completion".to_owned(),
        customer: customer.to_owned(),
        time: Some(prost_types::Timestamp { seconds: NOW_SECONDS - 60, nanos: 5 }),
        properties: [("tokens", tokens), ("model", "large")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
    }
}

pub(crate) fn request(sequence: u64, events: Vec<v1::Event>) -> v1::IngestRequest {
    v1::IngestRequest { events, sequence }
}

/// A status' code, reason, and whether it says when to come again.
pub(crate) fn told(status: &Status) -> (tonic::Code, String, bool) {
    use tonic_types::StatusExt;
    let retry = status.get_error_details().retry_info().is_some();
    (status.code(), Problem::from_status(status).reason.into_owned(), retry)
}

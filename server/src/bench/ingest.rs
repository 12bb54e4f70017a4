//! `ingest`: gRPC client → durable acknowledgement. Ingest and an embedded log alone, no rater.

use super::client::{Drive, drive};
use super::load::{self, Requests};
use super::{Figures, Latency, Meter};
use crate::client::{Client, Connection};
use crate::failure::{Context, Failure, Result};
use pricing::catalog::{Catalog, File, Options};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::again::Again;
use storage::embedded;
use storage::keyring::{Caller, Scope};
use storage::log::Log;
use storage::shard::ShardCount;
use tokio_stream::wrappers::TcpListenerStream;

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) events: u64,
    pub(crate) batch: u32,
    pub(crate) streams: u32,
    pub(crate) window: usize,
    pub(crate) customers: u32,
    pub(crate) shards: u16,
    /// What the events are: charged, or known by their ids alone.
    pub(crate) event_type: &'static str,
}

/// Measures on a fresh log in `folder`.
pub(crate) async fn run(sizes: Sizes, folder: &Path) -> Result<Figures> {
    let shards = ShardCount::new(sizes.shards).ok_or_else(|| Failure::usage("--shards is at least 1"))?;
    let log = embedded::log::Log::open(&folder.join("log"), embedded::log::Options::new(shards)).context("the log")?;
    let log: Arc<dyn Log> = Arc::new(log);
    let key = rater::ids::Key([7; 16]);
    rater::open(log.as_ref(), key).await.map_err(Failure::refused)?;
    let (ingest, tenant) = start(log, sizes.customers)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    let server = format!("http://{}", listener.local_addr().context("cannot listen")?);
    let serving = tonic::transport::Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .add_service(ingest.grpc())
        .serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    let connection = Connection::here(server, Some("bench".to_owned()), Some(tenant.as_str()));
    let meter = Meter::start();
    let (count, waits) = load(&connection, sizes, 0).await?;
    let setting = setting(&sizes);
    let figures = meter.stop("ingest", "events", count, setting);
    ingest.shutdown().await;
    serving.abort();
    let bytes = written(&folder.join("log"));
    Ok(figures.aim(500_000).latency(Latency::of("request → durable acknowledgement", waits)).bytes("log", bytes))
}

/// Sends all events over all streams; how many, and how long each request waited.
pub(crate) async fn load(connection: &Connection, sizes: Sizes, first_id: u64) -> Result<(u64, Vec<Duration>)> {
    let streams = u64::from(sizes.streams.max(1));
    let requests = sizes.events.div_ceil(u64::from(sizes.batch)).div_ceil(streams);
    let per_stream = requests * u64::from(sizes.batch);
    let mut running = Vec::new();
    for stream in 0..streams {
        let service = Client::connect(connection).await?.service().clone();
        let first = first_id + stream * per_stream;
        let load = Requests::new(sizes.event_type, sizes.batch, sizes.customers, first);
        let how = Drive { requests, window: sizes.window, every: Duration::ZERO };
        running.push(tokio::spawn(drive(service, load, how)));
    }
    let mut waits = Vec::new();
    for stream in running {
        waits.extend(stream.await.context("a client broke")??);
    }
    Ok((streams * per_stream, waits))
}

/// In words.
pub(crate) fn setting(sizes: &Sizes) -> String {
    let Sizes { batch, streams, window, customers, shards, .. } = sizes;
    format!(
        "batches of {batch}, {streams} streams with {window} requests in flight each, {customers} customers, {shards} shards"
    )
}

fn start(log: Arc<dyn Log>, customers: u32) -> Result<(ingest::Ingest, TenantId)> {
    let tenant = TenantId::new("bench").map_err(Failure::refused)?;
    let now: Instant = load::NOW.parse().map_err(Failure::refused)?;
    let file = File::parse(&load::catalog(customers)).map_err(Failure::refused)?;
    let catalog =
        Catalog::new(tenant.clone()).apply(&file, &Options::default(), now).map_err(Failure::refused)?.catalog;
    let catalogs = Arc::new(ingest::Catalogs::new());
    catalogs.put(tenant.clone(), ingest::catalogs::Tenant { meters: catalog.meters_in_force(), ..Default::default() });
    let caller = Caller { key: "bench".to_owned(), tenant: Some(tenant.clone()), scope: Scope::Ingest };
    let parts = ingest::Parts {
        log,
        keys: Arc::new(move |_: &str| Some(caller.clone())),
        catalogs,
        again: Arc::new(Again::new(())),
        clock: Arc::new(move || now),
    };
    Ok((ingest::Ingest::start(ingest::Options::default(), parts), tenant))
}

/// Bytes that a folder's files take on disk.
pub(crate) fn written(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => written(&path),
        false => std::fs::metadata(&path).map(|file| file.blocks() * 512).unwrap_or_default(),
    };
    entries.flatten().map(|entry| of(entry.path())).sum()
}

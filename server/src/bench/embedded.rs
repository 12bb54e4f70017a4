//! `embedded`, `fresh`, `close` and `memory`: the whole system in one process, with a client beside it.

use super::client::{Drive, drive};
use super::ingest::{Sizes, load, setting, written};
use super::load::{self, Requests};
use super::{Figures, Latency, Meter};
use crate::client::{Client, Connection, answer, local_key, timestamp};
use crate::config::Config;
use crate::failure::{Context, Failure, Result};
use crate::system::System;
use pricing::time::Instant;
use proto::v1;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::charges::Charges;
use storage::shard::ShardCount;

/// When the month is billed: after its end, grace and review.
const BILLED: &str = "2026-02-03T00:00:00Z";

/// The customer whose events are looked for.
const PROBE: &str = "c-000000";

/// How often it is looked whether something has arrived.
const LOOK: Duration = Duration::from_millis(2);

/// A system with the benchmarks' catalog in force.
struct Bench {
    system: System,
    connection: Connection,
    client: Client,
    charges: Arc<dyn Charges>,
    shards: ShardCount,
}

/// `embedded`: until all charges can be asked for.
pub(crate) async fn embedded(sizes: Sizes, folder: &Path) -> Result<Figures> {
    let bench = Bench::start(sizes, folder).await?;
    let meter = Meter::start();
    let (count, waits) = load(&bench.connection, sizes, 0).await?;
    bench.folded(count).await?;
    let figures = meter.stop("embedded", "events", count, setting(&sizes));
    bench.system.stop().await;
    let bytes = written(folder);
    let latency = Latency::of("request → durable acknowledgement", waits);
    Ok(figures.aim(300_000).latency(latency).bytes("log, charges, snapshots", bytes))
}

/// `fresh`: from the acknowledgement of an event until `usage` shows it, under a steady load.
pub(crate) async fn fresh(sizes: Sizes, rate: u64, folder: &Path) -> Result<Figures> {
    let bench = Bench::start(sizes, folder).await?;
    let batch = u64::from(sizes.batch);
    let requests = sizes.events.div_ceil(batch);
    let every = Duration::from_nanos(batch * 1_000_000_000 / rate.max(1));
    let service = bench.client.service().clone();
    let how = Drive { requests, window: sizes.window * 4, every };
    let meter = Meter::start();
    let load = tokio::spawn(drive(service, Requests::new(sizes.event_type, sizes.batch, sizes.customers, 0), how));
    let mut waits = Vec::new();
    while !load.is_finished() {
        waits.push(bench.probe(waits.len()).await?);
    }
    load.await.context("the client broke")??;
    let count = requests * batch;
    let probes = waits.len();
    let setting = format!("{rate} events a second asked for, {probes} probes, {}", self::setting(&sizes));
    let figures = meter.stop("fresh", "events", count, setting);
    bench.folded(count).await?;
    bench.system.stop().await;
    Ok(figures.latency(Latency::of("acknowledged → visible in usage; aim: p99 below 1000", waits)))
}

/// `close`: from the tick to issued invoices.
pub(crate) async fn close(sizes: Sizes, folder: &Path) -> Result<Figures> {
    let bench = Bench::start(sizes, folder).await?;
    let (count, _) = load(&bench.connection, sizes, 0).await?;
    bench.folded(count).await?;
    let to: Instant = BILLED.parse().map_err(Failure::refused)?;
    let meter = Meter::start();
    let moved = bench.client.admin().advance_clock(v1::AdvanceClockRequest { to: Some(timestamp(to)) }).await;
    answer(moved)?;
    let setting = format!("charges of {} customers → issued invoices; aim: 1,000,000 in 5 s", sizes.customers);
    let figures = meter.stop("close", "charges", count, setting);
    let issued = bench.client.every_invoice("", "issued").await?.len();
    bench.system.stop().await;
    if issued != usize::try_from(sizes.customers).unwrap_or_default() {
        return Err(Failure::refused(format_args!("{issued} invoices were issued for {} customers", sizes.customers)));
    }
    Ok(figures.aim(200_000))
}

/// `memory`: what is resident once so many ids are known.
pub(crate) async fn memory(sizes: Sizes, folder: &Path) -> Result<Figures> {
    let bench = Bench::start(sizes, folder).await?;
    let meter = Meter::start();
    let (count, _) = load(&bench.connection, sizes, 0).await?;
    bench.folded(count).await?;
    let setting = format!("ids known to a whole system; aim: 2048 MiB resident with 50,000,000; {}", setting(&sizes));
    let figures = meter.stop("memory", "ids", count, setting);
    bench.system.stop().await;
    Ok(figures)
}

impl Bench {
    async fn start(sizes: Sizes, folder: &Path) -> Result<Self> {
        let shards = ShardCount::new(sizes.shards).ok_or_else(|| Failure::usage("--shards is at least 1"))?;
        let listen = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::new(folder, listen, shards);
        config.test_clock = Some(load::NOW.parse().map_err(Failure::refused)?);
        let system = System::start(config).await?;
        let server = format!("http://{}", system.address);
        let connection = Connection::here(server, system.key_file.as_deref().and_then(local_key), Some("bench"));
        let client = Client::connect(&connection).await?;
        let request = v1::ApplyRequest { file: load::catalog(sizes.customers), ..Default::default() };
        answer(client.catalog().apply(request).await)?;
        let charges = system.charges.clone().ok_or_else(|| Failure::refused("no charges"))?;
        Ok(Self { system, connection, client, charges, shards })
    }

    /// Waits until so many events are charged, or known at least, in the store.
    async fn folded(&self, count: u64) -> Result {
        loop {
            let mut folded = 0;
            for shard in self.shards.all() {
                let boundary = self.charges.boundary(shard).await.map_err(Failure::refused)?;
                folded += boundary.map_or(0, |boundary| boundary.counters.charged + boundary.counters.unmetered);
            }
            if folded >= count {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One event of an hour of its own; how long `usage` does not show it.
    async fn probe(&self, number: usize) -> Result<Duration> {
        let hour = i64::try_from(number).unwrap_or_default() % 300;
        let from = prost_types::Timestamp { seconds: 1_767_225_600 + hour * 3600, nanos: 0 };
        let until = prost_types::Timestamp { seconds: from.seconds + 3600, nanos: 0 };
        let asked = || v1::UsageRequest {
            customer: PROBE.to_owned(),
            from: Some(from),
            until: Some(until),
            ..Default::default()
        };
        let shown = |answer: v1::UsageResponse| answer.rows.iter().map(|row| row.count).sum::<u64>();
        let before = shown(answer(self.client.usage().usage(asked()).await)?);
        let mut event = load::event(0, 1);
        event.id = format!("probe-{number}");
        event.time = Some(from);
        let said = self.client.ingest().ingest(v1::IngestRequest { events: vec![event], sequence: 0 }).await;
        let said = answer(said)?;
        if said.accepted != 1 {
            return Err(Failure::refused("a probe was refused"));
        }
        let acknowledged = std::time::Instant::now();
        while shown(answer(self.client.usage().usage(asked()).await)?) <= before {
            tokio::time::sleep(LOOK).await;
        }
        Ok(acknowledged.elapsed())
    }
}

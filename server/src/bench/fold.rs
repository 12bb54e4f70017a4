//! `fold`: log records in memory → charges, with many ids known already. One core.

use super::load::{self, event};
use super::{Figures, Meter};
use crate::failure::{Context, Failure, Result};
use crate::offline;
use bytes::Bytes;
use pricing::catalog::{Catalog, File, Options};
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use rater::fold::Fold;
use storage::record::{Control, EventRef, EventsBuilder, encode_control};
use storage::shard::{Shard, ShardCount};

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) events: u64,
    pub(crate) known_ids: u64,
    pub(crate) customers: u32,
}

/// Events in one record.
const RECORD: u64 = 500;

/// Bytes of output that are taken together: under load the rater takes up to twice as many.
const OUTPUT_BYTES: usize = 8 << 20;

/// Folds `known_ids` events that are not metered, then measures the metered ones.
pub(crate) fn run(sizes: Sizes) -> Result<Figures> {
    let Sizes { events, known_ids, customers } = sizes;
    let shards = ShardCount::new(1).ok_or_else(|| Failure::refused("no shards"))?;
    let mut fold = Fold::new(Shard(0), shards, rater::fold::Options::default());
    let tenant = TenantId::new("bench").map_err(Failure::refused)?;
    let file = File::parse(&load::catalog(customers)).map_err(Failure::refused)?;
    let now: Instant = load::NOW.parse().map_err(Failure::refused)?;
    let catalog =
        Catalog::new(tenant.clone()).apply(&file, &Options::default(), now).map_err(Failure::refused)?.catalog;
    let limits =
        offline::Limits { past: Span::from_days(40), future: Span::from_seconds(300), grace: Span::from_hours(1) };
    let key = "0123456789abcdef".repeat(2);
    feed(&mut fold, &encode_control(&Control::Open { shard: Shard(0), shards, key, version: None }))?;
    for control in offline::declarations(&catalog, now, limits) {
        feed(&mut fold, &encode_control(&control))?;
    }
    let mut builder = EventsBuilder::default();
    let mut id = 0;
    while id < known_ids {
        let count = RECORD.min(known_ids - id);
        feed(&mut fold, &record(&mut builder, &tenant, load::KNOWN, id, count, customers))?;
        id += count;
    }
    let mut records: Vec<Bytes> = Vec::new();
    let until = known_ids + events;
    while id < until {
        let count = RECORD.min(until - id);
        records.push(record(&mut builder, &tenant, load::CHARGED, id, count, customers));
        id += count;
    }
    let bytes: usize = records.iter().map(Bytes::len).sum();
    let before = fold.counters().charged;
    let meter = Meter::start();
    let mut rows = 0;
    for record in &records {
        fold.fold(fold.next(), record).context("the fold halted")?;
        if fold.output_bytes() > OUTPUT_BYTES {
            rows += taken(&mut fold)?;
        }
    }
    rows += taken(&mut fold)?;
    let setting = format!("{known_ids} ids known, {customers} customers, records of {RECORD} events, one core");
    let figures = meter.stop("fold", "events", events, setting);
    let charged = fold.counters().charged - before;
    if charged != events || rows != events {
        return Err(Failure::refused(format_args!("{charged} of {events} events were charged, with {rows} rows")));
    }
    Ok(figures.aim(1_000_000).bytes("log record", u64::try_from(bytes).unwrap_or_default()))
}

/// Folds a record whose output nobody looks at.
fn feed(fold: &mut Fold, record: &[u8]) -> Result {
    fold.fold(fold.next(), record).context("the fold halted")?;
    taken(fold).map(drop)
}

/// Takes what came out; how many charges.
fn taken(fold: &mut Fold) -> Result<u64> {
    let rows = fold.take().map(|output| output.charges.rows.len()).unwrap_or_default();
    u64::try_from(rows).map_err(Failure::refused)
}

fn record(
    builder: &mut EventsBuilder,
    tenant: &TenantId,
    event_type: &str,
    first: u64,
    count: u64,
    customers: u32,
) -> Bytes {
    for id in first..first + count {
        let number = u32::try_from(id % u64::from(u32::MAX)).unwrap_or_default();
        let sent = event(number, customers);
        let mut properties: Vec<(&str, &str)> =
            sent.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        properties.sort_unstable();
        builder.push(&EventRef {
            tenant,
            customer: &sent.customer,
            event_type,
            source: "bench",
            id: &format!("{id:016}"),
            time: load::happened(),
            payload: storage::record::payload_hash(event_type, Some(load::happened()), &properties),
            properties: &properties,
        });
    }
    builder.finish()
}

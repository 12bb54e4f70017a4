//! From events to totals: records in memory, through the rater's own fold.

use crate::failure::{Context, Failure, Result};
use crate::reader::{Events, Located};
use pricing::bill::{Sum, Usage};
use pricing::catalog::Catalog;
use pricing::id::{CustomerId, SubscriptionId, TenantId};
use pricing::time::{Instant, Span};
use rater::fold::Fold;
use std::collections::BTreeMap;
use storage::output::{Counters, Manifest, Outcome, OutcomeKind};
use storage::record::{CatalogRecord, Control, CustomerRecord, EventRef, EventsBuilder, encode_control, payload_hash};
use storage::shard::{Shard, ShardCount};

/// Events in one record.
const RECORD_EVENTS: u32 = 1000;

/// Outcomes that are kept for the report.
const OUTCOMES_MAX: usize = 1000;

/// What the fold made of the events.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// The newest totals of every closed period, by customer, subscription and start.
    pub(crate) usage: BTreeMap<CustomerId, BTreeMap<(SubscriptionId, Instant), Usage>>,
    /// What became of all arrivals.
    pub(crate) counters: Counters,
    /// The first arrivals that were not charged.
    pub(crate) outcomes: Vec<Outcome>,
}

/// Folds all events, and closes every period that ends at or before `until`.
///
/// There is no wall clock here, so nothing is too old or too new, and nothing is rejected because too much is kept. Log time
/// stays before every subscription until the events are in, in the order of the file, and then moves to `until` at once.
///
/// # Errors
/// A broken line, or records that the fold refuses.
pub(crate) fn fold(catalog: &Catalog, events: Events, until: Instant) -> Result<Totals> {
    let shards = ShardCount::new(1).ok_or_else(|| Failure::refused("no shards"))?;
    let unlimited = u64::MAX;
    let options = rater::fold::Options {
        parked_max: unlimited,
        parked_bytes_max: unlimited,
        waiting_max: unlimited,
        waiting_bytes_max: unlimited,
    };
    let mut run = Run { fold: Fold::new(Shard(0), shards, options), totals: Totals::default() };
    run.control(&Control::Open { shard: Shard(0), shards, key: "0".repeat(32), version: None })?;
    let forever = Span::from_nanos(i64::MAX);
    let limits = Limits { past: forever, future: forever, grace: Span::ZERO };
    for control in declarations(catalog, super::declared_at(), limits) {
        run.control(&control)?;
    }
    run.fold.wait_for_none();
    run.events(catalog.tenant(), events)?;
    run.control(&Control::Tick { time: until })?;
    // A Tick closes so many periods and no more.
    while run.fold.is_close_due() {
        run.control(&Control::Tick { time: until })?;
    }
    run.totals.counters = run.fold.counters();
    Ok(run.totals)
}

/// The limits that a catalog record carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How old an event may be.
    pub(crate) past: Span,
    /// How far ahead an event may be.
    pub(crate) future: Span,
    /// How long after its end a period closes.
    pub(crate) grace: Span,
}

/// The records that an applied catalog is in the log.
pub(crate) fn declarations(catalog: &Catalog, at: Instant, limits: Limits) -> Vec<Control> {
    let tenant = catalog.tenant();
    let Limits { past, future, grace } = limits;
    let (meters, plans) = (catalog.meters_in_force(), catalog.plan_versions().cloned().collect());
    let declared = CatalogRecord { tenant: tenant.clone(), version: 1, meters, plans, past, future, grace };
    let mut records = vec![Control::Tick { time: at }, Control::Catalog(declared)];
    records.extend(catalog.customers().keys().map(|customer| {
        Control::Customer(CustomerRecord {
            tenant: tenant.clone(),
            customer: customer.clone(),
            version: 1,
            subscriptions: catalog.timelines(customer),
            at,
        })
    }));
    records
}

struct Run {
    fold: Fold,
    totals: Totals,
}

impl Run {
    fn control(&mut self, control: &Control) -> Result {
        self.record(&encode_control(control))
    }

    fn record(&mut self, record: &[u8]) -> Result {
        self.fold.fold(self.fold.next(), record).context("the events cannot be folded")?;
        let Some(output) = self.fold.take() else { return Ok(()) };
        for manifest in output.manifests {
            self.keep(manifest);
        }
        let room = OUTCOMES_MAX.saturating_sub(self.totals.outcomes.len());
        let told = output.outcomes.into_iter().filter(|outcome| outcome.kind != OutcomeKind::Unparked);
        self.totals.outcomes.extend(told.take(room));
        Ok(())
    }

    fn keep(&mut self, manifest: Manifest) {
        let sums = manifest.entries.into_iter().map(|entry| Sum {
            price: entry.price,
            group: entry.group,
            row: entry.row,
            count: entry.count,
            quantity: entry.quantity,
            amount: entry.amount,
        });
        let of_customer = self.totals.usage.entry(manifest.customer).or_default();
        of_customer.insert((manifest.subscription, manifest.period.start), Usage(sums.collect()));
    }

    fn events(&mut self, tenant: &TenantId, events: Events) -> Result {
        let mut builder = EventsBuilder::default();
        for located in events {
            push(&mut builder, tenant, &located.map_err(Failure::refused)?)?;
            if builder.count() >= RECORD_EVENTS {
                self.record(&builder.finish())?;
            }
        }
        if builder.count() > 0 {
            self.record(&builder.finish())?;
        }
        Ok(())
    }
}

fn push(builder: &mut EventsBuilder, tenant: &TenantId, located: &Located) -> Result {
    let Located { line, event, .. } = located;
    let time = event.time.as_ref().and_then(|time| Instant::from_parts(time.seconds, time.nanos));
    let time = time.ok_or_else(|| {
        Failure::refused(format_args!("line {line}: the event has no time, and an offline run has no time of receipt"))
    })?;
    let mut properties: Vec<(&str, &str)> =
        event.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    properties.sort_unstable();
    builder.push(&EventRef {
        tenant,
        customer: &event.customer,
        event_type: &event.r#type,
        source: &event.source,
        id: &event.id,
        time,
        payload: payload_hash(&event.r#type, Some(time), &properties),
        properties: &properties,
    });
    Ok(())
}

//! What a tenant meters and sells, made ready for pricing.

use crate::ids::{Day, KNOWN_DAYS_MAX};
use pricing::curve::Curve;
use pricing::group::Filter;
use pricing::id::{CustomerId, TenantId};
use pricing::meter::{Aggregate, Meter};
use pricing::plan::{PlanRef, PlanVersion, Price};
use pricing::subscription::{Subscription, Term};
use pricing::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use storage::record::CatalogRecord;

/// One tenant.
pub(super) struct Tenant {
    pub(super) name: TenantId,
    /// The hash of each catalog record, version 1 first.
    pub(super) versions: Vec<u64>,
    pub(super) gate: Gate,
    /// How long after its end a period closes.
    pub(super) grace: Span,
    /// The meters in force.
    pub(super) meters: Vec<Meter>,
    /// The types of events that say levels, to any meter in force or any plan's; almost always none.
    pub(super) level_types: Vec<Arc<str>>,
    /// Every plan version that was ever named.
    pub(super) plans: BTreeMap<PlanRef, Arc<Plan>>,
    /// For lookups only. The names are the customers' own, so that a lookup brings what pricing reads next.
    pub(super) customers: HashMap<CustomerId, u32>,
    /// The next period of each subscription to be closed: (end, customer, subscription).
    pub(super) closing: BTreeSet<(Instant, u32, u32)>,
    /// The next period of each subscription whose first levels are to be put out: (start, customer, subscription).
    pub(super) opening: BTreeSet<(Instant, u32, u32)>,
    /// Closed periods that changed since their manifest: (from when it may be renewed, customer, subscription, start).
    pub(super) changed: BTreeSet<(Instant, u32, u32, Instant)>,
    /// Closed periods whose state is kept: (end, customer, subscription, start).
    pub(super) kept: BTreeSet<(Instant, u32, u32, Instant)>,
}

/// Which events a tenant's folds admit, and which ids they know. Neither limit ever goes back, so that what was forgotten
/// under a short limit is not missed under a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Gate {
    pub(super) past: Span,
    pub(super) future: Span,
    /// The longest `future` that ever was: copies of what it let in are admissible for as long.
    future_max: Span,
    /// Events before it are too old.
    pub(super) floor: Instant,
    /// Ids that were folded before this day are not known.
    ids_from: i64,
}

/// A plan version, ready for pricing.
#[derive(Debug)]
pub(super) struct Plan {
    /// Tells plans apart in caches; never kept.
    pub(super) number: u32,
    pub(super) version: PlanVersion,
    /// The plan's prices, in its order.
    pub(super) prices: Vec<Priced>,
}

/// A price of a plan and its meter.
#[derive(Debug)]
pub(super) struct Priced {
    pub(super) price: Price,
    pub(super) meter: Arc<Meter>,
    /// The meter's quantity is settled at the close.
    pub(super) is_weighted: bool,
}

/// What a term sells, ready for pricing.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) plan: Arc<Plan>,
    pub(super) filter: Filter,
    /// By the plan's prices; empty where nothing is overridden.
    overrides: Vec<Option<Curve>>,
}

/// The hash of a version whose content was never seen, since a later one was restated in its place.
pub(super) const ANY: u64 = 0;

const ONE_DAY: Span = Span::from_days(1);
const PAST_MAX: Span = Span::from_days(KNOWN_DAYS_MAX - 90);
const FUTURE_MAX: Span = Span::from_days(60);
/// Nothing waits.
const FOREVER: Span = Span::from_nanos(i64::MAX);

/// Notes a version, and those before it that were never seen.
pub(super) fn know(versions: &mut Vec<u64>, version: u64, hash: u64) {
    versions.resize(usize::try_from(version.saturating_sub(1)).unwrap_or(versions.len()), ANY);
    versions.push(hash);
}

/// The terms of a subscription with their plans.
pub(super) fn bounds(declared: &Subscription, tenant: &Tenant) -> Result<Vec<Arc<Bound>>, String> {
    declared.terms.iter().map(|term| Bound::new(term, tenant).map(Arc::new)).collect()
}

/// True where the meter keeps levels.
pub(super) fn is_weighted(meter: &Meter) -> bool {
    matches!(meter.aggregate, Aggregate::TimeWeighted(_))
}

// === impl Gate ===

impl Default for Gate {
    fn default() -> Self {
        let (past, future) = (Span::from_days(40), Span::from_nanos(300_000_000_000));
        Self { past, future, future_max: future, floor: Instant::MIN, ids_from: i64::MIN }
    }
}

impl Gate {
    /// Takes other limits, from `log_time` on.
    pub(super) fn set(&mut self, past: Span, future: Span, log_time: Instant) {
        (self.past, self.future) = (past.min(PAST_MAX), future.min(FUTURE_MAX));
        self.future_max = self.future_max.max(self.future);
        self.advance(log_time);
    }

    /// Follows log time.
    pub(super) fn advance(&mut self, log_time: Instant) {
        self.floor = self.floor.max(log_time.minus(self.past).minus(ONE_DAY));
        let known_from = log_time.minus(self.past).minus(self.future_max).minus(ONE_DAY);
        self.ids_from = self.ids_from.max(Day::of(known_from).0);
    }

    pub(super) fn ids_from(&self) -> Day {
        Day(self.ids_from)
    }

    /// The first moment whose events wait: from it on records may still change what is sold.
    pub(super) fn waits_from(&self, log_time: Instant) -> Instant {
        if self.future == FOREVER { Instant::MAX } else { log_time.plus(self.future) }
    }

    /// No event waits from now on.
    pub(super) fn wait_for_none(&mut self) {
        self.future = FOREVER;
    }
}

// === impl Tenant ===

impl Tenant {
    pub(super) fn new(name: TenantId, gate: Gate) -> Self {
        Self {
            name,
            versions: Vec::new(),
            gate,
            grace: Span::from_hours(1),
            meters: Vec::new(),
            level_types: Vec::new(),
            plans: BTreeMap::new(),
            customers: HashMap::new(),
            closing: BTreeSet::new(),
            opening: BTreeSet::new(),
            changed: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Checks a record's plans against what is known; nothing is changed. `number` numbers the first of the new ones.
    pub(super) fn compile(&self, record: &CatalogRecord, number: u32) -> Result<Vec<Plan>, String> {
        let mut plans = Vec::new();
        let mut number = number;
        for version in &record.plans {
            if let Some(known) = self.plans.get(&version.plan) {
                if known.version != *version {
                    let PlanRef { id, version } = &version.plan;
                    return Err(format!("plan {id} version {version} is known with other content"));
                }
                continue;
            }
            plans.push(Plan::new(version.clone(), number)?);
            number = number.saturating_add(1);
        }
        Ok(plans)
    }

    /// Puts a record in force.
    pub(super) fn apply(&mut self, record: CatalogRecord, hash: u64, plans: Vec<Plan>, log_time: Instant) {
        know(&mut self.versions, record.version, hash);
        self.meters = record.meters;
        self.grace = record.grace;
        self.gate.set(record.past, record.future, log_time);
        self.plans.extend(plans.into_iter().map(|plan| (plan.version.plan.clone(), Arc::new(plan))));
        self.find_level_types();
    }

    /// Works out again which types of events say levels.
    pub(super) fn find_level_types(&mut self) {
        let frozen = self.plans.values().flat_map(|plan| plan.version.meters.values());
        let weighted = self.meters.iter().chain(frozen).filter(|meter| is_weighted(meter));
        let types: BTreeSet<Arc<str>> = weighted.map(|meter| meter.event.clone()).collect();
        self.level_types = types.into_iter().collect();
    }

    /// True where an event of this type may say a level.
    #[inline]
    pub(super) fn has_levels(&self, event_type: &str) -> bool {
        self.level_types.iter().any(|known| **known == *event_type)
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(version: PlanVersion, number: u32) -> Result<Self, String> {
        let mut prices = Vec::with_capacity(version.prices.len());
        for price in &version.prices {
            let Some(meter) = version.meters.get(&price.meter) else {
                let PlanRef { id, version } = &version.plan;
                return Err(format!("plan {id} version {version} names meter {}, which it does not hold", price.meter));
            };
            prices.push(Priced {
                price: price.clone(),
                meter: Arc::new(meter.clone()),
                is_weighted: is_weighted(meter),
            });
        }
        Ok(Self { number, version, prices })
    }

    /// True when any price reads events of this type.
    pub(super) fn reads(&self, event_type: &str) -> bool {
        self.prices.iter().any(|priced| &*priced.meter.event == event_type)
    }
}

// === impl Bound ===

impl Bound {
    fn new(term: &Term, tenant: &Tenant) -> Result<Self, String> {
        let plan = tenant.plans.get(&term.plan).cloned();
        let plan = plan.ok_or_else(|| {
            format!("plan {} version {} is in no catalog record of this shard", term.plan.id, term.plan.version)
        })?;
        let overrides = if term.overrides.is_empty() {
            Vec::new()
        } else {
            plan.prices.iter().map(|priced| term.overrides.get(&priced.price.id).cloned()).collect()
        };
        Ok(Self { plan, filter: term.filter.clone(), overrides })
    }

    /// The curve that replaces a price's own.
    #[inline]
    pub(super) fn replacement(&self, price: usize) -> Option<&Curve> {
        self.overrides.get(price).and_then(Option::as_ref)
    }
}

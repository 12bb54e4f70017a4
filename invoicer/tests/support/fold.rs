//! A rater for tests: `sum` meters, `per_unit` prices, one subscription a customer, no dedupe. It closes periods, puts out
//! manifests, and changed ones hourly.

use pricing::curve::Curve;
use pricing::group::Group;
use pricing::id::{CustomerId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::plan::{PlanRef, PlanVersion};
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::charges::Charges as _;
use storage::log::Log as _;
use storage::output::{ChargeRow, ChargeRows, Counters, EventPlace, Manifest, Output, Series, Sum, row_hash};
use storage::record::{Control, Record, decode};
use storage::shard::{Offset, Position, Shard};
use storage::sim::World;

pub(super) struct Fold {
    world: World,
    shards: Vec<State>,
}

struct State {
    shard: Shard,
    next: Offset,
    log_time: Instant,
    grace: Span,
    counters: Counters,
    plans: BTreeMap<PlanRef, PlanVersion>,
    customers: BTreeMap<(TenantId, CustomerId), Customer>,
}

#[derive(Default)]
struct Customer {
    version: u64,
    subscriptions: Vec<Subscription>,
    periods: BTreeMap<(usize, Instant), Period>,
    /// Times and records of events that nothing explains and nobody waived.
    parked: Vec<(Instant, Offset)>,
}

#[derive(Default)]
struct Period {
    sums: BTreeMap<String, Sum>,
    revision: u32,
    closed: Option<Instant>,
    changed: bool,
}

impl Fold {
    pub(super) fn new(world: World) -> Self {
        let state = |shard| State {
            shard,
            next: Offset(0),
            log_time: Instant::MIN,
            grace: Span::ZERO,
            counters: Counters::default(),
            plans: BTreeMap::new(),
            customers: BTreeMap::new(),
        };
        let shards = world.log.shards().all().map(state).collect();
        Self { world, shards }
    }

    pub(super) async fn run(mut self) {
        loop {
            for state in &mut self.shards {
                while self.world.log.bounds(state.shard).await.is_ok_and(|bounds| bounds.end > state.next) {
                    let Ok(entries) = self.world.log.read(state.shard, state.next, 1 << 20).await else { break };
                    for entry in entries {
                        let output = state.fold(entry.offset, &entry.record);
                        while self.world.charges.insert(vec![output.clone()]).await.is_err() {}
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl State {
    fn fold(&mut self, offset: Offset, bytes: &[u8]) -> Output {
        let mut rows = ChargeRows { sources: vec!["test".into()], ..ChargeRows::default() };
        let mut manifests = Vec::new();
        match decode(bytes).unwrap() {
            Record::Events(events) => {
                for event in events.iter() {
                    let event = event.unwrap();
                    let (tenant, customer) = events.accounts[event.account as usize];
                    let event_type = events.types[event.event_type as usize];
                    let value = event.values.iter().next().unwrap();
                    self.event(offset, tenant, customer, event_type, (event.id, event.time, value), &mut rows);
                }
            }
            Record::Control(control) => match *control {
                Control::Catalog(catalog) => {
                    self.grace = catalog.grace;
                    self.plans.extend(catalog.plans.into_iter().map(|plan| (plan.plan.clone(), plan)));
                }
                Control::Customer(record) => {
                    let customer = self.customers.entry((record.tenant, record.customer)).or_default();
                    assert!(record.version <= customer.version + 1, "versions run consecutively");
                    if record.version == customer.version + 1 {
                        customer.version = record.version;
                        customer.subscriptions = record.subscriptions;
                    }
                }
                Control::Waive { tenant, customer, from, until, seen, .. } => {
                    let customer = self.customers.get_mut(&(tenant, customer)).unwrap();
                    let is_seen = |place: Offset| seen.is_none_or(|seen| place <= seen);
                    customer.parked.retain(|(time, place)| !(from..until).contains(time) || !is_seen(*place));
                }
                Control::Tick { time } => {
                    self.log_time = self.log_time.max(time);
                    self.close(offset, &mut manifests);
                }
                _ => {}
            },
        }
        self.next = offset.next();
        Output {
            shard: self.shard,
            from: offset,
            to: self.next,
            log_time: self.log_time,
            charges: rows,
            manifests,
            outcomes: Vec::new(),
            counters: self.counters,
            close_due: false,
            record: 0,
        }
    }

    fn event(
        &mut self,
        offset: Offset,
        tenant: &str,
        customer: &str,
        event_type: &str,
        (id, time, value): (&str, Instant, &str),
        rows: &mut ChargeRows,
    ) {
        self.counters.arrivals += 1;
        let key = (TenantId::new(tenant).unwrap(), CustomerId::new(customer).unwrap());
        let known = self.customers.get_mut(&key).expect("tests send for known customers");
        if event_type != "call" {
            self.counters.parked += 1;
            known.parked.push((time, offset));
            let period =
                known.subscriptions.first().and_then(|one| one.period_at(time)).map(|(period, ..)| period.start);
            if let Some(state) = period.and_then(|start| known.periods.get_mut(&(0, start))) {
                state.changed = state.closed.is_some();
            }
            return;
        }
        self.counters.charged += 1;
        let (index, subscription) = known.subscriptions.iter().enumerate().next().unwrap();
        let (period, term, _) = subscription.period_at(time).expect("tests send inside subscriptions");
        let price = &self.plans[&term.plan].prices[0];
        let Curve::PerUnit(each) = &price.curve else { panic!("tests price per unit") };
        let quantity: Quantity = value.parse().unwrap();
        let amount: Amount = quantity.times_per(each.each, each.per).unwrap();
        rows.series.push(Series {
            tenant: key.0.clone(),
            customer: key.1.clone(),
            subscription: subscription.id.clone(),
            start: period.start,
            plan: term.plan.clone(),
            price: price.id.clone(),
            meter: price.meter.clone(),
            group: Group::default(),
        });
        rows.ids.push_str(id);
        let row = ChargeRow {
            series: u32::try_from(rows.series.len() - 1).unwrap(),
            offset,
            index: u32::try_from(rows.rows.len()).unwrap(),
            event: EventPlace { offset, index: u32::try_from(rows.rows.len()).unwrap() },
            id_end: u32::try_from(rows.ids.len()).unwrap(),
            source: 0,
            time,
            quantity,
            amount,
            tier: 1,
            level: None,
        };
        let state = known.periods.entry((index, period.start)).or_default();
        let one = Sum {
            price: price.id.clone(),
            group: Group::default(),
            row: 0,
            count: 1,
            quantity,
            amount,
            hash: row_hash(&row, id),
        };
        match state.sums.entry(price.id.to_string()) {
            std::collections::btree_map::Entry::Occupied(mut sum) => sum.get_mut().absorb(&one).unwrap(),
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(one)),
        }
        state.changed = state.closed.is_some();
        rows.rows.push(row);
    }

    fn close(&mut self, offset: Offset, manifests: &mut Vec<Manifest>) {
        let until = self.log_time.minus(self.grace);
        for ((tenant, id), customer) in &mut self.customers {
            for (index, subscription) in customer.subscriptions.iter().enumerate() {
                for (period, term, _) in subscription.periods_ending(subscription.first_billed, until) {
                    let state = customer.periods.entry((index, period.start)).or_default();
                    let hourly = state.closed.is_some_and(|closed| closed.plus(Span::from_hours(1)) <= self.log_time);
                    if state.closed.is_some() && !(state.changed && hourly) {
                        continue;
                    }
                    (state.closed, state.changed) = (Some(self.log_time), false);
                    state.revision += 1;
                    let parked = customer.parked.iter().filter(|(time, _)| period.contains(*time)).count();
                    manifests.push(Manifest {
                        tenant: tenant.clone(),
                        customer: id.clone(),
                        subscription: subscription.id.clone(),
                        period,
                        plan: term.plan.clone(),
                        revision: state.revision,
                        position: Position {
                            shard: self.shard,
                            offset,
                            index: u32::try_from(manifests.len()).unwrap(),
                        },
                        parked: u64::try_from(parked).unwrap(),
                        entries: state.sums.values().cloned().collect(),
                    });
                }
            }
        }
    }
}

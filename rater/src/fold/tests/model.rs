//! A fold that is slow and simple: it keeps every event, and works everything out from lists.

use crate::sample::Event;
use pricing::group::Group;
use pricing::meter::{Aggregate, Levels, Meter, Moment};
use pricing::number::{Amount, Quantity};
use pricing::period::Period;
use pricing::plan::PlanVersion;
use pricing::price::{State, Terms};
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};
use storage::output::Counters;
use storage::record::{CatalogRecord, Control};

/// What a test feeds.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Events(Vec<Event>),
    Control(Control),
}

/// One event that was charged, and where.
#[derive(Clone, Debug)]
struct Charged {
    event: Event,
    subscription: usize,
    period: Period,
}

#[derive(Default)]
pub(super) struct Model {
    log_time: Option<Instant>,
    catalog: Option<CatalogRecord>,
    plans: Vec<PlanVersion>,
    subscriptions: Vec<Subscription>,
    customers: BTreeSet<String>,
    known: Vec<(Event, Instant)>,
    /// With their number in the log.
    waiting: Vec<(u64, Event)>,
    parked: Vec<(u64, Event)>,
    charged: Vec<Charged>,
    levels: Vec<Event>,
    pub(super) counters: Counters,
}

/// (subscription, period start, price) to quantity and amount.
pub(super) type Totals = BTreeMap<(String, Instant, String), (Quantity, Amount)>;

fn property<'e>(event: &'e Event) -> impl Fn(&str) -> Option<&'e str> {
    move |name| event.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl Model {
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Events(events) => {
                for event in events {
                    self.counters.arrivals += 1;
                    self.arrive((self.counters.arrivals, event.clone()));
                }
            }
            Step::Control(Control::Tick { time }) if self.log_time.is_none_or(|now| *time > now) => self.tick(*time),
            Step::Control(Control::Catalog(record)) => {
                self.plans.extend(record.plans.clone());
                self.catalog = Some(record.clone());
                self.look_again();
            }
            Step::Control(Control::Customer(record)) => {
                self.customers.insert(record.customer.as_str().to_owned());
                for declared in &record.subscriptions {
                    self.subscriptions.retain(|known| known.id != declared.id);
                    self.subscriptions.push(declared.clone());
                }
                self.look_again();
            }
            Step::Control(_) => {}
        }
    }

    fn limits(&self) -> (Span, Span) {
        let default = (Span::from_days(40), Span::from_nanos(300_000_000_000));
        self.catalog.as_ref().map_or(default, |catalog| (catalog.past, catalog.future))
    }

    fn now(&self) -> Instant {
        self.log_time.unwrap_or(Instant::MIN)
    }

    fn tick(&mut self, time: Instant) {
        self.log_time = Some(time);
        let (past, future) = self.limits();
        let mut reached: Vec<(u64, Event)> = Vec::new();
        self.waiting.retain(|event| {
            let is_reached = event.1.time < time.plus(future);
            if is_reached {
                reached.push(event.clone());
            }
            !is_reached
        });
        reached.sort_by_key(|(number, event)| (event.time, *number));
        for event in reached {
            self.counters.waiting -= 1;
            self.arrive(event);
        }
        let before = self.parked.len();
        self.parked.retain(|(_, event)| event.time > time.minus(past));
        let gone = u64::try_from(before - self.parked.len()).expect("few");
        self.counters.parked -= gone;
        self.counters.rejected += gone;
    }

    fn look_again(&mut self) {
        let mut parked = std::mem::take(&mut self.parked);
        parked.sort_by_key(|(number, _)| *number);
        for event in parked {
            self.counters.parked -= 1;
            self.arrive(event);
        }
    }

    fn arrive(&mut self, (number, event): (u64, Event)) {
        let (past, future) = self.limits();
        let keep = past.plus(future).plus(Span::from_days(1));
        let same = |known: &&(Event, Instant)| {
            (&known.0.customer, &known.0.source, &known.0.id) == (&event.customer, &event.source, &event.id)
        };
        let known = self.known.iter().filter(|(_, folded)| folded.plus(keep) >= self.now()).find(same);
        if let Some((first, _)) = known {
            if *first == event {
                self.counters.duplicate += 1;
            } else {
                self.counters.rejected += 1;
            }
            return;
        }
        if event.time >= self.now().plus(future) {
            self.counters.waiting += 1;
            self.waiting.push((number, event));
            return;
        }
        if event.time < self.now().minus(past).minus(Span::from_days(1)) {
            self.counters.rejected += 1;
            return;
        }
        self.classify(number, event);
    }

    fn classify(&mut self, number: u64, event: Event) {
        let mine: Vec<usize> = (0..self.subscriptions.len())
            .filter(|at| self.subscriptions[*at].customer.as_str() == event.customer)
            .collect();
        let meters = self.catalog.iter().flat_map(|catalog| &catalog.meters);
        let of_type: Vec<&Meter> = meters.filter(|meter| *meter.event == *event.event_type).collect();
        let inside: Vec<usize> =
            mine.iter().copied().filter(|at| self.subscriptions[*at].term_at(event.time).is_some()).collect();
        if !self.customers.contains(&event.customer) || of_type.is_empty() || inside.is_empty() {
            self.counters.parked += 1;
            self.parked.push((number, event));
            return;
        }
        let billed: Vec<usize> =
            inside.iter().copied().filter(|at| event.time >= self.subscriptions[*at].first_billed).collect();
        if billed.is_empty() {
            self.counters.rejected += 1;
            return;
        }
        let readers: Vec<(usize, &Meter)> = billed
            .iter()
            .flat_map(|at| self.plan_at(*at, event.time).meters.values().map(|meter| (*at, meter)))
            .filter(|(_, meter)| *meter.event == *event.event_type && meter.filter.admits(property(&event)))
            .collect();
        if readers.iter().any(|(_, meter)| meter.read(property(&event)).is_err()) {
            self.counters.rejected += 1;
            return;
        }
        let takers: BTreeSet<usize> = readers.iter().map(|(at, _)| *at).collect();
        if takers.is_empty() {
            let is_metered = of_type.iter().any(|meter| meter.filter.admits(property(&event)));
            if is_metered {
                self.counters.unpriced += 1;
            } else {
                self.counters.unmetered += 1;
            }
            self.known.push((event, self.now()));
            return;
        }
        self.counters.charged += 1;
        self.known.push((event.clone(), self.now()));
        if &*event.event_type == "seats" {
            self.levels.push(event.clone());
        }
        for at in takers {
            let period = self.subscriptions[at].period_at(event.time).expect("inside").0;
            self.charged.push(Charged { event: event.clone(), subscription: at, period });
        }
    }

    fn plan_at(&self, subscription: usize, time: Instant) -> &PlanVersion {
        let term = self.subscriptions[subscription].term_at(time).expect("inside");
        self.plans.iter().find(|plan| plan.plan == term.plan).expect("a plan")
    }

    /// What every price of every period comes to, anew. Levels count in the periods that are closed.
    pub(super) fn totals(&self, is_closed: impl Fn(&str, Instant) -> bool) -> Totals {
        let mut totals = Totals::new();
        for (at, subscription) in self.subscriptions.iter().enumerate() {
            let until = self.now().plus(Span::from_days(1));
            let first = subscription.first_billed;
            for (period, _, share) in subscription.periods_from(first).take_while(|found| found.0.start < until) {
                let plan = self.plan_at(at, period.start);
                let inside =
                    self.charged.iter().filter(|one| one.subscription == at && one.period.start == period.start);
                let inside: Vec<&Event> = inside.map(|one| &one.event).collect();
                for price in &plan.prices {
                    let terms = Terms::new(price, None, share).expect("terms");
                    let meter = &plan.meters[&price.meter];
                    let total = if matches!(meter.aggregate, Aggregate::TimeWeighted(_)) {
                        let closed = is_closed(subscription.id.as_str(), period.start);
                        self.weighted(at, meter, period, &terms, closed)
                    } else {
                        summed(meter, &terms, &inside)
                    };
                    let key = (subscription.id.as_str().to_owned(), period.start, price.id.as_str().to_owned());
                    if total != Default::default() {
                        totals.insert(key, total);
                    }
                }
            }
        }
        totals
    }

    fn weighted(
        &self,
        at: usize,
        meter: &Meter,
        period: Period,
        terms: &Terms<'_>,
        is_closed: bool,
    ) -> (Quantity, Amount) {
        if !is_closed {
            return Default::default();
        }
        let customer = self.subscriptions[at].customer.as_str();
        let mut groups: BTreeMap<Group, Levels> = BTreeMap::new();
        for event in self.levels.iter().filter(|event| event.customer == customer) {
            let moment = Moment { time: event.time, id: &event.id, source: &event.source };
            let level = meter.read(property(event)).expect("readable").value().expect("a number");
            groups.entry(meter.group(property(event))).or_default().insert(moment, level);
        }
        let day = 86_400_000_000_000;
        let quantity = groups.values().map(|levels| levels.weighted(period.start, period.end, day).expect("fits"));
        let quantity = quantity.fold(Quantity::ZERO, |sum, one| sum.add(one).expect("fits"));
        (quantity, terms.amount(quantity).expect("fits").expect("a function"))
    }
}

/// The quantity and F of events from scratch.
fn summed(meter: &Meter, terms: &Terms<'_>, events: &[&Event]) -> (Quantity, Amount) {
    let events: Vec<&Event> = events
        .iter()
        .copied()
        .filter(|event| *meter.event == *event.event_type && meter.filter.admits(property(event)))
        .collect();
    let mut groups: BTreeMap<Group, Vec<&Event>> = BTreeMap::new();
    for event in &events {
        groups.entry(meter.group(property(event))).or_default().push(event);
    }
    let quantities: Vec<Quantity> = groups.values().map(|events| quantity(meter, events)).collect();
    let all = quantities.iter().fold(Quantity::ZERO, |sum, one| sum.add(*one).expect("fits"));
    if terms.curve.is_function() {
        let scopes = if terms.per_group { quantities } else { vec![all] };
        let amounts = scopes.into_iter().map(|quantity| terms.amount(quantity).expect("fits").expect("a function"));
        return (all, amounts.fold(Amount::ZERO, |sum, one| sum.add(one).expect("fits")));
    }
    let mut state = State::default();
    let mut before = Quantity::ZERO;
    for event in events {
        let value = meter.read(property(event)).expect("readable").value().expect("a number");
        let after = before.add(value).expect("fits");
        let charge = terms.charge(&state, before, after, property(event)).expect("fits");
        state.apply(&charge);
        before = after;
    }
    (all, state.amount())
}

fn quantity(meter: &Meter, events: &[&Event]) -> Quantity {
    let value = |event: &Event| meter.read(property(event)).expect("readable").value().expect("a number");
    match meter.aggregate {
        Aggregate::Count => Quantity::from_whole(i128::try_from(events.len()).expect("few")).expect("fits"),
        Aggregate::Max => events.iter().map(|event| value(event)).max().unwrap_or_default(),
        Aggregate::Latest => {
            let latest = events.iter().max_by_key(|event| (event.time, &event.id, &event.source));
            latest.map(|event| value(event)).unwrap_or_default()
        }
        Aggregate::Unique => {
            let texts: BTreeSet<_> = events.iter().map(|event| property(event)("user").expect("readable")).collect();
            Quantity::from_whole(i128::try_from(texts.len()).expect("few")).expect("fits")
        }
        _ => events.iter().fold(Quantity::ZERO, |sum, event| sum.add(value(event)).expect("fits")),
    }
}

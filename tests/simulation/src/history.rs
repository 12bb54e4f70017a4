//! What should have become of every arrival: the log read again in order, by the design's table and nothing else.

use crate::calendar;
use crate::model;
use crate::terms::Terms;
use crate::workload::{Customer, Event, Price, Workload};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use storage::record::{Control, Record, decode};

/// What becomes of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the design's own words
pub enum Fate {
    Charged,
    Unpriced,
    Unmetered,
    Duplicate,
    Conflict,
    Unreadable,
    TooOld,
    NotBackfilled,
    Parked,
    Expired,
    /// It would wait or be parked, but too many do already.
    OverQuota,
    Waiting,
}

/// Where an arrival stands: shard, offset, index.
pub type Place = (u16, u64, u32);

/// An arrival as the log holds it.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The event; its time is never absent here.
    pub event: Event,
    /// The hash of what was sent.
    pub payload: u64,
    /// What becomes of it.
    pub fate: Fate,
}

/// All shards' arrivals.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every arrival.
    pub arrivals: BTreeMap<Place, Arrival>,
    /// When each customer's subscription was declared, and so the start of its first billed period (nanoseconds).
    pub first_billed: BTreeMap<String, i64>,
    /// From when on each customer has the later prices (nanoseconds).
    pub migrated: BTreeMap<String, i64>,
    /// When each customer moved to another plan at once (nanoseconds).
    pub changed: BTreeMap<String, i64>,
    /// Events that were parked first and explained later.
    pub explained: u64,
    /// Events that waited for log time.
    pub waited: u64,
    /// Log time of each shard (nanoseconds).
    pub log_time: BTreeMap<u16, i64>,
}

/// One shard, being read.
struct Reader<'a> {
    workload: &'a Workload,
    history: &'a mut History,
    log_time: i64,
    /// The version of the catalog.
    catalog: u64,
    ids: BTreeMap<(String, String, String), u64>,
    waiting: BTreeSet<(i64, Place)>,
    parked: BTreeSet<Place>,
    known: BTreeSet<String>,
}

const DAY: i64 = 86_400_000_000_000;
const PAST: i64 = 2 * DAY;
const FUTURE: i64 = 300_000_000_000;

// === impl History ===

impl History {
    /// Reads a shard's records from the first on.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn read(&mut self, workload: &Workload, shard: u16, records: &[Bytes]) -> Result<(), String> {
        let mut reader = Reader {
            workload,
            history: self,
            log_time: i64::MIN,
            catalog: 0,
            ids: BTreeMap::new(),
            waiting: BTreeSet::new(),
            parked: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        for (offset, record) in (0u64..).zip(records) {
            match decode(record).map_err(|error| error.to_string())? {
                Record::Control(control) => reader.control(&control),
                Record::Events(events) => {
                    for (index, event) in (0u32..).zip(events.iter()) {
                        let event = event.map_err(|error| error.to_string())?;
                        let place = |what: &str| format!("a dictionary of {what} that ends early");
                        let account = events.accounts.get(usize_of(event.account)).ok_or_else(|| place("accounts"))?;
                        let shape = events.shapes.get(usize_of(event.shape)).ok_or_else(|| place("shapes"))?;
                        let text = |all: &[&str], at: u32| all.get(usize_of(at)).map(|text| (*text).to_owned());
                        let names = shape.iter().map(|name| (*name).to_owned());
                        let arrival = Arrival {
                            payload: event.payload,
                            fate: Fate::Waiting,
                            event: Event {
                                id: event.id.to_owned(),
                                source: text(&events.sources, event.source).ok_or_else(|| place("sources"))?,
                                event_type: text(&events.types, event.event_type).ok_or_else(|| place("types"))?,
                                customer: account.1.to_owned(),
                                time: event.time.nanos(),
                                timeless: false,
                                properties: names.zip(event.values.iter().map(str::to_owned)).collect(),
                            },
                        };
                        reader.arrive((shard, offset, index), arrival);
                    }
                }
            }
        }
        let log_time = reader.log_time;
        self.log_time.insert(shard, log_time);
        Ok(())
    }

    /// The customers, and when they changed their plans.
    pub fn customers(&self, workload: &Workload) -> Vec<Customer> {
        let known =
            |customer: &Customer| Customer { changed: self.changed.get(&customer.id).copied(), ..customer.clone() };
        workload.customers.iter().map(known).collect()
    }

    /// What a customer is sold at a moment: by its own curves where it has some.
    pub fn prices(&self, workload: &Workload, customer: &Customer, time: i64) -> Vec<Price> {
        let prices = if self.is_later(customer, time) { &workload.later_prices } else { &workload.prices };
        let own = |price: &Price| {
            let curve = customer.overrides.get(&price.id).unwrap_or(&price.curve).clone();
            Price { curve, ..price.clone() }
        };
        prices.iter().map(own).collect()
    }

    /// How it is settled.
    pub fn terms<'a>(&self, workload: &'a Workload, customer: &Customer, time: i64) -> &'a Terms {
        &workload.terms[usize::from(self.is_later(customer, time))]
    }

    fn is_later(&self, customer: &Customer, time: i64) -> bool {
        self.migrated.get(&customer.id).is_some_and(|from| *from <= time)
    }

    /// What was charged, and to which customer.
    pub fn charged<'a>(&'a self, customer: &'a str) -> impl Iterator<Item = &'a Event> {
        let charged = self.arrivals.values().filter(|arrival| arrival.fate == Fate::Charged);
        charged.map(|arrival| &arrival.event).filter(move |event| event.customer == customer)
    }

    /// How many arrivals of a shard had a fate.
    pub fn count(&self, shard: u16, fates: &[Fate]) -> u64 {
        let own = self.arrivals.range((shard, 0, 0)..=(shard, u64::MAX, u32::MAX));
        u64::try_from(own.filter(|(_, arrival)| fates.contains(&arrival.fate)).count()).unwrap_or(u64::MAX)
    }
}

fn usize_of(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

// === impl Reader ===

impl Reader<'_> {
    fn control(&mut self, control: &Control) {
        match control {
            Control::Tick { time } => self.tick(time.nanos()),
            Control::Catalog(record) if record.version > self.catalog => {
                self.catalog = record.version;
                self.retry(|_| true);
            }
            Control::Customer(record) => {
                let id = record.customer.as_str();
                if self.known.insert(id.to_owned())
                    && let Some(customer) = self.customer(id)
                {
                    let from = crate::workload::FROM_SECONDS * 1_000_000_000;
                    let running = calendar::period(&customer, self.log_time).filter(|_| !customer.backfill);
                    let first = running.map_or(from, |period| period.start);
                    self.history.first_billed.insert(id.to_owned(), first);
                    if self.catalog > 1 {
                        self.history.migrated.insert(id.to_owned(), i64::MIN);
                    }
                } else if self.catalog > 1 && !self.history.migrated.contains_key(id) {
                    self.migrate(id);
                }
                self.retry(|event| event.customer == id);
            }
            _ => {}
        }
    }

    fn customer(&self, id: &str) -> Option<Customer> {
        let customer = self.workload.customers.iter().find(|customer| customer.id == id)?;
        Some(Customer { changed: self.history.changed.get(id).copied(), ..customer.clone() })
    }

    /// From the next period on, as seen from the latest event that may be priced already; or from then, at once.
    fn migrate(&mut self, id: &str) {
        let earliest = self.log_time + FUTURE;
        let Some(customer) = self.customer(id) else { return };
        if customer.moves {
            self.history.migrated.insert(id.to_owned(), earliest);
            self.history.changed.insert(id.to_owned(), earliest);
        } else if let Some(period) = calendar::period(&customer, earliest) {
            let from = if period.start == earliest { earliest } else { period.end };
            self.history.migrated.insert(id.to_owned(), from);
        }
    }

    fn tick(&mut self, time: i64) {
        if time <= self.log_time {
            return;
        }
        self.log_time = time;
        while let Some((_, place)) = self.waiting.first().copied().filter(|(due, _)| *due < time + FUTURE) {
            self.waiting.pop_first();
            self.judge(place);
        }
        let expired = |place: &Place| self.history.arrivals.get(place).is_some_and(|one| one.event.time + PAST <= time);
        let expired: Vec<Place> = self.parked.iter().filter(|place| expired(place)).copied().collect();
        for place in expired {
            self.parked.remove(&place);
            self.settle(place, Fate::Expired);
        }
    }

    fn retry(&mut self, may: impl Fn(&Event) -> bool) {
        let again = |place: &Place| self.history.arrivals.get(place).is_some_and(|one| may(&one.event));
        let again: Vec<Place> = self.parked.iter().filter(|place| again(place)).copied().collect();
        for place in again {
            self.judge(place);
            if self.history.arrivals.get(&place).is_some_and(|one| one.fate != Fate::Parked) {
                self.parked.remove(&place);
                self.history.explained += 1;
            }
        }
    }

    fn arrive(&mut self, place: Place, arrival: Arrival) {
        self.history.arrivals.insert(place, arrival);
        self.judge(place);
        if self.waiting.iter().any(|(_, waiting)| *waiting == place) {
            self.history.waited += 1;
        }
    }

    fn settle(&mut self, place: Place, fate: Fate) {
        if let Some(arrival) = self.history.arrivals.get_mut(&place) {
            arrival.fate = fate;
        }
    }

    fn judge(&mut self, place: Place) {
        let Some(arrival) = self.history.arrivals.get(&place).cloned() else { return };
        let event = &arrival.event;
        let id = (event.customer.clone(), event.source.clone(), event.id.clone());
        let fate = match self.ids.get(&id) {
            Some(payload) if *payload == arrival.payload => Fate::Duplicate,
            Some(_) => Fate::Conflict,
            None => self.classify(event),
        };
        let limits = self.workload.limits;
        let is_full = |kept: usize, count_max: u64| u64::try_from(kept).is_ok_and(|kept| kept >= count_max);
        let fate = match fate {
            Fate::Waiting if is_full(self.waiting.len(), limits.waiting_max) => Fate::OverQuota,
            // One that is parked already stays so.
            Fate::Parked if !self.parked.contains(&place) && is_full(self.parked.len(), limits.parked_max) => {
                Fate::OverQuota
            }
            fate => fate,
        };
        match fate {
            Fate::Charged | Fate::Unpriced | Fate::Unmetered => drop(self.ids.insert(id, arrival.payload)),
            Fate::Waiting => drop(self.waiting.insert((event.time, place))),
            Fate::Parked => drop(self.parked.insert(place)),
            _ => {}
        }
        self.settle(place, fate);
    }

    fn classify(&self, event: &Event) -> Fate {
        if event.time >= self.log_time.saturating_add(FUTURE) {
            return Fate::Waiting;
        }
        if event.time < self.log_time.saturating_sub(PAST + DAY) {
            return Fate::TooOld;
        }
        let customer = self.known.get(&event.customer).and_then(|id| self.customer(id));
        let is_metered = match event.event_type.as_str() {
            "use" | "vip" | "unsold" => self.catalog > 0,
            // Declared with the full catalog only.
            "later" => self.catalog > 1,
            _ => false,
        };
        let Some(customer) = customer.filter(|_| is_metered) else { return Fate::Parked };
        let Some(period) = calendar::period(&customer, event.time) else { return Fate::Parked };
        if self.history.first_billed.get(&event.customer).is_none_or(|first| period.start < *first) {
            return Fate::NotBackfilled;
        }
        let prices = &self.workload.prices;
        if !model::is_readable(prices, event) {
            return Fate::Unreadable;
        }
        match event.event_type.as_str() {
            "unsold" | "later" => Fate::Unpriced,
            _ if prices.iter().any(|price| price.admits(event)) => Fate::Charged,
            _ => Fate::Unmetered,
        }
    }
}

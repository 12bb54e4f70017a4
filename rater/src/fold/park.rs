//! Events that are kept: those that cannot be priced yet, and those from the future.

use super::arrival::Arrival;
use crate::ids::{Id, Key};
use pricing::id::TenantId;
use pricing::period::Period;
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use storage::output::EventPlace;
use storage::shard::Offset;

/// An event with all that was sent.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Stored {
    pub(super) place: EventPlace,
    pub(super) tenant: TenantId,
    pub(super) customer: String,
    pub(super) event_type: String,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) time: Instant,
    pub(super) payload: u64,
    pub(super) properties: Vec<(String, String)>,
    /// It no longer holds bills back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_waived: bool,
}

/// How much is kept for one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    count: u64,
    bytes: u64,
}

/// Events that log time has not reached.
#[derive(Default)]
pub(super) struct Waiting {
    /// By time, then in the order of the log.
    events: BTreeMap<(Instant, EventPlace), Stored>,
    loads: BTreeMap<TenantId, Load>,
}

/// Events that no record explains yet.
#[derive(Default)]
pub(super) struct Parked {
    events: BTreeMap<EventPlace, Stored>,
    /// By customer: when, and whether waived.
    customers: BTreeMap<(TenantId, String), BTreeMap<(Instant, EventPlace), bool>>,
    /// By tenant, the oldest first.
    tenants: BTreeMap<TenantId, BTreeSet<(Instant, EventPlace)>>,
    loads: BTreeMap<TenantId, Load>,
    /// Those that a record may have explained.
    pub(super) retry: BTreeSet<EventPlace>,
}

// === impl Stored ===

impl Stored {
    pub(super) fn new(arrival: &Arrival<'_, '_>) -> Self {
        let properties = arrival.names.iter().zip(arrival.values);
        Self {
            place: arrival.place,
            tenant: arrival.tenant.clone(),
            customer: arrival.customer.to_owned(),
            event_type: arrival.event_type.to_owned(),
            source: arrival.source.to_owned(),
            id: arrival.id.to_owned(),
            time: arrival.time,
            payload: arrival.payload,
            properties: properties.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            is_waived: false,
        }
    }

    /// What it counts for against the limits, in bytes: its text and what keeping it costs. The same on every machine.
    fn bytes(&self) -> u64 {
        let Self { customer, event_type, source, id, properties, .. } = self;
        let properties: usize = properties.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let bytes = 256 + customer.len() + event_type.len() + source.len() + id.len() + properties;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The names and the values of its properties.
    pub(super) fn columns(&self) -> (Vec<&str>, Vec<&str>) {
        self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip()
    }

    pub(super) fn hash(&self, key: &Key) -> Id {
        key.prefix(self.tenant.as_str(), &self.customer, &self.source).id(&self.id)
    }

    /// The event as it arrived.
    pub(super) fn arrival<'e, 'v>(&'e self, hash: Id, names: &'v [&'e str], values: &'v [&'e str]) -> Arrival<'e, 'v>
    where
        'e: 'v,
    {
        Arrival {
            place: self.place,
            tenant: &self.tenant,
            customer: &self.customer,
            event_type: &self.event_type,
            source: &self.source,
            id: &self.id,
            time: self.time,
            payload: self.payload,
            hash,
            names,
            values,
        }
    }
}

// === impl Load ===

impl Load {
    /// Why another event is too much; none where there is room.
    pub(super) fn refuses(self, event: &Stored, count_max: u64, bytes_max: u64) -> Option<String> {
        if self.count >= count_max {
            return Some(format!("{count_max} events of the tenant are kept already"));
        }
        let is_over = self.bytes.saturating_add(event.bytes()) > bytes_max;
        is_over.then(|| format!("of {bytes_max} bytes for the tenant's kept events {} are taken", self.bytes))
    }

    fn add(loads: &mut BTreeMap<TenantId, Self>, event: &Stored) {
        let load = loads.entry(event.tenant.clone()).or_default();
        (load.count, load.bytes) = (load.count.saturating_add(1), load.bytes.saturating_add(event.bytes()));
    }

    fn take(loads: &mut BTreeMap<TenantId, Self>, event: &Stored) {
        let Some(load) = loads.get_mut(&event.tenant) else { return };
        (load.count, load.bytes) = (load.count.saturating_sub(1), load.bytes.saturating_sub(event.bytes()));
        if load.count == 0 {
            loads.remove(&event.tenant);
        }
    }
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn insert(&mut self, event: Stored) {
        Load::add(&mut self.loads, &event);
        self.events.insert((event.time, event.place), event);
    }

    pub(super) fn remove(&mut self, at: (Instant, EventPlace)) -> Option<Stored> {
        let event = self.events.remove(&at)?;
        Load::take(&mut self.loads, &event);
        Some(event)
    }

    /// How much of a tenant's waits.
    pub(super) fn load(&self, tenant: &TenantId) -> Load {
        self.loads.get(tenant).copied().unwrap_or_default()
    }

    /// Those before a moment.
    pub(super) fn before(&self, moment: Instant) -> impl Iterator<Item = &Stored> {
        self.events.values().take_while(move |event| event.time < moment)
    }

    /// Those after one of them; all without.
    pub(super) fn after(&self, place: Option<(Instant, EventPlace)>) -> impl Iterator<Item = &Stored> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        self.events.range((from, Bound::Unbounded)).map(|(_, event)| event)
    }
}

// === impl Parked ===

impl Parked {
    pub(super) fn insert(&mut self, event: Stored) {
        Load::add(&mut self.loads, &event);
        let at = (event.time, event.place);
        let customer = (event.tenant.clone(), event.customer.clone());
        self.customers.entry(customer).or_default().insert(at, event.is_waived);
        self.tenants.entry(event.tenant.clone()).or_default().insert(at);
        self.events.insert(event.place, event);
    }

    pub(super) fn remove(&mut self, place: EventPlace) -> Option<Stored> {
        let event = self.events.remove(&place)?;
        Load::take(&mut self.loads, &event);
        let at = (event.time, place);
        let customer = (event.tenant.clone(), event.customer.clone());
        if let Some(events) = self.customers.get_mut(&customer) {
            events.remove(&at);
            if events.is_empty() {
                self.customers.remove(&customer);
            }
        }
        if let Some(events) = self.tenants.get_mut(&event.tenant) {
            events.remove(&at);
            if events.is_empty() {
                self.tenants.remove(&event.tenant);
            }
        }
        self.retry.remove(&place);
        Some(event)
    }

    pub(super) fn get(&self, place: EventPlace) -> Option<&Stored> {
        self.events.get(&place)
    }

    /// In the order of the log.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.events.values()
    }

    /// How much of a tenant's is parked.
    pub(super) fn load(&self, tenant: &TenantId) -> Load {
        self.loads.get(tenant).copied().unwrap_or_default()
    }

    /// How many of a customer's events hold a period's bill back.
    pub(super) fn holding(&self, tenant: &TenantId, customer: &str, period: Period) -> u64 {
        if self.events.is_empty() {
            return 0;
        }
        let Some(events) = self.customers.get(&(tenant.clone(), customer.to_owned())) else { return 0 };
        let first = |time| (time, EventPlace { offset: Offset(0), index: 0 });
        let inside = events.range(first(period.start)..first(period.end));
        u64::try_from(inside.filter(|(_, is_waived)| !**is_waived).count()).unwrap_or(u64::MAX)
    }

    /// Looks again at a customer's events, at the next chance.
    pub(super) fn retry_customer(&mut self, tenant: &TenantId, customer: &str) {
        if let Some(events) = self.customers.get(&(tenant.clone(), customer.to_owned())) {
            self.retry.extend(events.keys().map(|(_, place)| *place));
        }
    }

    /// Looks again at a tenant's events, at the next chance.
    pub(super) fn retry_tenant(&mut self, tenant: &TenantId) {
        if let Some(events) = self.tenants.get(tenant) {
            self.retry.extend(events.iter().map(|(_, place)| *place));
        }
    }

    /// Lets go of bills, as far as events up to a record hold them; the times of those that did until now.
    pub(super) fn waive(
        &mut self,
        tenant: &TenantId,
        customer: &str,
        times: Range<Instant>,
        seen: Offset,
    ) -> Vec<Instant> {
        let mut waived = Vec::new();
        let Some(events) = self.customers.get_mut(&(tenant.clone(), customer.to_owned())) else { return waived };
        for ((time, place), is_waived) in events {
            if !times.contains(time) || place.offset > seen || *is_waived {
                continue;
            }
            *is_waived = true;
            waived.push(*time);
            if let Some(event) = self.events.get_mut(place) {
                event.is_waived = true;
            }
        }
        waived
    }

    /// The tenants that have any.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.tenants.keys().cloned().collect()
    }

    /// A tenant's events with a time of `until` or before.
    pub(super) fn older(&self, tenant: &TenantId, until: Instant) -> Vec<EventPlace> {
        let Some(events) = self.tenants.get(tenant) else { return Vec::new() };
        events.iter().take_while(|(time, _)| *time <= until).map(|(_, place)| *place).collect()
    }
}

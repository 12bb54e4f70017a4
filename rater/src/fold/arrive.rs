//! Events: which of the outcomes each has.

use super::arrival::{Arrival, Verdict};
use super::catalog::Gate;
use super::charge::Hit;
use super::park::Stored;
use super::route::Kind;
use super::{Fold, Halt, Options};
use crate::ids::{Id, Prefix};
use pricing::id::TenantId;
use std::collections::HashMap;
use storage::output::{EventPlace, OutcomeKind};
use storage::record::{DecodeError, Event, Events};
use storage::shard::Offset;

/// Whose an event is, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) tenant: Option<usize>,
    pub(super) customer: Option<usize>,
    pub(super) gate: Gate,
}

/// Where an event comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Log,
    Waiting,
    Parked,
}

/// How many events' ids and customers are read ahead together: few enough that all of it is still near when it is used.
const AHEAD: u32 = 32;
/// How deep their states lie.
const DEPTHS: usize = 7;

// === impl Fold ===

impl Fold {
    /// Folds a record's events.
    pub(super) fn events(&mut self, offset: Offset, events: &Events<'_>) -> Result<(), Halt> {
        let unreadable = |reason| Halt::Unreadable { offset, reason };
        let arrivals: Vec<Event<'_>> = events.iter().collect::<Result<_, _>>().map_err(unreadable)?;
        let tenants: Result<Vec<TenantId>, _> = self.tenants_of(&events.accounts);
        let tenants = tenants.map_err(unreadable)?;
        let hashes = self.hashes(offset, events, &arrivals)?;
        self.cache.begin();
        let accounts: Vec<Account> = tenants
            .iter()
            .zip(&events.accounts)
            .map(|(tenant, (_, customer))| self.account(tenant, customer))
            .collect();
        let mut kinds: HashMap<(u32, u32), Kind> = HashMap::new();
        let mut latest: Option<((u32, u32), Kind)> = None;
        let mut sources: Vec<Option<u32>> = vec![None; events.sources.len()];
        let mut hits: Vec<Hit<'_>> = Vec::new();
        let mut values: Vec<&str> = Vec::new();
        for ((index, event), hash) in (0u32..).zip(&arrivals).zip(&hashes) {
            if index % AHEAD == 0 {
                self.read_ahead(&accounts, part(&arrivals, index), part(&hashes, index));
            }
            let shape: &[&str] = at(&events.shapes, event.shape).map_or(&[], |shape| shape);
            let event_type = at(&events.types, event.event_type).copied().unwrap_or_default();
            let (tenant, account) = (at(&tenants, event.account), at(&accounts, event.account));
            let Some((tenant, account)) = tenant.zip(account) else { continue };
            values.clear();
            values.extend(event.values.iter());
            let arrival = Arrival {
                place: EventPlace { offset, index },
                tenant,
                customer: at(&events.accounts, event.account).map_or("", |(_, customer)| customer),
                event_type,
                source: at(&events.sources, event.source).copied().unwrap_or_default(),
                id: event.id,
                time: event.time,
                payload: event.payload,
                hash: *hash,
                names: shape,
                values: &values,
            };
            let pair = (event.event_type, event.shape);
            let kind = match latest {
                Some((known, kind)) if known == pair => kind,
                _ => *kinds.entry(pair).or_insert_with(|| self.cache.kind(event_type, shape)),
            };
            latest = Some((pair, kind));
            let mut unknown = None;
            let source = usize::try_from(event.source).ok().and_then(|at| sources.get_mut(at)).unwrap_or(&mut unknown);
            let verdict = self.judge(&arrival, account, kind, source, &mut hits);
            self.conclude(verdict, &arrival, account, Origin::Log);
        }
        Ok(())
    }

    /// Reads ids and the customers' states ahead, step by step: the reads of one step do not wait for each other, those of
    /// a single event all would.
    fn read_ahead(&self, accounts: &[Account], events: &[Event<'_>], hashes: &[Id]) {
        self.ids.read_ahead(hashes);
        for depth in 0..DEPTHS {
            let known = events.iter().filter_map(|event| at(accounts, event.account)?.customer);
            let customers = known.filter_map(|customer| self.customers.get(customer));
            std::hint::black_box(customers.fold(0, |read, customer| read ^ customer.read_ahead(depth)));
        }
    }

    fn tenants_of(&self, accounts: &[(&str, &str)]) -> Result<Vec<TenantId>, DecodeError> {
        let mut tenants: Vec<TenantId> = Vec::with_capacity(accounts.len());
        for (name, _) in accounts {
            let tenant = match tenants.last() {
                Some(last) if last.as_str() == *name => last.clone(),
                _ => match self.tenant_index(name).and_then(|at| self.tenants.get(at)) {
                    Some(tenant) => tenant.name.clone(),
                    None => TenantId::new(name)
                        .map_err(|_| DecodeError::Malformed { what: "a tenant's name cannot be one" })?,
                },
            };
            tenants.push(tenant);
        }
        Ok(tenants)
    }

    fn hashes(&self, offset: Offset, events: &Events<'_>, arrivals: &[Event<'_>]) -> Result<Vec<Id>, Halt> {
        let Some(key) = &self.key else {
            return Err(Halt::Contradiction { offset, reason: "events come before the Open record".to_owned() });
        };
        let mut prefixes: Vec<Option<(u32, Prefix)>> = vec![None; events.accounts.len()];
        let mut hashes = Vec::with_capacity(arrivals.len());
        for event in arrivals {
            let (tenant, customer) = at(&events.accounts, event.account).copied().unwrap_or_default();
            let source = at(&events.sources, event.source).copied().unwrap_or_default();
            let mut unknown = None;
            let place = usize::try_from(event.account).ok();
            let known = place.and_then(|place| prefixes.get_mut(place)).unwrap_or(&mut unknown);
            let hash = match known {
                Some((of, prefix)) if *of == event.source => prefix.id(event.id),
                _ => known.insert((event.source, key.prefix(tenant, customer, source))).1.id(event.id),
            };
            hashes.push(hash);
        }
        Ok(hashes)
    }

    /// What is known of a tenant and customer.
    pub(super) fn account(&self, tenant: &TenantId, customer: &str) -> Account {
        let index = self.tenant_index(tenant.as_str());
        let Some(found) = index.and_then(|at| self.tenants.get(at)) else {
            return Account { tenant: None, customer: None, gate: self.gate };
        };
        let customer = found.customers.get(customer).and_then(|at| usize::try_from(*at).ok());
        Account { tenant: index, customer, gate: found.gate }
    }

    /// Decides, and where it is charged, charges.
    #[inline]
    pub(super) fn judge<'e>(
        &mut self,
        arrival: &Arrival<'e, '_>,
        account: &Account,
        kind: Kind,
        source: &mut Option<u32>,
        hits: &mut Vec<Hit<'e>>,
    ) -> Verdict {
        if let Some(payload) = self.ids.get(arrival.hash, account.gate.ids_from()) {
            return if payload == arrival.payload { Verdict::Duplicate } else { Verdict::Conflict };
        }
        if arrival.time >= account.gate.waits_from(self.log_time) {
            return Verdict::Waiting;
        }
        if arrival.time < account.gate.floor {
            return Verdict::Rejected(format!(
                "the time {} is too old; events from {} on are admitted now",
                arrival.time, account.gate.floor
            ));
        }
        let Some((tenant, customer)) = account.tenant.zip(account.customer) else {
            return Verdict::Parked("the customer is unknown; declare it and its subscriptions");
        };
        let verdict = self.price(arrival, (tenant, customer), kind, source, hits);
        if matches!(verdict, Verdict::Charged | Verdict::Unpriced(_) | Verdict::Unmetered) {
            self.ids.insert(arrival.hash, arrival.payload, self.today);
        }
        verdict
    }

    /// Counts an event and puts out its outcome.
    #[inline]
    pub(super) fn conclude(&mut self, verdict: Verdict, arrival: &Arrival<'_, '_>, account: &Account, origin: Origin) {
        match origin {
            Origin::Log => self.counters.arrivals += 1,
            Origin::Waiting => self.counters.waiting -= 1,
            Origin::Parked => {
                if matches!(verdict, Verdict::Parked(_)) {
                    return;
                }
                self.unpark(arrival, account, &verdict);
            }
        }
        match verdict {
            Verdict::Charged => self.counters.charged += 1,
            Verdict::Unmetered => self.counters.unmetered += 1,
            Verdict::Duplicate => {
                self.counters.duplicate += 1;
                self.emit.duplicate(arrival.tenant);
            }
            Verdict::Unpriced(reason) => {
                self.counters.unpriced += 1;
                self.emit.outcome(OutcomeKind::Unpriced, arrival, reason);
            }
            Verdict::Conflict => {
                self.counters.rejected += 1;
                let reason = "the id is known with another payload; the first one stands".to_owned();
                self.emit.outcome(OutcomeKind::Conflict, arrival, reason);
            }
            Verdict::Rejected(reason) => {
                self.counters.rejected += 1;
                self.emit.outcome(OutcomeKind::Rejected, arrival, reason);
            }
            Verdict::NotBackfilled(reason) => {
                self.counters.rejected += 1;
                self.emit.outcome(OutcomeKind::NotBackfilled, arrival, reason);
            }
            Verdict::Waiting => self.wait(arrival, account),
            Verdict::Parked(reason) => self.park(arrival, account, reason),
        }
    }

    fn wait(&mut self, arrival: &Arrival<'_, '_>, account: &Account) {
        let Options { waiting_max, waiting_bytes_max, .. } = self.options;
        let stored = Stored::new(arrival);
        let full = self.waiting.load(arrival.tenant).refuses(&stored, waiting_max, waiting_bytes_max);
        if let Some(full) = full {
            self.counters.rejected += 1;
            let (time, from) = (arrival.time, account.gate.waits_from(self.log_time));
            let reason = format!(
                "the time {time} lies ahead; events before {from} are folded now, and this one cannot wait, for {full}; \
                 send it again when its time has come"
            );
            self.emit.outcome(OutcomeKind::Rejected, arrival, reason);
            return;
        }
        self.counters.waiting += 1;
        self.waiting.insert(stored);
    }

    fn park(&mut self, arrival: &Arrival<'_, '_>, account: &Account, reason: &str) {
        let Options { parked_max, parked_bytes_max, .. } = self.options;
        let stored = Stored::new(arrival);
        if let Some(full) = self.parked.load(arrival.tenant).refuses(&stored, parked_max, parked_bytes_max) {
            self.counters.rejected += 1;
            self.emit.outcome(OutcomeKind::Rejected, arrival, format!("{reason}; it cannot be kept, for {full}"));
            return;
        }
        self.counters.parked += 1;
        self.parked.insert(stored);
        self.emit.outcome(OutcomeKind::Parked, arrival, reason.to_owned());
        self.parked_changed(account, arrival.time);
    }

    fn unpark(&mut self, arrival: &Arrival<'_, '_>, account: &Account, verdict: &Verdict) {
        self.counters.parked -= 1;
        self.parked.remove(arrival.place);
        if matches!(verdict, Verdict::Charged | Verdict::Unmetered | Verdict::Duplicate) {
            let reason = match verdict {
                Verdict::Charged => "explained, and charged",
                Verdict::Unmetered => "explained, but no meter admits it",
                _ => "explained, and a copy of an event that was folded",
            };
            self.emit.outcome(OutcomeKind::Unparked, arrival, reason.to_owned());
        }
        self.parked_changed(account, arrival.time);
    }

    /// Folds an event that was kept.
    pub(super) fn judge_stored(&mut self, stored: &Stored, origin: Origin) {
        let Some(key) = self.key else { return };
        let (names, values) = stored.columns();
        let hash = stored.hash(&key);
        let arrival = stored.arrival(hash, &names, &values);
        let account = self.account(&stored.tenant, &stored.customer);
        self.cache.begin();
        let kind = self.cache.kind(&stored.event_type, &names);
        let verdict = self.judge(&arrival, &account, kind, &mut None, &mut Vec::new());
        self.conclude(verdict, &arrival, &account, origin);
    }
}

/// What is read ahead together, from an event on.
fn part<T>(all: &[T], from: u32) -> &[T] {
    let (from, count) = (usize::try_from(from).unwrap_or(0), usize::try_from(AHEAD).unwrap_or(0));
    let rest = all.get(from..).unwrap_or_default();
    rest.get(..count).unwrap_or(rest)
}

/// An entry of a record's dictionary.
#[inline]
fn at<T>(dictionary: &[T], index: u32) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| dictionary.get(index))
}

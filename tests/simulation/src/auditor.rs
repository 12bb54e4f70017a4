//! The auditor: reads everything that is stored and holds it against the log, the fold done anew, and the naive model.

// Reading order: what is read, then what it is held against.
mod bills;
mod fold;
mod money;

pub(crate) use bills::sight_documents;

use crate::clients::Sent;
use crate::history::{Fate, History};
use crate::sighting::Sightings;
use crate::workload::Workload;
use crate::world::TENANT;
use bytes::Bytes;
use pricing::id::TenantId;
use std::collections::{BTreeMap, BTreeSet};
use storage::charges::{Boundary, Charge, Charges as _, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, UsageQuery};
use storage::log::Log as _;
use storage::output::{Manifest, Outcome};
use storage::shard::{Offset, Position, Shard};

/// What must hold, by its name in the design's section 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Invariant {
    /// Arrivals are the sum of what became of them.
    Con1,
    /// Every acknowledged arrival has exactly one outcome, none is invented.
    Con2,
    /// Σ charges = F(q).
    Mon1,
    /// Printed parts sum to the printed total.
    Mon3,
    /// Same shard and offset, same state.
    Det1,
    /// Same seed, same bytes.
    Det2,
    /// A shard's cursor never goes back.
    Ord1,
    /// The store reads back what the fold put out.
    Snk1,
    /// An invoice is its manifest; what comes later is an adjustment.
    Cls1,
    /// Numbers without gaps, one bill for a period, issued bytes never change.
    Inv1,
    /// When faults stop, everything gets through.
    Liv1,
    /// Limits hold.
    Bnd1,
    /// What the run claims to test did occur.
    See1,
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// Where, what was found, what was expected.
    pub what: String,
}

/// The result of a check.
pub type Checked = Result<(), Broken>;

/// Everything that is stored, read at one moment.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The log's durable records.
    pub log: BTreeMap<u16, Vec<Bytes>>,
    /// How far each shard is stored.
    pub boundaries: BTreeMap<u16, Boundary>,
    /// Charges by period, as the store lists them.
    pub charges: BTreeMap<PeriodKey, Vec<Charge>>,
    /// Manifests in the order they were stored.
    pub manifests: Vec<Manifest>,
    /// Arrivals that were not charged.
    pub outcomes: Vec<Outcome>,
    /// Bills by id.
    pub bills: BTreeMap<String, invoicer::ledger::StoredBill>,
    /// Issued documents by number.
    pub invoices: BTreeMap<String, invoicer::ledger::Invoice>,
}

/// Remembers what earlier audits saw.
#[derive(Debug, Default)]
pub struct Auditor {
    boundaries: BTreeMap<u16, Boundary>,
    invoices: BTreeMap<String, String>,
}

/// Makes a failed check.
pub(crate) fn broken(invariant: Invariant, what: impl Into<String>) -> Broken {
    Broken { invariant, what: what.into() }
}

/// The tenant.
pub(crate) fn tenant() -> Result<TenantId, Broken> {
    TenantId::new(TENANT).map_err(|error| broken(Invariant::See1, error.to_string()))
}

fn unreadable(error: &dyn std::fmt::Display) -> Broken {
    broken(Invariant::Liv1, format!("the auditor cannot read, although nothing goes wrong: {error}"))
}

// === impl Books ===

impl Books {
    /// Reads everything. Nothing may go wrong meanwhile.
    ///
    /// # Errors
    /// What cannot be read although it should.
    pub async fn read(world: &storage::sim::World) -> Result<Self, Broken> {
        let tenant = tenant()?;
        let mut books = Self::default();
        for shard in world.log.shards().all() {
            let end = world.log.bounds(shard).await.map_err(|error| unreadable(&error))?.end;
            let mut records = Vec::new();
            while records.len() < usize::try_from(end.0).unwrap_or(usize::MAX) {
                let from = Offset(u64::try_from(records.len()).unwrap_or(u64::MAX));
                let read = world.log.read(shard, from, usize::MAX).await.map_err(|error| unreadable(&error))?;
                records.extend(read.into_iter().map(|entry| entry.record));
            }
            books.log.insert(shard.0, records);
            if let Some(boundary) = world.charges.boundary(shard).await.map_err(|error| unreadable(&error))? {
                books.boundaries.insert(shard.0, boundary);
            }
        }
        books.read_charges(world, &tenant).await?;
        let ledger = invoicer::ledger::Ledger::new(world.books.clone());
        let all = invoicer::ledger::Filter::default();
        let bills = ledger.all(Some(&tenant), &all).await.map_err(|error| unreadable(&error))?;
        books.bills = bills.into_iter().map(|stored| (stored.id, stored.value)).collect();
        let invoices = ledger.all(Some(&tenant), &all).await.map_err(|error| unreadable(&error))?;
        books.invoices = invoices.into_iter().map(|stored| (stored.id, stored.value)).collect();
        Ok(books)
    }

    async fn read_charges(&mut self, world: &storage::sim::World, tenant: &TenantId) -> Checked {
        let everything = UsageQuery {
            tenant: tenant.clone(),
            customer: None,
            meter: None,
            from: None,
            until: None,
            by: Resolution::Period,
            rows_max: usize::MAX,
        };
        let usage = world.charges.usage(&everything).await.map_err(|error| unreadable(&error))?;
        let periods: BTreeSet<PeriodKey> = usage
            .into_iter()
            .map(|usage| PeriodKey { customer: usage.customer, subscription: usage.subscription, start: usage.period })
            .collect();
        for period in periods {
            let query = ExplainQuery::all(tenant.clone(), period.clone(), usize::MAX);
            let charges = world.charges.explain(&query).await.map_err(|error| unreadable(&error))?;
            self.charges.insert(period, charges);
        }
        let shards: Vec<_> = self.log.keys().map(|shard| (Shard(*shard), None)).collect();
        let manifests = world.charges.manifests(&shards, usize::MAX).await;
        self.manifests = manifests.map_err(|error| unreadable(&error))?;
        let all = OutcomeQuery {
            tenant: tenant.clone(),
            customer: None,
            kinds: Vec::new(),
            after: None,
            count_max: usize::MAX,
        };
        self.outcomes = world.charges.outcomes(&all).await.map_err(|error| unreadable(&error))?;
        Ok(())
    }

    /// The records of a shard that the store has confirmed.
    fn stored(&self, shard: u16) -> &[Bytes] {
        let records = self.log.get(&shard).map_or(&[][..], Vec::as_slice);
        let next = self.boundaries.get(&shard).map_or(0, |boundary| boundary.next.0);
        records.get(..usize::try_from(next).unwrap_or(usize::MAX)).unwrap_or(records)
    }
}

// === impl Auditor ===

impl Auditor {
    /// What can be checked at any moment without much work.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn glance(&mut self, books: &Books, workload: &Workload, sightings: &mut Sightings) -> Checked {
        for (shard, boundary) in &books.boundaries {
            let counters = boundary.counters;
            let sum = counters.charged
                + counters.unpriced
                + counters.unmetered
                + counters.duplicate
                + counters.rejected
                + counters.parked
                + counters.waiting;
            if counters.arrivals != sum {
                return Err(broken(Invariant::Con1, format!("shard {shard}: {counters:?}")));
            }
            let end = u64::try_from(books.log.get(shard).map_or(0, Vec::len)).unwrap_or(u64::MAX);
            let before = self.boundaries.insert(*shard, *boundary);
            let back = before.is_some_and(|before| before.next > boundary.next || before.log_time > boundary.log_time);
            if back || boundary.next.0 > end {
                let what = format!("shard {shard} is stored to {} of {end}, before to {before:?}", boundary.next);
                return Err(broken(Invariant::Ord1, what));
            }
        }
        self.numbers(books)?;
        bills::printed(books, workload)?;
        bills::sight(books, sightings);
        Ok(())
    }

    /// Everything that can be checked while faults go on: what is stored so far is held against the same stretch of log.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub async fn audit(
        &mut self,
        world: &storage::sim::World,
        books: &Books,
        workload: &Workload,
        sent: &Sent,
    ) -> Result<History, Broken> {
        fold::anew(world, books, workload).await?;
        let mut history = History::default();
        for shard in books.log.keys() {
            let unread = |what| broken(Invariant::Snk1, format!("shard {shard}: {what}"));
            history.read(workload, *shard, books.stored(*shard)).map_err(unread)?;
        }
        counted(books, &history)?;
        fates(books, &history)?;
        sent.check(books)?;
        money::check(books, workload, &history)?;
        Ok(history)
    }

    /// Every check by itself, and what each objects to.
    pub async fn objections(
        &mut self,
        world: &storage::sim::World,
        books: &Books,
        workload: &Workload,
        sent: &Sent,
    ) -> Vec<Invariant> {
        let mut history = History::default();
        for shard in books.log.keys() {
            let _ = history.read(workload, *shard, books.stored(*shard));
        }
        let checks = [
            self.glance(books, workload, &mut Sightings::default()),
            fold::anew(world, books, workload).await,
            counted(books, &history),
            fates(books, &history),
            sent.check(books),
            money::check(books, workload, &history),
            self.settled(books, workload, &history),
        ];
        checks.into_iter().filter_map(Result::err).map(|broken| broken.invariant).collect()
    }

    /// What holds only once everything has settled.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn settled(&self, books: &Books, workload: &Workload, history: &History) -> Checked {
        bills::settled(books, workload, history)
    }

    /// Numbers have no gaps, hashes chain, and what was issued stays as it was.
    fn numbers(&mut self, books: &Books) -> Checked {
        for (number, body) in &self.invoices {
            if books.invoices.get(number).is_none_or(|now| now.canonical != *body) {
                return Err(broken(Invariant::Inv1, format!("invoice {number} is no longer what was issued")));
            }
        }
        self.invoices = books.invoices.iter().map(|(number, own)| (number.clone(), own.canonical.clone())).collect();
        bills::numbered(books)
    }
}

/// The store's counts are those of the naive reading.
fn counted(books: &Books, history: &History) -> Checked {
    for (shard, boundary) in &books.boundaries {
        let of = |fates: &[Fate]| history.count(*shard, fates);
        let rejected =
            [Fate::Conflict, Fate::Unreadable, Fate::TooOld, Fate::NotBackfilled, Fate::Expired, Fate::OverQuota];
        let found = boundary.counters;
        let expected = storage::output::Counters {
            arrivals: of(&ALL),
            charged: of(&[Fate::Charged]),
            unpriced: of(&[Fate::Unpriced]),
            unmetered: of(&[Fate::Unmetered]),
            duplicate: of(&[Fate::Duplicate]),
            rejected: of(&rejected),
            parked: of(&[Fate::Parked]),
            waiting: of(&[Fate::Waiting]),
        };
        if found != expected {
            let what = format!("shard {shard} at {}: found {found:?}, expected {expected:?}", boundary.next);
            return Err(broken(Invariant::Con1, what));
        }
    }
    Ok(())
}

const ALL: [Fate; 12] = [
    Fate::Charged,
    Fate::Unpriced,
    Fate::Unmetered,
    Fate::Duplicate,
    Fate::Conflict,
    Fate::Unreadable,
    Fate::TooOld,
    Fate::NotBackfilled,
    Fate::Parked,
    Fate::Expired,
    Fate::OverQuota,
    Fate::Waiting,
];

/// Each arrival's rows and outcomes are those of its fate.
fn fates(books: &Books, history: &History) -> Checked {
    use storage::output::OutcomeKind as Kind;
    let mut charged = BTreeSet::new();
    for charge in books.charges.values().flatten().filter(|charge| charge.event.index != u32::MAX) {
        charged.insert((charge.position.shard.0, charge.event.offset.0, charge.event.index));
    }
    let mut last: BTreeMap<(u16, u64, u32), Kind> = BTreeMap::new();
    for outcome in &books.outcomes {
        let place = (outcome.position.shard.0, outcome.event.offset.0, outcome.event.index);
        if !history.arrivals.contains_key(&place) {
            return Err(broken(Invariant::Con2, format!("an outcome of an event that is not there: {outcome:?}")));
        }
        last.insert(place, outcome.kind);
    }
    for (place, arrival) in &history.arrivals {
        let found = last.get(place);
        let fits = match arrival.fate {
            Fate::Charged | Fate::Unmetered | Fate::Duplicate => matches!(found, None | Some(Kind::Unparked)),
            Fate::Waiting => found.is_none(),
            Fate::Unpriced => found == Some(&Kind::Unpriced),
            Fate::Conflict => found == Some(&Kind::Conflict),
            Fate::Unreadable | Fate::TooOld | Fate::Expired | Fate::OverQuota => found == Some(&Kind::Rejected),
            Fate::NotBackfilled => found == Some(&Kind::NotBackfilled),
            Fate::Parked => found == Some(&Kind::Parked),
        };
        let is_charged = charged.remove(place);
        if !fits || is_charged != (arrival.fate == Fate::Charged) {
            let what = format!(
                "the event at {place:?} should be {:?}; its last outcome is {found:?}, charged: {is_charged}; {:?}",
                arrival.fate, arrival.event
            );
            return Err(broken(Invariant::Con2, what));
        }
    }
    match charged.first() {
        Some(place) => Err(broken(Invariant::Con2, format!("an event was charged that is not there: {place:?}"))),
        None => Ok(()),
    }
}

/// A position as the auditor keys rows.
fn row(shard: Shard, offset: Offset, index: u32) -> Position {
    Position { shard, offset, index }
}

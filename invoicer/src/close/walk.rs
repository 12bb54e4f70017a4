//! Walking chains: for many customers at once, so that questions to the store and commits carry many bills each.

use super::chain::{Chain, Key};
use super::decide::Situation;
use super::desk::{Customer, Desk};
use super::issue::Numbers;
use super::reached::Reached;
use super::{Account, Closer, Error, State, late, verify};
use crate::ledger::{Draft, Status, digest};
use pricing::bill::{self, Part, Usage};
use pricing::id::{SubscriptionId, TenantId};
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use storage::charges::{self, PeriodKey};
use storage::output::{Manifest, Sum};

/// A person's word that one bill is to be issued now.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) end: Instant,
    /// The digest of the document that the person saw; none: as it is.
    pub(super) seen: Option<String>,
    pub(super) who: String,
}

/// The bills of one chain that are due, in order.
pub(super) struct Walk<'a> {
    key: Key,
    pub(super) customer: &'a Customer,
    /// Log time as the store has it.
    now: Instant,
    ends: VecDeque<Instant>,
    /// The account before the next of them.
    account: bill::Account,
    /// Whether every bill before the next is issued.
    first: bool,
    /// The parts of the next.
    parts: Vec<Part>,
}

/// What was used, by subscription and start of the period.
pub(super) type UsageByPeriod = BTreeMap<(SubscriptionId, Instant), Usage>;

/// What the store has of the periods asked for.
#[derive(Default)]
pub(super) struct Found {
    manifests: BTreeMap<PeriodKey, (Manifest, Vec<Sum>)>,
    /// Periods of which the store holds something else than was written, and what it says.
    damaged: BTreeMap<PeriodKey, String>,
}

// === impl Order ===

impl Order {
    /// Whether the person saw this document.
    pub(super) fn is_for(&self, document: &str) -> bool {
        self.seen.as_ref().is_none_or(|seen| *seen == digest(document))
    }
}

// === impl Closer ===

impl Closer {
    /// Walks the chains of some customers of one tenant; returns how many documents were written.
    pub(super) async fn close(
        &self,
        state: &mut State,
        accounts: &[Account],
        reached: &Reached,
        order: Option<&Order>,
    ) -> Result<usize, Error> {
        let Some(desk) = accounts.first().and_then(|account| state.desks.get(&account.0)).map(Arc::clone) else {
            return Ok(0);
        };
        let mut written = self.make_again(state, &desk, accounts, reached, order).await?;
        let mut walks = walks(state, &desk, accounts, reached);
        loop {
            for walk in &mut walks {
                walk.find_parts(&desk);
            }
            walks.retain(|walk| !walk.ends.is_empty());
            if walks.is_empty() {
                return Ok(written);
            }
            let found = self.find(state, &walks).await?;
            written += self.step(state, &desk, &mut walks, &found, order).await?;
        }
    }

    /// Asks the store for the newest manifests of all parts and late periods, and adds up their charges.
    async fn find(&self, state: &State, walks: &[Walk<'_>]) -> Result<Found, Error> {
        let mut keys: BTreeSet<PeriodKey> = BTreeSet::new();
        let mut tenant = None;
        for walk in walks {
            tenant = Some(&walk.key.tenant);
            keys.extend(walk.periods(state.chains.get(&walk.key)));
        }
        let Some(tenant) = tenant.filter(|_| !keys.is_empty()) else { return Ok(Found::default()) };
        let keys: Vec<PeriodKey> = keys.into_iter().collect();
        match self.found(tenant, &keys).await {
            Err(charges::Error::Overflow { .. } | charges::Error::Damaged { .. }) => {}
            told => return Ok(told?),
        }
        // One period harms no other: each is asked for by itself.
        let mut found = Found::default();
        for key in keys {
            match self.found(tenant, std::slice::from_ref(&key)).await {
                Err(error @ charges::Error::Damaged { .. }) => drop(found.damaged.insert(key, error.to_string())),
                told => found.manifests.extend(told?.manifests),
            }
        }
        Ok(found)
    }

    async fn found(&self, tenant: &TenantId, keys: &[PeriodKey]) -> Result<Found, charges::Error> {
        // Manifests first: rows that come in between make the sums differ, and then the rows are counted one by one.
        let manifests = self.charges.newest(tenant, keys).await?;
        let sums = match self.charges.sums(tenant, keys).await {
            // So they are where the totals cannot be kept.
            Err(charges::Error::Overflow { .. }) if keys.len() == 1 => Vec::new(),
            told => told?,
        };
        let mut sums: BTreeMap<&PeriodKey, Vec<Sum>> = keys.iter().zip(sums).collect();
        let with_sums = manifests.into_iter().map(|manifest| {
            let key = verify::key(&manifest);
            let sums = sums.remove(&key).unwrap_or_default();
            (key, (manifest, sums))
        });
        Ok(Found { manifests: with_sums.collect(), damaged: BTreeMap::new() })
    }

    /// Decides on the next bill of every walk and commits all decisions together.
    async fn step(
        &self,
        state: &mut State,
        desk: &Desk,
        walks: &mut [Walk<'_>],
        found: &Found,
        order: Option<&Order>,
    ) -> Result<usize, Error> {
        let mut numbers = Numbers::new(&self.ledger, self.publisher.is_test_clock());
        let is_ordered =
            |order: &&Order| walks.iter().any(|walk| walk.ends.front() == Some(&order.end) && walk.key == order.key);
        let who = order.filter(is_ordered).map_or("invoicer", |order| &order.who);
        let mut draft = Draft::new(who, "close", self.publisher.log_time());
        let mut effects = Vec::new();
        for walk in walks.iter_mut() {
            let Some(end) = walk.ends.pop_front() else { continue };
            let chain = state.chains.entry(walk.key.clone()).or_default();
            let Some(situation) = self.situation(desk, walk, chain, found, end).await? else {
                chain.waiting.insert(end);
                walk.ends.clear();
                continue;
            };
            // While a bill before it is undecided, what is late may stand on that one.
            if walk.first && situation.is_nothing(chain) {
                effects.push(Numbers::nothing_late(&mut draft, chain, &walk.key)?);
                continue;
            }
            let asked = order.filter(|order| order.key == walk.key && order.end == end);
            let decision = situation.decide(desk, chain, walk.now, walk.first, asked);
            if let Some(report) = decision.report(&walk.key, &mut state.reported) {
                tracing::error!(bill = walk.key.bill_id(end), "{report}");
            }
            match &decision.account {
                Some(account) => walk.account.clone_from(account),
                None => walk.ends.clear(),
            }
            walk.first &= matches!(decision.bill.status, Status::Issued | Status::Skipped);
            effects.extend(numbers.write(&mut draft, desk, walk.customer, chain, &walk.key, decision, walk.now).await?);
        }
        numbers.finish(&mut draft)?;
        let written = draft.len();
        self.ledger.commit(draft).await?;
        for effect in effects {
            state.apply(&effect, desk);
        }
        Ok(written)
    }

    /// What a bill is decided on; none while it waits for manifests.
    async fn situation(
        &self,
        desk: &Desk,
        walk: &Walk<'_>,
        chain: &Chain,
        found: &Found,
        end: Instant,
    ) -> Result<Option<Situation>, Error> {
        let mut usage = UsageByPeriod::new();
        let test = self.publisher.is_test_clock();
        let mut situation = Situation::new(&walk.key, end, &walk.parts, &walk.account, test);
        for key in walk.periods(Some(chain)) {
            let is_part =
                walk.parts.iter().any(|part| part.period.start == key.start && part.subscription == key.subscription);
            if let Some(reason) = found.damaged.get(&key) {
                situation.difference = Some(verify::unreadable(&key, reason));
                return Ok(Some(situation));
            }
            let Some((manifest, sums)) = found.manifests.get(&key) else {
                if is_part {
                    return Ok(None);
                }
                continue;
            };
            if let Some(difference) =
                verify::difference(self.charges.as_ref(), desk, &walk.customer.subscriptions, manifest, sums).await?
            {
                situation.difference = Some(difference);
                return Ok(Some(situation));
            }
            situation.take(manifest, is_part);
            usage.insert((key.subscription, key.start), verify::usage(&manifest.entries));
        }
        match walk.prepare(desk, end, &usage) {
            Err(bill::Error::NoUsage { .. }) => Ok(None),
            prepared => {
                situation.prepared = Some(prepared);
                Ok(Some(situation))
            }
        }
    }
}

/// The chains of these customers in which something is due.
fn walks<'a>(state: &mut State, desk: &'a Desk, accounts: &[Account], reached: &Reached) -> Vec<Walk<'a>> {
    let mut walks = Vec::new();
    for account in accounts {
        let (tenant, id) = account;
        let Some(customer) = desk.customers.get(id) else { continue };
        let now = reached.of(account);
        for currency in desk.currencies(customer) {
            let key = Key { tenant: tenant.clone(), customer: id.clone(), currency };
            let chain = state.chains.entry(key.clone()).or_default();
            chain.waiting.clear();
            let ends = due_ends(desk, customer, &key, chain, now.minus(desk.terms.grace), now);
            walks.push(Walk::new(key, customer, chain, now, ends));
        }
    }
    walks
}

/// The ends of all bills that are due and not issued: those of periods that ended at `until` or before, and those without
/// a period of their own that can be made at `now`.
pub(super) fn due_ends(
    desk: &Desk,
    customer: &Customer,
    key: &Key,
    chain: &Chain,
    until: Instant,
    now: Instant,
) -> BTreeSet<Instant> {
    let scheduled = bill::schedule(&customer.subscriptions, &desk.plans, chain.stored.account.end, until);
    let scheduled = scheduled.unwrap_or_else(|error| {
        tracing::error!(account = key.account_id(), %error, "no bill can be scheduled");
        Vec::new()
    });
    let mut ends: BTreeSet<Instant> =
        scheduled.into_iter().filter(|due| due.currency == key.currency).map(|due| due.end).collect();
    ends.extend(chain.open.keys());
    // A bill that comes before brings the opening along.
    let first = ends.first().copied().unwrap_or(Instant::MAX);
    let opening = late::opening(desk, customer, key, chain).filter(|end| *end < first);
    ends.extend(opening.filter(|end| end.plus(desk.terms.grace) <= now));
    if ends.is_empty() {
        let last = late::final_moment(desk, customer, key, chain);
        ends.extend(last.filter(|(_, when)| *when <= now).map(|(end, _)| end));
    }
    ends
}

// === impl Walk ===

impl<'a> Walk<'a> {
    pub(super) fn new(
        key: Key,
        customer: &'a Customer,
        chain: &Chain,
        now: Instant,
        ends: impl IntoIterator<Item = Instant>,
    ) -> Self {
        let (ends, account) = (ends.into_iter().collect(), chain.stored.account.clone());
        Self { key, customer, now, ends, account, first: true, parts: Vec::new() }
    }

    /// Finds out what the next bill settles.
    pub(super) fn find_parts(&mut self, desk: &Desk) {
        let Some(end) = self.ends.front() else { return };
        match bill::parts(&self.customer.subscriptions, &desk.plans, self.key.due(*end), &self.account) {
            Ok(parts) => self.parts = parts,
            Err(error) => {
                tracing::error!(bill = self.key.bill_id(*end), %error, "the bill cannot be scheduled");
                self.ends.clear();
            }
        }
    }

    /// The periods whose totals the next bill is made from: its parts, and what is late.
    pub(super) fn periods(&self, chain: Option<&Chain>) -> BTreeSet<PeriodKey> {
        let of = |subscription: &SubscriptionId, start: Instant| PeriodKey {
            customer: self.key.customer.clone(),
            subscription: subscription.clone(),
            start,
        };
        let late = chain.into_iter().flat_map(|chain| chain.stored.late.keys());
        let parts = self.parts.iter().map(|part| of(&part.subscription, part.period.start));
        parts.chain(late.map(|(subscription, start)| of(subscription, *start))).collect()
    }

    /// Makes the bill that ends at `end`.
    pub(super) fn prepare(
        &self,
        desk: &Desk,
        end: Instant,
        usage: &UsageByPeriod,
    ) -> Result<bill::Prepared, bill::Error> {
        bill::prepare(&bill::Request {
            end,
            currency: self.key.currency,
            party: &self.customer.party,
            subscriptions: &self.customer.subscriptions,
            plans: &desk.plans,
            taxes: &desk.taxes,
            credits: &self.customer.credits,
            rounding: desk.terms.rounding,
            usage,
            account: &self.account,
        })
    }
}

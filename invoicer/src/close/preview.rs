//! Preview: the bills as they would be, with what was used so far. They are those of a walk, made as far as the present day:
//! of what the store holds now, whatever the fold has said in manifests.

use super::chain::{Chain, Key, StoredAccount};
use super::decide::is_empty;
use super::desk::{Customer, Desk};
use super::levels::Running;
use super::walk::{UsageByPeriod, Walk, due_ends};
use super::{Closer, Error, levels, verify};
use crate::ledger::{Filter, Status, StoredBill};
use pricing::bill::{self, Usage};
use pricing::currency::Currency;
use pricing::id::{CustomerId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::collections::BTreeSet;
use storage::charges::{Charge, PeriodKey};

// === impl Closer ===

impl Closer {
    /// The documents of all of a customer's bills that are not issued: those that are made again after a void, those of
    /// periods that ended, then one for each end of a period that runs at log time, which is settled in full with its usage
    /// so far, levels up to log time. Late usage of periods that were billed stands on the first of them, or else on a final
    /// one. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Bill`] for an unknown customer, or a bill that cannot be prepared.
    pub async fn preview(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<String>, Error> {
        let desk = crate::ledger::desk_of(&self.ledger, tenant, customer).await?;
        let Some(known) = desk.customers.get(customer) else {
            return Err(Error::Bill { reason: format!("there is no customer '{customer}'") });
        };
        let now = self.publisher.log_time();
        let mut documents = self.made_again(tenant, customer).await?;
        for currency in desk.currencies(known) {
            let key = Key { tenant: tenant.clone(), customer: customer.clone(), currency };
            let stored = self.ledger.get::<StoredAccount>(Some(tenant), &key.account_id()).await?;
            let stored = stored.map(|stored| stored.value).unwrap_or_default();
            let mut chain = Chain { stored, ..Chain::default() };
            let late = self.expect_late(&desk, known, tenant, &mut chain, now).await?;
            let running = ends(&desk, known, currency, now);
            let mut due = due_ends(&desk, known, &key, &chain, now, Instant::MAX);
            if let Some(first) = running.first() {
                // What has no period of its own comes along where a bill comes before.
                due.retain(|end| *end <= now || end < first);
            }
            let bills = due.into_iter().map(|end| (end, known.clone()));
            let bills = bills.chain(running.iter().map(|end| (*end, runs_to(known, *end, now))));
            for (end, customer) in bills.collect::<Vec<_>>() {
                let mut walk = Walk::new(key.clone(), &customer, &chain, now, [end]);
                walk.find_parts(&desk);
                let mut keys = walk.periods(Some(&chain));
                keys.retain(|key| !late.contains_key(&(key.subscription.clone(), key.start)));
                let mut usage = self.usage_so_far(&desk, &customer, tenant, keys, now).await?;
                usage.extend(late.clone());
                let prepared = walk.prepare(&desk, end, &usage).map_err(|error| Error::preview(&error))?;
                if !is_empty(&prepared.bill) {
                    let seller = desk.seller(&prepared.bill).map(|seller| &seller.is);
                    documents.push(bill::document(&prepared.bill, seller, bill::Status::Draft, false));
                }
                chain.stored.account = prepared.account;
            }
        }
        Ok(documents)
    }

    /// Documents of bills that are made again although later ones are issued: they are apart from their chains.
    async fn made_again(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<String>, Error> {
        let mut documents = Vec::new();
        for status in Status::OPEN {
            let tags = [("customer", customer.as_str()), ("status", status.word())];
            let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let open = self.ledger.all::<StoredBill>(Some(tenant), &Filter { tags, ..Filter::default() }).await?;
            let again = open.into_iter().filter(|bill| bill.value.again.is_some());
            documents.extend(again.filter_map(|bill| bill.value.document));
        }
        Ok(documents)
    }

    /// Takes those of the remembered periods for late that differ from what they were settled from: manifests tell of it
    /// only hourly. Returns what was used in them.
    async fn expect_late(
        &self,
        desk: &Desk,
        customer: &Customer,
        tenant: &TenantId,
        chain: &mut Chain,
        now: Instant,
    ) -> Result<UsageByPeriod, Error> {
        let StoredAccount { account, late, .. } = &mut chain.stored;
        let keys = account.remembered().map(|(subscription, start)| PeriodKey {
            customer: customer.party.id.clone(),
            subscription: subscription.clone(),
            start,
        });
        let mut usage = self.usage_so_far(desk, customer, tenant, keys.collect(), now).await?;
        usage.retain(|(subscription, start), usage| account.differs(subscription, *start, usage));
        for (subscription, start) in usage.keys() {
            let end = account.settled_end(subscription, *start);
            late.extend(end.map(|end| ((subscription.clone(), *start), end)));
        }
        Ok(usage)
    }

    /// What the store holds of these periods, with what a close at `now` would add to it.
    async fn usage_so_far(
        &self,
        desk: &Desk,
        customer: &Customer,
        tenant: &TenantId,
        keys: BTreeSet<PeriodKey>,
        now: Instant,
    ) -> Result<UsageByPeriod, Error> {
        let mut usage = UsageByPeriod::new();
        if keys.is_empty() {
            return Ok(usage);
        }
        let charges = self.charges.as_ref();
        let running = levels::running(charges, tenant, (desk, customer), keys.iter().cloned(), now).await?;
        let keys: Vec<PeriodKey> = keys.into_iter().collect();
        let sums = charges.sums(tenant, &keys).await?;
        for (key, sums) in keys.into_iter().zip(sums) {
            let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription);
            let term = subscription.and_then(|subscription| subscription.term_at(key.start));
            let plan = term.and_then(|term| desk.plans.get(&term.plan)).map(AsRef::as_ref);
            let sums = verify::merged(verify::Curves::of(plan, &customer.subscriptions, &key), sums)?;
            let mut used = verify::usage(&sums);
            if let Some(period) = running.iter().find(|period| period.key == key) {
                let settled = period.settled(charges, tenant, now).await?;
                settle(&mut used, period, settled).map_err(|error| Error::preview(&error.into()))?;
            }
            usage.insert((key.subscription, key.start), used);
        }
        Ok(usage)
    }
}

/// Puts what a period's levels come to in place of what was read of them; their prices have no table.
fn settle(usage: &mut Usage, period: &Running<'_>, settled: Vec<Charge>) -> Result<(), pricing::number::Error> {
    for sum in usage.0.iter_mut().filter(|sum| period.weighs(&sum.price)) {
        (sum.quantity, sum.amount) = (Quantity::ZERO, Amount::ZERO);
    }
    for charge in settled {
        let (price, group, row) = (charge.price, charge.group, 0);
        let at = usage.0.binary_search_by(|sum| (&sum.price, &sum.group, sum.row).cmp(&(&price, &group, row)));
        let at = at.unwrap_or_else(|at| {
            let (count, quantity, amount) = (0, Quantity::ZERO, Amount::ZERO);
            usage.0.insert(at, bill::Sum { price, group, row, count, quantity, amount });
            at
        });
        let Some(sum) = usage.0.get_mut(at) else { continue };
        (sum.quantity, sum.amount) = (sum.quantity.add(charge.quantity)?, sum.amount.add(charge.amount)?);
    }
    Ok(())
}

/// The ends of the periods that run now.
fn ends(desk: &Desk, customer: &Customer, currency: Currency, now: Instant) -> BTreeSet<Instant> {
    let end_of = |subscription: &Subscription| {
        let (period, term, _) = subscription.period_at(now)?;
        (subscription.is_billed(period.start) && desk.currency(&term.plan) == Some(currency)).then_some(period.end)
    };
    customer.subscriptions.iter().filter_map(end_of).collect()
}

/// A customer with the subscriptions that are over, whose late usage may stand on the bill, and those whose period runs to
/// `end` or further. The others have bills before it.
fn runs_to(customer: &Customer, end: Instant, now: Instant) -> Customer {
    let is_on_it = |subscription: &&Subscription| match subscription.period_at(now) {
        Some((period, ..)) => period.end >= end,
        // What begins with the bill's end pays its fee in advance on it.
        None => subscription.until().is_some_and(|until| until <= now) || subscription.from() == Some(end),
    };
    Customer { subscriptions: customer.subscriptions.iter().filter(is_on_it).cloned().collect(), ..customer.clone() }
}

// === impl Error ===

impl Error {
    fn preview(error: &bill::Error) -> Self {
        Self::Bill { reason: format!("the preview cannot be made: {error}") }
    }
}

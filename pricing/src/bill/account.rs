//! What a chain of bills remembers from one to the next.

use super::settle::{Advance, Sums, Taxed, Taxes};
use super::{CreditUse, Usage};
use crate::id::{CreditId, DiscountId, SubscriptionId};
use crate::number::{self, Amount};
use crate::period::Period;
use crate::time::Instant;
use std::collections::BTreeMap;

/// A customer's account in one currency: what the next bill must know of the ones before. JSON; the same fold gives the
/// same text. [`Account::forget`] keeps it small.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Account {
    /// When the last bill ended; none before the first.
    pub end: Option<Instant>,
    /// Exact minus printed over all bills: always less than one minor unit either side of zero.
    pub residue: Amount,
    /// The end of each subscription's last settled period.
    pub(crate) billed: BTreeMap<SubscriptionId, Instant>,
    /// What periods were settled at, by start: what late usage is compared with.
    pub(crate) settled: BTreeMap<SubscriptionId, BTreeMap<Instant, Settled>>,
    /// Fees billed in advance whose cycle may still change.
    pub(crate) advances: BTreeMap<SubscriptionId, Vec<Advance>>,
    /// What periods spent towards a commitment, by start.
    pub(crate) spend: BTreeMap<SubscriptionId, BTreeMap<Instant, Spend>>,
    /// What was taken off credits.
    pub(crate) credits: BTreeMap<CreditId, Amount>,
}

/// What a period was settled at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Settled {
    /// The period's end.
    pub(crate) end: Instant,
    /// The taxes then in force.
    pub(crate) taxes: Taxes,
    /// What its fees in advance used up of discounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) used: BTreeMap<DiscountId, Amount>,
    /// Its main part by tax, adjustments included, the true-up left out.
    pub(crate) sums: Sums,
    /// The true-up of a commitment, if one stood on its bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) true_up: Option<TrueUp>,
    /// Of the usage that it was settled from.
    pub(crate) digest: String,
}

/// The true-up of a commitment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct TrueUp {
    /// What it is for.
    pub(crate) cycle: Period,
    /// The minimum spend.
    pub(crate) committed: Amount,
    /// What was billed, adjustments included.
    pub(crate) amount: Amount,
    /// How it is taxed.
    pub(crate) taxed: Taxed,
}

/// What one period spent towards a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Spend {
    /// When the commitment's cycle ends.
    pub(crate) until: Instant,
    /// Before tax, discounts taken off.
    pub(crate) amount: Amount,
}

impl TrueUp {
    /// What is missing up to the minimum spend.
    pub(crate) fn missing(&self, spent: Amount) -> Result<Amount, number::Error> {
        Ok(self.committed.sub(spent)?.max(Amount::ZERO))
    }
}

impl Account {
    /// Drops what only late usage of periods that ended at or before `before` would ask for: give the moment up to which
    /// the rater has let go of periods. Never drops what the next bills need.
    #[must_use]
    pub fn forget(mut self, before: Instant) -> Self {
        let Some(end) = self.end else { return self };
        let before = before.min(end);
        for settled in self.settled.values_mut() {
            settled.retain(|_, settled| settled.end > before);
        }
        for advances in self.advances.values_mut() {
            advances.retain(|advance| advance.until > before);
        }
        for spend in self.spend.values_mut() {
            spend.retain(|_, spend| spend.until > before);
        }
        self.settled.retain(|_, settled| !settled.is_empty());
        self.advances.retain(|_, advances| !advances.is_empty());
        self.spend.retain(|_, spend| !spend.is_empty());
        self
    }

    /// The same with the rounding and the credits of another one: what the chain as a whole has come to, whichever of its
    /// bills is made again.
    #[must_use]
    pub fn with_sums_of(self, other: &Self) -> Self {
        Self { residue: other.residue, credits: other.credits.clone(), ..self }
    }

    /// Takes an issued bill's part of the rounding and of the credits back, as its credit note gives it back.
    ///
    /// # Errors
    /// [`number::Error::Overflow`] for sums that no bill can have had.
    pub fn take_back(&mut self, residue: Amount, credits: &[CreditUse]) -> Result<(), number::Error> {
        self.residue = self.residue.sub(residue)?;
        for back in credits {
            let spent = self.credits.entry(back.id.clone()).or_default();
            *spent = spent.add(back.used)?.max(Amount::ZERO);
        }
        self.credits.retain(|_, spent| !spent.is_zero());
        Ok(())
    }

    /// The end of a period that was settled, as long as it is remembered.
    pub fn settled_end(&self, subscription: &SubscriptionId, start: Instant) -> Option<Instant> {
        Some(self.settled.get(subscription)?.get(&start)?.end)
    }

    /// Whether a settled period's usage is another than it was settled from: the next bill settles it again.
    pub fn differs(&self, subscription: &SubscriptionId, start: Instant, usage: &Usage) -> bool {
        let settled = self.settled.get(subscription).and_then(|all| all.get(&start));
        settled.is_some_and(|settled| settled.digest != usage.digest())
    }

    /// What was taken off a credit.
    pub fn used(&self, credit: &CreditId) -> Amount {
        self.credits.get(credit).copied().unwrap_or_default()
    }

    /// The settled periods that it remembers: whose, and their starts.
    pub fn remembered(&self) -> impl Iterator<Item = (&SubscriptionId, Instant)> {
        self.settled.iter().flat_map(|(subscription, all)| all.keys().map(move |start| (subscription, *start)))
    }

    /// What the periods that start in a cycle spent.
    pub(crate) fn spent(&self, subscription: &SubscriptionId, cycle: Period) -> Result<Amount, number::Error> {
        let periods = self.spend.get(subscription).into_iter().flatten();
        Amount::sum(periods.filter(|(start, _)| cycle.contains(**start)).map(|(_, spend)| spend.amount))
    }

    /// What the fees in advance of the period that starts here used up of discounts, and what they come to.
    pub(crate) fn in_advance(
        &self,
        subscription: &SubscriptionId,
        start: Instant,
    ) -> Result<(BTreeMap<DiscountId, Amount>, Amount), number::Error> {
        let (mut used, mut net) = (BTreeMap::<DiscountId, Amount>::new(), Amount::ZERO);
        let advances = self.advances.get(subscription).into_iter().flatten();
        for advance in advances.filter(|advance| advance.period.start == start) {
            net = net.add(advance.net()?)?;
            for (discount, off) in &advance.discounts {
                let sum = used.entry(discount.clone()).or_default();
                *sum = sum.add(*off)?;
            }
        }
        Ok((used, net))
    }
}

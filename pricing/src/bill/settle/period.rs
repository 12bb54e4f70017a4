//! The main part of a period: all that stands on the bill that ends with it, but for the true-up of a commitment.

use super::advance::fee_text;
use super::draft::{Draft, Stage, said};
use super::{Cycle, Scope, Sums, Taxed, Usage, discount};
use crate::bill::{Error, Kind};
use crate::id::DiscountId;
use crate::number::{self, Amount};
use crate::plan::When;
use std::collections::BTreeMap;

/// A period's main part, settled.
#[derive(Clone, Debug)]
pub(crate) struct Main {
    /// Its lines.
    pub(crate) drafts: Vec<Draft>,
    /// Their sums by tax.
    pub(crate) sums: Sums,
}

impl Scope<'_> {
    /// Settles usage and fees in arrears: discounts on a price, minimums, discounts on the whole, of which `used` was
    /// taken off the period's fees in advance. In a trial usage alone, and 100 % off.
    pub(crate) fn main(&self, usage: &Usage, used: &BTreeMap<DiscountId, Amount>) -> Result<Main, Error> {
        self.know(usage)?;
        let mut drafts = if self.term.trial { Vec::new() } else { self.fees_in_arrears()? };
        for (index, price) in self.plan.prices.iter().enumerate() {
            drafts.extend(self.price(index, price, &usage.0)?);
        }
        let mut sums = sums(&drafts)?;
        let off = if self.term.trial { self.trial(&sums) } else { self.discounts(&sums, used)? };
        for draft in &off {
            sums.add(&draft.taxed(), draft.line.amount_exact)?;
        }
        drafts.extend(off);
        Ok(Main { drafts, sums })
    }

    /// The plan must have every price that was charged.
    fn know(&self, usage: &Usage) -> Result<(), Error> {
        let unknown = usage.0.iter().find(|sum| !self.plan.prices.iter().any(|price| price.id == sum.price));
        unknown.map_or(Ok(()), |sum| {
            Err(Error::UnknownPrice {
                subscription: self.subscription.id.clone(),
                plan: self.plan.plan.id.clone(),
                version: self.plan.plan.version,
                price: sum.price.clone(),
            })
        })
    }

    fn fees_in_arrears(&self) -> Result<Vec<Draft>, Error> {
        let mut drafts = Vec::new();
        for (index, fee) in self.plan.fees.iter().enumerate() {
            if fee.when != When::Arrears || fee.amount.is_zero() {
                continue;
            }
            let Some(cycle) = Cycle::at(self.subscription, fee.every, self.period.start)? else { continue };
            if cycle.part.end != self.period.end {
                continue;
            }
            let share = cycle.share();
            let amount = fee.amount.scale_by(i128::from(share.elapsed), i128::from(share.full))?;
            let taxed = self.taxes.get(fee.tax.as_ref(), self.plan);
            let description = fee_text(fee, cycle, self);
            let stage = Stage::Fee(index);
            let draft = Draft::new(Kind::Fee, stage, &self.subscription.id, &taxed, description, amount);
            drafts.push(draft.once());
        }
        Ok(drafts)
    }

    fn trial(&self, sums: &Sums) -> Vec<Draft> {
        let charged = sums.0.iter().filter(|(_, amount)| !amount.is_zero());
        charged.map(|(taxed, amount)| self.off(0, taxed, "trial, 100% off".to_owned(), *amount)).collect()
    }

    fn discounts(&self, sums: &Sums, used: &BTreeMap<DiscountId, Amount>) -> Result<Vec<Draft>, number::Error> {
        let amounts: Vec<Amount> = sums.0.values().copied().collect();
        let taken = discount::take(&self.plan.discounts, &amounts, used)?;
        let mut drafts = Vec::new();
        for ((index, discount), off) in self.plan.discounts.iter().enumerate().zip(taken) {
            for (taxed, off) in sums.0.keys().zip(off).filter(|(_, off)| !off.is_zero()) {
                drafts.push(self.off(index, taxed, said(discount.id.as_str(), discount.off, self.plan.currency), off));
            }
        }
        Ok(drafts)
    }

    fn off(&self, index: usize, taxed: &Taxed, description: String, off: Amount) -> Draft {
        let stage = Stage::Discount(index);
        Draft::new(Kind::Discount, stage, &self.subscription.id, taxed, description, off.neg())
    }
}

/// Lines added up by tax.
fn sums(drafts: &[Draft]) -> Result<Sums, number::Error> {
    let mut sums = Sums::default();
    for draft in drafts {
        sums.add(&draft.taxed(), draft.line.amount_exact)?;
    }
    Ok(sums)
}

//! Fees in advance: what is billed when a cycle starts, and what is put right when it ends elsewhere than was thought.

use super::draft::{Draft, Stage, dates};
use super::period::Scope;
use super::usage::said;
use super::{Cycle, Taxed, discount};
use crate::bill::{Error, Kind};
use crate::id::{DiscountId, FeeId};
use crate::number::{self, Amount};
use crate::period::Period;
use crate::plan::{Discount, Fee, PlanRef, PlanVersion, When};
use crate::subscription::Subscription;
use crate::time::Instant;
use std::collections::BTreeMap;

/// A fee that was billed in advance.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Advance {
    /// Of which plan.
    #[serde(flatten)]
    pub(crate) plan: PlanRef,
    /// Which fee.
    pub(crate) fee: FeeId,
    /// What it was billed for.
    pub(crate) period: Period,
    /// When its full cycle ends: until then `period` may still turn out shorter or longer.
    pub(crate) until: Instant,
    /// What was billed, discounts not taken off.
    pub(crate) amount: Amount,
    /// What the discounts on the whole took off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) discounts: BTreeMap<DiscountId, Amount>,
    /// How it is taxed.
    pub(crate) taxed: Taxed,
}

impl Advance {
    /// What is paid for it before tax.
    pub(crate) fn net(&self) -> Result<Amount, number::Error> {
        self.amount.sub(Amount::sum(self.discounts.values().copied())?)
    }
}

/// The fees in advance whose cycle starts with the scope's period and that have not been `billed` yet, with their lines.
pub(crate) fn advances_at(scope: &Scope<'_>, billed: &[Advance]) -> Result<(Vec<Advance>, Vec<Draft>), Error> {
    let (mut advances, mut drafts) = (Vec::new(), Vec::new());
    let start = scope.period.start;
    if scope.term.trial {
        return Ok((advances, drafts));
    }
    for (index, fee) in scope.plan.fees.iter().enumerate() {
        let known = |advance: &Advance| advance.fee == fee.id && advance.period.start == start;
        if fee.when != When::Advance || fee.amount.is_zero() || billed.iter().any(known) {
            continue;
        }
        let Some(cycle) = Cycle::at(scope.subscription, fee.every, start)? else { continue };
        if cycle.part.start != start {
            continue;
        }
        let (amount, taxed) = (due(fee, cycle)?, scope.taxes.get(fee.tax.as_ref(), scope.plan));
        let description = format!("{}, {}", fee.id, dates(cycle.part, &scope.term.grid.zone));
        let id = &scope.subscription.id;
        drafts.push(Draft::new(Kind::Fee, Stage::Fee(index), id, &taxed, description, amount).once());
        let discounts = BTreeMap::new();
        let (plan, fee) = (scope.plan.plan.clone(), fee.id.clone());
        advances.push(Advance { plan, fee, period: cycle.part, until: cycle.full.end, amount, discounts, taxed });
    }
    drafts.extend(discounted(scope, &mut advances)?);
    Ok((advances, drafts))
}

/// Takes the discounts on the whole off fees in advance.
fn discounted(scope: &Scope<'_>, advances: &mut [Advance]) -> Result<Vec<Draft>, Error> {
    let amounts: Vec<Amount> = advances.iter().map(|advance| advance.amount).collect();
    let taken = discount::take(&scope.plan.discounts, &amounts, &BTreeMap::new())?;
    let mut drafts = Vec::new();
    for ((index, discount), off) in scope.plan.discounts.iter().enumerate().zip(taken) {
        for (advance, off) in advances.iter_mut().zip(off).filter(|(_, off)| !off.is_zero()) {
            advance.discounts.insert(discount.id.clone(), off);
            drafts.push(discount_draft(scope.subscription, index, discount, &advance.taxed, off));
        }
    }
    Ok(drafts)
}

fn discount_draft(subscription: &Subscription, index: usize, discount: &Discount, taxed: &Taxed, off: Amount) -> Draft {
    let description = said(discount.id.as_str(), discount.off);
    Draft::new(Kind::Discount, Stage::Discount(index), &subscription.id, taxed, description, off.neg())
}

fn due(fee: &Fee, cycle: Cycle) -> Result<Amount, number::Error> {
    let share = cycle.share();
    fee.amount.scale_by(i128::from(share.elapsed), i128::from(share.full))
}

/// Where a cycle that was billed in advance has ended by `end`, but elsewhere than was thought: the lines that put it
/// right, first of all the credit for its unused part.
pub(crate) fn correct(
    subscription: &Subscription,
    plan: &PlanVersion,
    advance: &mut Advance,
    end: Instant,
) -> Result<Vec<Draft>, Error> {
    let mut drafts = Vec::new();
    let start = advance.period.start;
    let fee = plan.fees.iter().enumerate().find(|(_, fee)| fee.id == advance.fee);
    let Some(((index, fee), term)) = fee.zip(subscription.term_at(start)) else { return Ok(drafts) };
    let Some(cycle) = Cycle::at(subscription, fee.every, start)? else { return Ok(drafts) };
    if cycle.part.end == advance.period.end || cycle.part.end > end {
        return Ok(drafts);
    }
    let amount = due(fee, cycle)?;
    let difference = amount.sub(advance.amount)?;
    let (kind, word, from, until) = if difference.is_negative() {
        (Kind::Credit, "unused ", cycle.part.end, advance.period.end)
    } else {
        (Kind::Fee, "", advance.period.end, cycle.part.end)
    };
    let description = format!("{}, {word}{}", fee.id, dates(Period { start: from, end: until }, &term.grid.zone));
    let draft = Draft::new(kind, Stage::Fee(index), &subscription.id, &advance.taxed, description, difference);
    drafts.push(draft.once());
    for (index, discount) in plan.discounts.iter().enumerate() {
        let Some(off) = advance.discounts.get_mut(&discount.id) else { continue };
        let kept = off.scale_by(amount.raw(), advance.amount.raw())?;
        let more = kept.sub(*off)?;
        *off = kept;
        drafts.push(discount_draft(subscription, index, discount, &advance.taxed, more));
    }
    (advance.amount, advance.period) = (amount, cycle.part);
    Ok(drafts)
}

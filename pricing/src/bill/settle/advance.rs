//! Fees in advance: what is billed when a cycle starts, and what is put right when it ends elsewhere than was thought.

use super::draft::{Draft, Stage, part_of, said};
use super::{Cycle, Scope, Taxed, discount};
use crate::bill::{Error, Kind};
use crate::currency::Currency;
use crate::id::{DiscountId, FeeId};
use crate::number::{self, Amount};
use crate::period::{Period, Share};
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

/// How far two sums may lie apart, in 10⁻²⁴, of which each was rounded once.
const ROUNDED_TWICE: i128 = 2;

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
        let description = fee_text(fee, cycle, scope);
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
            drafts.push(discount_draft(
                scope.subscription,
                scope.plan.currency,
                (index, discount),
                &advance.taxed,
                off,
            ));
        }
    }
    Ok(drafts)
}

fn discount_draft(
    subscription: &Subscription,
    currency: Currency,
    (index, discount): (usize, &Discount),
    taxed: &Taxed,
    off: Amount,
) -> Draft {
    let description = said(discount.id.as_str(), discount.off, currency);
    Draft::new(Kind::Discount, Stage::Discount(index), &subscription.id, taxed, description, off.neg())
}

/// A fee's name and dates; of a short cycle also what it is a part of.
pub(super) fn fee_text(fee: &Fee, cycle: Cycle, scope: &Scope<'_>) -> String {
    let (dates, share) = (scope.term.grid.zone.stretch(cycle.part), cycle.share());
    let part = if share.is_full() { String::new() } else { part_of(share, scope.plan.currency.exact_text(fee.amount)) };
    [fee.id.as_str(), &dates, &part].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
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
    let stretch = Period { start: from, end: until };
    let mut description = format!("{}, {word}{}", fee.id, term.grid.zone.stretch(stretch));
    let share = Share::of(stretch, cycle.full);
    let shown = fee.amount.scale_by(i128::from(share.elapsed), i128::from(share.full))?;
    // Not where the full cycle is another than the one that was billed: then no share of it says the sum.
    if shown.sub(difference.max(difference.neg()))?.raw().abs() <= ROUNDED_TWICE {
        description.push_str(&format!(", {}", part_of(share, plan.currency.exact_text(fee.amount))));
    }
    let draft = Draft::new(kind, Stage::Fee(index), &subscription.id, &advance.taxed, description, difference);
    drafts.push(draft.once());
    for (index, discount) in plan.discounts.iter().enumerate() {
        let Some(off) = advance.discounts.get_mut(&discount.id) else { continue };
        let kept = off.scale_by(amount.raw(), advance.amount.raw())?;
        let more = kept.sub(*off)?;
        *off = kept;
        drafts.push(discount_draft(subscription, plan.currency, (index, discount), &advance.taxed, more));
    }
    (advance.amount, advance.period) = (amount, cycle.part);
    Ok(drafts)
}

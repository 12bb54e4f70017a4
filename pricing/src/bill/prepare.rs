//! The fold: one request, one bill.
//!
//! Each subscription settles alone: fees billed in advance are put right, then period by period the main part and the
//! true-up, then the fees in advance of the period that begins. Then the bill as a whole: adjustments, promotional
//! credits, rounding, tax, prepaid money.

use super::account::{Settled, Spend, TrueUp};
use super::schedule::{Due, parts, plan_of};
use super::settle::{Cycle, Draft, Main, Scope, Stage, Taxes, advances_at, correct, part_of};
use super::{Account, Bill, Error, Kind, Prepared, Request, Usage, credit, round};
use crate::currency::Rounding;
use crate::id::{SellerId, SubscriptionId};
use crate::number::{self, Amount, grouped};
use crate::period::{Period, Share};
use crate::plan::PlanVersion;
use crate::subscription::{Subscription, Term};
use std::collections::BTreeMap;

/// Makes the bill of `request.end`: a pure function of the request.
///
/// # Errors
/// [`Error`] says what is missing or does not agree.
pub fn prepare(request: &Request<'_>) -> Result<Prepared, Error> {
    if let Some(billed) = request.account.end.filter(|billed| request.end <= *billed) {
        return Err(Error::OutOfOrder { end: request.end, billed });
    }
    let due = Due { end: request.end, currency: request.currency };
    let mut periods = BTreeMap::<SubscriptionId, Vec<Period>>::new();
    for part in parts(request.subscriptions, request.plans, due, request.account)? {
        periods.entry(part.subscription).or_default().push(part.period);
    }
    let start = periods.values().flatten().map(|period| period.start).min().unwrap_or(request.end);
    let span = Period { start, end: request.end };
    let mut fold = Fold { request, span, account: request.account.clone(), drafts: Vec::new(), seller: None };
    let mut subscriptions: Vec<&Subscription> = request.subscriptions.iter().collect();
    subscriptions.sort_by_key(|subscription| &subscription.id);
    for subscription in &subscriptions {
        let own = periods.get(&subscription.id).map_or(&[][..], Vec::as_slice);
        let mut drafts = fold.subscription(subscription, own)?;
        drafts.sort_by_key(|draft| draft.stage);
        fold.drafts.extend(joined(drafts)?);
    }
    for subscription in &subscriptions {
        fold.adjust(subscription)?;
    }
    fold.drafts.extend(credit::promotional(request, &fold.drafts, &mut fold.account.credits)?);
    fold.finish()
}

/// A bill in the making.
pub(super) struct Fold<'a> {
    pub(super) request: &'a Request<'a>,
    /// From the earliest start of the periods that it settles to its end.
    span: Period,
    pub(super) account: Account,
    pub(super) drafts: Vec<Draft>,
    /// Who sells what is on it; none as long as nobody was named.
    seller: Option<SellerId>,
}

impl<'a> Fold<'a> {
    fn subscription(&mut self, subscription: &'a Subscription, periods: &[Period]) -> Result<Vec<Draft>, Error> {
        let mut drafts = Vec::new();
        for period in periods {
            // Almost always billed already; not where the subscription came late.
            drafts.extend(self.in_advance(subscription, *period)?);
        }
        let (corrections, mut corrected) = self.corrections(subscription, periods)?;
        drafts.extend(corrections);
        for (index, period) in periods.iter().enumerate() {
            let last = index + 1 == periods.len();
            let more = if last { std::mem::take(&mut corrected) } else { Amount::ZERO };
            drafts.extend(self.period(subscription, *period, more)?);
        }
        // The one that begins here; or one that runs, where the subscription came after the bill that ended at its start.
        if let Some((period, _, _)) = subscription.period_at(self.request.end) {
            drafts.extend(self.in_advance(subscription, period)?);
        }
        Ok(drafts)
    }

    /// The term and plan of a period, if it is billed, and in this bill's currency.
    pub(super) fn terms(
        &self,
        subscription: &'a Subscription,
        period: Period,
    ) -> Result<Option<(&'a Term, &'a PlanVersion, Share)>, Error> {
        let Some((_, term, share)) = subscription.period_starting(period.start) else { return Ok(None) };
        let plan = plan_of(subscription, term, self.request.plans)?;
        let ours = plan.currency == self.request.currency && subscription.is_billed(period.start);
        Ok(ours.then_some((term, plan, share)))
    }

    /// Something of this plan stands on the bill: all of it has one seller.
    pub(super) fn sold_by(&mut self, plan: &PlanVersion) -> Result<(), Error> {
        let Some(seller) = plan.seller.as_ref().or(self.request.party.seller.as_ref()) else { return Ok(()) };
        let one = self.seller.get_or_insert_with(|| seller.clone());
        if one == seller {
            return Ok(());
        }
        Err(Error::TwoSellers { one: one.clone(), other: seller.clone() })
    }

    /// Bills the fees in advance of the period, once.
    fn in_advance(&mut self, subscription: &'a Subscription, period: Period) -> Result<Vec<Draft>, Error> {
        let Some((term, plan, share)) = self.terms(subscription, period)? else { return Ok(Vec::new()) };
        let taxes = &Taxes::of(self.request.party, plan, self.request.taxes)?;
        let scope = Scope { subscription, term, plan, period, share, taxes };
        let billed = self.account.advances.get(&subscription.id).map_or(&[][..], Vec::as_slice);
        let (advances, drafts) = advances_at(&scope, billed)?;
        if !advances.is_empty() {
            self.sold_by(plan)?;
            self.account.advances.entry(subscription.id.clone()).or_default().extend(advances);
        }
        Ok(drafts)
    }

    /// Puts cycles right that were billed in advance and ended elsewhere: the lines, and what those of cycles that began
    /// with none of these `periods` add to the last one's spend. The others count in the spend of the period that they
    /// began with, as they are then.
    fn corrections(&mut self, subscription: &Subscription, periods: &[Period]) -> Result<(Vec<Draft>, Amount), Error> {
        let (mut drafts, mut elsewhere, mut put_right) = (Vec::new(), Amount::ZERO, Vec::new());
        let request = self.request;
        for advance in self.account.advances.get_mut(&subscription.id).into_iter().flatten() {
            let Some(plan) = request.plans.get(&advance.plan) else { continue };
            let before = advance.net()?;
            let lines = correct(subscription, plan, advance, request.end)?;
            put_right.extend((!lines.is_empty()).then_some(plan));
            drafts.extend(lines);
            if !periods.iter().any(|period| period.start == advance.period.start) {
                elsewhere = elsewhere.add(advance.net()?.sub(before)?)?;
            }
        }
        put_right.into_iter().try_for_each(|plan| self.sold_by(plan))?;
        Ok((drafts, elsewhere))
    }

    /// Settles a period for the first time. `corrected` is what corrections of fees in advance add to its spend.
    fn period(
        &mut self,
        subscription: &'a Subscription,
        period: Period,
        corrected: Amount,
    ) -> Result<Vec<Draft>, Error> {
        let Some((term, plan, share)) = self.terms(subscription, period)? else { return Ok(Vec::new()) };
        self.sold_by(plan)?;
        let taxes = Taxes::of(self.request.party, plan, self.request.taxes)?;
        let scope = Scope { subscription, term, plan, period, share, taxes: &taxes };
        let key = (subscription.id.clone(), period.start);
        let usage: &Usage = self
            .request
            .usage
            .get(&key)
            .ok_or_else(|| Error::NoUsage { subscription: key.0.clone(), start: period.start })?;
        let (used, advance) = self.account.in_advance(&subscription.id, period.start)?;
        let Main { mut drafts, sums } = scope.main(usage, &used)?;
        let spend = sums.total()?.add(advance)?.add(corrected)?;
        if period != self.span {
            // Among lines of other periods each says its own.
            let of_one = drafts.iter_mut().filter(|draft| draft.line.period.is_some());
            of_one.for_each(|draft| draft.line.description.push_str(&format!(", {}", term.grid.zone.stretch(period))));
        }
        let (true_up, minimum) = self.true_up(&scope, spend)?.unzip();
        if let Some((due, minimum)) = true_up.as_ref().zip(minimum).filter(|(due, _)| !due.amount.is_zero()) {
            let text = format!("up to the minimum spend of {minimum}, {}", term.grid.zone.stretch(due.cycle));
            let stage = Stage::Commitment;
            drafts.push(Draft::new(Kind::Commitment, stage, &subscription.id, &due.taxed, text, due.amount));
        }
        let settled = Settled { end: period.end, taxes: taxes.clone(), used, sums, true_up, digest: usage.digest() };
        self.account.settled.entry(key.0.clone()).or_default().insert(period.start, settled);
        self.account.billed.insert(key.0, period.end);
        Ok(drafts)
    }

    /// Counts what the period spent, and where the commitment's cycle ends with it, what is missing; and the minimum spend
    /// in words.
    fn true_up(&mut self, scope: &Scope<'_>, spend: Amount) -> Result<Option<(TrueUp, String)>, Error> {
        let Some(commitment) = scope.plan.commitment.as_ref().filter(|_| !scope.term.trial) else { return Ok(None) };
        let Some(cycle) = Cycle::at(scope.subscription, commitment.every, scope.period.start)? else { return Ok(None) };
        let id = &scope.subscription.id;
        let spend = Spend { until: cycle.full.end, amount: spend };
        self.account.spend.entry(id.clone()).or_default().insert(scope.period.start, spend);
        if cycle.part.end != scope.period.end {
            return Ok(None);
        }
        let share = cycle.share();
        let committed = commitment.amount.scale_by(i128::from(share.elapsed), i128::from(share.full))?;
        let taxed = scope.taxes.get(None, scope.plan);
        let mut due = TrueUp { cycle: cycle.part, committed, amount: Amount::ZERO, taxed };
        let spent = self.account.spent(id, cycle.part)?;
        due.amount = due.missing(spent)?;
        let currency = scope.plan.currency;
        // What is missing has its exact amount; what was spent is told as money is printed.
        let spent = grouped(&currency.text(currency.round(spent, Rounding::HalfAway)?));
        let minimum = part_of(share, currency.exact_text(commitment.amount));
        Ok(Some((due, format!("{minimum} ({spent} spent)"))))
    }

    fn finish(mut self) -> Result<Prepared, Error> {
        let Request { end, currency, party, .. } = *self.request;
        let rounded = round::round(currency, self.request.rounding, self.account.residue, self.drafts)?;
        let (prepaid, total) = credit::prepaid(self.request, rounded.total, &mut self.account.credits)?;
        self.account.residue = rounded.account;
        self.account.end = Some(end);
        let zero = rounded.total.0 == 0 && rounded.lines.iter().all(|line| line.amount.0 == 0);
        let bill = Bill {
            id: format!("{}/{currency}/{end}", party.id),
            party: party.clone(),
            seller: self.seller.or_else(|| party.seller.clone()),
            currency,
            period: self.span,
            lines: rounded.lines,
            net_exact: rounded.net_exact,
            net: rounded.net,
            rounding_residue: rounded.residue,
            taxes: rounded.taxes,
            total: rounded.total,
            prepaid,
            due: total,
            credits: credit::uses(self.request, &self.request.account.credits, &self.account.credits)?,
            zero,
        };
        Ok(Prepared { bill, account: self.account })
    }
}

/// Discounts on the whole that meet on one bill (the period's own and those of fees in advance) are one line a tax.
fn joined(drafts: Vec<Draft>) -> Result<Vec<Draft>, number::Error> {
    let mut joined = Vec::<Draft>::with_capacity(drafts.len());
    for draft in drafts {
        let same = |other: &&mut Draft| {
            matches!(draft.stage, Stage::Discount(_))
                && other.stage == draft.stage
                && other.line.description == draft.line.description
                && other.taxed() == draft.taxed()
        };
        match joined.iter_mut().find(same) {
            Some(other) => other.line.amount_exact = other.line.amount_exact.add(draft.line.amount_exact)?,
            None => joined.push(draft),
        }
    }
    Ok(joined)
}

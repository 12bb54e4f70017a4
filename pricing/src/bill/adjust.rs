//! Late usage: a period settled before settles again, by its own plan version and taxes, and the exact difference is an
//! adjustment.

use super::prepare::Fold;
use super::schedule::plan_of;
use super::settle::{Draft, Scope, Stage, Sums};
use super::{Error, Kind, Usage};
use crate::number;
use crate::period::Period;
use crate::subscription::Subscription;
use crate::time::Instant;
use std::collections::BTreeMap;

impl<'a> Fold<'a> {
    /// Adds the adjustments of one subscription, period by period and tax by tax.
    pub(super) fn adjust(&mut self, subscription: &'a Subscription) -> Result<(), Error> {
        let mut differences = BTreeMap::<Instant, Sums>::new();
        let usage = self.request.usage;
        let known: Vec<Instant> =
            self.account.settled.get(&subscription.id).map(|all| all.keys().copied().collect()).unwrap_or_default();
        for start in known {
            let Some(usage) = usage.get(&(subscription.id.clone(), start)) else { continue };
            if let Some(difference) = self.again(subscription, start, usage)? {
                differences.insert(start, difference);
            }
        }
        if !differences.is_empty() {
            self.true_ups(subscription, &mut differences)?;
        }
        for (start, difference) in differences {
            let Some((period, term, _)) = subscription.period_starting(start) else { continue };
            if difference.0.values().any(|amount| !amount.is_zero()) {
                self.sold_by(plan_of(subscription, term, self.request.plans)?)?;
            }
            for (taxed, amount) in difference.0.iter().filter(|(_, amount)| !amount.is_zero()) {
                let text = format!("late usage, {}", term.grid.zone.stretch(period));
                let stage = Stage::Commitment;
                let mut draft = Draft::new(Kind::Adjustment, stage, &subscription.id, taxed, text, *amount);
                draft.line.period = Some(period);
                self.drafts.push(draft);
            }
        }
        Ok(())
    }

    /// Settles a period again; its differences by tax, none where its usage is what it was.
    fn again(&mut self, subscription: &'a Subscription, start: Instant, usage: &Usage) -> Result<Option<Sums>, Error> {
        let digest = usage.digest();
        let before = self.account.settled.get(&subscription.id).and_then(|settled| settled.get(&start));
        let Some(before) = before.filter(|settled| settled.digest != digest).cloned() else { return Ok(None) };
        let period = Period { start, end: before.end };
        let Some((term, plan, share)) = self.terms(subscription, period)? else { return Ok(None) };
        let scope = Scope { subscription, term, plan, period, share, taxes: &before.taxes };
        let after = scope.main(usage, &before.used)?.sums;
        let mut difference = after.clone();
        for (taxed, amount) in &before.sums.0 {
            difference.add(taxed, amount.neg())?;
        }
        let spent = difference.total()?;
        if let Some(spend) = self.account.spend.get_mut(&subscription.id).and_then(|spend| spend.get_mut(&start)) {
            spend.amount = spend.amount.add(spent)?;
        }
        if let Some(settled) = self.account.settled.get_mut(&subscription.id).and_then(|all| all.get_mut(&start)) {
            (settled.sums, settled.digest) = (after, digest);
        }
        Ok(Some(difference))
    }

    /// What was spent late changes what was missing of a commitment, on the bill of the cycle's last period.
    fn true_ups(
        &mut self,
        subscription: &Subscription,
        differences: &mut BTreeMap<Instant, Sums>,
    ) -> Result<(), number::Error> {
        let mut changes = Vec::new();
        for (start, settled) in self.account.settled.get(&subscription.id).into_iter().flatten() {
            let Some(due) = &settled.true_up else { continue };
            let missing = due.missing(self.account.spent(&subscription.id, due.cycle)?)?;
            if missing != due.amount {
                changes.push((*start, missing, due.taxed.clone(), missing.sub(due.amount)?));
            }
        }
        for (start, missing, taxed, change) in changes {
            differences.entry(start).or_default().add(&taxed, change)?;
            let settled = self.account.settled.get_mut(&subscription.id).and_then(|all| all.get_mut(&start));
            if let Some(due) = settled.and_then(|settled| settled.true_up.as_mut()) {
                due.amount = missing;
            }
        }
        Ok(())
    }
}

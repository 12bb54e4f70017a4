//! What was used under one price: a line for each part of F, its discounts, its minimum.

use super::draft::{Draft, Stage, part_of, said};
use super::{Scope, Sum, discount};
use crate::bill::{Error, Kind};
use crate::curve::{self, Curve, Part};
use crate::number::{self, Amount, Quantity, grouped};
use crate::plan::Price;
use crate::price::{self, Settled, Terms};
use std::collections::BTreeMap;

impl Scope<'_> {
    /// The lines of one price: its usage, and outside of trials its discounts and what its minimum adds.
    pub(super) fn price(&self, index: usize, price: &Price, sums: &[Sum]) -> Result<Vec<Draft>, Error> {
        let terms = Terms::new(price, self.term.overrides.get(&price.id), self.share)?;
        let own: Vec<&Sum> = sums.iter().filter(|sum| sum.price == price.id).collect();
        let settled = terms
            .settle(own.iter().map(|sum| price::Usage {
                group: &sum.group,
                row: sum.row,
                quantity: sum.quantity,
                amount: sum.amount,
            }))
            .map_err(|source| Error::Price {
                subscription: self.subscription.id.clone(),
                start: self.period.start,
                price: price.id.clone(),
                source,
            })?;
        let mut drafts = Vec::new();
        for scope in &settled {
            self.agree(price, scope)?;
            let ours = |sum: &&&Sum| scope.group.as_ref().is_none_or(|group| sum.group == *group);
            let events = own.iter().filter(ours).map(|sum| sum.count).sum();
            for part in &scope.parts {
                drafts.push(self.part(index, price, &terms, (scope, events), part)?);
            }
        }
        if !self.term.trial {
            let mut amount = Amount::sum(drafts.iter().map(|draft| draft.line.amount_exact))?;
            amount = self.price_discounts(index, price, amount, &mut drafts)?;
            self.price_minimum(index, price, &terms, amount, &mut drafts)?;
        }
        Ok(drafts)
    }

    /// The charges must be what the quantities cost.
    fn agree(&self, price: &Price, scope: &Settled) -> Result<(), Error> {
        if scope.amount == scope.charged {
            return Ok(());
        }
        Err(Error::Mismatch {
            subscription: self.subscription.id.clone(),
            start: self.period.start,
            price: price.id.clone(),
            quantity: scope.quantity,
            charged: scope.charged,
            priced: scope.amount,
        })
    }

    fn price_draft(&self, kind: Kind, index: usize, price: &Price, description: String, amount: Amount) -> Draft {
        let taxed = self.taxes.get(price.tax.as_ref(), self.plan);
        let mut draft = Draft::new(kind, Stage::Price(index), &self.subscription.id, &taxed, description, amount);
        draft.line.price = Some(price.id.clone());
        draft.line.meter = Some(price.meter.clone());
        draft.line.period = Some(self.period);
        draft
    }

    fn part(
        &self,
        index: usize,
        price: &Price,
        terms: &Terms<'_>,
        (scope, events): (&Settled, u64),
        part: &Part,
    ) -> Result<Draft, number::Error> {
        let mut description = price.id.to_string();
        if let Some(group) = scope.group.as_ref().filter(|group| !group.is_empty()) {
            description.push_str(&format!(" ({group})"));
        }
        if let Some(detail) = self.detail(price, terms, events, part) {
            description.push_str(&format!(": {detail}"));
        }
        let mut draft = self.price_draft(Kind::Usage, index, price, description, part.amount);
        draft.line.group = scope.group.clone().filter(|group| !group.is_empty());
        draft.line.tier = (has_tiers(terms.curve) && part.tier > 0).then_some(part.tier);
        let Some(each) = part.each else { return Ok(draft.once()) };
        draft.line.quantity = Some(part.quantity);
        draft.line.each = Some(Quantity::ONE.times(each)?);
        draft.line.per = Some(part.per).filter(|per| *per != Quantity::ONE);
        if matches!(part.kind, curve::Kind::Units | curve::Kind::Included) {
            draft.line.measure = price.measure.clone();
        }
        Ok(draft)
    }

    /// What a line says beside the price's name; nothing where quantity and price say it all.
    fn detail(&self, price: &Price, terms: &Terms<'_>, events: u64, part: &Part) -> Option<String> {
        let (tier, money) = (part.tier, |amount| self.plan.currency.exact_text(amount));
        let number = |quantity: Quantity| grouped(&quantity.to_string());
        match (part.kind, terms.curve) {
            (curve::Kind::Included, _) => {
                Some(format!("included, up to {}", part_of(self.share, number(price.included))))
            }
            (curve::Kind::Flat, _) => Some(format!("flat of tier {tier}")),
            (curve::Kind::Packages, Curve::Package { size, amount }) => {
                let plural = if part.quantity == Quantity::ONE { "" } else { "s" };
                let (count, size) = (number(part.quantity), number(*size));
                Some(format!("{count} package{plural} of up to {size} at {}", money(*amount)))
            }
            (curve::Kind::Units, Curve::Dimensional { .. }) => Some(row(terms.curve, tier)),
            (curve::Kind::Units | curve::Kind::Packages, curve) => has_tiers(curve).then(|| format!("tier {tier}")),
            (curve::Kind::Whole, curve) => {
                let used = format!("{} used", number(part.quantity));
                Some(match (curve, price.cap) {
                    (_, Some(cap)) if terms.limits.cap == Some(part.amount) && part.amount.is_positive() => {
                        format!("{used}, capped at {}", part_of(self.share, money(cap)))
                    }
                    (Curve::Stairstep(_), _) => format!("{used}, step {tier}"),
                    (Curve::Percentage { .. }, _) => format!("{used} in {}", self.percentage(curve, events)),
                    (Curve::Dimensional { .. }, _) => format!("{}, {used}", row(curve, tier)),
                    _ => used,
                })
            }
        }
    }

    /// What each event pays: `15 events at 2.9% + 0.30 each, at least 0.50, at most 20.00`.
    fn percentage(&self, curve: &Curve, events: u64) -> String {
        let Curve::Percentage { rate, fixed, min, max } = curve else { return String::new() };
        let money = |amount: &Amount| self.plan.currency.exact_text(*amount);
        let plural = if events == 1 { "" } else { "s" };
        let events = grouped(&events.to_string());
        let mut text = format!("{events} event{plural} at {}", rate.percent());
        if !fixed.is_zero() {
            text.push_str(&format!(" + {} each", money(fixed)));
        }
        for (word, bound) in [("least", min), ("most", max)] {
            if let Some(bound) = bound {
                text.push_str(&format!(", at {word} {}", money(bound)));
            }
        }
        text
    }

    fn price_discounts(
        &self,
        index: usize,
        price: &Price,
        amount: Amount,
        drafts: &mut Vec<Draft>,
    ) -> Result<Amount, number::Error> {
        let mut left = amount;
        let taken = discount::take(&price.discounts, &[amount], &BTreeMap::new())?;
        for (discount, off) in price.discounts.iter().zip(taken) {
            let off = Amount::sum(off)?;
            if off.is_zero() {
                continue;
            }
            left = left.sub(off)?;
            let said = said(discount.id.as_str(), discount.off, self.plan.currency);
            let description = format!("{}: {said}", price.id);
            drafts.push(self.price_draft(Kind::Discount, index, price, description, off.neg()));
        }
        Ok(left)
    }

    fn price_minimum(
        &self,
        index: usize,
        price: &Price,
        terms: &Terms<'_>,
        amount: Amount,
        drafts: &mut Vec<Draft>,
    ) -> Result<(), number::Error> {
        let Some(minimum) = terms.limits.minimum.filter(|minimum| *minimum > amount) else { return Ok(()) };
        let whole = self.plan.currency.exact_text(price.minimum.unwrap_or(minimum));
        let description = format!("{}: up to the minimum of {}", price.id, part_of(self.share, whole));
        drafts.push(self.price_draft(Kind::Minimum, index, price, description, minimum.sub(amount)?));
        Ok(())
    }
}

const fn has_tiers(curve: &Curve) -> bool {
    !matches!(curve, Curve::PerUnit(_) | Curve::Package { .. } | Curve::Percentage { .. })
}

/// The row of a table in words: `model=large, region=eu`.
fn row(curve: &Curve, row: u32) -> String {
    let Curve::Dimensional { by, rows, .. } = curve else { return format!("row {row}") };
    let index = usize::try_from(row).unwrap_or(usize::MAX).wrapping_sub(1);
    match rows.get(index) {
        Some(row) => {
            let pairs: Vec<_> = by.iter().zip(&row.is).map(|(name, value)| format!("{name}={value}")).collect();
            pairs.join(", ")
        }
        None => "all others".to_owned(),
    }
}

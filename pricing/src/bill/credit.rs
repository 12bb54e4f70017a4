//! Credits: promotional ones before tax, prepaid money after it; those that expire first are used first.

use super::settle::{Draft, Stage, Sums, Taxed, spread};
use super::{Credit, CreditKind, CreditUse, Kind, Line, Request};
use crate::id::CreditId;
use crate::number::{self, Amount, Minor};
use std::collections::BTreeMap;

/// Takes promotional credits off what the bill comes to, over its taxes in proportion.
pub(super) fn promotional(
    request: &Request<'_>,
    drafts: &[Draft],
    used: &mut BTreeMap<CreditId, Amount>,
) -> Result<Vec<Draft>, number::Error> {
    let mut sums = Sums::default();
    for draft in drafts {
        sums.add(&draft.taxed(), draft.line.amount_exact)?;
    }
    let mut lines = Vec::new();
    for credit in usable(request, CreditKind::Promotional) {
        let left: Vec<Amount> = sums.0.values().map(|sum| (*sum).max(Amount::ZERO)).collect();
        // Where some taxes come to less than nothing, only what the bill as a whole comes to is taken.
        let there = Amount::sum(left.iter().copied())?.min(sums.total()?).max(Amount::ZERO);
        let spent = used.entry(credit.id.clone()).or_default();
        let off = credit.amount.sub(*spent)?.max(Amount::ZERO).min(there);
        if off.is_zero() {
            continue;
        }
        *spent = spent.add(off)?;
        let taxes: Vec<Taxed> = sums.0.keys().cloned().collect();
        for (taxed, off) in taxes.iter().zip(spread(off, &left)?).filter(|(_, off)| !off.is_zero()) {
            sums.add(taxed, off.neg())?;
            lines.push(line(credit, taxed, off));
        }
    }
    used.retain(|_, spent| !spent.is_zero());
    Ok(lines)
}

/// Takes prepaid money off the total: what was taken, and what is left to pay.
pub(super) fn prepaid(
    request: &Request<'_>,
    total: Minor,
    used: &mut BTreeMap<CreditId, Amount>,
) -> Result<(Minor, Minor), number::Error> {
    let mut due = total;
    for credit in usable(request, CreditKind::Prepaid) {
        let spent = used.get(&credit.id).copied().unwrap_or_default();
        let there = request.currency.round(credit.amount.sub(spent)?, crate::currency::Rounding::Down)?;
        let off = Minor(there.0.min(due.0).max(0));
        if off.0 > 0 {
            used.insert(credit.id.clone(), spent.add(request.currency.exact(off)?)?);
            due = Minor(due.0.saturating_sub(off.0));
        }
    }
    Ok((Minor(total.0.saturating_sub(due.0)), due))
}

/// What the bill takes of each credit that counts on it, and what it leaves; `before` is what was taken before it.
pub(super) fn uses(
    request: &Request<'_>,
    before: &BTreeMap<CreditId, Amount>,
    after: &BTreeMap<CreditId, Amount>,
) -> Result<Vec<CreditUse>, number::Error> {
    let mut uses = Vec::new();
    for credit in [CreditKind::Promotional, CreditKind::Prepaid].iter().flat_map(|kind| usable(request, *kind)) {
        let taken = |used: &BTreeMap<CreditId, Amount>| used.get(&credit.id).copied().unwrap_or_default();
        let (used, left) = (taken(after).sub(taken(before))?, credit.amount.sub(taken(after))?.max(Amount::ZERO));
        if !used.is_zero() || !left.is_zero() {
            uses.push(CreditUse { id: credit.id.clone(), kind: credit.kind, used, left: Some(left) });
        }
    }
    Ok(uses)
}

/// Those that count on this bill, in the order of their use.
fn usable<'a>(request: &Request<'a>, kind: CreditKind) -> Vec<&'a Credit> {
    let counts = |credit: &&Credit| {
        credit.kind == kind
            && credit.currency == request.currency
            && credit.expires.is_none_or(|expires| request.end <= expires)
    };
    let mut credits: Vec<&Credit> = request.credits.iter().filter(counts).collect();
    credits.sort_by_key(|credit| (credit.expires.is_none(), credit.expires, &credit.id));
    credits
}

fn line(credit: &Credit, taxed: &Taxed, off: Amount) -> Draft {
    let line = Line::plain(Kind::Credit, format!("credit {}", credit.id), off.neg(), taxed.tax.clone());
    Draft { stage: Stage::Commitment, included: taxed.included, line }
}

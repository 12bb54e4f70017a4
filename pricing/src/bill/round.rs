//! Rounding and tax: from exact lines to a printed document whose parts add up.
//!
//! | step | |
//! |---|---|
//! | the sum | the exact sum of all lines is rounded once, by the mode |
//! | the lines | floor each, then one minor unit each to the largest remainders, the earlier line first |
//! | the account | exact − printed is added to it; a whole minor unit in it comes out as a line of its own |
//! | tax | once for each category and rate, on the printed lines that fall under it, half away from zero |
//! | tax included | all of the above holds for amounts with tax; then tax = printed × r ÷ (1 + r), and the lines share out what is left, exact and printed, in proportion |

use super::settle::{Draft, Taxed, spread};
use super::{Kind, Line, Tax, TaxTotal};
use crate::currency::{Currency, Rounding};
use crate::number::{self, Amount, Minor, Rate};
use std::collections::BTreeMap;

/// A bill's sums and lines as printed.
pub(super) struct Rounded {
    pub(super) lines: Vec<Line>,
    pub(super) net_exact: Amount,
    pub(super) net: Minor,
    pub(super) residue: Amount,
    pub(super) taxes: Vec<TaxTotal>,
    pub(super) total: Minor,
    /// The account, this bill counted.
    pub(super) account: Amount,
}

const TOO_LARGE: number::Error = number::Error::Overflow { what: "amount", limit: "64 bits of minor units" };

/// Rounds drafts to a document. `account` is what the bills before left.
pub(super) fn round(
    currency: Currency,
    rounding: Rounding,
    account: Amount,
    drafts: Vec<Draft>,
) -> Result<Rounded, number::Error> {
    let exact: Vec<Amount> = drafts.iter().map(|draft| draft.line.amount_exact).collect();
    let sum = Amount::sum(exact.iter().copied())?;
    let printed = currency.round(sum, rounding)?;
    let carried = account.add(sum)?.sub(currency.exact(printed)?)?;
    let unit = currency.round(carried, Rounding::Down)?;
    let amounts = printed_lines(currency, &drafts, &exact, printed)?;
    let mut groups = Groups::default();
    let mut lines = Vec::with_capacity(drafts.len() + 1);
    for (draft, amount) in drafts.into_iter().zip(amounts) {
        groups.add(draft.taxed(), lines.len(), draft.line.amount_exact, amount)?;
        lines.push(Line { amount, ..draft.line });
    }
    if unit.0 != 0 {
        let taxed = groups.largest();
        let text = "out of the rounding account".to_owned();
        let line = Line { amount: unit, ..Line::plain(Kind::Rounding, text, Amount::ZERO, taxed.tax.clone()) };
        groups.add(taxed, lines.len(), Amount::ZERO, unit)?;
        lines.push(line);
    }
    let taxes = groups.taxes(currency, &mut lines)?;
    let net_exact = Amount::sum(lines.iter().map(|line| line.amount_exact))?;
    let net = total(lines.iter().map(|line| line.amount))?;
    let residue = net_exact.sub(currency.exact(net)?)?;
    let total = total(taxes.iter().map(|tax| tax.amount).chain([net]))?;
    Ok(Rounded { lines, net_exact, net, residue, taxes, total, account: account.add(residue)? })
}

/// The lines' share of the printed sum. Where amounts hold their tax, each tax gets its share of the sum first, so that
/// what is left of it without tax is within one minor unit, too.
fn printed_lines(
    currency: Currency,
    drafts: &[Draft],
    exact: &[Amount],
    sum: Minor,
) -> Result<Vec<Minor>, number::Error> {
    if drafts.iter().all(|draft| !draft.included) {
        return apportion(currency, exact, sum);
    }
    let mut groups = BTreeMap::<Taxed, (Amount, Vec<usize>)>::new();
    for (index, (draft, amount)) in drafts.iter().zip(exact).enumerate() {
        let group = groups.entry(draft.taxed()).or_default();
        group.0 = group.0.add(*amount)?;
        group.1.push(index);
    }
    let sums: Vec<Amount> = groups.values().map(|group| group.0).collect();
    let mut printed = vec![Minor(0); exact.len()];
    for (sum, (_, lines)) in apportion(currency, &sums, sum)?.into_iter().zip(groups.into_values()) {
        let own: Vec<Amount> = lines.iter().filter_map(|index| exact.get(*index)).copied().collect();
        for (index, part) in lines.into_iter().zip(apportion(currency, &own, sum)?) {
            if let Some(line) = printed.get_mut(index) {
                *line = part;
            }
        }
    }
    Ok(printed)
}

/// Shares printed money out over exact amounts: floor each, then one minor unit each to the largest remainders, the
/// earlier first.
pub(super) fn apportion(currency: Currency, exact: &[Amount], sum: Minor) -> Result<Vec<Minor>, number::Error> {
    let unit = currency.minor_raw();
    let mut parts = Vec::with_capacity(exact.len());
    for amount in exact {
        parts.push(Minor(i64::try_from(amount.raw().div_euclid(unit)).map_err(|_| TOO_LARGE)?));
    }
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(exact.get(*index).map_or(0, |amount| amount.raw().rem_euclid(unit))));
    // The floors fall short of the sum by no more than there are remainders: `each` is zero.
    let short = i128::from(sum.0) - parts.iter().map(|part| i128::from(part.0)).sum::<i128>();
    let count = i128::try_from(parts.len()).map_err(|_| TOO_LARGE)?;
    if count == 0 {
        return Ok(parts);
    }
    let (each, more) = (short.div_euclid(count), short.rem_euclid(count));
    for (rank, index) in order.into_iter().enumerate() {
        let one = i128::from(i128::try_from(rank).is_ok_and(|rank| rank < more));
        if let Some(part) = parts.get_mut(index) {
            part.0 = i64::try_from(i128::from(part.0) + each + one).map_err(|_| TOO_LARGE)?;
        }
    }
    Ok(parts)
}

fn total(parts: impl Iterator<Item = Minor>) -> Result<Minor, number::Error> {
    let sum: i128 = parts.map(|part| i128::from(part.0)).sum();
    i64::try_from(sum).map(Minor).map_err(|_| TOO_LARGE)
}

/// The lines under one tax.
#[derive(Default)]
struct Group {
    lines: Vec<usize>,
    exact: Amount,
    printed: i128,
}

#[derive(Default)]
struct Groups(BTreeMap<Taxed, Group>);

impl Groups {
    fn add(&mut self, taxed: Taxed, line: usize, exact: Amount, printed: Minor) -> Result<(), number::Error> {
        let group = self.0.entry(taxed).or_default();
        group.lines.push(line);
        group.exact = group.exact.add(exact)?;
        group.printed += i128::from(printed.0);
        Ok(())
    }

    /// The tax that most of the bill falls under: a unit out of the rounding account goes with it.
    fn largest(&self) -> Taxed {
        let size = |group: &Group| group.exact.raw().unsigned_abs();
        let largest = self.0.iter().rev().max_by_key(|(_, group)| size(group));
        largest.map(|(taxed, _)| taxed.clone()).unwrap_or_default()
    }

    /// Calculates each tax once; lines that hold it are brought down to their net.
    fn taxes(self, currency: Currency, lines: &mut [Line]) -> Result<Vec<TaxTotal>, number::Error> {
        let mut totals = BTreeMap::<(std::sync::Arc<str>, Rate), (Tax, i128, i128, i128)>::new();
        for (taxed, group) in self.0 {
            let Some(tax) = taxed.tax else { continue };
            let entry = totals.entry((tax.category.clone(), tax.rate)).or_insert((tax.clone(), 0, 0, 0));
            if taxed.included {
                let part = share(group.printed, tax.rate.raw(), Rate::ONE.add(tax.rate)?.raw())?;
                entry.2 += group.printed - part;
                entry.3 += part;
                group.take_out(currency, tax.rate, part, lines)?;
            } else {
                entry.1 += group.printed;
            }
        }
        let minor = |value: i128| i64::try_from(value).map(Minor).map_err(|_| TOO_LARGE);
        totals
            .into_values()
            .map(|(tax, before, within, included)| {
                let amount = minor(share(before, tax.rate.raw(), Rate::ONE.raw())? + included)?;
                Ok(TaxTotal { tax, net: minor(before + within)?, amount })
            })
            .collect()
    }
}

impl Group {
    /// Takes tax out of the lines that hold it.
    fn take_out(&self, currency: Currency, rate: Rate, tax: i128, lines: &mut [Line]) -> Result<(), number::Error> {
        if rate.is_zero() {
            return Ok(());
        }
        let tax_exact = currency.exact(Minor(i64::try_from(tax).map_err(|_| TOO_LARGE)?))?;
        let own: Vec<usize> =
            self.lines.iter().copied().filter(|index| kind_at(lines, *index) != Kind::Rounding).collect();
        let with_tax: Vec<Amount> =
            own.iter().filter_map(|index| lines.get(*index)).map(|line| line.amount_exact).collect();
        let nets = Self::nets(&with_tax, self.exact.sub(tax_exact)?, rate)?;
        let units: i128 = self
            .lines
            .iter()
            .filter(|index| kind_at(lines, **index) == Kind::Rounding)
            .filter_map(|index| lines.get(*index))
            .map(|line| i128::from(line.amount.0))
            .sum();
        let printed = i64::try_from(self.printed - tax - units).map_err(|_| TOO_LARGE)?;
        let amounts = apportion(currency, &nets, Minor(printed))?;
        for ((index, net), amount) in own.into_iter().zip(nets).zip(amounts) {
            if let Some(line) = lines.get_mut(index) {
                line.bring_down(net, amount, rate);
            }
        }
        Ok(())
    }

    /// What each line comes to without tax, `net` in all. What the rounding of the tax leaves is spread by size, so that no
    /// line moves by more than it: lines that nearly cancel each other keep what they are.
    fn nets(with_tax: &[Amount], net: Amount, rate: Rate) -> Result<Vec<Amount>, number::Error> {
        let gross = Rate::ONE.add(rate)?.raw();
        let without = |amount: &Amount| amount.scale_by(Rate::ONE.raw(), gross);
        let mut nets = with_tax.iter().map(without).collect::<Result<Vec<_>, _>>()?;
        let rest = net.sub(Amount::sum(nets.iter().copied())?)?;
        let sizes: Vec<Amount> = with_tax.iter().map(|amount| (*amount).max(amount.neg())).collect();
        for (net, part) in nets.iter_mut().zip(spread(rest, &sizes)?) {
            *net = net.add(part)?;
        }
        // Nothing is left, but where all lines are nothing and have no size.
        let left = net.sub(Amount::sum(nets.iter().copied())?)?;
        if let Some(first) = nets.first_mut() {
            *first = first.add(left)?;
        }
        Ok(nets)
    }
}

fn kind_at(lines: &[Line], index: usize) -> Kind {
    lines.get(index).map_or(Kind::Usage, |line| line.kind)
}

/// `value × numerator ÷ denominator` in minor units, half away from zero; the denominator is above zero.
pub(super) fn share(value: i128, numerator: i128, denominator: i128) -> Result<i128, number::Error> {
    let twice = value.checked_mul(numerator).and_then(|product| product.checked_mul(2)).ok_or(TOO_LARGE)?;
    let away = twice.abs().checked_add(denominator).ok_or(TOO_LARGE)?;
    Ok(away / (2 * denominator) * twice.signum())
}

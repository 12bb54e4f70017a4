//! What the design says, on rationals. Nothing here calls anything that computes in `pricing`: it reads data only.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use pricing::curve::{Curve, Each, Tier};
use pricing::number::{Amount, Quantity, Rate, UnitPrice};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Rational = BigRational;

/// Decimals of an amount.
pub(crate) const MONEY: u32 = 24;
/// Decimals of a quantity.
pub(crate) const UNITS: u32 = 9;

/// One event, with what the oracle needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) value: Quantity,
    pub(crate) group: String,
    pub(crate) model: Option<String>,
}

/// A price in a period.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) curve: &'a Curve,
    pub(crate) included: Rational,
    pub(crate) cap: Option<Rational>,
    pub(crate) per_group: bool,
}

pub(crate) fn raw(raw: i128, decimals: u32) -> Rational {
    Rational::new(BigInt::from(raw), BigInt::from(10).pow(decimals))
}

pub(crate) fn of_quantity(value: Quantity) -> Rational {
    raw(value.raw(), UNITS)
}

pub(crate) fn of_amount(value: Amount) -> Rational {
    raw(value.raw(), MONEY)
}

pub(crate) fn of_price(value: UnitPrice) -> Rational {
    raw(value.raw(), 15)
}

pub(crate) fn of_rate(value: Rate) -> Rational {
    raw(value.raw(), 15)
}

/// Rounds half to even at so many decimals.
pub(crate) fn half_even(value: &Rational, decimals: u32) -> Rational {
    let scale = Rational::from(BigInt::from(10).pow(decimals));
    let scaled = value * &scale;
    let floor = scaled.floor();
    let rest = &scaled - &floor;
    let half = Rational::new(BigInt::one(), BigInt::from(2));
    let odd = !(floor.to_integer() % BigInt::from(2)).is_zero();
    let up = rest > half || (rest == half && odd);
    (if up { floor + Rational::one() } else { floor }) / scale
}

/// Elapsed time against the full period, half to even.
pub(crate) fn scaled(value: &Rational, elapsed: i64, full: i64, decimals: u32) -> Rational {
    half_even(&(value * Rational::new(elapsed.into(), full.into())), decimals)
}

/// "`per` divides `each`; it is applied once for each tier, row and group."
fn priced(units: &Rational, each: Each) -> Rational {
    half_even(&(units * of_price(each.each) / of_quantity(each.per)), MONEY)
}

/// Bounds of each tier: "(up_to of k−1, up_to of k]".
fn bounds(up_to: impl Iterator<Item = Option<Quantity>>) -> Vec<(Rational, Option<Rational>)> {
    let mut lower = Rational::zero();
    up_to
        .map(|bound| {
            let bound = bound.map(of_quantity);
            let tier = (lower.clone(), bound.clone());
            lower = bound.unwrap_or_else(Rational::zero);
            tier
        })
        .collect()
}

/// The tier that holds a quantity above zero, from 0.
fn holding(bounds: &[(Rational, Option<Rational>)], quantity: &Rational) -> usize {
    bounds.iter().position(|(low, high)| quantity > low && high.as_ref().is_none_or(|high| quantity <= high)).unwrap()
}

fn tier_bounds(tiers: &[Tier]) -> Vec<(Rational, Option<Rational>)> {
    bounds(tiers.iter().map(|tier| tier.up_to))
}

/// F(q) of a curve that is a function of q.
pub(crate) fn curve_amount(curve: &Curve, quantity: &Rational) -> Rational {
    if !quantity.is_positive() {
        return Rational::zero();
    }
    match curve {
        Curve::PerUnit(each) => priced(quantity, *each),
        Curve::Graduated(tiers) => tier_bounds(tiers)
            .into_iter()
            .zip(tiers)
            .filter(|((low, _), _)| quantity > low)
            .map(|((low, high), tier)| {
                let top = high.filter(|high| high < quantity).unwrap_or_else(|| quantity.clone());
                priced(&(top - low), tier.each) + of_amount(tier.flat)
            })
            .sum(),
        Curve::Volume(tiers) => {
            let tier = tiers[holding(&tier_bounds(tiers), quantity)];
            priced(quantity, tier.each) + of_amount(tier.flat)
        }
        Curve::Package { size, amount } => (quantity / of_quantity(*size)).ceil() * of_amount(*amount),
        Curve::Stairstep(steps) => {
            of_amount(steps[holding(&bounds(steps.iter().map(|step| step.up_to)), quantity)].amount)
        }
        Curve::Percentage { .. } | Curve::Dimensional { .. } => unreachable!("no function of q"),
    }
}

/// The tier from 1; 1 where nothing is used.
pub(crate) fn curve_tier(curve: &Curve, quantity: &Rational) -> u32 {
    let bounds = match curve {
        Curve::Graduated(tiers) | Curve::Volume(tiers) => tier_bounds(tiers),
        Curve::Stairstep(steps) => bounds(steps.iter().map(|step| step.up_to)),
        _ => return 1,
    };
    if quantity.is_positive() { u32::try_from(holding(&bounds, quantity)).unwrap() + 1 } else { 1 }
}

/// "value × rate + fixed, clamped into [min, max], 0 for a value ≤ 0".
fn percentage(curve: &Curve, value: &Rational) -> Rational {
    let Curve::Percentage { rate, fixed, min, max } = curve else { unreachable!("percentage only") };
    if !value.is_positive() {
        return Rational::zero();
    }
    let mut amount = value * of_rate(*rate) + of_amount(*fixed);
    if let Some(min) = min {
        amount = amount.max(of_amount(*min));
    }
    if let Some(max) = max {
        amount = amount.min(of_amount(*max));
    }
    amount
}

/// The row of the first match, from 1, the default last; none: refused. The tables of the tests look `model` up.
pub(crate) fn row(curve: &Curve, event: &Event) -> Option<u32> {
    let Curve::Dimensional { rows, default, .. } = curve else { return None };
    for (index, row) in rows.iter().enumerate() {
        if event.model.as_deref() == Some(&*row.is[0]) {
            return u32::try_from(index + 1).ok();
        }
    }
    default.and(u32::try_from(rows.len() + 1).ok())
}

/// What each event is worth to `sum` (its value) or `count` (one), for curves that look at single events.
pub(crate) fn worth(aggregate: Aggregate, event: &Event) -> Rational {
    if aggregate == Aggregate::Count { Rational::one() } else { of_quantity(event.value) }
}

pub(crate) use pricing::meter::Aggregate;

/// A meter's quantity over events of one group.
pub(crate) fn meter_quantity(aggregate: Aggregate, events: &[&Event]) -> Rational {
    match aggregate {
        Aggregate::Count => Rational::from(BigInt::from(events.len())),
        Aggregate::Sum => events.iter().map(|event| of_quantity(event.value)).sum(),
        Aggregate::Max => events.iter().map(|event| of_quantity(event.value)).max().unwrap_or_else(Rational::zero),
        Aggregate::Unique => {
            let texts: BTreeSet<_> = events.iter().map(|event| event.value.to_string()).collect();
            Rational::from(BigInt::from(texts.len()))
        }
        Aggregate::Latest => events
            .iter()
            .max_by(|a, b| (a.time, &a.id, &a.source).cmp(&(b.time, &b.id, &b.source)))
            .map_or_else(Rational::zero, |event| of_quantity(event.value)),
        Aggregate::TimeWeighted(_) => unreachable!("levels have an oracle of their own"),
    }
}

/// "q is the sum over the groups".
pub(crate) fn total_quantity(aggregate: Aggregate, events: &[&Event]) -> Rational {
    by_group(events).values().map(|events| meter_quantity(aggregate, events)).sum()
}

pub(crate) fn by_group<'a>(events: &[&'a Event]) -> BTreeMap<String, Vec<&'a Event>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        groups.entry(event.group.clone()).or_default().push(*event);
    }
    groups
}

/// F of a price over events.
pub(crate) fn price_amount(terms: &Terms<'_>, aggregate: Aggregate, events: &[&Event]) -> Rational {
    if !terms.per_group {
        return scope_amount(terms, aggregate, events);
    }
    by_group(events).values().map(|events| scope_amount(terms, aggregate, events)).sum()
}

fn scope_amount(terms: &Terms<'_>, aggregate: Aggregate, events: &[&Event]) -> Rational {
    let amount = match terms.curve {
        Curve::Percentage { .. } => {
            events.iter().map(|event| percentage(terms.curve, &worth(aggregate, event))).sum::<Rational>()
        }
        Curve::Dimensional { rows, default, .. } => {
            let mut units = BTreeMap::<u32, Rational>::new();
            for event in events {
                *units.entry(row(terms.curve, event).unwrap()).or_insert_with(Rational::zero) +=
                    worth(aggregate, event);
            }
            let each = |row: u32| rows.get(row as usize - 1).map_or_else(|| default.unwrap(), |row| row.each);
            let positive = units.into_iter().filter(|(_, units)| units.is_positive());
            positive.map(|(row, units)| priced(&units, each(row))).sum()
        }
        curve => {
            let free = total_quantity(aggregate, events) - &terms.included;
            curve_amount(curve, &free.max(Rational::zero()))
        }
    };
    terms.cap.clone().map_or(amount.clone(), |cap| amount.min(cap))
}

/// Σ level × nanoseconds held inside [from, to) ÷ unit, by looking at every stretch between two times at all.
pub(crate) fn integral(events: &[&Event], from: i64, to: i64, unit: i64) -> Rational {
    let mut times: Vec<i64> = events.iter().map(|event| event.time).filter(|time| (from..to).contains(time)).collect();
    times.extend([from, to]);
    times.sort_unstable();
    let mut sum = Rational::zero();
    for stretch in times.windows(2) {
        let earlier: Vec<_> = events.iter().copied().filter(|event| event.time <= stretch[0]).collect();
        let held = BigInt::from(stretch[1]) - BigInt::from(stretch[0]);
        sum += meter_quantity(Aggregate::Latest, &earlier) * Rational::from(held);
    }
    half_even(&(sum / Rational::from(BigInt::from(unit))), UNITS)
}

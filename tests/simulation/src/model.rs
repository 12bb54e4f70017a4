//! The naive model: what a period costs, computed on rationals from all of its events at once. Slow, plain, and written
//! from the design's text; it shares no code with `pricing`.

use crate::curve::{Curve, Tier};
use crate::terms::Off;
use crate::workload::{Event, Meter, Price};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use std::collections::{BTreeMap, BTreeSet};

/// A period as the model sees it, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// First moment.
    pub start: i64,
    /// First moment after.
    pub end: i64,
    /// Length of the full period that it is a part of.
    pub full: i64,
}

/// Decimal text as a rational; none for what is no number.
pub fn rational(text: &str) -> Option<BigRational> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numerator: BigInt = format!("{whole}{fraction}").parse().ok()?;
    let denominator = BigInt::from(10).pow(u32::try_from(fraction.len()).ok()?);
    Some(BigRational::new(numerator * sign, denominator))
}

fn number(text: &str) -> BigRational {
    rational(text).unwrap_or_default()
}

fn integer(value: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(value.into())
}

/// The nearest multiple of 10^-decimals, a half to the even one.
pub fn half_even(value: &BigRational, decimals: u32) -> BigRational {
    let scale = integer(BigInt::from(10).pow(decimals));
    let scaled = value * &scale;
    let floor = scaled.floor();
    let rest = &scaled - &floor;
    let half = BigRational::new(1.into(), 2.into());
    let is_odd = (floor.to_integer() % 2i32) != BigInt::zero();
    let up = rest > half || (rest == half && is_odd);
    (if up { floor + BigRational::one() } else { floor }) / scale
}

fn amount(value: &BigRational) -> BigRational {
    half_even(value, 24)
}

/// True when every price can read the event: otherwise the whole event is refused.
pub fn is_readable(prices: &[Price], event: &Event) -> bool {
    let reads_value = |price: &Price| price.admits(event) && !matches!(price.meter, Meter::Count | Meter::Unique);
    rational(event.property("value")).is_some() || !prices.iter().any(reads_value)
}

/// What one price costs over a period, by region where it is priced in each: `own` are the period's events that it admits,
/// `all` those of the customer at any time (levels outlive periods).
pub fn cost(price: &Price, period: Period, own: &[&Event], all: &[&Event]) -> BTreeMap<String, BigRational> {
    if !price.per_group {
        let quantity = total(price, period, own, all);
        return BTreeMap::from([(String::new(), cost_of(price, period, own, quantity))]);
    }
    let inside = by_region(own, all);
    let priced = |(region, (own, all)): (String, (Vec<&Event>, Vec<&Event>))| {
        let quantity = quantity(price.meter, period, &own, &all);
        (region, cost_of(price, period, &own, quantity))
    };
    inside.into_iter().map(priced).collect()
}

/// The quantity that a price comes to in a period, over all groups.
pub fn total(price: &Price, period: Period, own: &[&Event], all: &[&Event]) -> BigRational {
    if !price.grouped {
        return quantity(price.meter, period, own, all);
    }
    by_region(own, all).values().map(|(own, all)| quantity(price.meter, period, own, all)).sum()
}

type Sides<'a> = (Vec<&'a Event>, Vec<&'a Event>);

fn by_region<'a>(own: &[&'a Event], all: &[&'a Event]) -> BTreeMap<String, Sides<'a>> {
    let mut inside: BTreeMap<String, Sides<'a>> = BTreeMap::new();
    for event in own {
        inside.entry(event.property("region").to_owned()).or_default().0.push(event);
    }
    for event in all {
        inside.entry(event.property("region").to_owned()).or_default().1.push(event);
    }
    inside
}

/// What is left of a sum once discounts took their parts, one after the other, and never more than was there.
pub fn discounted(discounts: &[Off], sum: BigRational) -> BigRational {
    discounts.iter().fold(sum, |left, off| match off {
        Off::Percent(percent) => left * BigRational::new((100 - i64::from(*percent)).into(), 100.into()),
        Off::Amount(off) => (left - number(off)).max(BigRational::zero()),
    })
}

/// What a sum for a full period comes to over a part of it: a fee, a minimum.
pub fn share_of(text: &str, period: Period) -> BigRational {
    amount(&(number(text) * BigRational::new((period.end - period.start).into(), period.full.into())))
}

fn cost_of(price: &Price, period: Period, own: &[&Event], quantity: BigRational) -> BigRational {
    let share = BigRational::new((period.end - period.start).into(), period.full.into());
    let exact = match &price.curve {
        Curve::Percentage { rate, fixed, min, max } => own
            .iter()
            .map(|event| event_value(price, event))
            .filter(Signed::is_positive)
            .map(|value| (amount(&(value * number(rate))) + number(fixed)).max(number(min)).min(number(max)))
            .sum(),
        Curve::Dimensional { rows, default } => {
            let mut quantities: BTreeMap<usize, BigRational> = BTreeMap::new();
            for event in own {
                let row = rows.iter().position(|(region, ..)| region == event.property("region")).unwrap_or(rows.len());
                *quantities.entry(row).or_default() += event_value(price, event);
            }
            let priced = |(row, q): (&usize, &BigRational)| match rows.get(*row) {
                _ if !q.is_positive() => BigRational::zero(),
                Some((_, each, per)) => amount(&(q * number(each) / integer(*per))),
                None => q * number(default),
            };
            quantities.iter().map(priced).sum()
        }
        curve => {
            let included =
                price.included.map(|included| half_even(&(integer(included) * &share), 9)).unwrap_or_default();
            let q = quantity - included;
            if q.is_positive() { of_quantity(curve, &q) } else { BigRational::zero() }
        }
    };
    match &price.cap {
        Some(cap) => exact.min(amount(&(number(cap) * share))),
        None => exact,
    }
}

fn event_value(price: &Price, event: &Event) -> BigRational {
    if price.meter == Meter::Count { BigRational::one() } else { number(event.property("value")) }
}

fn quantity(meter: Meter, period: Period, own: &[&Event], all: &[&Event]) -> BigRational {
    let values = || own.iter().map(|event| number(event.property("value")));
    let in_time = |events: &[&Event]| -> Vec<Event> {
        let mut events: Vec<Event> = events.iter().map(|event| (*event).clone()).collect();
        events.sort_by(|a, b| (a.time, &a.id, &a.source).cmp(&(b.time, &b.id, &b.source)));
        events
    };
    match meter {
        Meter::Count => integer(own.len()),
        Meter::Sum => values().sum(),
        Meter::Max => values().max().unwrap_or_default(),
        Meter::Unique => integer(own.iter().map(|event| event.property("user")).collect::<BTreeSet<_>>().len()),
        Meter::Latest => in_time(own).last().map(|event| number(event.property("value"))).unwrap_or_default(),
        Meter::TimeWeighted => {
            let events = in_time(all);
            let mut held = BigRational::zero();
            for (at, event) in events.iter().enumerate() {
                let until = events.get(at + 1).map_or(period.end, |next| next.time).min(period.end);
                let from = event.time.max(period.start);
                if until > from {
                    held += number(event.property("value")) * integer(until - from);
                }
            }
            half_even(&(held / integer(3_600_000_000_000i64)), 9)
        }
    }
}

fn of_quantity(curve: &Curve, q: &BigRational) -> BigRational {
    let per_tier = |units: &BigRational, tier: &Tier| amount(&(units * number(&tier.each) / integer(tier.per)));
    match curve {
        Curve::PerUnit { each, per } => amount(&(q * number(each) / integer(*per))),
        Curve::Graduated(tiers) => {
            let mut total = BigRational::zero();
            let mut lower = BigRational::zero();
            for tier in tiers {
                if *q <= lower {
                    break;
                }
                let upper = tier.up_to.map_or_else(|| q.clone(), |up_to| integer(up_to).min(q.clone()));
                total += per_tier(&(&upper - &lower), tier) + number(&tier.flat);
                lower = tier.up_to.map_or_else(|| q.clone(), integer);
            }
            total
        }
        Curve::Volume(tiers) => {
            let holds = |tier: &&Tier| tier.up_to.is_none_or(|up_to| *q <= integer(up_to));
            tiers.iter().find(holds).map(|tier| per_tier(q, tier) + number(&tier.flat)).unwrap_or_default()
        }
        Curve::Package { size, amount } => (q / integer(*size)).ceil() * number(amount),
        Curve::Stairstep(steps) => {
            let holds = |step: &&(Option<u32>, String)| step.0.is_none_or(|up_to| *q <= integer(up_to));
            steps.iter().find(holds).map(|(_, amount)| number(amount)).unwrap_or_default()
        }
        Curve::Percentage { .. } | Curve::Dimensional { .. } => BigRational::zero(),
    }
}

//! Charges sum to what the naive model says, bit for bit.

use super::{Books, Checked, Invariant, broken};
use crate::calendar;
use crate::history::History;
use crate::model::{self, Period};
use crate::workload::{Customer, Event, Meter, Price, Workload};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;
use pricing::group::Group;
use pricing::number::{Amount, Quantity};
use std::collections::{BTreeMap, BTreeSet};
use storage::charges::{Charge, PeriodKey};
use storage::shard::ShardCount;

/// An amount as a rational.
pub(super) fn exact(amount: Amount) -> BigRational {
    BigRational::new(amount.raw().into(), BigInt::from(10).pow(Amount::SCALE))
}

fn quantity(quantity: Quantity) -> BigRational {
    BigRational::new(quantity.raw().into(), BigInt::from(10).pow(Quantity::SCALE))
}

/// Every period of every subscription.
pub(super) fn check(books: &Books, workload: &Workload, history: &History) -> Checked {
    let closed: BTreeSet<(&str, i64)> =
        books.manifests.iter().map(|manifest| (manifest.customer.as_str(), manifest.period.start.nanos())).collect();
    let mut priced: BTreeSet<(&str, i64)> = BTreeSet::new();
    let customers = history.customers(workload);
    for customer in &customers {
        let Some(first) = history.first_billed.get(&customer.id) else { continue };
        let all: Vec<&Event> = history.charged(&customer.id).collect();
        let last = all.iter().map(|event| event.time).max().unwrap_or(*first);
        let closed_to = closed.iter().filter(|(own, _)| *own == customer.id).map(|(_, start)| *start).max();
        for period in calendar::periods(customer, *first, last.max(closed_to.unwrap_or(0)) + 200_000_000_000_000) {
            let is_closed = closed.contains(&(customer.id.as_str(), period.start));
            priced.insert((customer.id.as_str(), period.start));
            let prices = history.prices(workload, customer, period.start);
            one_period(books, &prices, customer, period, is_closed, &all)?;
            if !is_closed {
                levels(books, &prices, customer, period, &all)?;
            }
        }
    }
    for key in books.charges.keys() {
        if !priced.contains(&(key.customer.as_str(), key.start.nanos())) && !books.charges[key].is_empty() {
            let open = calendar_end(workload, history, key);
            if open {
                continue;
            }
            return Err(broken(Invariant::Mon1, format!("charges stand in a period that is none: {key:?}")));
        }
    }
    Ok(())
}

/// Whether the key is a period that the customer has.
fn calendar_end(workload: &Workload, history: &History, key: &PeriodKey) -> bool {
    let customers = history.customers(workload);
    customers
        .iter()
        .find(|customer| customer.id == key.customer.as_str())
        .and_then(|customer| calendar::period(customer, key.start.nanos()))
        .is_some_and(|period| period.start == key.start.nanos())
}

fn one_period(
    books: &Books,
    prices: &[Price],
    customer: &Customer,
    period: Period,
    is_closed: bool,
    all: &[&Event],
) -> Checked {
    let inside: Vec<&Event> =
        all.iter().copied().filter(|event| event.time >= period.start && event.time < period.end).collect();
    let rows: Vec<&Charge> = books
        .charges
        .iter()
        .filter(|(key, _)| key.customer.as_str() == customer.id && key.start.nanos() == period.start)
        .flat_map(|(_, charges)| charges)
        .collect();
    for price in prices {
        // A level is settled at the close.
        if price.meter == Meter::TimeWeighted && !is_closed {
            continue;
        }
        let own: Vec<&Charge> = rows.iter().copied().filter(|row| row.price.as_str() == price.id).collect();
        one_price(price, customer, period, &own, &inside, all)?;
    }
    Ok(())
}

/// The rows of a period that runs tell its levels: up to log time they weigh what the model says.
fn levels(books: &Books, prices: &[Price], customer: &Customer, period: Period, all: &[&Event]) -> Checked {
    let now = log_time(books, customer)?;
    if period.start >= now {
        return Ok(());
    }
    let so_far = Period { end: period.end.min(now), ..period };
    for price in prices.iter().filter(|price| price.meter == Meter::TimeWeighted) {
        // In the order in which the store lists them: of rows at one place the newest counts.
        let mut groups: BTreeMap<&Group, BTreeMap<(i64, &str, &str), BigRational>> = BTreeMap::new();
        let keys = books.charges.iter();
        let keys = keys.filter(|(key, _)| key.customer.as_str() == customer.id && key.start.nanos() == period.start);
        for row in keys.flat_map(|(_, rows)| rows).filter(|row| row.price.as_str() == price.id) {
            if let Some(level) = row.level {
                let place = (row.time.nanos(), row.id.as_str(), row.source.as_str());
                groups.entry(&row.group).or_default().insert(place, quantity(level));
            }
        }
        let found: BigRational = groups.values().map(|levels| weighed(levels, so_far)).sum();
        let admitted: Vec<&Event> = all.iter().copied().filter(|event| price.admits(event)).collect();
        let inside: Vec<&Event> =
            admitted.iter().copied().filter(|event| event.time >= so_far.start && event.time < so_far.end).collect();
        let expected = model::total(price, so_far, &inside, &admitted);
        if found != expected {
            let start = pricing::time::Instant::from_nanos(period.start);
            let what = format!(
                "customer {}, period {start}, price {price:?}: up to {now} the rows' levels weigh {found}, the model's \
                 {expected}",
                customer.id
            );
            return Err(broken(Invariant::Mon1, what));
        }
    }
    Ok(())
}

/// Log time as the store has it for a customer.
fn log_time(books: &Books, customer: &Customer) -> Result<i64, super::Broken> {
    let shards = u16::try_from(books.log.len()).ok().and_then(ShardCount::new);
    let shard = shards.map(|shards| Ok(shards.of(&super::tenant()?, customer.id.as_bytes()))).transpose()?;
    let boundary = shard.and_then(|shard| books.boundaries.get(&shard.0));
    Ok(boundary.map_or(i64::MIN, |boundary| boundary.log_time.nanos()))
}

fn weighed(levels: &BTreeMap<(i64, &str, &str), BigRational>, period: Period) -> BigRational {
    let mut held = BigRational::zero();
    let mut next = levels.keys().skip(1).map(|(time, ..)| *time);
    for ((from, ..), level) in levels {
        let until = next.next().unwrap_or(period.end).min(period.end);
        if until > *from {
            held += level * BigRational::from_integer((until - from).into());
        }
    }
    model::half_even(&(held / BigRational::from_integer(3_600_000_000_000i64.into())), 9)
}

fn one_price(
    price: &Price,
    customer: &Customer,
    period: Period,
    rows: &[&Charge],
    inside: &[&Event],
    all: &[&Event],
) -> Checked {
    let admitted = |events: &[&Event]| -> Vec<Event> {
        events.iter().filter(|event| price.admits(event)).map(|event| (*event).clone()).collect()
    };
    let (inside, all) = (admitted(inside), admitted(all));
    let (inside, all): (Vec<&Event>, Vec<&Event>) = (inside.iter().collect(), all.iter().collect());
    let place = || {
        let start = pricing::time::Instant::from_nanos(period.start);
        format!("customer {}, period {start}, price {price:?}, {} events", customer.id, inside.len())
    };
    let units: BigRational = rows.iter().map(|row| quantity(row.quantity)).sum();
    let expected = model::total(price, period, &inside, &all);
    if units != expected {
        let what = format!("{}: the rows' quantity is {units}, the model's {expected}", place());
        return Err(broken(Invariant::Mon1, what));
    }
    let mut found: BTreeMap<String, BigRational> = BTreeMap::new();
    for row in rows {
        let region = row.group.get("region").filter(|_| price.per_group).unwrap_or_default();
        *found.entry(region.to_owned()).or_default() += exact(row.amount);
    }
    let expected = model::cost(price, period, &inside, &all);
    for region in found.keys().chain(expected.keys()) {
        let sides = (found.get(region).cloned().unwrap_or_default(), expected.get(region).cloned().unwrap_or_default());
        if sides.0 != sides.1 {
            let (found, expected) = sides;
            let what = format!("{}, group '{region}': the rows' amount is {found}, the model's {expected}", place());
            return Err(broken(Invariant::Mon1, what));
        }
    }
    Ok(())
}

/// What a customer owes for the periods that ended at `until` or before, and for fees in advance of the one that runs then.
pub(super) fn owed(workload: &Workload, history: &History, customer: &Customer, until: i64) -> BigRational {
    let Some(first) = history.first_billed.get(&customer.id) else { return BigRational::zero() };
    let all: Vec<&Event> = history.charged(&customer.id).collect();
    let mut sum = BigRational::zero();
    for period in calendar::periods(customer, *first, until + 200_000_000_000_000) {
        if calendar::is_trial(customer, period) || period.start > until {
            continue;
        }
        let terms = history.terms(workload, customer, period.start);
        let advance = workload.advance.as_ref().map(|fee| model::share_of(fee, period)).unwrap_or_default();
        if period.end > until {
            // It stands on the bill that ends where its period begins.
            sum += model::discounted(&terms.discounts, advance);
            continue;
        }
        let mut whole = advance + model::share_of(&workload.fee, period);
        for price in history.prices(workload, customer, period.start) {
            let admitted: Vec<&Event> = all.iter().copied().filter(|event| price.admits(event)).collect();
            let inside = |event: &&Event| event.time >= period.start && event.time < period.end;
            let inside: Vec<&Event> = admitted.iter().copied().filter(inside).collect();
            let used = model::cost(&price, period, &inside, &admitted).values().sum::<BigRational>();
            let least = price.minimum.as_ref().map(|minimum| model::share_of(minimum, period)).unwrap_or_default();
            whole += model::discounted(&price.discounts, used).max(least);
        }
        let spent = model::discounted(&terms.discounts, whole);
        let least = terms.commitment.as_ref().map(|amount| model::share_of(amount, period)).unwrap_or_default();
        sum += spent.max(least);
    }
    sum
}

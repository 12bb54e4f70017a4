//! Days in three time zones, by hand: what periods are cut from, with no library in common with `pricing`.

use crate::model::Period;
use crate::workload::{Customer, DAY_SECONDS, FROM_SECONDS};

const SECOND: i64 = 1_000_000_000;
/// 2024-03-31T01:00:00Z, when Berlin's clocks go from +1 to +2.
const BERLIN_SUMMER: i64 = 1_711_846_800;

/// What is added to UTC at a moment, in seconds.
fn offset(zone: &str, seconds: i64) -> i64 {
    match zone {
        "Europe/Berlin" if seconds >= BERLIN_SUMMER => 7_200,
        "Europe/Berlin" => 3_600,
        "Asia/Kathmandu" => 20_700,
        _ => 0,
    }
}

/// The first moment of a local day, counted from 1970. No clocks change at midnight here.
fn midnight(zone: &str, day: i64) -> i64 {
    let local = day * DAY_SECONDS;
    let before = local - offset(zone, local - DAY_SECONDS);
    local - offset(zone, before)
}

fn day(zone: &str, seconds: i64) -> i64 {
    (seconds + offset(zone, seconds)).div_euclid(DAY_SECONDS)
}

/// The period of a customer's subscription that holds a time; none before it begins or after it ends.
pub fn period(customer: &Customer, time: i64) -> Option<Period> {
    let day = day(customer.zone, time.div_euclid(SECOND));
    let (first, last) = (midnight(customer.zone, day), midnight(customer.zone, day + 1));
    // The trial's end cuts a period in two.
    let now = time.div_euclid(SECOND);
    let cut = customer.trial_until.filter(|cut| *cut > first && *cut < last);
    let start = cut.filter(|cut| *cut <= now).unwrap_or(first).max(FROM_SECONDS);
    let end = cut.filter(|cut| *cut > now).unwrap_or(last);
    let end = customer.until.map_or(end, |until| end.min(until));
    let (start, end) = (start * SECOND, end * SECOND);
    // And so does a change of the plan, at whatever moment it comes.
    let changed = customer.changed.filter(|cut| *cut > start && *cut < end);
    let start = changed.filter(|cut| *cut <= time).unwrap_or(start);
    let end = changed.filter(|cut| *cut > time).unwrap_or(end);
    let inside = time >= start && time < end;
    inside.then(|| Period { start, end, full: (last - first) * SECOND })
}

/// Whether a period is one of the trial.
pub fn is_trial(customer: &Customer, period: Period) -> bool {
    customer.trial_until.is_some_and(|until| period.end <= until * SECOND)
}

/// Every period of a customer's subscription from `from` on (nanoseconds) that ends at `until` or before.
pub fn periods(customer: &Customer, from: i64, until: i64) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut at = from.max(FROM_SECONDS * SECOND);
    while let Some(period) = period(customer, at).filter(|period| period.end <= until) {
        at = period.end;
        periods.push(period);
    }
    periods
}

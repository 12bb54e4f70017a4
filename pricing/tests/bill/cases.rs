//! Single rules, each with its sums worked out by hand.

use crate::world::{World, amount, at};
use pricing::bill::{Due, Error, Kind};
use pricing::currency::Currency;

/// One meter, one customer; the plan and the subscription are the case's.
fn world(plan: &str, subscription: &str) -> World {
    World::new(&format!(
        "meters: [{{id: m, event: e, aggregate: sum, value: v}}]\n\
         customers: [{{id: c}}]\n\
         plans:\n  - {{id: p, currency: USD, every: month, {plan}}}\n\
         subscriptions: [{{id: s, customer: c, plan: p, {subscription}}}]\n"
    ))
}

fn usd(end: &str) -> Due {
    Due { end: at(end), currency: Currency::new("USD").unwrap() }
}

const PER_UNIT: &str = "prices: [{id: u, meter: m, per_unit: {each: 0.01}}]";

#[test]
fn an_advance_fee_opens_short_and_then_stands_on_the_bill_before_its_period() {
    let mut world =
        world(&format!("fees: [{{id: base, amount: 31.00, when: advance}}], {PER_UNIT}"), "from: 2026-01-15");
    world.used("2026-01-20", "u", "250");
    let opening = world.bill("2026-01-15");
    assert_eq!((opening.period.start, opening.period.end), (at("2026-01-15"), at("2026-01-15")));
    assert_eq!(opening.id, "c/USD/2026-01-15T00:00:00Z");
    assert_eq!(world.lines(), ["fee | base, 2026-01-15 to 2026-01-31, 17 of 31 days of 31.00 | 17 | 17.00"]);
    world.bill("2026-02-01");
    assert_eq!(
        world.lines(),
        ["fee | base, 2026-02-01 to 2026-02-28 | 31 | 31.00", "usage | u | 2.5 | 2.50"],
        "the opening bill and the first full one"
    );
    assert_eq!(world.bills.len(), 2);
}

#[test]
fn a_plan_change_now_credits_the_unused_part_and_bills_the_new_plan_for_the_rest() {
    let plans = "discounts: [{id: ten, percent: 10%}], fees: [{id: base, amount: 31.00, when: advance}]";
    let mut world = world(&format!("{plans}, {PER_UNIT}"), "from: 2026-01-01");
    world.bill("2026-01-01");
    world.apply(
        "plans:\n  - {id: big, currency: USD, every: month, fees: [{id: large, amount: 62.00, when: advance}], \
         prices: [{id: u, meter: m, included: 310, per_unit: {each: 0.02}}]}\n\
         subscriptions: [{id: s, customer: c, plan: big, from: 2026-01-01, change: now}]\n",
        "2026-01-10T23:55:00Z",
    );
    world.used("2026-01-05", "u", "100");
    world.used("2026-01-20", "u", "300");
    world.bill("2026-01-11");
    // 31 × 21 ÷ 31 unused, of which 10 % was never paid; usage of the old plan; 21 days of the new one.
    assert_eq!(
        world.lines(),
        [
            "credit | base, unused 2026-01-11 to 2026-01-31, 21 of 31 days of 31.00 | -21 | -21.00",
            "fee | large, 2026-01-11 to 2026-01-31, 21 of 31 days of 62.00 | 42 | 42.00",
            "usage | u | 1 | 1.00",
            "discount | ten, 10% off | 2 | 2.00",
        ]
    );
    world.bill("2026-02-01");
    // Included scales: 310 × 21 ÷ 31 = 210.
    let lines = world.lines();
    assert_eq!(lines[1..], ["usage | u: included, up to 21 of 31 days of 310 | 0 | 0.00", "usage | u | 1.8 | 1.80"]);
}

#[test]
fn late_usage_is_an_adjustment_with_its_dates_and_tier_bounds_of_its_own_period() {
    let tiers = "prices: [{id: u, meter: m, minimum: 1.00, graduated: [{up_to: 100, each: 0.02}, {each: 0.01}]}]";
    let mut world = world(tiers, "from: 2026-01-01");
    world.used("2026-01-10", "u", "90");
    world.used("2026-02-10", "u", "10");
    world.bill("2026-02-01");
    world.used("2026-01-31T23:59:59Z", "u", "20");
    world.bill("2026-03-01");
    // 100 × 0.02 + 10 × 0.01 after, 90 × 0.02 before.
    assert_eq!(
        world.lines(),
        [
            "usage | u: tier 1 | 0.2 | 0.20",
            "minimum | u: up to the minimum of 1.00 | 0.8 | 0.80",
            "adjustment | late usage, 2026-01-01 to 2026-01-31 | 0.3 | 0.30",
        ]
    );
    world.bill("2026-04-01");
    assert_eq!(world.lines(), ["minimum | u: up to the minimum of 1.00 | 1 | 1.00"], "it is adjusted once");
}

#[test]
fn late_usage_after_the_last_bill_stands_on_a_final_one() {
    let mut world = world(PER_UNIT, "from: 2026-01-01, until: 2026-02-01");
    world.bill("2027-01-01");
    assert_eq!(world.bills.len(), 1);
    world.used("2026-01-10", "u", "90");
    let last = world.bill_at(usd("2026-03-15"));
    assert_eq!(last.period.start, last.period.end);
    assert_eq!(world.lines(), ["adjustment | late usage, 2026-01-01 to 2026-01-31 | 0.9 | 0.90"]);
}

#[test]
fn a_trial_shows_usage_and_takes_all_of_it_off() {
    let mut world = world(
        "commitment: {amount: 100}, fees: [{id: base, amount: 28.00, when: advance}, {id: end, amount: 5, when: arrears}], \
         discounts: [{id: ten, percent: 10%}], prices: [{id: u, meter: m, minimum: 9, per_unit: {each: 0.01}}]",
        "from: 2026-01-01, trial_until: 2026-02-15",
    );
    world.used("2026-01-10", "u", "90");
    world.used("2026-02-10", "u", "50");
    let first = world.bill("2026-02-01");
    assert_eq!((first.total.0, first.zero), (0, false));
    assert_eq!(world.lines(), ["usage | u | 0.9 | 0.90", "discount | trial, 100% off | -0.9 | -0.90"]);
    assert_eq!(world.bills.len(), 1, "a trial opens without a bill");
    world.bill("2026-02-15");
    assert_eq!(
        world.lines(),
        [
            "fee | base, 2026-02-15 to 2026-02-28, 14 of 28 days of 28.00 | 14 | 14.00",
            "usage | u | 0.5 | 0.50",
            "discount | trial, 100% off | -0.5 | -0.50",
            "discount | ten, 10% off | -1.4 | -1.40",
        ]
    );
    world.bill("2026-03-01");
    // Half of the month: 2.5 fee, 4.5 minimum, 10 % off; 50 committed, of which 12.6 + 6.3 is spent.
    assert_eq!(
        world.lines()[1..3],
        [
            "fee | end, 2026-02-15 to 2026-02-28, 14 of 28 days of 5.00 | 2.5 | 2.50",
            "minimum | u: up to the minimum of 14 of 28 days of 9.00 | 4.5 | 4.50"
        ]
    );
    assert_eq!(
        world.lines().last().unwrap(),
        "commitment | up to the minimum spend of 14 of 28 days of 100.00 (18.90 spent), 2026-02-15 to 2026-02-28 | 31.1 | 31.10"
    );
}

#[test]
fn periods_anchored_on_the_31st_in_berlin_end_on_last_days_at_local_midnight() {
    let mut world = World::new(
        "meters: [{id: m, event: e, aggregate: sum, value: v}]\n\
         customers: [{id: c, time_zone: Europe/Berlin}]\n\
         plans: [{id: p, currency: EUR, every: month, fees: [{id: base, amount: 10, when: arrears}], prices: [{id: u, meter: m, per_unit: {each: 1}}]}]\n\
         subscriptions: [{id: s, customer: c, plan: p, from: 2026-01-31, anchor: 31}]\n",
    );
    world.bill("2026-05-01");
    let ends: Vec<String> = world.bills.iter().map(|bill| bill.period.end.to_string()).collect();
    assert_eq!(ends, ["2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z", "2026-04-29T22:00:00Z"]);
    assert!(world.bills.iter().all(|bill| bill.net.0 == 1000), "all of them are full periods");
    assert_eq!(world.lines(), ["fee | base, 2026-03-31 to 2026-04-29 | 10 | 10.00"]);
}

#[test]
fn a_yearly_commitment_is_trued_up_once_and_again_when_late_usage_comes() {
    let mut world = world(
        &format!(
            "commitment: {{amount: 1200.00, every: year}}, fees: [{{id: base, amount: 20, when: advance}}], {PER_UNIT}"
        ),
        "from: 2026-01-01",
    );
    for month in 1..=12 {
        world.used(&format!("2026-{month:02}-10"), "u", "6000");
    }
    world.bill("2026-12-01");
    assert!(world.bills.iter().flat_map(|bill| &bill.lines).all(|line| line.kind != Kind::Commitment));
    world.accounts.values_mut().for_each(|account| *account = account.clone().forget(at("2026-11-01")));
    world.bill("2027-01-01");
    // 12 × (60 + 20) = 960: the fee of January 2027 stands on this bill, but is not spent in 2026.
    let lines = world.lines();
    assert_eq!(
        lines.last().unwrap(),
        "commitment | up to the minimum spend of 1,200.00 (960.00 spent), 2026-01-01 to 2026-12-31 | 240 | 240.00"
    );
    assert_eq!(lines.len(), 3);
    world.used("2026-12-31", "u", "10000");
    world.bill("2027-02-01");
    assert_eq!(world.lines().len(), 1, "100 more usage is 100 less true-up: {:?}", world.lines());
    world.used("2026-12-31", "u", "20000");
    world.bill("2027-03-01");
    assert_eq!(world.lines()[1], "adjustment | late usage, 2026-12-01 to 2026-12-31 | 60 | 60.00", "300 − 240 above");
}

#[test]
fn a_yearly_fee_in_advance_is_billed_once_and_its_unused_part_credited() {
    let mut world = world(
        &format!("fees: [{{id: base, amount: 365.00, when: advance, every: year}}], {PER_UNIT}"),
        "from: 2026-01-01",
    );
    world.bill("2026-03-01");
    let fees: Vec<i64> = world.bills.iter().map(|bill| bill.net.0).collect();
    assert_eq!(fees, [36_500, 0, 0]);
    world.apply("subscriptions: [{id: s, customer: c, plan: p, from: 2026-01-01, until: 2026-03-11}]", "2026-03-05");
    world.bill("2027-03-01");
    assert_eq!(world.bills.len(), 4);
    assert_eq!(
        world.lines(),
        ["credit | base, unused 2026-03-11 to 2026-12-31, 296 of 365 days of 365.00 | -296 | -296.00"]
    );
    assert_eq!(world.bills[3].due.0, -29_600);
}

#[test]
fn a_fee_put_right_on_a_bill_of_two_periods_counts_once_as_spent() {
    let fee = "fees: [{id: base, amount: 31.00, when: advance}]";
    let paid = |at_once: bool| {
        let mut world = world(&format!("{fee}, {PER_UNIT}"), "from: 2026-01-01");
        world.bill("2026-01-01");
        world.apply(
            &format!(
                "plans: [{{id: q, currency: USD, every: month, commitment: {{amount: 310}}, {fee}}}]\n\
                 subscriptions: [{{id: s, customer: c, plan: q, from: 2026-01-01, change: now}}]"
            ),
            "2026-01-09T23:55:00Z",
        );
        // Either a bill for each period, or one for both.
        if at_once {
            world.bill_at(usd("2026-02-01"));
        } else {
            world.bill("2026-02-01");
        }
        world.bills.iter().map(|bill| bill.net.0).sum::<i64>()
    };
    // 9 days of the first plan, then 22 days of the second, 10 a day at least, and its fee of February.
    assert_eq!(paid(false), 900 + 22_000 + 3_100);
    assert_eq!(paid(true), paid(false));
}

#[test]
fn cycles_count_full_periods_from_the_first_billed_one() {
    for (every, anchor, from, fee, until, starts) in [
        ("month", "anchor: 31", "2025-11-15", "quarter", "2026-08-01", "2025-11-15 2026-01-31 2026-04-30 2026-07-31"),
        ("month", "anchor: 15", "2024-02-20", "year", "2027-01-01", "2024-02-20 2025-02-15 2026-02-15"),
        ("quarter", "anchor: 02-29", "2026-01-01", "year", "2028-12-01", "2026-01-01 2026-11-29 2027-11-29 2028-11-29"),
        ("day", "", "2026-01-07", "week", "2026-01-22", "2026-01-07 2026-01-14 2026-01-21"),
    ] {
        let anchor = if anchor.is_empty() { String::new() } else { format!(", {anchor}") };
        let mut world = World::new(&format!(
            "customers: [{{id: c}}]\n\
             plans: [{{id: p, currency: USD, every: {every}, fees: [{{id: base, amount: 10, when: advance, every: {fee}}}]}}]\n\
             subscriptions: [{{id: s, customer: c, plan: p, from: {from}{anchor}}}]\n"
        ));
        world.apply("billing: {zero: issue}", "2020-01-02");
        world.bill(until);
        let found: Vec<String> = world
            .bills
            .iter()
            .filter(|bill| bill.lines.iter().any(|line| line.kind == Kind::Fee))
            .map(|bill| bill.period.end.to_string().replace("T00:00:00Z", ""))
            .collect();
        assert_eq!(found.join(" "), starts, "{fee} of {every}s");
    }
}

#[test]
fn a_fixed_discount_is_given_once_a_period_over_fees_in_advance_and_usage() {
    let mut world = world(
        &format!("discounts: [{{id: five, amount: 5.00}}], fees: [{{id: base, amount: 3, when: advance}}], {PER_UNIT}"),
        "from: 2026-01-01",
    );
    world.used("2026-01-10", "u", "150");
    world.used("2026-02-10", "u", "500");
    world.bill("2026-01-01");
    assert_eq!(world.lines()[1], "discount | five, 5.00 off | -3 | -3.00");
    world.bill("2026-02-01");
    assert_eq!(world.lines()[2], "discount | five, 5.00 off | -4.5 | -4.50", "1.50 of January's, 3 of February's");
    world.bill("2026-03-01");
    assert_eq!(world.lines()[2], "discount | five, 5.00 off | -5 | -5.00", "2 left for February, 3 of March's");
}

#[test]
fn discounts_minimum_and_cap_follow_each_other() {
    let mut world = world(
        "discounts: [{id: all, percent: 50%}], prices: [\
         {id: a, meter: m, minimum: 3.00, discounts: [{id: half, percent: 50%}, {id: one, amount: 1}], per_unit: {each: 0.01}}, \
         {id: b, meter: m, cap: 2.00, per_unit: {each: 0.01}}, {id: f, meter: m, stairstep: [{up_to: 10, amount: 1}, {amount: 4}]}]",
        "from: 2026-01-01",
    );
    world.used("2026-01-10", "a", "600");
    world.used("2026-01-10", "b", "600");
    world.used("2026-01-10", "f", "600");
    world.bill("2026-02-01");
    assert_eq!(
        world.lines(),
        [
            "usage | a | 6 | 6.00",
            "discount | a: half, 50% off | -3 | -3.00",
            "discount | a: one, 1.00 off | -1 | -1.00",
            "minimum | a: up to the minimum of 3.00 | 1 | 1.00",
            "usage | b: 600 used, capped at 2.00 | 2 | 2.00",
            "usage | f: 600 used, step 2 | 4 | 4.00",
            "discount | all, 50% off | -4.5 | -4.50",
        ]
    );
}

#[test]
fn lines_show_their_arithmetic_and_name_their_period_where_the_bill_settles_several() {
    let prices = "prices: [{id: u, meter: m, cap: 31.00, per_unit: {each: 0.01}}, \
                  {id: shop, meter: m, percentage: {rate: 2.9%, fixed: 0.30, min: 0.50, max: 20.00}}]";
    let mut world = world(prices, "from: 2026-01-01, until: 2026-02-11");
    for price in ["u", "u", "shop", "shop"] {
        world.used("2026-01-10", price, "10000");
        world.used("2026-02-10", price, "10000");
    }
    let bill = world.bill_at(usd("2026-02-11"));
    assert_eq!((bill.period.start, bill.period.end), (at("2026-01-01"), at("2026-02-11")));
    let periods: Vec<_> = bill.lines.iter().filter_map(|line| line.period).map(|period| period.start).collect();
    assert_eq!(periods, [at("2026-01-01"), at("2026-02-01"), at("2026-01-01"), at("2026-02-01")]);
    assert_eq!(
        world.lines(),
        [
            "usage | u: 20,000 used, capped at 31.00, 2026-01-01 to 2026-01-31 | 31 | 31.00",
            "usage | u: 20,000 used, capped at 10 of 28 days of 31.00, 2026-02-01 to 2026-02-10 | \
             11.071428571428571428571429 | 11.07",
            "usage | shop: 20,000 used in 2 events at 2.9% + 0.30 each, at least 0.50, at most 20.00, \
             2026-01-01 to 2026-01-31 | 40 | 40.00",
            "usage | shop: 20,000 used in 2 events at 2.9% + 0.30 each, at least 0.50, at most 20.00, \
             2026-02-01 to 2026-02-10 | 40 | 40.00",
        ]
    );
}

#[test]
fn a_share_is_told_in_the_largest_unit_that_is_whole() {
    // An hour of March is missing in Berlin, so that days would not say how much of the month this is.
    let mut world = World::new(
        "customers: [{id: c, time_zone: Europe/Berlin}]\n\
         plans: [{id: p, currency: EUR, every: month, fees: [{id: base, amount: 10, when: arrears}]}]\n\
         subscriptions: [{id: s, customer: c, plan: p, from: 2026-03-10}]\n",
    );
    world.bill("2026-04-01");
    assert!(world.lines()[0].starts_with("fee | base, 2026-03-10 to 2026-03-31, 527 of 743 hours of 10.00 | "));
}

#[test]
fn a_subscription_that_comes_after_the_bill_of_its_start_pays_its_fee_on_the_next() {
    let mut world = world(PER_UNIT, "from: 2026-01-01");
    world.bill("2026-02-01");
    world.apply(
        "plans: [{id: q, currency: USD, every: month, fees: [{id: seat, amount: 7, when: advance}]}]\n\
         subscriptions: [{id: late, customer: c, plan: q, from: 2026-01-20}]",
        "2026-02-10",
    );
    world.bill("2026-03-01");
    assert_eq!(
        world.lines(),
        ["fee | seat, 2026-02-01 to 2026-02-28 | 7 | 7.00", "fee | seat, 2026-03-01 to 2026-03-31 | 7 | 7.00"]
    );
}

#[test]
fn a_fee_in_advance_of_a_period_that_runs_when_its_subscription_comes_does_not_wait_for_its_end() {
    let mut world = world(PER_UNIT, "from: 2026-01-01");
    world.bill("2026-02-01");
    world.apply(
        "plans: [{id: q, currency: USD, every: year, fees: [{id: seat, amount: 365, when: advance}]}]\n\
         subscriptions: [{id: late, customer: c, plan: q, from: 2025-06-01}]",
        "2026-02-10",
    );
    world.bill("2026-04-01");
    let nets: Vec<i64> = world.bills.iter().map(|bill| bill.net.0).collect();
    assert_eq!(nets, [0, 36_500, 0], "on the next bill, once");
    assert_eq!(world.bills[1].lines[0].description, "seat, 2026-01-01 to 2026-12-31");
}

#[test]
fn an_end_that_is_taken_back_bills_the_rest_of_a_long_fee_however_much_was_forgotten() {
    let fee = "fees: [{id: base, amount: 365.00, when: advance, every: year}]";
    let mut world = world(&format!("{fee}, {PER_UNIT}"), "from: 2026-01-01, until: 2026-02-15");
    world.bill("2026-02-01");
    assert_eq!(world.bills[0].net.0, 4_500);
    world.apply("subscriptions: [{id: s, customer: c, plan: p, from: 2026-01-01}]", "2026-02-10");
    world.bill("2026-06-01");
    world.accounts.values_mut().for_each(|account| *account = account.clone().forget(at("2026-05-01")));
    world.bill("2027-01-01");
    assert_eq!(world.lines()[0], "fee | base, 2026-02-15 to 2026-12-31, 320 of 365 days of 365.00 | 320 | 320.00");
}

#[test]
fn what_is_missing_or_does_not_agree_is_refused_by_name() {
    let mut world = world(PER_UNIT, "from: 2026-01-01");
    world.used("2026-01-10", "u", "90");
    let mut usage = world.usage();
    usage.values_mut().for_each(|usage| usage.0[0].amount = amount("0.91"));
    let error = world.prepare(usd("2026-02-01"), usage).unwrap_err();
    assert!(matches!(&error, Error::Mismatch { price, .. } if price.as_str() == "u"), "{error}");
    assert!(error.to_string().contains("its charges add up to 0.91, but 90 units cost 0.9"), "{error}");
    world.bill("2026-02-01");
    let again = world.prepare(usd("2026-02-01"), world.usage()).unwrap_err();
    assert!(matches!(again, Error::OutOfOrder { .. }), "{again}");
}

#[test]
fn no_bill_carries_what_two_sell() {
    let yaml = "sellers: [{id: one}, {id: two}]\ncustomers: [{id: c, seller: one}]\nmeters: [{id: m, event: e, aggregate: count}]\n\
                plans:\n  - {id: a, currency: USD, every: month, fees: [{id: f, amount: 1, when: arrears}]}\n  \
                - {id: b, seller: two, currency: USD, every: month, fees: [{id: f, amount: 2, when: advance}]}\n\
                subscriptions: [{id: s, customer: c, plan: a, from: 2026-01-01, until: 2026-02-01}]";
    let mut world = World::new(yaml);
    let second = "subscriptions: [{id: t, customer: c, plan: b, from: 2026-02-01, backfill: true}]";
    let refused = world.try_apply(second, at("2026-03-01")).unwrap_err().to_string();
    assert!(refused.contains("subscriptions.t: is billed in USD by 'two'"), "{refused}");
    // Long after, nobody looks any more whether the first one's bill was made.
    world.apply(second, "2026-06-01");
    let due = Due { end: at("2026-02-01"), currency: Currency::new("USD").unwrap() };
    let refused = world.prepare(due, world.usage()).unwrap_err();
    assert!(matches!(refused, Error::TwoSellers { .. }), "{refused}");
}
